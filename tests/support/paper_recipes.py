"""The paper's recipes run end to end: the real recipes and the real code, on small trees and few steps."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from builders import said, segad

from segad_core.recipe.find import locate
from segad_core.recipe.published import MEAN, published

_NETWORK = {"source": "efficientnet_lite0", "epochs": 1}
SMALL: dict[str, Mapping[str, Any]] = {
    "fastflow": {"epochs": 1, "steps": 2},
    "rd4ad": {"epochs": 1},
    "patchcore": {"coreset_ratio": 0.05},
    "efficientad": {"size": "small", "iterations": 2, "teacher_iterations": 1, "teacher_batch": 2},
    "wrn": _NETWORK,
    "devnet": {**_NETWORK, "steps_per_epoch": 1, "batch_good": 4, "batch_bad": 2},
    "dra": {**_NETWORK, "steps_per_epoch": 1, "batch_good": 4, "batch_bad": 2, "reference_count": 2},
}
"""What makes each learner small, by the name that the recipes give it."""


def small_settings(name: str) -> list[str]:
    """The `--set` words that scale a recipe down: nothing but sizes, steps and where weights come from."""
    recipe = plain(name)
    words = ["image.size=[64, 64]", "batch_size=8"]
    if "encoder" in recipe:
        words.append("encoder=efficientnet_lite0")
    if "final" in recipe:
        words.append("final={use: brf, params: {n_estimators: 2, num_parallel_tree: 5}}")
    for kind in ("detectors", "classifiers"):
        for alias, use in recipe.get(kind, {}).items():
            for key, value in (SMALL[alias] if use["use"] != "precomputed" else {}).items():
                words.append(f"{kind}.{alias}.params.{key}={json.dumps(value)}")
    return words


def plain(name: str) -> dict[str, Any]:
    """A shipped recipe as it stands there."""
    document: dict[str, Any] = yaml.safe_load(locate(name).read_text(encoding="utf-8"))
    return document


class Run:
    """A finished run of a shipped recipe.

    Attributes:
        recipe: as it is shipped.
        said: what the command said.
        folder: of the run.
        results: the lines of `results.csv`.
        splits: `splits.json`.
        table: `table.md`.
    """

    def __init__(self, name: str, home: Path, *settings: str) -> None:
        sets = [word for setting in (*small_settings(name), *settings) for word in ("--set", setting)]
        places = ["--store", home / "store", "--runs", home / "runs"]
        checked = segad("check", name, "--store", home / "store", *sets)
        assert checked.exit_code == 0, said(checked)
        result = segad("run", name, *places, "--device", "cpu", *sets)
        assert result.exit_code == 0, said(result)
        self.recipe, self.checked, self.said = plain(name), said(checked), said(result)
        self.folder = home / "runs" / name / "latest"
        self.results = self.lines("results.csv")
        self.splits = json.loads((self.folder / "splits.json").read_text())
        self.table = (self.folder / "table.md").read_text()

    def lines(self, name: str) -> list[dict[str, str]]:
        """The lines of one of the folder's tables."""
        with (self.folder / name).open(newline="") as file:
            return list(csv.DictReader(file))

    def check_results(self, categories: Sequence[str], seeds: Sequence[int]) -> None:
        """Every row has its figures for each category and seed, in the recipe's order."""
        rows = [row["name"] for row in self.recipe["rows"]]
        for category in categories:
            for seed in seeds:
                own = [r for r in self.results if (r["category"], r["seed"]) == (category, str(seed))]
                assert [r["row"] for r in own] == rows
                assert all(0 <= float(r["auroc"]) <= 1 and 0 <= float(r["fpr95"]) <= 1 for r in own)
        assert len(self.results) == len(rows) * len(categories) * len(seeds)

    def check_comparison(self, categories: Sequence[str]) -> None:
        """Every published figure of these categories, and their mean, stands beside the measured one."""
        figures = published(self.recipe["compare_with"], Path())
        columns = {*categories, MEAN} if {*categories} == {*figures.categories} else {*categories}
        wanted = {
            (metric, row, category): value
            for metric, own in figures.figures.items()
            for row, cells in own.items()
            for category, value in cells.items()
            if category in columns
        }
        compared = {(c["metric"], c["row"], c["category"]): c for c in self.lines("comparison.csv")}
        assert compared.keys() == wanted.keys()
        for (metric, row, category), cell in compared.items():
            told = (cell["published"], cell["published_std"])
            assert tuple(float(word) if word else None for word in told) == wanted[metric, row, category]
            measured = self._measured(metric, row, category)
            assert float(cell["measured"]) == pytest.approx(measured, abs=1e-5)
            assert float(cell["difference"]) == pytest.approx(measured - float(cell["published"]), abs=1e-5)

    def _measured(self, metric: str, row: str, category: str) -> float:
        """The mean over seeds in per cent, from `results.csv`; of all categories, each weighing the same."""
        lines = [r for r in self.results if r["row"] == row and category in (r["category"], MEAN)]
        assert lines
        return 100 * sum(float(r[metric]) for r in lines) / len(lines)
