"""Validation of data from a file, with each problem as a sentence that names file, line and path."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from segad_core.base.strict_types import looks_like_number
from segad_core.plugins.registry import suggest
from segad_core.recipe.document import Document, Place


def check(model: type[BaseModel], data: Any, document: Document, place: Place = (), **context: Any) -> Any:
    """Validates the data at a place of a recipe.

    Returns:
        The model, or the list of problems as sentences.
    """
    try:
        return model.model_validate(data, context=context)
    except ValidationError as error:
        return [_sentence(model, e, document, place) for e in error.errors(include_url=False)]


def _sentence(model: type[BaseModel], error: Any, document: Document, place: Place) -> str:
    location = tuple(part for part in error["loc"] if not _is_tag(part))
    where = (*place, *location)
    kind, given = error["type"], error.get("input")
    if kind == "extra_forbidden":  # the key itself may look like a tag: it comes from the recipe
        parents, unknown = tuple(part for part in error["loc"][:-1] if not _is_tag(part)), error["loc"][-1]
        hint = suggest(str(unknown), _fields_at(model, parents))
        holder = (*place, *parents)
        return document.problem((*holder, unknown), f"unknown key '{unknown}'{hint}", shown=holder)
    if kind == "missing" and isinstance(location[-1], int):
        return document.problem(where[:-1], f"has too few values: number {location[-1] + 1} is missing")
    if kind == "missing":
        how = f": params: {{{location[-1]}: ...}}" if where[-2:-1] == ("params",) else ""
        return document.problem(where[:-1], f"'{location[-1]}' is missing{how}")
    if kind in ("share", "row", "use", "value_error"):
        return document.problem(where, str(error["msg"]).removeprefix("Value error, "))
    shown = "" if isinstance(given, dict | list) else f" (got {given!r})"
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        return document.problem(where, f"must be a mapping{shown}")
    if kind in ("tuple_type", "list_type"):
        return document.problem(where, f"must be a list{_in_brackets(given)}{shown}")
    message = "must be a path" if kind == "path_type" else str(error["msg"])
    message = message[:1].lower() + message[1:]
    return document.problem(where, f"{message}{shown}{_quotes(kind, given, where)}")


def _in_brackets(given: object) -> str:
    """How to write as a list what is none."""
    if isinstance(given, bool) or not isinstance(given, str | int | float) or given == "":
        return ""
    if not isinstance(given, str):
        return f", such as [{given}, {given}]"
    return f": write [{', '.join(part.strip() for part in str(given).split(','))}]"


def _quotes(kind: str, given: object, where: Place) -> str:
    """What to do about a number or a boolean that quotes have made text, or would make text."""
    if kind == "string_type" and isinstance(given, int | float):
        return f": put it in quotes{', as 1.10 is not 1.1' if where[-1:] == ('version',) else ''}"
    if kind not in ("int_type", "float_type", "bool_type") or not isinstance(given, str):
        return ""
    return ": remove the quotes" if looks_like_number(given) or given in ("true", "false") else ""


def _is_tag(part: object) -> bool:
    """Whether pydantic added this part of a location to name a branch of a union or a function."""
    return isinstance(part, str) and ("[" in part or part in ("int", "float", "str"))


def _fields_at(model: type[BaseModel], location: Place) -> list[str]:
    for part in location:
        field = next((f for n, f in model.model_fields.items() if part in (n, f.alias)), None)
        if field is not None:
            inner = _models_in(field.annotation)
            model = inner[0] if inner else model
    return [field.alias or name for name, field in model.model_fields.items()]


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models_in(inner)]
