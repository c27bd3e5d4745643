"""Images as plugins meet them: a batch, and a set that can be gone through again and again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from segad_core.contracts.dataset import Sample
from segad_core.contracts.encoder import Array


class ImageBatch:
    """Images decoded and resized once, and their encoder features computed once, for every plugin.

    Attributes:
        samples: what is known of each image.
        pixels: (N, H, W, 3) uint8 RGB at the recipe's size.
        memo: a place for what plugins want to share about this batch.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        pixels: NDArray[np.uint8],
        encode: Callable[[NDArray[np.uint8]], Mapping[str, Array]] | None = None,
        load: Callable[[Sample], NDArray[np.uint8]] | None = None,
    ) -> None:
        self.samples = samples
        self.pixels = pixels
        self.memo: dict[Any, Any] = {}
        self._encode = encode
        self._load = load

    def __len__(self) -> int:
        return len(self.samples)

    def features(self) -> Mapping[str, Array]:
        """The encoder's layers by name, each (N, C, H, W): every layer that a detector of this pass wants.

        The encoder runs at the first call only, however many detectors ask.
        """
        if "features" not in self.memo:
            if self._encode is None:
                raise LookupError("this batch has no encoder: declare the layers that the plugin reads")
            self.memo["features"] = self._encode(self.pixels)
        features: Mapping[str, Array] = self.memo["features"]
        return features

    def with_pixels(self, pixels: NDArray[np.uint8]) -> ImageBatch:
        """The same images with other pixels (N, H, W, 3), and with features of their own."""
        return ImageBatch(self.samples, pixels, self._encode, self._load)

    def full_size(self, index: int) -> NDArray[np.uint8]:
        """One image as it is on disk, (H, W, 3) uint8 RGB, decoded anew at each call."""
        if self._load is None:
            raise LookupError("this batch has no files behind it")
        return self._load(self.samples[index])


class ImageSet(Protocol):
    """The images a plugin trains on, always in the same order."""

    @property
    def samples(self) -> Sequence[Sample]: ...

    def __len__(self) -> int: ...

    def batches(self) -> Iterator[ImageBatch]:
        """The images in order, in batches; holds one batch at a time."""

    def pick(self, indices: Sequence[int]) -> ImageBatch:
        """Some of the images, by their places in the order, as a batch."""

    def resized(self, size: tuple[int, int]) -> ImageSet:
        """The same images brought to another size (height, width)."""

    def digest(self) -> str:
        """What identifies the images: their content, their order, and how they come to their size."""

    def features(self) -> Mapping[str, NDArray[np.float32]]:
        """The encoder's layers for the whole set, each (N, C, H, W): one pass, kept for every later call."""
