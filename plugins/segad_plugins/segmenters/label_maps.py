"""Code shared by segmenters with drawn label maps: checks of labels and names, resizing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from segad_core.api import RecipeError, is_file

Label = TypeVar("Label", bound=np.generic)


def check_labels(labels: NDArray[np.uint8], names: Sequence[str], what: str) -> None:
    """Checks that every label has a name, and every name a pixel; `what` is the map, for messages.

    Raises:
        RecipeError: the map does not match its names.
    """
    present = np.unique(labels)
    if int(present[-1]) >= len(names):
        raise RecipeError(
            f"{what}: has the label {present[-1]}, but only {len(names)} segments have names "
            f"(labels 0 to {len(names) - 1})",
            "Name every label in 'segments', or redraw the map in the colours that 'segad mask new' shows.",
        )
    if len(present) < len(names):
        absent = [names[i] for i in range(len(names)) if i not in present]
        raise RecipeError(
            f"{what}: has no pixel of {', '.join(absent)}", "Draw it, or remove the name from 'segments'."
        )


def file_version(path: Path) -> tuple[int, int, int] | None:
    """What changes when a file is written again: inode, time and size; None if there is no file."""
    if not is_file(path):
        return None
    facts = path.stat()
    return facts.st_ino, facts.st_mtime_ns, facts.st_size


def template_note(what: str, path: Path) -> str:
    """The note shown beside results that use a map which was not drawn for the data."""
    return (
        f"{what} {path.name} is a template, drawn without the images and not adapted to them: draw your own "
        "(docs/how-to/draw_a_mask.md)"
    )


def nearest(labels: NDArray[Label], size: tuple[int, int]) -> NDArray[Label]:
    """A map (h, w) resized to (H, W) by nearest neighbour at pixel centres: adds no new labels."""
    sides = zip(size, labels.shape, strict=True)
    rows, columns = (((np.arange(new) + 0.5) * old / new).astype(np.intp) for new, old in sides)
    resized: NDArray[Label] = labels[rows[:, None], columns]
    return resized
