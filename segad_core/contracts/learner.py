"""Learners: what plugins that learn from images share, from the encoder's layers to the learnt state.

`segad_core.contracts.detector`, `classifier` and `segmenter` have examples.
"""

from __future__ import annotations

from segad_core.contracts.component import Component, Stateful
from segad_core.contracts.estimate import Shapes


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
