"""Images that cannot be read: they are excluded, and named where too few are left."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from segad_core.contracts import Sample
from segad_core.contracts.dataset import WORDS, Label
from segad_core.errors import DataError
from segad_core.images import Inventory

log = logging.getLogger("segad.prepare")

_LEARNT: tuple[Label, ...] = (0, 1)


def report_unreadable(inventory: Inventory, category: str) -> None:
    """Warns of images that cannot be read, with the first reason and its remedy."""
    lost = list(inventory.unreadable.values())
    if lost:
        log.warning(
            "category '%s': %s cannot be read and %s excluded (the first: %s)",
            category,
            "1 image" if len(lost) == 1 else f"{len(lost)} images",
            "is" if len(lost) == 1 else "are",
            lost[0].sentence(),
        )


@contextmanager
def blamed(samples: Sequence[Sample], inventory: Inventory, category: str) -> Iterator[None]:
    """Names the images that cannot be read in an error about data, if most good or bad ones are lost.

    Args:
        samples: of the category, readable or not.
        inventory: which of them are readable.
        category: for the message.

    Raises:
        DataError: the same, led by how many images are lost and why, with the remedy of the first.
    """
    try:
        yield
    except DataError as error:
        there = Counter(sample.label for sample in samples)
        lost = Counter(sample.label for sample in inventory.lost)
        if type(error) is not DataError or not any(2 * lost[label] >= there[label] > 0 for label in _LEARNT):
            raise
        first = next(iter(inventory.unreadable.values()))
        kinds = ", ".join(f"{lost[one]} of {there[one]} {WORDS[one]}" for one in _LEARNT if lost[one])
        cause = (
            f"category '{category}': {lost.total()} of {len(samples)} images cannot be read and are excluded "
            f"({kinds}); the first: {first.what}"
        )
        raise type(error)([cause, *error.problems], first.remedy or error.remedy) from error
