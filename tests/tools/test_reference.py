"""The reference for authors of plugins is what the code says, and everything public is described."""

from __future__ import annotations

import inspect
import re
import runpy
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

import pytest
from pydantic import BaseModel

import segad_core.api as api
from segad_core import testing
from segad_core.contracts import KINDS, Parameters
from segad_core.plugins.registry import Provider, Registry
from segad_core.tools.attribute_docs import attribute_docs, constant_doc
from segad_core.tools.plugin_page import plugin_page

FOLDER = Path(__file__).parents[2] / "docs" / "plugins"
GENERATOR = runpy.run_path(str(FOLDER / "generate_reference.py"))
AGAIN = "run `python docs/plugins/generate_reference.py`"


@pytest.fixture(scope="module")
def generated() -> tuple[dict[str, str], list[str]]:
    """The pages, and what has no description."""
    missing: list[str] = []
    return GENERATOR["pages"](missing), missing


def test_the_pages_are_what_the_code_says(generated: tuple[dict[str, str], list[str]]) -> None:
    found = {path.name: path.read_text(encoding="utf-8") for path in (FOLDER / "reference").iterdir()}
    different = [name for name in {*found, *generated[0]} if found.get(name) != generated[0].get(name)]
    assert not different, f"docs/plugins/reference: {sorted(different)} is not what the code says: {AGAIN}"


def test_everything_public_is_described(generated: tuple[dict[str, str], list[str]]) -> None:
    assert not generated[1], "write docstrings, and descriptions of parameters"


def test_every_name_event_and_plugin_has_one_place(generated: tuple[dict[str, str], list[str]]) -> None:
    heads = [head for text in generated[0].values() for head in re.findall(r"^## `(\w+)`$", text, re.M)]
    assert sorted(heads) == sorted([*api.__all__, *testing.__all__])
    events = re.findall(r"^### `Observer\.(\w+)`$", generated[0]["hooks.md"], re.M)
    assert events == [name for name in vars(api.Observer) if not name.startswith("_")]
    for kind in KINDS:
        built_in = re.findall(r"^### `(\w+)`$", generated[0][f"{kind}.md"], re.M)
        assert built_in == [one.name for one in Registry(third_parties=False).providers(kind)]


def test_every_optional_question_is_asked_of_some_kind() -> None:
    (bullet,) = re.findall(r"^- Optional knowledge.*?(?=^- )", api.__doc__ or "", re.M | re.S)
    assert {*GENERATOR["ANSWERED_BY"]} == {*re.findall(r"`(\w+)`", bullet)}
    assert {kind for kinds in GENERATOR["ANSWERED_BY"].values() for kind in kinds} == {*KINDS}


class Odd:
    """Has an attribute, a method and a property without descriptions, and one that is described."""

    told: ClassVar[int] = 1
    """What it is."""

    untold: ClassVar[int] = 2
    _own: ClassVar[int] = 3

    def method(self) -> None:
        pass

    @property
    def prop(self) -> int:
        return 1

    def told_method(self) -> None:
        """Does something."""


class Stale:
    """Describes an argument that is not there.

    Args:
        old: is not there.
    """

    def __init__(self, new: int) -> None:
        self.new = new


class Ask(Protocol):
    def question(self) -> int: ...


@dataclass
class Bare:
    one: int


@dataclass
class Half:
    """Describes one of two fields.

    Attributes:
        one: the first.
    """

    one: int
    other: int


def function(path: str, size: int) -> None:
    """Describes one of two arguments.

    Args:
        path: of a file.
    """


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Odd, {"Odd.untold", "Odd.method", "Odd.prop"}),
        (Stale, {"Stale: argument old", "Stale: argument new"}),
        (Ask, {"Ask", "Ask.question"}),
        (Bare, {"Bare", "Bare.one"}),
        (Half, {"Half: argument other", "Half.other"}),
        (function, {"function: argument size"}),
    ],
)
def test_what_has_no_description_is_found(value: type, expected: set[str]) -> None:
    missing: list[str] = []
    list(GENERATOR["_described"](value.__name__, value, missing))
    assert {*missing} == expected


def test_a_parameter_without_a_description_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    patchcore = Registry().find("detectors", "patchcore")
    params = Registry().component(patchcore).Params
    monkeypatch.setattr(params.model_fields["neighbours"], "description", None)
    missing: list[str] = []
    list(GENERATOR["_plugin"](patchcore, missing))
    (said,) = missing
    assert said.endswith("parameter neighbours")


def test_docstrings_become_markdown() -> None:
    docstring = inspect.cleandoc("""One line.

    Another:

        import x

        class A:
            '''What.'''

            x = 1

    Args:
        top, left: where,
            in pixels.
        *more: of it.

    Raises:
        SegadError: it is wrong: badly.
    """)
    assert GENERATOR["markdown"](docstring) == inspect.cleandoc('''One line.

    Another:

    ```python
    import x


    class A:
        """What."""

        x = 1
    ```

    **Args**

    - `top`, `left`: where, in pixels.
    - `more`: of it.

    **Raises**

    - `SegadError`: it is wrong: badly.''')


def test_signatures_are_as_written() -> None:
    def some(self: object, a: int, *rest: str, key: str = "x", progress: object = print) -> dict[str, int]:
        return {}

    assert GENERATOR["_signature"]("some", some) == (
        "some(a: int, *rest: str, key: str = 'x', progress: object = print) -> dict[str, int]"
    )


class Params(Parameters):
    """Some described in either way, and some in a model of their own."""

    class Inner(BaseModel):
        """One of several."""

        x: int = 0
        """across"""

    first: int = 1
    """said
    below"""
    second: int = 2
    many: tuple[Inner, ...] = ()
    """of them"""


class Heir(Params):
    """Says more of one."""

    second: int = 3
    """said by the heir"""


def test_strings_below_attributes_describe_them() -> None:
    said = {name: attribute_docs(Heir).get(name) for name in Heir.model_fields}
    assert said == {"first": "said\nbelow", "second": "said by the heir", "many": "of them"}
    assert "second" not in attribute_docs(Params)
    assert attribute_docs(type("Made", (), {})) == {}  # has no source
    assert constant_doc(api, "IGNORED").startswith("The label of pixels")
    assert constant_doc(api, "no_such_name") == ""


def test_parameters_are_shown_with_them() -> None:
    class Shown(api.Hook):
        """Shown."""

        Params = Heir

    page = plugin_page(Provider("hooks", "shown", "segad-x", "1", ""), "shown", Shown)
    assert {one["name"]: one["description"] for one in page["parameters"]} == {
        "first": "said below",
        "second": "said by the heir",
        "many": "of them",
        "many.x": "across",
    }
