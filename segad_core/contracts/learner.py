"""Learners: what detectors and classifiers have in common, from the encoder's layers to the learnt state.

`segad_core.contracts.detector` and `segad_core.contracts.classifier` have examples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from segad_core.contracts.component import Component, Stateful

Shapes = Mapping[str, tuple[int, int, int]]
"""(C, H, W) of each encoder layer that a learner reads."""


@dataclass(frozen=True)
class Space:
    """What a fit takes, and what comes of it, in bytes.

    Attributes:
        state: what `state` will give.
        memory: of a fit at most at a time, beside the images and features that the engine holds.
        temporary: files in the temporary folder, as from `scratch_array`.
        per_image: memory for each image of a batch that it works on: while it scores, or while it goes
            through the batches of a fit where that takes more than `memory`.
        artifacts: what `Run.artifact` keeps beside the state.
    """

    state: int
    memory: int
    temporary: int = 0
    per_image: int = 0
    artifacts: int = 0


class Learner(Component, Stateful):
    """A detector or a classifier: it learns from images, and its state can be stored."""

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

    def cost(self, images: int, size: tuple[int, int], shapes: Shapes) -> str:
        """What a fit will take, in words for the person who waits; nothing where that can't be said.

        Args:
            images: how many images it will train on.
            size: height and width to which images will be brought.
            shapes: (C, H, W) of each encoder layer that it reads.
        """
        return ""

    def space(self, images: int, size: tuple[int, int], shapes: Shapes) -> Space | None:
        """What a fit will take; None where that is not known. Arguments as for `cost`."""
        return None
