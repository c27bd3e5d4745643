"""The paper's VAD recipes, end to end on a tree as VAD is published: 32 good, 16 bad to train on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from paper_recipes import Run, small_settings
from published_trees import VAD_KEYS, vad_tree

from segad_core.plugins.registry import Registry
from segad_core.recipe import load_recipe
from segad_core.run.prepare import prepare
from segad_core.store.store import Store

pytestmark = pytest.mark.slow

SEEDS = [0, 1]
TEMPLATE = "mask vad_template.png is a template"
DIFFERENCES = (
    "train good: 32 instead of 2000; train bad: 16 instead of 1000; test good: 16 instead of 1000; "
    "test bad: 14 instead of 835; test bad, unseen: 3 instead of 165"
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("vad")
    vad_tree(home / "data", scale=0.016, side=48, low_shot_size=8)
    return home


@pytest.fixture(autouse=True)
def _root(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAD_ROOT", str(home / "data"))


def _run(name: str, home: Path) -> Run:
    run = Run(name, home, f"split.seeds={SEEDS}")
    run.check_results(["vad"], SEEDS)
    run.check_comparison(["vad"])
    assert f"category 'vad' differs from the published one: {DIFFERENCES}" in " ".join(run.said.split())
    assert TEMPLATE in run.said
    assert TEMPLATE in run.table
    return run


def _bad(images: list[str]) -> list[str]:
    return [image for image in images if "/bad" in image]


def test_one_class(home: Path) -> None:
    """Table 2: nothing learns from a bad image; detectors are trained anew for each seed."""
    run = _run("vad_oneclass", home)
    first, second = run.splits["vad"].values()
    for split in (first, second):
        assert (len(split["detectors"]), len(split["final"])) == (16, 16)
        assert not _bad(split["final"])
        assert len(_bad(split["test"])) == 14 + 3
    assert first["detectors"] != second["detectors"]
    assert {r["n_unseen"] for r in run.results} == {"3"}
    assert all(0 <= float(r["auroc_unseen"]) <= 1 for r in run.results)


def test_high_shot(home: Path) -> None:
    """Table 3: all bad images; classifiers of the recipe's own share learn from 80 % of everything."""
    run = _run("vad_highshot", home)
    for split in run.splits["vad"].values():
        assert len(_bad(split["final"])) == 16
        sizes = {alias: (len(images), len(_bad(images))) for alias, images in split["classifiers"].items()}
        assert sizes == {"wrn": (25 + 12, 12), "devnet": (48, 16), "dra": (48, 16)}


def test_low_shot(home: Path) -> None:
    """Table 4: the n-th seed learns from the n-th published subset, and so do the classifiers."""
    run = _run("vad_lowshot", home)
    splits = run.splits["vad"].values()
    assert [split["subset"] for split in splits] == list(VAD_KEYS[:2])
    for split in splits:
        bad = _bad(split["final"])
        assert len(bad) == 8
        assert all(_bad(images) == bad for a, images in split["classifiers"].items() if a != "wrn")
    assert len({tuple(_bad(split["final"])) for split in splits}) == 2


def test_low_shot_has_a_seed_for_each_published_subset(home: Path, tmp_path: Path) -> None:
    recipe = load_recipe("vad_lowshot", Registry(third_parties=False), small_settings("vad_lowshot"))
    splits = prepare(recipe, Store(tmp_path)).splits["vad"]
    chosen = json.loads((home / "data" / "vad" / "low_shot_train.json").read_text())
    assert [fold.seed for fold in splits] == [0, 1, 2, 3, 4]
    assert [split.subset for split in splits.values()] == list(chosen)
    for key, split in zip(chosen, splits.values(), strict=True):
        assert _bad([*split.final]) == [f"train/bad/{name}" for name in sorted(chosen[key])]
        assert len(split.detectors) == 16
    assert len({split.detectors for split in splits.values()}) == 5


def test_the_ablation_is_the_mean_of_four_runs(home: Path) -> None:
    """Table 6."""
    run = _run("vad_ablation", home)
    figures = {(r["seed"], r["row"]): float(r["auroc"]) for r in run.results}
    for row in run.recipe["rows"]:
        if "mean_of" in row:
            assert len(row["mean_of"]) == 4
            for seed in map(str, SEEDS):
                members = [figures[seed, member] for member in row["mean_of"]]
                assert figures[seed, row["name"]] == pytest.approx(sum(members) / 4, abs=1e-12)
    assert [row["name"] for row in run.recipe["rows"] if "mean_of" in row] == [
        *("An. Det.", "One Seg.", "Max.", "BT", "RF", "SegAD"),
    ]
