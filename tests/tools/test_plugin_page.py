"""What `segad plugin show` says of a plugin: types in words, and recipes that are valid."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import yaml
from pydantic import Field

from segad_core.contracts import Detector, InputFile, InputFolder, Parameters
from segad_core.plugins.registry import Provider, Registry
from segad_core.recipe.schema import Skeleton, uses_in
from segad_core.tools.plugin_page import page_lines, plugin_page

BUILT_IN = Registry(third_parties=False).providers()


class Inner(Parameters):
    at: int
    label: str = ""


class Full(Parameters):
    needed: int = Field(ge=1, le=9, description="how\n many")
    ratio: Annotated[float, Field(gt=0, lt=1)] = 0.5
    name: str | None = None
    on: bool = False
    mode: Literal["a", 2] = "a"
    file: InputFile | None = None
    root: InputFolder
    at: Path = Path("x")
    layers: Annotated[list[str], Field(min_length=1)] = Field(["layer2"])
    size: tuple[int, int] = (2, 3)
    several: tuple[float, ...] = ()
    weights: dict[str, float] = Field({})
    inner: Inner | None = None


class Shown(Detector):
    """First line.

    Second paragraph.
    """

    Params = Full
    trains = False
    fit = anomaly_maps = state = restore = None

    def notes(self):
        return []

    def layers(self):
        return ("layer2",)


class Reads(Shown):
    """Reads layers."""

    class Params(Parameters):
        more: bool = True

    def optional_layers(self):
        return ("layer2", "layer9")


def page(component: Any = Shown, name: str = "shown") -> dict[str, Any]:
    return plugin_page(Provider("detectors", "shown", "segad-x", "1.2", "x:Shown"), name, component)


def test_parameters_are_told_with_type_default_and_description() -> None:
    told = {one["name"]: (one["type"], one["default"]) for one in page()["parameters"]}
    assert told == {
        "needed": ("integer >= 1 and <= 9", None),
        "ratio": ("number > 0 and < 1", 0.5),
        "name": ("text or null", None),
        "on": ("true or false", False),
        "mode": ("a or 2", "a"),
        "file": ("file or null", None),
        "root": ("folder", None),
        "at": ("path", "x"),
        "layers": ("list of text, length >= 1", ["layer2"]),
        "size": ("list of integer, length 2", [2, 3]),
        "several": ("list of number", []),
        "weights": ("mapping of text to number", {}),
        "inner": ("mapping with at, label or null", None),
        "inner.at": ("integer", None),
        "inner.label": ("text", ""),
    }
    assert [one["name"] for one in page()["parameters"] if one["required"]] == [
        "needed",
        "root",
        "inner.at",
    ]
    assert page()["parameters"][0]["description"] == "how many"


def test_lines_have_it_all() -> None:
    lines = page_lines(page())
    assert lines[:3] == ["First line.", "", "Second paragraph."]
    assert "  needed       integer >= 1 and <= 9, required: how many" in lines
    assert "  size         list of integer, length 2, default [2, 3]" in lines
    assert "optional answers: notes, trains = False" in lines
    assert not any("layers of the encoder" in line for line in lines)  # its parameters may decide them
    assert "layers of the encoder that it reads by default: layer2, layer9" in page_lines(page(Reads))


def test_a_recipe_has_what_is_required_or_an_example() -> None:
    found = yaml.safe_load(page(name="segad-x:shown")["recipe"])
    assert found["detectors"]["shown"]["use"] == "segad-x:shown"
    assert set(found["detectors"]["shown"]["params"]) == {"needed", "root"}
    example = yaml.safe_load(page(Reads)["recipe"])
    assert example == {"detectors": {"shown": {"use": "shown", "params": {"more": True}}}}


@pytest.mark.parametrize("provider", BUILT_IN, ids=[f"{one.kind}-{one.name}" for one in BUILT_IN])
def test_the_recipe_of_every_plugin_is_valid(provider: Provider) -> None:
    component = Registry().component(provider)
    recipe = yaml.safe_load(plugin_page(provider, provider.name, component)["recipe"])
    least = {"segad": 1, "dataset": {"use": "folder"}, "rows": [{"name": "A", "score": "a"}]}
    skeleton = Skeleton.model_validate({**least, **recipe})
    (use,) = [u for kind, _, u in uses_in(skeleton) if (kind, u.use) == (provider.kind, provider.name)]
    component.Params.model_validate(use.params)
