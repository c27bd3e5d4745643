"""Sets of images as detectors see them in tiles, and as everything else sees them: whole, but small."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segad_core.base.digest import digest_of
from segad_core.contracts import ImageBatch, Tile
from segad_core.contracts.images import of_image, tile_of
from segad_core.images.decode import resize
from segad_core.images.ignored import touched
from segad_core.images.image_set import FileImageSet

Parts = tuple[tuple[int, Tile], ...]
"""Tiles of images, each by the place of its image in a set; sorted."""

_Cut = tuple[NDArray[np.uint8], NDArray[np.bool_] | None]


def has_overview(batch: ImageBatch) -> bool:
    """Whether learners that are no detectors see images in another way: in tiles, or without padding."""
    return batch.tiling is not None or any(frame.padded for frame in batch.frames or ())


def overview(batch: ImageBatch) -> ImageBatch:
    """Images whole and without padding, stretched to one size; made once for a batch."""
    if "overview" not in batch.kept:
        size = (batch.pixels.shape[1], batch.pixels.shape[2])
        batch.kept["overview"] = _shrunk(batch, batch.tiling.wanted.whole if batch.tiling else size)
    found: ImageBatch = batch.kept["overview"]
    return found


def _shrunk(batch: ImageBatch, size: tuple[int, int]) -> ImageBatch:
    ignored = batch.ignored
    if ignored is not None:
        masks = [touched(one, size) for one in _inside(batch, ignored)]
        ignored = np.stack(masks) if any(mask.any() for mask in masks) else None
    return batch.seen_as(np.stack([resize(one, size) for one in _inside(batch, batch.pixels)]), ignored)


def _inside(batch: ImageBatch, arrays: NDArray[Any]) -> list[NDArray[Any]]:
    """Arrays (N or 1, H, W, ...) of images, each without the padding."""
    if batch.frames is None:
        return list(arrays)
    return [of_image(arrays, i)[frame.image.slices()] for i, frame in enumerate(batch.frames)]


def chosen_parts(images: int, tiles: Sequence[Tile], most: int) -> Parts:
    """The tiles to train on: all, or at most so many, of as many images and positions as possible.

    The choice depends on nothing but these numbers.
    """
    if images * len(tiles) <= most:
        return tuple((image, tile) for image in range(images) for tile in tiles)
    rng = np.random.default_rng([images, len(tiles), most])
    order = rng.permutation(images)
    orders = [rng.permutation(len(tiles)) for _ in range(images)]
    chosen = [(int(order[n % images]), int(orders[n % images][n // images])) for n in range(most)]
    return tuple((image, tiles[number]) for image, number in sorted(chosen))


@dataclass
class OverviewSet(FileImageSet):
    """The images of a set, whole and without padding, stretched to one size.

    Attributes:
        whole: the images at their size.
    """

    whole: FileImageSet | None = None

    def batches(self) -> Iterator[ImageBatch]:
        """As the images are scored: those together that are held at once."""
        assert self.whole is not None
        for batch in self.whole.batches():
            yield _shrunk(batch, self.preprocessing.size)

    def pick(self, indices: Sequence[int]) -> ImageBatch:
        """Some of the images."""
        assert self.whole is not None
        return _shrunk(self.whole.pick(indices), self.preprocessing.size)

    def digest(self) -> str:
        """As in `ImageSet`."""
        assert self.whole is not None
        return digest_of([self.whole.digest(), "whole", self.preprocessing.size])

    def ignored(self) -> NDArray[np.bool_] | None:
        """As in `ImageSet`."""
        assert self.whole is not None
        if self.whole.ignoring is None:
            return None
        return self._of_all()


@dataclass
class TiledImageSet(FileImageSet):
    """Tiles of the images of a set.

    Attributes:
        whole: the images.
        parts: which tiles of them.
    """

    whole: FileImageSet | None = None
    parts: Parts = ()

    def batches(self) -> Iterator[ImageBatch]:
        """The tiles in order, in batches; of the images, few are in memory at a time."""
        cut, done = self._each(), 0
        while some := list(islice(cut, self.preprocessing.batch_size)):
            yield self._together(range(done, done + len(some)), some)
            done += len(some)

    def pick(self, indices: Sequence[int]) -> ImageBatch:
        """Some of the tiles; their images are decoded at each call."""
        assert self.whole is not None
        parts = [self.parts[i] for i in indices]
        images = sorted({image for image, _ in parts})
        batch = self.whole.pick(images)
        return self._together(indices, [_cut(batch, images.index(image), tile) for image, tile in parts])

    def digest(self) -> str:
        """As in `ImageSet`; which tiles there are follows from the images and how they are divided."""
        assert self.whole is not None
        return digest_of([self.whole.digest(), "tiles", self.preprocessing.size])

    def ignored(self) -> NDArray[np.bool_] | None:
        """As in `ImageSet`."""
        assert self.whole is not None
        if self.whole.ignoring is None and self.whole.preprocessing.fit != "pad":
            return None
        return self._of_all()

    def _each(self) -> Iterator[_Cut]:
        """The tiles in order, each cut from its image, which is decoded once."""
        assert self.whole is not None
        tiles: dict[int, list[Tile]] = {}
        for image, tile in self.parts:
            tiles.setdefault(image, []).append(tile)
        images = list(tiles)
        done = 0
        for batch in replace(self.whole, samples=[self.whole.samples[i] for i in images]).batches():
            for place in range(len(batch)):
                yield from (_cut(batch, place, tile) for tile in tiles[images[done + place]])
            done += len(batch)

    def _together(self, places: Sequence[int], cut: Sequence[_Cut]) -> ImageBatch:
        size = self.preprocessing.size
        blank = np.zeros(size, np.bool_)  # images of several shapes: some have no padding
        masks = [blank if mask is None else touched(mask, size) for _, mask in cut]
        return ImageBatch(
            [self.samples[i] for i in places],
            np.stack([resize(pixels, size) for pixels, _ in cut]),
            self._encode if self.layers else None,
            ignored=np.stack(masks) if any(mask is not None for _, mask in cut) else None,
            tiles=[self.parts[i][1] for i in places],
            looks=True if 0 in places else None,
        )


def _cut(batch: ImageBatch, place: int, tile: Tile) -> _Cut:
    """A tile's pixels and what is ignored of them; copies, so that the image can be released."""
    ignored = batch.ignored
    if ignored is not None:
        ignored = of_image(ignored, place)[tile.slices()].copy()
    return batch.pixels[place][tile.slices()].copy(), ignored


def shown_whole(images: FileImageSet) -> OverviewSet:
    """The images of a set that is divided into tiles or padded, as `overview` shows them."""
    tiles = images.preprocessing.tiles
    size = tiles.whole if tiles else images.preprocessing.size
    how = replace(images.preprocessing, size=size, fit="stretch", tiles=None)
    return OverviewSet(
        images.samples, how, images.encoder, images.layers, images.progress, images.keep, whole=images
    )


def in_tiles(images: FileImageSet) -> TiledImageSet:
    """The tiles of a set that detectors train on."""
    tiling = images.preprocessing.tiling
    assert tiling is not None
    parts = chosen_parts(len(images), tiling.tiles(), tiling.wanted.train)
    how = replace(images.preprocessing, size=tiling.size, fit="stretch", tiles=None)
    samples = [tile_of(images.samples[image], tile) for image, tile in parts]
    return TiledImageSet(
        samples, how, images.encoder, images.layers, images.progress, whole=images, parts=parts
    )
