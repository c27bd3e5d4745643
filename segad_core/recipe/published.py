"""Published figures to compare with: data files that name their source."""

from __future__ import annotations

import importlib.resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from segad_core.base.files import is_file
from segad_core.base.strict_types import StrictTypes, number_in
from segad_core.errors import RecipeError
from segad_core.plugins.registry import suggest
from segad_core.recipe.document import Document, read_document
from segad_core.recipe.validation import check

MEAN = "mean"
"""The key of the mean over all categories; no published category can have this name."""


def _mean_and_std(value: object) -> object:
    parts = [number_in(part) for part in (value if isinstance(value, list) else [value])]
    numbers = [p for p in parts if isinstance(p, int | float) and not isinstance(p, bool)]
    if len(numbers) != len(parts) or len(parts) not in (1, 2):
        raise PydanticCustomError("row", "must be a number or [mean, std]")
    if not 0 <= numbers[0] <= 100:
        raise PydanticCustomError("row", "must be in per cent, between 0 and 100")
    if len(numbers) == 2 and numbers[1] < 0:
        raise PydanticCustomError("row", "a standard deviation cannot be negative")
    return (float(numbers[0]), float(numbers[1]) if len(numbers) == 2 else None)


Figure = Annotated[tuple[float, float | None], BeforeValidator(_mean_and_std)]
"""Mean and standard deviation in per cent; None if no deviation was published."""


class Published(StrictTypes):
    """Published figures.

    Attributes:
        source: the table and the paper.
        spread: what ± means; empty if there is none.
        notes: sentences to show with the figures.
        categories: those that the published means are over.
        figures: by metric, row and category; `mean` is over all categories.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: Annotated[str, Field(min_length=1)]
    spread: str = ""
    notes: tuple[str, ...] = ()
    categories: Annotated[tuple[str, ...], Field(min_length=1)]
    figures: dict[Literal["auroc", "fpr95"], dict[str, dict[str, Figure]]]

    def value(self, metric: str, row: str, category: str | None) -> tuple[float, float | None] | None:
        """Mean and standard deviation of a cell in per cent, or None if nothing was published.

        Args:
            metric, row: as published.
            category: None for the mean over all categories.
        """
        if category == MEAN:
            return None  # this key holds the mean over all categories, never a category
        rows = next((rows for name, rows in self.figures.items() if name == metric), {})
        return rows.get(row, {}).get(MEAN if category is None else category)

    def rows(self) -> list[str]:
        """The rows with published figures."""
        return list(dict.fromkeys(row for rows in self.figures.values() for row in rows))


def published(name: str, base: Path) -> Published:
    """Reads published figures.

    Args:
        name: a file, or a shipped name such as `paper/vad_highshot`.
        base: the folder that a file's path is relative to.

    Raises:
        RecipeError: there are none of that name, or the file is wrong: with every problem and its line.
    """
    path, source = base / name, name
    if not is_file(path):
        if name not in shipped_figures():
            raise RecipeError(
                f"no file '{name}', and no shipped figures of that name{suggest(name, shipped_figures())}"
            )
        source = f"{name}.yaml"
        path = Path(str(_folder().joinpath(source)))
    document = read_document(path, source, kind="file of published figures")
    checked = check(Published, document.data, document)
    problems = checked if isinstance(checked, list) else _wrong_categories(checked, document)
    if problems:
        raise RecipeError(problems)
    assert isinstance(checked, Published)
    return checked


def _wrong_categories(figures: Published, document: Document) -> list[str]:
    known = (*figures.categories, MEAN)
    reserved = [
        document.problem(("categories", i), f"'{MEAN}' is reserved for the mean over all categories")
        for i, name in enumerate(figures.categories)
        if name == MEAN
    ]
    return reserved + [
        document.problem(
            ("figures", metric, row, name), f"there is no category '{name}'{suggest(name, known)}"
        )
        for metric, rows in figures.figures.items()
        for row, cells in rows.items()
        for name in cells
        if name not in known
    ]


def shipped_figures() -> list[str]:
    """The names of the published figures that come with segad."""
    return sorted(_names(_folder(), ""))


def _folder() -> Traversable:
    return importlib.resources.files("segad_recipes").joinpath("published")


def _names(folder: Traversable, prefix: str) -> list[str]:
    names = []
    for entry in folder.iterdir():
        if entry.is_dir():
            names += _names(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(".yaml"):
            names.append(prefix + entry.name.removesuffix(".yaml"))
    return names
