"""The precision of networks: what a recipe says, what a measurement decides, and what keys know of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import fakes
import numpy as np
import pytest
import yaml
from builders import said, segad
from numpy.typing import NDArray
from small_runs import workplace, write

from segad_core.errors import RecipeError
from segad_core.plugins.registry import Registry
from segad_core.recipe import Recipe, load_recipe
from segad_core.run.precision import Measured, able, settled
from segad_core.run.prepare import prepare
from segad_core.store.store import Store

READING: dict[str, Any] = {
    "encoder": "able",
    "detectors": {"averaged": "averaged", "spotty": {"use": "spotty", "params": {"wrong": "nowhere"}}},
    "rows": [{"name": "reads", "score": "averaged"}, {"name": "alone", "score": "spotty"}],
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(fakes.Able, "clock", 0.0)
    return workplace(tmp_path, monkeypatch)


def takes(monkeypatch: pytest.MonkeyPatch, float32: float, bfloat16: float) -> None:
    """Sets how long a pass of the encoder takes."""
    monkeypatch.setattr(fakes.Able, "seconds", {"float32": float32, "bfloat16": bfloat16})


def recipe(home: Path, precision: str | None = None, **changes: Any) -> Recipe:
    given = {"precision": precision} if precision else {}
    return load_recipe(str(write(home, **{**READING, **given, **changes})), Registry())


def chosen(home: Path, told: Recipe, measures: bool = True) -> Recipe:
    return settled(told, Store(home / "store"), "cpu", measures, lambda: fakes.Able.clock)


def keys(home: Path, told: Recipe) -> dict[str, set[str]]:
    """Of each row: its own, and those of all that it rests on."""
    plan = prepare(told, Store(home / "store")).plans[0]
    return {task.row.name: {task.cells[0].key, *task.needs} for task in plan.rows()}


def written(told: Recipe) -> Mapping[str, Any]:
    plain: Mapping[str, Any] = yaml.safe_load(told.resolved())
    return plain


def test_float32_is_what_a_recipe_without_a_precision_means(home: Path) -> None:
    plain, given = recipe(home), recipe(home, "float32")
    assert keys(home, plain) == keys(home, given)
    assert plain.resolved() == given.resolved() and "precision" not in written(plain)
    assert plain.encoder is not None and "precision" not in plain.encoder.identity()


def test_another_precision_is_in_the_keys_of_all_that_rests_on_it_and_of_nothing_else(home: Path) -> None:
    plain, rough = keys(home, recipe(home)), keys(home, recipe(home, "bfloat16"))
    assert not plain["reads"] & rough["reads"]
    assert plain["alone"] == rough["alone"]
    assert written(recipe(home, "bfloat16"))["precision"] == "bfloat16"


def test_plugins_are_told_once_and_others_stay_as_they_are(home: Path) -> None:
    told = recipe(home, "bfloat16")
    assert told.encoder is not None
    assert told.encoder.build().network_precision == "bfloat16"
    assert fakes.Able().network_precision == "float32"
    assert not hasattr(told.detectors["averaged"].build(), "network_precision")
    assert told.detectors["averaged"] == recipe(home).detectors["averaged"]
    assert able(told) == ["able"]


def test_a_precision_that_does_not_exist(home: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        recipe(home, "float16")
    assert "precision" in caught.value.what and "bfloat16" in caught.value.what


@pytest.mark.parametrize(
    ("float32", "bfloat16", "expected"),
    [(1.31, 1.0, "bfloat16"), (2.0, 1.0, "bfloat16"), (1.29, 1.0, None), (1.0, 1.5, None)],
)
def test_auto_is_what_a_measurement_decides(
    home: Path, monkeypatch: pytest.MonkeyPatch, float32: float, bfloat16: float, expected: str | None
) -> None:
    """The clock stands for processor time: each pass adds to it."""
    takes(monkeypatch, float32, bfloat16)
    found = chosen(home, recipe(home, "auto"))
    assert found.skeleton.precision == expected
    assert keys(home, found) == keys(home, recipe(home, expected))
    assert found.resolved() == recipe(home, expected).resolved()


def test_it_is_measured_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Results must not depend on how busy a machine is at one start or the next."""
    takes(monkeypatch, 2.0, 1.0)
    assert chosen(home, recipe(home, "auto")).skeleton.precision == "bfloat16"
    calls = fakes.Able.clock
    takes(monkeypatch, 1.0, 2.0)
    assert chosen(home, recipe(home, "auto")).skeleton.precision == "bfloat16"
    assert fakes.Able.clock == calls
    elsewhere = settled(
        recipe(home, "auto"), Store(home / "other"), "cpu", clock=lambda: fakes.Able.clock
    )  # another store has none
    assert elsewhere.skeleton.precision is None


