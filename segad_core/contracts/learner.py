"""Learners: what plugins that learn from images share, from the encoder's layers to the learnt state.

`segad_core.contracts.detector`, `classifier` and `segmenter` have examples.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segad_core.contracts.component import Component, Stateful
from segad_core.contracts.estimate import Shapes
from segad_core.contracts.images import ImageBatch
from segad_core.contracts.learnt import check_sizes, declared_sizes, described
from segad_core.errors import DataError, PluginError


class Learner(Component, Stateful):
    """A detector, classifier or segmenter that learns from images; its state can be stored."""

    def layers(self) -> tuple[str, ...]:
        """The encoder layers that it reads; none by default."""
        return ()

    def check(self, size: tuple[int, int], shapes: Shapes) -> None:
        """Called before training; does nothing by default.

        Args:
            size: (height, width) of the images.
            shapes: (C, H, W) of each encoder layer that it reads.

        Raises:
            SegadError: it does not work at that size or on its device, or a file that it needs is wrong.
        """


def of_fitted_size(learner: Component, batch: ImageBatch) -> None:
    """A precondition: images, and the encoder's layers, have the sizes that declared fields have of them.

    Raises:
        PluginError: they have other sizes, or a field has a size of a layer that is not read.
    """
    given = dict(zip("HW", batch.pixels.shape[1:3], strict=True))
    for layer in {name[:-2] for name in declared_sizes(learner) if name.endswith((".C", ".H", ".W"))}:
        if (features := batch.features().get(layer)) is None:
            raise PluginError(
                f"{described(learner)}: a field has a size of '{layer}', which is no layer that it reads"
            )
        given |= {f"{layer}.{axis}": n for axis, n in zip("CHW", features.shape[1:], strict=True)}
    check_sizes(learner, "images", given)


def has_both_classes(split: str, component: Component, labels: NDArray[np.int64]) -> None:
    """A precondition of supervised learning: there are good and bad examples.

    Args:
        split: the key of the recipe that decides which they are.
        component: learns from them.
        labels: 0 for good and 1 for bad.

    Raises:
        DataError: there are none of one class; says how many there are of each.
    """
    bad = int(np.count_nonzero(labels))
    if bad in (0, len(labels)):
        raise DataError(
            f"{described(component)}: needs good and bad images to learn from, but there are "
            f"{len(labels) - bad} good and {bad} bad ones",
            f"Change {split} in the recipe, so that there are some of both.",
        )
