"""Images as plugins meet them: a batch, and a set that can be gone through again and again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from segad_core.contracts.dataset import Sample
from segad_core.contracts.encoder import Array

Arrays = Mapping[str, NDArray[np.generic]]
"""Named arrays, as safetensors holds them."""

Keep = Callable[[Sample, Mapping[str, Any], Callable[[NDArray[np.uint8]], Arrays]], Arrays]
"""Looks up what was made of an image, or makes it and keeps it."""


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
        keep: Keep | None = None,
    ) -> None:
        self.samples = samples
        self.pixels = pixels
        self.memo: dict[Any, Any] = {}
        self._encode = encode
        self._load = load
        self._keep = keep

    def __len__(self) -> int:
        return len(self.samples)

    def features(self) -> Mapping[str, Array]:
        """The encoder's layers that plugins of this pass read, by name, each float32 (N, C, H, W).

        The encoder runs at the first call only, however many plugins ask. Its library and device are its own
        choice: `to_numpy` or, say, `torch.from_dlpack` converts a layer. Not to be written to.
        """
        if "features" not in self.memo:
            if self._encode is None:
                raise LookupError("this batch has no encoder: declare the layers that the plugin reads")
            self.memo["features"] = self._encode(self.pixels)
        features: Mapping[str, Array] = self.memo["features"]
        return features

    def with_pixels(self, pixels: NDArray[np.uint8]) -> ImageBatch:
        """The same images with other pixels (N, H, W, 3), and with features of their own.

        Nothing on disk looks like them: they have no full size, and nothing made of them is kept.
        """
        return ImageBatch(self.samples, pixels, self._encode)

    def full_size(self, index: int) -> NDArray[np.uint8]:
        """One image as it is on disk, (H, W, 3) uint8 RGB, decoded anew at each call."""
        if self._load is None:
            raise LookupError("this batch has no files behind it")
        return self._load(self.samples[index])

    def artifact(
        self, index: int, inputs: Mapping[str, Any], make: Callable[[NDArray[np.uint8]], Arrays]
    ) -> Arrays:
        """What was made of one image, once and then kept in the store for every later run.

        Args:
            index: which of the images.
            inputs: plain data that decides the result, beside the image's file, the name of `make`, and the
                code of the module in which it is defined and of what that imports of its package.
            make: a function, or a `functools.partial` of one, that makes named arrays of the image as it is
                on disk, (H, W, 3) uint8 RGB.
        """
        if self._keep is None:
            return make(self.full_size(index))
        return self._keep(self.samples[index], inputs, make)


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

    def pixels(self) -> NDArray[np.uint8]:
        """All images (N, H, W, 3) RGB, decoded once and kept for every later call; not to be written to."""

    def features(self) -> Mapping[str, Array]:
        """The encoder's layers of all images, as `ImageBatch.features` gives those of a batch.

        They come from one pass and are kept for later calls, in a temporary file if they are large.
        """
