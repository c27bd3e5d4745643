"""Models that do not convert values: `true` and `"20"` are not numbers, and `4.0` is not an integer.

Lists still become tuples and text still becomes a path, as YAML and JSON have neither; a whole number is a
valid float.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, cast

from pydantic import BaseModel, GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

_WHOLE = re.compile(r"[-+]?[0-9]{1,4000}")
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_BOOLEANS = {"true": True, "false": False}

_INNER = (
    *("schema", "items_schema", "keys_schema", "values_schema", "extras_schema", "choices"),
    *("lax_schema", "strict_schema", "json_schema", "python_schema", "steps", "definitions"),
    "arguments_schema",
)
"""Where a schema of pydantic holds others; the fields of a model have their own names."""


class Untyped(str):
    """Text whose type its source leaves open: it is a number or a boolean where one is expected.

    An environment variable has nothing but text, and YAML 1.1 reads `1e-3` as text.
    """


def looks_like_number(text: str) -> bool:
    """Whether a text is a number in YAML 1.2."""
    return _NUMBER.fullmatch(text) is not None


def number_in(value: object) -> object:
    """The number in an `Untyped` text; anything else as it is."""
    return _read(value, int) if isinstance(_read(value, int), int) else _read(value, float)


class _Strict:
    """Makes the scalars in a schema strict, also in types that it only refers to."""

    def __init__(self, handler: GetCoreSchemaHandler) -> None:
        self._handler = handler
        self._inside: list[str] = []

    def of(self, schema: Any) -> Any:
        """A schema with strict scalars; a type that contains itself is strict on the outside."""
        if isinstance(schema, list | tuple):
            return type(schema)(map(self.of, schema))
        if not isinstance(schema, dict):
            return schema
        if schema.get("type") == "definition-ref":
            return self._referred(schema)
        inner = {key: self.of(schema[key]) for key in _INNER if key in schema}
        fields = schema.get("fields")  # a list in dataclasses, else by name
        if isinstance(fields, dict):
            inner["fields"] = {name: self.of(one) for name, one in fields.items()}
        elif isinstance(fields, list):
            inner["fields"] = self.of(fields)
        return _scalar({**schema, **inner})

    def _referred(self, reference: dict[str, Any]) -> Any:
        name = reference["schema_ref"]
        if name in self._inside:
            return reference
        self._inside.append(name)
        found: Any = self._handler.resolve_ref_schema(cast("CoreSchema", reference))
        made = self.of({key: value for key, value in found.items() if key != "ref"})
        self._inside.pop()
        return made


def _scalar(schema: dict[str, Any]) -> Any:
    kind = schema.get("type")
    if kind == "str":
        return {"strict": True, **schema}
    if kind in ("int", "float", "bool"):
        read = {"int": int, "float": float, "bool": bool}[kind]
        made: Any = {"strict": True, **schema}
        return core_schema.no_info_before_validator_function(lambda value: _read(value, read), made)
    if kind == "enum":
        made = schema
        return core_schema.no_info_before_validator_function(_no_boolean, made)
    if kind == "literal" and not all(isinstance(one, str) for one in schema["expected"]):
        made = schema
        return core_schema.no_info_before_validator_function(_one_of(schema["expected"]), made)
    return schema


def _read(value: object, wanted: type) -> object:
    """The value of the wanted type in an `Untyped` text, if it has one."""
    if not isinstance(value, Untyped):
        return value
    if wanted is bool:
        return _BOOLEANS.get(value.lower(), value)
    if _WHOLE.fullmatch(value):
        return int(value)
    if wanted is float and _NUMBER.fullmatch(value) and math.isfinite(float(value)):
        return float(value)
    return value


def _one_of(expected: list[Any]) -> Callable[[object], object]:
    """Pydantic takes `true` for 1 in a literal."""

    def checked(value: object) -> object:
        value = value if any(value == one for one in expected) else number_in(value)
        if any(value == one and type(value) is not type(one) for one in expected):
            words = ", ".join(repr(one) for one in expected)
            raise PydanticCustomError("literal_error", "Input should be {expected}", {"expected": words})
        return value

    return checked


def _no_boolean(value: object) -> object:
    """Python takes `true` for 1, so an enumeration of numbers would, too."""
    if isinstance(value, bool):
        raise PydanticCustomError("enum", "Input should be one of its members, not a boolean")
    return value


class StrictTypes(BaseModel):
    """A model whose numbers, booleans and strings are not converted. Models in it have to be of this kind."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        made: CoreSchema = _Strict(handler).of(handler(source))
        return made
