"""Images as plugins see them: a batch, and a set that can be iterated over repeatedly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Protocol, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from segad_core.base.sealed import Sealed
from segad_core.base.witness import Witness, locked
from segad_core.contracts.dataset import Sample
from segad_core.contracts.encoder import Array
from segad_core.contracts.frame import Frame, Value
from segad_core.contracts.tiles import Tile, Tiling

GREY = 128
"""The level of red, green and blue that learners see in pixels that are never inspected."""

SEGMENTED = "segmented"
"""Where `ImageBatch.kept` holds what segmenters said of images before anything in them was made grey."""

Arrays = Mapping[str, NDArray[np.generic]]
"""Named arrays, as safetensors holds them."""

Keep = Callable[[Sample, Mapping[str, Any], Callable[[NDArray[np.uint8]], Arrays]], Arrays]
"""Looks up a result derived from an image, or computes and keeps it."""

Item = TypeVar("Item")


@overload
def of_image(values: NDArray[Value], i: int) -> NDArray[Value]: ...


@overload
def of_image(values: Sequence[Item], i: int) -> Item: ...


def of_image(values: Any, i: int) -> Any:
    """The entry of the i-th image, where a single entry holds for every image."""
    return values[i if len(values) > 1 else 0]


class ImageBatch(Sealed):
    """Images that are decoded, resized and encoded once for all plugins. Attributes cannot be assigned to.

    Attributes:
        samples: what is known about each image.
        pixels: (N, H, W, 3) uint8 RGB at the recipe's size; read-only.
        memo: a place for results that plugins share about this batch, each under a key of its own.
        witness: notices that a plugin writes to what it shares with others.
        ignored: bool (N, H, W), or (1, H, W) where it holds for every image: what is never inspected, which
            is grey in `pixels`; None where everything is inspected. Padding is ignored.
        frames: where each image lies in what the batch shows of it; None where images are stretched.
        tiles: the part of an image that each entry shows, for detectors that know positions; None where the
            entries are whole images.
        tiling: how detectors are shown these images: in tiles; None where they see them whole.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        pixels: NDArray[np.uint8],
        encode: Callable[[NDArray[np.uint8]], Mapping[str, Array]] | None = None,
        load: Callable[[Sample], NDArray[np.uint8]] | None = None,
        keep: Keep | None = None,
        ignored: NDArray[np.bool_] | None = None,
        frames: Sequence[Frame] | None = None,
        tiles: Sequence[Tile] | None = None,
        tiling: Tiling | None = None,
        looks: bool | None = None,
    ) -> None:
        self.samples = tuple(samples)
        self.pixels = locked(pixels)
        self.memo: dict[Any, Any] = {}
        self.kept: dict[Any, Any] = {}  # what the engine keeps of this batch
        self.witness = Witness(looks)  # batches that are made of this one do as it does
        self.witness.add("the pixels", self.pixels)
        self.ignored = None if ignored is None else locked(ignored)
        if self.ignored is not None:
            self.witness.add("what is ignored", self.ignored)
        self.frames = None if frames is None else tuple(frames)
        self.tiles = None if tiles is None else tuple(tiles)
        self.tiling = tiling
        self._encode = encode
        self._load = load
        self._keep = keep
        self._known: Callable[[], Mapping[str, Array]] | None = None
        self._features: dict[str, Array] | None = None
        self._seal()

    def __len__(self) -> int:
        return len(self.samples)

    def features(self) -> Mapping[str, Array]:
        """The encoder's layers that plugins of this pass read, by name, each float32 (N, C, H, W).

        The encoder runs at the first call only, however many plugins ask. Its library and device are its own
        choice: `to_numpy` or, say, `torch.from_dlpack` converts a layer. Not to be written to.
        """
        if self._features is None:
            if self._encode is None:
                raise LookupError("this batch has no encoder: declare the layers that the plugin reads")
            layers = self._known() if self._known else self._encode(self.pixels)
            self._features = {
                name: locked(one) if isinstance(one, np.ndarray) else one for name, one in layers.items()
            }
            watch_layers(self._features, self.witness)
        return MappingProxyType(self._features)

    def with_pixels(self, pixels: NDArray[np.uint8]) -> ImageBatch:
        """The same images with other pixels (N, H, W, 3), and with their own features.

        They do not exist on disk: they have no full size, and results derived from them are not kept.
        """
        if pixels.shape != self.pixels.shape:
            return ImageBatch(self.samples, pixels, self._encode, looks=self.witness.looks)
        other = ImageBatch(
            self.samples,
            pixels,
            self._encode,
            frames=self.frames,
            tiles=self.tiles,
            tiling=self.tiling,
            looks=self.witness.looks,
        )
        return other.ignoring(self.ignored)

    def ignoring(self, ignored: NDArray[np.bool_] | None) -> ImageBatch:
        """The same images with grey where they are never inspected, so that no learner sees what is there.

        What `kept` holds as `SEGMENTED` stays true of them; nothing else of it does.

        Args:
            ignored: as the attribute.
        """
        if ignored is None:
            return self
        pixels = np.where(ignored[..., None], np.uint8(GREY), self.pixels)
        same = (self._encode, self._load, self._keep)
        where = (self.frames, self.tiles, self.tiling)
        other = ImageBatch(self.samples, pixels, *same, ignored, *where, looks=self.witness.looks)
        if SEGMENTED in self.kept:
            other.kept[SEGMENTED] = self.kept[SEGMENTED]
        return other

    def seen_as(
        self,
        pixels: NDArray[np.uint8],
        ignored: NDArray[np.bool_] | None,
        places: Sequence[int] | None = None,
    ) -> ImageBatch:
        """The same images whole at another size, with their own features; on disk they are what they were.

        Args:
            pixels: (n, h, w, 3) of the images.
            ignored: as the attribute, at that size.
            places: which of the images these are; all by default.
        """
        samples = self.samples if places is None else [self.samples[i] for i in places]
        same = (self._encode, self._load, self._keep)
        return ImageBatch(samples, pixels, *same, ignored, looks=self.witness.looks)

    def cut(self, parts: Sequence[tuple[int, Tile]]) -> ImageBatch:
        """Tiles as a batch, each with its position and its own features; there is no file of a tile.

        Args:
            parts: the place of an image in the batch, and the tile of it.
        """
        ignored = self.ignored
        if ignored is not None:
            ignored = np.stack([of_image(ignored, i)[tile.slices()] for i, tile in parts])
        return ImageBatch(
            [tile_of(self.samples[i], tile) for i, tile in parts],
            np.stack([self.pixels[i][tile.slices()] for i, tile in parts]),
            self._encode,
            ignored=ignored,
            tiles=[tile for _, tile in parts],
            looks=self.witness.looks,
        )

    def full_size(self, index: int) -> NDArray[np.uint8]:
        """One image as it is on disk, (H, W, 3) uint8 RGB, decoded at each call."""
        if self._load is None:
            raise LookupError("this batch has no files behind it")
        return self._load(self.samples[index])

    def artifact(
        self, index: int, inputs: Mapping[str, Any], make: Callable[[NDArray[np.uint8]], Arrays]
    ) -> Arrays:
        """A result derived from one image, computed once and kept in the store for later runs.

        Args:
            index: which of the images.
            inputs: plain data that decides the result, besides the image's file, the name of `make`, and the
                code of its module and of what that module imports from its package.
            make: a function, or a `functools.partial` of one, that turns the image as it is on disk,
                (H, W, 3) uint8 RGB, into named arrays.
        """
        if self._keep is None:
            return make(self.full_size(index))
        return self._keep(self.samples[index], inputs, make)


