"""What segmenters with drawn label maps share: names of segments, labels that fit them, resizing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from segad_core.contracts import IGNORED
from segad_core.errors import RecipeError

MOST = IGNORED
"""The most segments that a map can have; their labels stay below `IGNORED`."""

Label = TypeVar("Label", bound=np.generic)
_NAME = re.compile(r"[A-Za-z0-9_-]+")


def usable_names(names: list[str]) -> list[str]:
    """The names of segments as they are.

    Raises:
        ValueError: two are the same, or one cannot be part of a feature's name.
    """
    if len(set(names)) != len(names):
        raise ValueError("two segments have the same name")
    if bad := [n for n in names if not _NAME.fullmatch(n) or n == "image"]:
        raise ValueError(
            f"'{bad[0]}' cannot name a segment: use letters, digits, '_' and '-', and not the word "
            "'image', which means all of it"
        )
    return names


def check_labels(labels: NDArray[np.uint8], names: Sequence[str], what: str) -> None:
    """Every label has a name and every name a pixel; `what` is the map, for messages.

    Raises:
        RecipeError: the map does not fit its names.
    """
    present = np.unique(labels)
    if int(present[-1]) >= len(names):
        raise RecipeError(
            f"{what}: has the label {present[-1]}, but only {len(names)} segments have names "
            f"(labels 0 to {len(names) - 1})",
            "Name every label in 'segments', or save the mask as an indexed image whose values are labels.",
        )
    if len(present) < len(names):
        absent = [names[i] for i in range(len(names)) if i not in present]
        raise RecipeError(
            f"{what}: has no pixel of {', '.join(absent)}", "Draw it, or take the name out of 'segments'."
        )


def nearest(labels: NDArray[Label], size: tuple[int, int]) -> NDArray[Label]:
    """A map (h, w) brought to a size (H, W) by nearest neighbour at pixel centres: no label is invented."""
    places = zip(size, labels.shape, strict=True)
    rows, columns = (((np.arange(new) + 0.5) * old / new).astype(np.intp) for new, old in places)
    resized: NDArray[Label] = labels[rows[:, None], columns]
    return resized
