"""The part of a recipe that says how several images of one part are judged together."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator

from segad_core.contracts import PartPattern
from segad_core.recipe.use import Strict, distinct


def _as_text(view: object) -> object:
    """Pages are views that YAML reads as numbers."""
    return str(view) if isinstance(view, int) and not isinstance(view, bool) else view


_View = Annotated[str, BeforeValidator(_as_text), Field(min_length=1)]


class PartsSpec(Strict):
    """How the images of one serial, its views, make one verdict.

    Attributes:
        views: that every part has; None for all that the data names. Images of other views are not used.
        verdict: `worst` judges each view and takes the highest score; `together` puts the features of all
            views into one vector.
        missing: what becomes of a part that lacks a view: it is UNKNOWN, or judged by the others.
        pattern: how to find serial and view in the paths of new images; by default as the data set does.
    """

    views: Annotated[list[_View], Field(min_length=1)] | None = None
    verdict: Literal["worst", "together"] = "worst"
    missing: Literal["unknown", "allow"] = "unknown"
    pattern: str | None = None

    @field_validator("views")
    @classmethod
    def _each_once(cls, views: list[str] | None) -> list[str] | None:
        return None if views is None else distinct(views)

    @field_validator("pattern")
    @classmethod
    def _finds_parts(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            PartPattern(pattern)
        return pattern
