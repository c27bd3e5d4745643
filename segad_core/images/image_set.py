"""A set of image files, decoded in batches, whose encoder features are computed once and kept."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from segad_core.contracts import Array, Encoder, ImageBatch, Sample
from segad_core.errors import StoreError
from segad_core.images.decode import decode, resize

FEATURES_IN_MEMORY = 2 << 30
"""Features of a training set larger than this many bytes are kept in a temporary file instead of memory."""


@dataclass(frozen=True)
class Preprocessing:
    """How an image comes to the detectors' size."""

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
        layers: the layers that are wanted.
        progress: told how many of the images an encoder pass has done.
    """

    samples: Sequence[Sample]
    preprocessing: Preprocessing
    encoder: Encoder | None = None
    layers: tuple[str, ...] = ()
    progress: Callable[[str, int, int], None] = lambda what, done, total: None
    _features: dict[str, NDArray[np.float32]] | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.samples)

    def batches(self) -> Iterator[ImageBatch]:
        """The images in order; the next batch is decoded while the caller works on this one."""
        size = self.preprocessing.batch_size
        groups = [self.samples[i : i + size] for i in range(0, len(self.samples), size)]
        with ThreadPoolExecutor(max_workers=2) as pool:
            pending = pool.submit(self._decode, groups[0]) if groups else None
            for i, group in enumerate(groups):
                assert pending is not None
                pixels = pending.result()
                pending = pool.submit(self._decode, groups[i + 1]) if i + 1 < len(groups) else None
                yield ImageBatch(group, pixels, self._encode if self.layers else None, self._load)

    def features(self) -> Mapping[str, NDArray[np.float32]]:
        """The wanted layers of every image, from one encoder pass: in memory, or memory-mapped if large."""
        if self._features is None:
            self._features = {}
            done = 0
            for batch in self.batches():
                for layer, values in batch.features().items():
                    block = _to_numpy(values)
                    if layer not in self._features:
                        self._features[layer] = _room((len(self), *block.shape[1:]))
                    self._features[layer][done : done + len(batch)] = block
                done += len(batch)
                self.progress("images encoded", done, len(self))
        return self._features

    def _decode(self, group: Sequence[Sample]) -> NDArray[np.uint8]:
        return np.stack([resize(self._load(sample), self.preprocessing.size) for sample in group])

    def _load(self, sample: Sample) -> NDArray[np.uint8]:
        return decode(sample.path, self.preprocessing.white).pixels

    def _encode(self, pixels: NDArray[np.uint8]) -> Mapping[str, Array]:
        assert self.encoder is not None
        return self.encoder.encode(pixels, self.layers)


def _to_numpy(values: Array) -> NDArray[np.float32]:
    """An array of any library as NumPy's; one on an accelerator is copied from it."""
    if hasattr(values, "cpu"):
        values = values.cpu()
    return np.asarray(np.from_dlpack(values), np.float32)


def _room(shape: tuple[int, ...]) -> NDArray[np.float32]:
    size = 4 * int(np.prod(shape, dtype=np.int64))
    if size <= FEATURES_IN_MEMORY:
        return np.empty(shape, np.float32)
    try:
        with tempfile.TemporaryFile() as file:  # the mapping outlives the name and goes with the process
            if hasattr(os, "posix_fallocate"):  # a full disk is an error here, and would be a crash later
                os.posix_fallocate(file.fileno(), 0, size)
            return np.memmap(file, np.float32, "w+", shape=shape)
    except OSError as error:
        raise StoreError(
            f"the temporary folder {tempfile.gettempdir()} has no room for {size / 2**30:.1f} GiB of encoder "
            f"features: {error.strerror}",
            "Free some space, or name a larger folder in the environment variable TMPDIR.",
        ) from error
