"""A plugin as a recipe names it."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, model_validator
from pydantic_core import PydanticCustomError

from segad_core.base.strict_types import StrictTypes


class Strict(StrictTypes):
    """A part of a recipe: unknown keys are errors, and no value is converted."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Use(Strict):
    """A plugin by name, with its parameters; `name` alone is short for `{use: name}`.

    A `version` pins the distribution that provides the plugin, as a resolved recipe does.
    """

    use: str
    version: str | None = None
    params: dict[str, Any] = {}
    per_category: dict[str, dict[str, Any]] = {}

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: object) -> object:
        if isinstance(value, str):
            return {"use": value}
        if not isinstance(value, dict | Use):
            raise PydanticCustomError("use", "must be the name of a plugin or {use: NAME, params: ...}")
        return value


def distinct(values: list[Any]) -> list[Any]:
    """A list in which nothing is listed twice."""
    repeated = [value for i, value in enumerate(values) if value in values[:i]]
    if repeated:
        raise PydanticCustomError("row", "{value} is listed twice", {"value": repr(repeated[0])})
    return values
