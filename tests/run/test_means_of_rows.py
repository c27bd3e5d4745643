"""Rows that are means of other rows: in the recipe, in its resolved form, and never in a plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fakes
import pandas as pd
import pytest
import yaml
from builders import run_command
from small_runs import prepared
from small_splits import ROWS, data, workplace, write

from segad_core.errors import RecipeError
from segad_core.plugins.registry import Registry
from segad_core.recipe import load_recipe

MEAN: dict[str, Any] = {"name": "both", "mean_of": ["SegAD", "alone"]}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return workplace(tmp_path, monkeypatch)


def test_a_mean_is_no_row_to_plan(home: Path) -> None:
    """It may stand before its members, and changes no key."""
    data(home)
    plain = prepared(write(home)).plans[0]
    path = write(home, rows=[MEAN, *ROWS])
    recipe = load_recipe(str(path), Registry())
    assert [row.name for row in recipe.rows] == ["alone", "SegAD"]
    assert recipe.means == {"both": ("SegAD", "alone")}
    plan = prepared(path).plans[0]
    assert [row.row.name for row in plan.rows()] == ["alone", "SegAD"]
    assert [c.key for t in plan.tasks for c in t.cells] == [c.key for t in plain.tasks for c in t.cells]


def test_the_resolved_recipe_has_means_where_they_stood(home: Path) -> None:
    data(home)
    rows = [ROWS[0], MEAN, ROWS[1], {"name": "one", "mean_of": ["alone"]}]
    recipe = load_recipe(str(write(home, rows=rows)), Registry())
    resolved = yaml.safe_load(recipe.resolved())["rows"]
    assert [row["name"] for row in resolved] == ["alone", "both", "SegAD", "one"]
    assert (resolved[1], resolved[3]) == (rows[1], rows[3])
    (home / "again.yaml").write_text(recipe.resolved())
    again = load_recipe(str(home / "again.yaml"), Registry())
    assert again.means == recipe.means == {"both": ("SegAD", "alone"), "one": ("alone",)}
    assert again.resolved() == recipe.resolved()


def test_a_mean_has_the_means_of_its_members_figures(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under each seed, where it stands in the recipe; no image has a score of it."""
    data(home)
    darkest = lambda self, batch: batch.pixels[:, 0].min(axis=(1, 2)).astype(float)  # noqa: E731
    monkeypatch.setattr(fakes.Memory, "scores", darkest)
    memory = {"name": "memory", "score": "memory"}
    mean = {"name": "both", "mean_of": ["memory", "alone"]}
    changes: dict[str, Any] = {"classifiers": {"memory": "memory"}, "split": {"seeds": [0, 1]}}
    assert run_command(write(home, **changes, rows=[memory, mean, ROWS[0]])).exit_code == 0
    results = pd.read_csv(home / "runs/tiny/latest/results.csv")
    assert list(results["row"]) == ["memory", "both", "alone"] * 2
    assert list(results["seed"]) == [0] * 3 + [1] * 3
    for _, own in results.groupby("seed"):
        for metric in ("auroc", "fpr95"):
            one, both, other = own[metric]
            assert one != other
            assert both == (one + other) / 2
    assert {*pd.read_csv(home / "runs/tiny/latest/scores.csv")["row"]} == {"memory", "alone"}
    assert "| both " in (home / "runs/tiny/latest/table.md").read_text()


def test_a_member_without_figures_leaves_the_mean_without(home: Path) -> None:
    """It gives every image the same score."""
    data(home)
    rows = [{"name": "memory", "score": "memory"}, {"name": "both", "mean_of": ["memory", "alone"]}, ROWS[0]]
    assert run_command(write(home, classifiers={"memory": "memory"}, rows=rows)).exit_code == 0
    results = pd.read_csv(home / "runs/tiny/latest/results.csv").set_index("row")
    assert results["auroc"].isna().to_dict() == {"memory": True, "both": True, "alone": False}


MISTAKES: dict[str, tuple[list[dict[str, Any]], str]] = {
    "one twice": (
        [*ROWS, {"name": "mean", "mean_of": ["alone", "alone"]}],
        "'mean_of' lists a row twice",
    ),
    "unknown": (
        [*ROWS, {"name": "m", "mean_of": ["alone", "SegAd"]}],
        "rows[2].mean_of: no measured row is called 'SegAd' - did you mean 'SegAD'?",
    ),
    "itself": (
        [*ROWS, {"name": "m", "mean_of": ["m"]}],
        "rows[2].mean_of: no measured row is called 'm'",
    ),
    "a mean of means": (
        [*ROWS, MEAN, {"name": "m", "mean_of": ["both", "alone"]}],
        "rows[3].mean_of: no measured row is called 'both'",
    ),
    "means alone": ([MEAN], "rows[0].mean_of: no measured row is called 'SegAD'"),
    "none": ([*ROWS, {"name": "m", "mean_of": []}], "rows[2].mean_of: list should have at least 1 item"),
    "one name": (
        [*ROWS, {"name": "m", "mean_of": "alone"}],
        "rows[2].mean_of: must be a list: write [alone]",
    ),
    "same name": ([*ROWS, {**MEAN, "name": "alone"}], "rows[2].name: two rows are called 'alone'"),
    "mean and score": (
        [*ROWS, {**MEAN, "score": "spotty"}],
        "rows[2]: a row needs exactly one of 'score'",
    ),
    "mean and detectors": (
        [*ROWS, {**MEAN, "detectors": "all"}],
        "rows[2]: a row needs exactly one of 'score'",
    ),
    "no kind": ([*ROWS, {"name": "m"}], "rows[2]: a row needs exactly one of 'score'"),
    "a classifier": (
        [*ROWS, {**MEAN, "final": "table"}],
        "rows[2]: 'final' does not apply to a 'mean_of' row",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_can_be_no_mean_is_told(home: Path, mistake: str) -> None:
    rows, words = MISTAKES[mistake]
    data(home)
    with pytest.raises(RecipeError) as caught:
        load_recipe(str(write(home, rows=rows)), Registry())
    assert any(words in problem for problem in caught.value.problems), caught.value.problems
