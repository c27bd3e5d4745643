"""Images in tiles: maps of tiles become one map of the image, and vectors of tiles those of the image."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from segad_core.contracts import Component, Detector, ImageBatch, Tile, VectorClassifier, Vectors, optional
from segad_core.contracts.images import of_image
from segad_core.images.image_set import Preprocessing
from segad_core.scoring.blending import weights

Maps = NDArray[np.float32]
Scores = NDArray[np.float64] | None
Describe = Callable[[ImageBatch], Vectors]
Blocks = dict[str, list[NDArray[np.float32]]]
"""The vectors of an image's tiles, in blocks, by name."""

Chunk = tuple[int, Sequence[Tile], ImageBatch]
"""The place of an image, some of its tiles, and these as a batch."""


def works_on_tiles(learner: type[Component]) -> bool:
    """Whether a learner sees tiles, where a recipe has them: detectors do, and what describes by vectors."""
    if issubclass(learner, VectorClassifier):
        return True
    return issubclass(learner, Detector) and not optional.knows_images_by_name(learner)


def size_seen(learner: type[Component], how: Preprocessing) -> tuple[int, int]:
    """The size of what a learner sees: of a tile, of a whole image, or of a whole image that is shrunk."""
    if how.tiles is None or (issubclass(learner, Detector) and not works_on_tiles(learner)):
        return how.size
    return how.tiles.size if works_on_tiles(learner) else how.tiles.whole


def chunks(batch: ImageBatch) -> Iterator[Chunk]:
    """The tiles of a batch's images: few at a time, never those of two images together.

    So the score of an image does not depend on others. Tiles of which nothing is inspected are left out.
    """
    tiling = batch.tiling
    assert tiling is not None
    single = len(tiling.tiles()) <= tiling.batch  # then features are kept for other learners
    kept: dict[int, Chunk] = batch.kept.setdefault("tiles", {})
    for i in range(len(batch)):
        tiles = [tile for tile in tiling.tiles() if _is_inspected(batch, i, tile)]
        for begin in range(0, len(tiles), tiling.batch):
            some = tiles[begin : begin + tiling.batch]
            if i not in kept:
                chunk: Chunk = (i, some, batch.cut([(i, tile) for tile in some]))
                if single:
                    kept[i] = chunk
                yield chunk
            else:
                yield kept[i]


def _is_inspected(batch: ImageBatch, i: int, tile: Tile) -> bool:
    if batch.ignored is None:
        return True
    return not of_image(batch.ignored, i)[tile.slices()].all()


def blended(
    batch: ImageBatch,
    makers: Mapping[str, Callable[[ImageBatch], tuple[Maps, Scores]]],
    describers: Mapping[str, Describe],
) -> tuple[dict[str, Maps], dict[str, NDArray[np.float64]], dict[str, Vectors]]:
    """Maps (N, H, W) of whole images by maker, the highest score of each image's tiles, if they have any, and
    vectors of whole images by describer: of each value of a tile's vector, its mean and its maximum.

    The encoder's pass over some tiles serves all makers and describers.

    Args:
        batch: of images that are divided into tiles.
        makers: each gives the maps (n, h, w) and the scores (n,) of tiles.
        describers: each gives the vectors of tiles.
    """
    tiling = batch.tiling
    assert tiling is not None
    maps = {key: np.zeros((len(batch), *tiling.image), np.float32) for key in makers}
    scores: dict[str, NDArray[np.float64]] = {}
    blocks: dict[str, list[Blocks]] = {key: [{} for _ in range(len(batch))] for key in describers}
    for i, tiles, part in chunks(batch):
        for key, make in makers.items():
            found, score = make(part)
            for tile, own in zip(tiles, found, strict=True):
                maps[key][i][tile.slices()] += weights(tiling, tile) * own
            if score is not None:
                highest = scores.setdefault(key, np.full(len(batch), -np.inf))
                highest[i] = max(highest[i], score.max())
        for key, describe in describers.items():
            for name, block in describe(part).items():
                blocks[key][i].setdefault(name, []).append(block)
    return maps, scores, {key: _pooled(rows) for key, rows in blocks.items()}


def pooled(batch: ImageBatch, describe: Describe) -> Vectors:
    """Vectors of whole images: for each value of a tile's vector, its mean and its maximum over the tiles."""
    _, _, vectors = blended(batch, {}, {"these": describe})
    return vectors["these"]


def _pooled(rows: Sequence[Blocks]) -> Vectors:
    found: dict[str, list[NDArray[np.float32]]] = {}
    for own in rows:
        for name, blocks in own.items():
            block = np.concatenate(blocks)
            both = [block.mean(axis=0, dtype=np.float64).astype(np.float32), block.max(axis=0)]
            found.setdefault(name, []).append(np.concatenate(both))
    return {name: np.stack(lines) for name, lines in found.items()}
