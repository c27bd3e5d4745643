"""A final classifier is asked whether its row's features suit it before any image is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from small_runs import prepared, workplace, write

from segad_core.errors import RecipeError
from segad_core.plugins.registry import Registry
from segad_core.recipe import load_recipe
from segad_core.run.rows import feature_names, feature_table
from segad_core.run.tasks import execute
from segad_core.store.store import Store


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return workplace(tmp_path, monkeypatch)


def recipe(home: Path, feature: str) -> Path:
    forest = {"use": "brf", "params": {"num_parallel_tree": 2, "base_margin": feature}}
    rows: list[dict[str, Any]] = [
        {"name": "memory", "score": "memory"},
        {"name": "SegAD", "detectors": ["spotty"]},
        {"name": "SegAD + g", "detectors": ["spotty"], "classifier": "memory", "final": forest},
    ]
    return write(home, classifiers={"memory": "memory"}, rows=rows)


def test_an_unknown_feature_is_refused_before_any_image_is_read(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("segad_core.run.prepare.take_inventory", lambda *_: pytest.fail("images are read"))
    with pytest.raises(RecipeError) as caught:
        prepared(recipe(home, "image.memory.scores"))
    (what,) = caught.value.problems
    assert "rows[2].final" in what and "did you mean 'image.memory.score'" in what
    assert what.startswith(f"{home / 'tiny.yaml'}:")
    assert "whole.spotty.mean, image.spotty.max, image.memory.score" in caught.value.remedy


def test_the_names_are_those_of_the_table(home: Path) -> None:
    path = recipe(home, "image.memory.score")
    plan, store = prepared(path).plans[0], Store(home / "store")
    for task in plan.tasks:
        execute(task, store, "cpu", lambda *_: None)
    rows = {row.name: row for row in load_recipe(str(path), Registry()).rows}
    for task in plan.rows()[1:]:
        assert feature_table(task, task.table, store)[1] == feature_names(rows[task.row.name], "a")
