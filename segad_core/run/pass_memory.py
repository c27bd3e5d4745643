"""What a pass over images holds in memory: images, maps, and what networks make of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from segad_core.contracts import Component, Layer, Learner, VectorClassifier
from segad_core.run.cells import FitTask, ImageTask
from segad_core.scoring.shapes import layer_shapes
from segad_core.scoring.tiled import size_seen, works_on_tiles

_PIXEL = 72  # of a map in a pass: the map in its steps, labels, and the order of pixels by segment
_MEANWHILE = 3 + 4 + 1  # of the images whose statistics are computed: colours, a map, labels


def images_seen(learner: type[Component], task: ImageTask) -> int:
    """How many images a learner sees in a task; with tiles, how many of these a detector trains on."""
    count, tiling = len(task.samples), task.preprocessing.tiling
    tiled = (
        isinstance(task, FitTask) and works_on_tiles(learner) and not issubclass(learner, VectorClassifier)
    )
    if tiling is None or not tiled:
        return count
    return min(count * prod(tiling.grid), tiling.wanted.train)


def layers_of(task: ImageTask, learners: Sequence[Learner]) -> list[int]:
    """The values of each of the encoder's layers that learners read, for an image or a tile."""
    encoder, how = task.encoder.build() if task.encoder else None, task.preprocessing
    layers: dict[str, int] = {}
    for one in learners:
        for name, shape in layer_shapes(one, encoder, size_seen(type(one), how)).items():
            layers[name] = max(prod(shape), layers.get(name, 0))
    return list(layers.values())


def batch_memory(task: ImageTask, learners: Sequence[Learner]) -> int:
    """A batch of images, the one before, the next one that is decoded, its maps, and the encoder's layers.

    An encoder is assumed to hold six times its largest layer. Of images in tiles, few are held at once.
    """
    layers, inside, how = layers_of(task, learners), 0, task.preprocessing
    seen = how.tiles.size if how.tiles else how.size
    if layers and task.encoder:
        known: Mapping[str, Layer] = task.encoder.build().layers()
        inside = 6 * max(int(one.channels * prod(seen) / one.stride**2) for one in known.values())
    images = how.at_once * (3 * 3 + _PIXEL + _MEANWHILE) * prod(how.size)
    tiles = how.batch_size * (3 + 4) * prod(seen) if how.tiles else 0
    return images + tiles + how.batch_size * 4 * (sum(layers) + inside)
