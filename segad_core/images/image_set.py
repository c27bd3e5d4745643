"""A set of image files: decoded in batches, with encoder features that are computed once and kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from segad_core.base.digest import digest_of
from segad_core.base.parallel import in_order
from segad_core.base.scratch import scratch_array
from segad_core.contracts import Array, Encoder, ImageBatch, Progress, Sample, no_progress, to_numpy
from segad_core.contracts.images import Keep
from segad_core.images.decode import decode, decode_resized
from segad_core.images.faults import image_digest


@dataclass(frozen=True)
class Preprocessing:
    """How an image is brought to the detectors' size."""

    size: tuple[int, int]
    white: int = 65535
    batch_size: int = 16


@dataclass
class FileImageSet:
    """Implements the contract `ImageSet` over files.

    Attributes:
        samples: the images, in order.
        preprocessing: size, 16-bit white and batch size.
        encoder: where features come from, if anything wants them.
        layers: the layers to compute.
        progress: reports how many images an encoder pass has processed.
        keep: keeps results that plugins derive from single images; without it, nothing is kept.
        ignoring: says of a batch what is never inspected, as `ImageBatch.ignored`; None if all is inspected.
        origin: identifies `ignoring`.
    """

    samples: Sequence[Sample]
    preprocessing: Preprocessing
    encoder: Encoder | None = None
    layers: tuple[str, ...] = ()
    progress: Progress = no_progress
    keep: Keep | None = None
    ignoring: Callable[[ImageBatch], NDArray[np.bool_]] | None = None
    origin: str = ""
    _features: dict[str, NDArray[np.float32]] | None = field(default=None, repr=False)
    _pixels: NDArray[np.uint8] | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.samples)

    def batches(self) -> Iterator[ImageBatch]:
        """The images in order, decoded on all cores: a batch ahead, or one image per thread if more."""
        size = self.preprocessing.batch_size
        decoded = in_order(self._decode, self.samples, ahead=size)
        for start in range(0, len(self.samples), size):
            group = self.samples[start : start + size]
            yield self._batch(group, np.stack(list(islice(decoded, len(group)))))

    def pixels(self) -> NDArray[np.uint8]:
        """Every image, decoded once: in memory, or memory-mapped if large."""
        if self._pixels is None:
            pixels = scratch_array((len(self), *self.preprocessing.size, 3), np.uint8, "images")
            done = 0
            for batch in self.batches():
                pixels[done : done + len(batch)] = batch.pixels
                done += len(batch)
                self.progress("images decoded", done, len(self))
            self._pixels = pixels
        return self._pixels

    def features(self) -> Mapping[str, NDArray[np.float32]]:
        """The layers of every image, from one encoder pass: in memory, or memory-mapped if large."""
        if self._features is None:
            features: dict[str, NDArray[np.float32]] = {}
            done = 0
            for batch in self.batches():
                for layer, values in batch.features().items():
                    block = to_numpy(values)
                    if layer not in features:
                        features[layer] = scratch_array(
                            (len(self), *block.shape[1:]), np.float32, "encoder features"
                        )
                    features[layer][done : done + len(batch)] = block
                done += len(batch)
                self.progress("images encoded", done, len(self))
            self._features = features
        return self._features

    def pick(self, indices: Sequence[int]) -> ImageBatch:
        """Some of the images, decoded at each call."""
        group = [self.samples[i] for i in indices]
        return self._batch(group, np.stack(list(in_order(self._decode, group))))

    def resized(self, size: tuple[int, int]) -> FileImageSet:
        """The same images at another size, without the pixels and features computed so far."""
        return replace(
            self, preprocessing=replace(self.preprocessing, size=size), _features=None, _pixels=None
        )

    def digest(self) -> str:
        """As in `ImageSet`; reads every file completely."""
        files = list(in_order(image_digest, [sample.path for sample in self.samples]))
        return digest_of([files, asdict(self.preprocessing), *([self.origin] if self.origin else [])])

    def ignored(self) -> NDArray[np.bool_] | None:
        """What is never inspected in each image, (N, H, W) or (1, H, W); None if all is inspected."""
        if self.ignoring is None:
            return None
        some = self.pick([0, min(1, len(self) - 1)]).ignored
        if some is None or len(some) == 1:
            return some
        return np.concatenate([batch.ignored for batch in self.batches() if batch.ignored is not None])

    def _batch(self, group: Sequence[Sample], pixels: NDArray[np.uint8]) -> ImageBatch:
        batch = ImageBatch(group, pixels, self._encode if self.layers else None, self._load, self.keep)
        return batch.ignoring(self.ignoring(batch)) if self.ignoring else batch

    def _decode(self, sample: Sample) -> NDArray[np.uint8]:
        given = self.preprocessing
        return decode_resized(sample.path, given.size, given.white).pixels

    def _load(self, sample: Sample) -> NDArray[np.uint8]:
        return decode(sample.path, self.preprocessing.white).pixels

    def _encode(self, pixels: NDArray[np.uint8]) -> Mapping[str, Array]:
        assert self.encoder is not None
        return self.encoder.encode(pixels, self.layers)
