"""What several passes of a run see of the same images: decoded and encoded once, kept while the run lasts."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock
from typing import IO, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from segad_core.contracts import Array, Sample, to_numpy
from segad_core.contracts.images import GREY, ImageBatch, knowing
from segad_core.images.encoding import encoded
from segad_core.images.image_set import FileImageSet, Seen

MOST = 16 << 30
"""Bytes of an array that are kept at most, unless a quarter of the free space is less."""

Encode = Callable[[Sequence[str], NDArray[np.uint8]], Mapping[str, Array]]
"""Layers by name, of images."""


class _Rows:
    """An array with a line for each image, in a file without a name: read and written, not mapped."""

    def __init__(self, file: IO[bytes], count: int, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        self._file = file
        self._shape, self._dtype = shape, np.dtype(dtype)
        self._size = self._dtype.itemsize * int(np.prod(shape))
        self.there = np.zeros(count, np.bool_)

    def write(self, places: Sequence[int], block: NDArray[Any]) -> None:
        for place, line in zip(places, block, strict=True):
            if not self.there[place]:
                data = np.ascontiguousarray(line).tobytes()
                self.there[place] = os.pwrite(self._file.fileno(), data, place * self._size) == self._size

    def read(self, places: Sequence[int]) -> NDArray[Any]:
        block = np.empty((len(places), *self._shape), self._dtype)
        for place, line in zip(places, block, strict=True):
            line[...] = np.frombuffer(
                os.pread(self._file.fileno(), self._size, place * self._size), self._dtype
            ).reshape(self._shape)
        return block


class KeptImages:
    """Pixels and layers of the images that several passes read.

    Layers are kept of full batches, and only if the encoder gives each image the same bits wherever it is in
    a batch: results are those of a run that encodes images in every pass.

    Args:
        folder: holds the file, which has no name and is gone when this object is.
        samples: the images.
        layers: of the encoder that several passes read.
        batch_size: of these passes.
    """

    def __init__(
        self, folder: Path, samples: Iterable[Sample], layers: Sequence[str], batch_size: int
    ) -> None:
        self._folder = folder
        self._places = {_identity(sample): place for place, sample in enumerate(samples)}
        self._layers, self._batch_size = tuple(layers), batch_size
        self._steady: bool | None = None
        self._rows: dict[str, _Rows | None] = {}
        self._lock = Lock()

    def pixels(self, sample: Sample, decode: Callable[[Sample], Seen]) -> Seen:
        """A decoded image, without a frame."""
        place, rows = self._places.get(_identity(sample)), self._rows.get("pixels")
        if place is None:
            return decode(sample)
        if rows is not None and rows.there[place]:
            return rows.read([place])[0], None
        pixels, frame = decode(sample)
        if frame is None:
            self._keep("pixels", [place], pixels[None])
        return pixels, frame

    def features(
        self, samples: Sequence[Sample], layers: Sequence[str], pixels: NDArray[np.uint8], encode: Encode
    ) -> Mapping[str, Array]:
        """The layers of a batch: kept ones, or from the encoder."""
        found = [self._places.get(_identity(sample)) for sample in samples]
        places = [place for place in found if place is not None]
        if len(places) < len(found) or len(found) != self._batch_size or self._steady is False:
            return encode(layers, pixels)
        if all((rows := self._rows.get(f"layer {n}")) and rows.there[places].all() for n in layers):
            return {name: self._layer(name, places) for name in layers}
        values = encode(layers, pixels)
        kept = [name for name in self._layers if name in values]
        if kept and self._is_steady({name: values[name] for name in kept}, pixels, encode):
            for name in kept:
                self._keep(f"layer {name}", places, _last(to_numpy(values[name])))
        return values

    def _layer(self, name: str, places: Sequence[int]) -> NDArray[np.float32]:
        rows = self._rows[f"layer {name}"]
        assert rows is not None
        return np.moveaxis(rows.read(places), -1, 1)

    def _is_steady(self, values: Mapping[str, Array], pixels: NDArray[np.uint8], encode: Encode) -> bool:
        """Whether images have the same bits at other places in a batch, beside another image; tried once."""
        with self._lock:
            if self._steady is None:
                others = pixels[::-1].copy()
                others[0] = GREY
                found = encode(tuple(values), others)
                self._steady = all(
                    _on_cpu(one) and np.array_equal(to_numpy(found[name])[:0:-1], to_numpy(one)[:-1])
                    for name, one in values.items()
                )
            return self._steady

    def _keep(self, name: str, places: Sequence[int], block: NDArray[Any]) -> None:
        with self._lock:
            if name not in self._rows:
                self._rows[name] = self._opened(block)
            try:
                if rows := self._rows[name]:
                    rows.write(places, block)
            except OSError:  # no space is left: what is there stays
                return

    def _opened(self, block: NDArray[Any]) -> _Rows | None:
        """Room for an array; None if there is not enough."""
        size = block[0].nbytes * len(self._places)
        try:
            if not hasattr(os, "pread") or size > min(MOST, shutil.disk_usage(self._folder).free // 4):
                return None
            file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115
            return _Rows(file, len(self._places), block.shape[1:], block.dtype)
        except OSError:
            return None


@dataclass
class KeptImageSet(FileImageSet):
    """Images of which other passes may have seen some.

    Attributes:
        kept: what passes share.
    """

    kept: KeptImages | None = None

    def batches(self) -> Iterator[ImageBatch]:
        """The images in order, as in `FileImageSet`."""
        assert self.kept is not None
        for batch in super().batches():
            if self.encoder is None:
                yield batch
                continue
            encode = partial(encoded, self.encoder)
            yield knowing(
                batch, partial(self.kept.features, batch.samples, self.layers, batch.pixels, encode)
            )

    def resized(self, size: tuple[int, int]) -> FileImageSet:
        """As in `FileImageSet`; nothing is kept at another size."""
        own = {name: getattr(self, name) for name in _SHARED}
        return FileImageSet(**own).resized(size)

    def _decode(self, sample: Sample) -> Seen:
        assert self.kept is not None
        return self.kept.pixels(sample, super()._decode)


_SHARED = ("samples", "preprocessing", "encoder", "layers", "progress", "keep", "ignoring", "origin")


def _identity(sample: Sample) -> tuple[str, int | None]:
    return str(sample.path), sample.page


def _last(layer: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.moveaxis(layer, 1, -1)


def _on_cpu(layer: Array) -> bool:
    where: Any = getattr(layer, "__dlpack_device__", None)
    return where is None or where()[0] == 1