def knowing(batch: ImageBatch, features: Callable[[], Mapping[str, Array]]) -> ImageBatch:
    """The batch, with features that an earlier pass of the encoder has; other pixels have their own."""
    batch._known = features
    return batch


def watch_layers(layers: Mapping[str, Array], witness: Witness) -> None:
    """Has a witness watch the encoder's layers by name."""
    for name, layer in layers.items():
        witness.add(f"layer '{name}' of the encoder's features", layer)


def tile_of(sample: Sample, tile: Tile) -> Sample:
    """What is known about a tile of an image; its id says which tile it is."""
    return replace(sample, id=f"{sample.id} (tile {tile.number + 1})")


class ImageSet(Protocol):
    """The images that a plugin trains on, always in the same order; for detectors, they may be tiles."""

    @property
    def samples(self) -> Sequence[Sample]:
        """What is known about each image."""

    def __len__(self) -> int: ...

    def batches(self) -> Iterator[ImageBatch]:
        """The images in order, in batches; few batches are in memory at a time."""

    def pick(self, indices: Sequence[int]) -> ImageBatch:
        """Some of the images, by their positions, as a batch."""

    def resized(self, size: tuple[int, int]) -> ImageSet:
        """The same images brought to another size (height, width)."""

    def digest(self) -> str:
        """Identifies the images: content, order, size, and the batch size, which decides rounding."""

    def ignored(self) -> NDArray[np.bool_] | None:
        """What is never inspected in each image, as `ImageBatch.ignored` gives it for a batch."""

    def pixels(self) -> NDArray[np.uint8]:
        """All images (N, H, W, 3) RGB, decoded once and kept for later calls; not to be written to."""

    def features(self) -> Mapping[str, Array]:
        """The encoder's layers of all images, as `ImageBatch.features` gives those of a batch.

        They come from one pass and are kept for later calls, in a temporary file if they are large.
        """
