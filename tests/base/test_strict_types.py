"""Types of values from files: nothing is converted but what YAML and JSON cannot write."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import ConfigDict, Field, ValidationError

from segad_core.base.strict_types import StrictTypes, Untyped, looks_like_number


class Colour(enum.Enum):
    """Of a part."""

    RED = "red"


class Inner(StrictTypes):
    """Inside another."""

    size: tuple[int, int] = (1, 2)


class Model(StrictTypes):
    """One field of each kind; a field may have the name of a schema's key."""

    model_config = ConfigDict(extra="forbid")

    schema_: int = Field(0, alias="schema")
    type: int = 0
    whole: Annotated[int, Field(ge=0)] = 0
    number: float = 0.0
    yes: bool = False
    text: str = ""
    path: Path = Path()
    pair: tuple[int, float] = (1, 2.0)
    colour: Colour = Colour.RED
    one: Literal[1] = 1
    choice: Literal[1, "x"] = 1
    counts: dict[str, int] = {}  # noqa: RUF012
    amount: int | float | Literal["rest"] = 1
    maybe: int | None = None
    inner: Inner = Inner()
    inners: list[Inner] = []  # noqa: RUF012
    more: list[Model] = []  # noqa: RUF012


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("whole", value) for value in (True, "2", 2.0, "x", None, Untyped("2.0"), Untyped("true"))),
        *(("number", value) for value in (True, "1", "1e-3", Untyped("1e999"), Untyped("x"))),
        *(("yes", value) for value in (1, 0, "true", "yes", Untyped("1"))),
        *(("text", value) for value in (1, True, 1.0)),
        ("path", 1),
        *(("pair", value) for value in ([True, 2], [1.0, 2], [1, "2"], [1])),
        ("colour", "blue"),
        *(("one", value) for value in (True, 1.0, "1", 2)),
        *(("choice", value) for value in (True, 1.0, "1")),
        ("counts", {"a": True}),
        *(("amount", value) for value in (True, "1", "0.5")),
        *(("maybe", value) for value in ("1", True)),
        ("inner", {"size": [1, True]}),
        ("inners", [{"size": ["1", 2]}]),
        ("more", [{"whole": True}]),
        ("schema", True),
        ("type", True),
    ],
)
def test_a_value_of_another_type_is_refused(field: str, value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        Model.model_validate({field: value})
    assert caught.value.errors()[0]["loc"][0] == field


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("whole", 2, 2),
        ("whole", Untyped("2"), 2),
        ("number", 2, 2.0),
        ("number", Untyped("1e-3"), 0.001),
        ("number", Untyped("20"), 20.0),
        ("yes", Untyped("true"), True),
        ("text", Untyped("1e-3"), "1e-3"),
        ("path", "a/b", Path("a/b")),
        ("path", Untyped("123"), Path("123")),
        ("pair", [1, 2], (1, 2.0)),
        ("colour", "red", Colour.RED),
        ("one", 1, 1),
        ("one", Untyped("1"), 1),
        ("choice", "x", "x"),
        ("amount", "rest", "rest"),
        ("amount", Untyped("0.5"), 0.5),
        ("maybe", None, None),
        ("inner", {"size": [3, 4]}, Inner(size=(3, 4))),
    ],
)
def test_what_yaml_cannot_write_is_understood(field: str, value: Any, expected: Any) -> None:
    found = getattr(Model.model_validate({field: value}), field)
    assert found == expected and type(found) is type(expected)


@pytest.mark.parametrize("text", ["1e-3", "1E5", "-1.5e+3", ".5e2", "2.", "7"])
def test_numbers_of_yaml_1_2(text: str) -> None:
    assert looks_like_number(text)


@pytest.mark.parametrize("text", ["", "e3", "1e", "0x1F", "1_000", "1.2.3", "\u0661", "1e-3 ", ".inf", "nan"])
def test_other_text(text: str) -> None:
    assert not looks_like_number(text)