def test_what_was_measured_with_another_library_or_processor_does_not_count(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    takes(monkeypatch, 2.0, 1.0)
    chosen(home, recipe(home, "auto"))
    takes(monkeypatch, 1.0, 2.0)
    monkeypatch.setattr("segad_core.run.precision.processor", lambda: "another")
    assert chosen(home, recipe(home, "auto")).skeleton.precision is None
    monkeypatch.undo()


def test_nothing_is_measured_to_check_a_recipe(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    takes(monkeypatch, 2.0, 1.0)
    assert chosen(home, recipe(home, "auto"), measures=False).skeleton.precision is None
    assert fakes.Able.clock == 0
    chosen(home, recipe(home, "auto"))
    assert chosen(home, recipe(home, "auto"), measures=False).skeleton.precision == "bfloat16"


@pytest.mark.parametrize("spoilt", [np.nan, 1.03])
def test_fast_and_wrong_is_not_taken(home: Path, monkeypatch: pytest.MonkeyPatch, spoilt: float) -> None:
    """Compared with float32 before it is used."""
    takes(monkeypatch, 9.0, 1.0)
    monkeypatch.setattr(fakes.Able, "off", np.float32(spoilt))
    assert chosen(home, recipe(home, "auto")).skeleton.precision is None


def test_work_elsewhere_takes_no_processor_time_and_is_not_measured(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class OnGpu:
        def __init__(self, values: NDArray[np.float32]) -> None:
            self.values, self.shape = values, values.shape

        def __dlpack_device__(self) -> tuple[int, int]:
            return 2, 0

    takes(monkeypatch, 9.0, 1.0)
    encode = fakes.Able.encode
    monkeypatch.setattr(fakes.Able, "encode", lambda *given: {n: OnGpu(a) for n, a in encode(*given).items()})
    assert chosen(home, recipe(home, "auto")).skeleton.precision is None


@pytest.mark.parametrize(
    "changes",
    [
        {"encoder": "tinyencoder"},
        {"rows": [{"name": "alone", "score": "spotty"}]},
        {
            "encoder": None,
            "detectors": {"spotty": READING["detectors"]["spotty"]},
            "rows": READING["rows"][1:],
        },
    ],
    ids=["not able", "not read", "none"],
)
@pytest.mark.parametrize("precision", ["auto", "bfloat16"])
def test_without_an_encoder_that_can_nothing_changes(
    home: Path, changes: dict[str, Any], precision: str
) -> None:
    found = chosen(home, recipe(home, precision, **changes))
    assert keys(home, found) == keys(home, recipe(home, **changes))
    assert fakes.Able.clock == 0


def test_the_words_say_what_was_measured() -> None:
    assert "1.45 times" in str(Measured(1.45, 0.01)) and Measured(1.45, 0.01).chosen() == "bfloat16"
    assert "2.1% off" in str(Measured(1.45, 0.021)) and Measured(1.45, 0.021).chosen() == "float32"
    assert "processors only" in str(Measured(0, 0)) and Measured(0, 0).chosen() == "float32"


def test_the_command_line(home: Path) -> None:
    path, places = write(home, **READING), ("--store", home / "store")
    checked = segad("check", path, "--precision", "bfloat16", *places)
    assert "precision: bfloat16 in able" in said(checked)
    assert "precision" not in said(segad("check", path, *places))
    ran = segad("run", path, "--precision", "bfloat16", *places, "--runs", home / "runs")
    assert ran.exit_code == 0, said(ran)
    assert "precision: bfloat16\n" in (home / "runs/tiny/latest/recipe.resolved.yaml").read_text()
    again = segad("check", path, "--set", "precision=bfloat16", *places)
    assert ", 0 to compute" in said(again).splitlines()[-1]
    assert segad("run", path, "--precision", "float16", *places).exit_code == 2
    maps = segad("maps", path, "-o", home / "maps", "--precision", "float32", *places)
    assert maps.exit_code != 0 and "--set precision=float32" in said(maps)
