"""Published figures to show beside the measured ones: data files with their source."""

from __future__ import annotations

import importlib.resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from segad_core.base.files import is_file
from segad_core.errors import RecipeError
from segad_core.plugins.registry import suggest
from segad_core.recipe.document import Document, read_document
from segad_core.recipe.schema import check

MEAN = "mean"
"""The key of the mean over all categories; no published category can have this name."""


def _mean_and_std(value: object) -> object:
    parts = value if isinstance(value, list) else [value]
    numbers = [p for p in parts if isinstance(p, int | float) and not isinstance(p, bool)]
    if len(numbers) != len(parts) or len(parts) not in (1, 2):
        raise PydanticCustomError("row", "is neither a number nor [mean, std]")
    if not 0 <= numbers[0] <= 100:
        raise PydanticCustomError("row", "figures are in per cent, between 0 and 100")
    if len(numbers) == 2 and numbers[1] < 0:
        raise PydanticCustomError("row", "a standard deviation is not negative")
    return (float(numbers[0]), float(numbers[1]) if len(numbers) == 2 else None)


Figure = Annotated[tuple[float, float | None], BeforeValidator(_mean_and_std)]
"""Mean and standard deviation in per cent; None where no deviation was published."""


class Published(BaseModel):
    """Published figures.

    Attributes:
        source: the table and the paper.
        spread: what stands after ±; empty where nothing does.
        notes: sentences to show with the figures.
        categories: all that the published means are over.
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
            return None  # under this key is the mean over all categories, never a category
        rows = next((rows for name, rows in self.figures.items() if name == metric), {})
        return rows.get(row, {}).get(MEAN if category is None else category)

    def rows(self) -> list[str]:
        """The rows of which something was published."""
        return list(dict.fromkeys(row for own in self.figures.values() for row in own))


def published(name: str, base: Path) -> Published:
    """Reads published figures.

    Args:
        name: a file, or a shipped name such as `paper/vad_highshot`.
        base: the folder that a file's path is relative to.

    Raises:
        RecipeError: there is nothing of that name, or what is there is not as it should be: every problem
            with its line.
    """
    path, source = base / name, name
    if not is_file(path):
        if name not in shipped_figures():
            raise RecipeError(
                f"there are no published figures '{name}', neither as a file nor shipped with segad"
                f"{suggest(name, shipped_figures())}"
            )
        source = f"{name}.yaml"
        path = Path(str(_folder().joinpath(source)))
    document = read_document(path, source, kind="file of published figures")
    found = check(Published, document.data, document)
    problems = found if isinstance(found, list) else _wrong_categories(found, document)
    if problems:
        raise RecipeError(problems)
    assert isinstance(found, Published)
    return found


def _wrong_categories(found: Published, document: Document) -> list[str]:
    known = (*found.categories, MEAN)
    reserved = [
        document.problem(("categories", i), f"'{MEAN}' is reserved for the mean over all categories")
        for i, name in enumerate(found.categories)
        if name == MEAN
    ]
    return reserved + [
        document.problem(
            ("figures", metric, row, name), f"there is no category '{name}'{suggest(name, known)}"
        )
        for metric, rows in found.figures.items()
        for row, own in rows.items()
        for name in own
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
