"""The paper's VisA recipes, end to end on trees as VisA and the authors' maps are published."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tiny_sam
from paper_recipes import Run
from published_maps import release
from published_trees import VISA, visa_defects, visa_tree, visa_types

pytestmark = pytest.mark.slow

SEEDS = [333, 576]
CATEGORIES = ["cashew", "pcb1"]
SETTINGS = (f"split.seeds={SEEDS}", f"categories={CATEGORIES}")
GOOD, TEST_GOOD, BAD = 80, 6, 16  # a tenth of them for the forest, which finds no split with 3


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("visa")
    visa_tree(home / "data", counts={"train good": GOOD, "test good": TEST_GOOD, "test bad": BAD}, side=48)
    return home


@pytest.fixture(autouse=True)
def _root(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISA_ROOT", str(home / "data"))


BY_NAME = [f"Data/Images/Anomaly/{i:03}.JPG" for i in range(BAD)]


def _check_split(
    run: Run, detectors: int, final_good: int, bad: list[str] = BY_NAME, categories: list[str] = CATEGORIES
) -> None:
    """`bad`: the bad images in the order from which the official rule draws."""
    for category in categories:
        for seed, split in zip(SEEDS, run.splits[category].values(), strict=True):
            # the official rule: the last ten of the permutation move over
            moved = {bad[i] for i in np.random.RandomState(seed).permutation(BAD)[BAD - 10 :]}
            assert {i for i in split["final"] if "Anomaly" in i} == moved
            assert {i for i in split["test"] if "Anomaly" in i} == set(bad) - moved
            assert len(split["detectors"]) == detectors
            assert len(split["final"]) == final_good + 10
        first, second = run.splits[category].values()
        assert first["detectors"] == second["detectors"]


def test_all_detectors(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables 5 and 8, with Segment Anything's own code, small and with random weights."""
    tiny_sam.register(monkeypatch)
    monkeypatch.setenv("SAM_CHECKPOINT", str(tiny_sam.checkpoint(home)))
    run = Run("visa_allad", home, *SETTINGS, "segmenter.params.model=tiny")
    run.check_results(CATEGORIES, SEEDS)
    run.check_comparison(CATEGORIES)
    _check_split(run, detectors=72, final_good=8)
    assert "components map visa_pcb1_template.png is a template" in run.table


def test_baselines(home: Path) -> None:
    run = Run("visa_baselines", home, *SETTINGS)
    run.check_results(CATEGORIES, SEEDS)
    run.check_comparison(CATEGORIES)
    _check_split(run, detectors=72, final_good=8)
    for category in CATEGORIES:
        for split in run.splits[category].values():
            for images in split["classifiers"].values():
                assert (len(images), len([i for i in images if "Anomaly" in i])) == (GOOD + 10, 10)


def test_published_maps(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No detector is trained, and the lists of the release say which images train and test.

    Of all twelve categories, so that published means stand beside measured ones. The lists are in an order
    of their own, and the draws follow it.
    """
    rng = np.random.default_rng(7)
    bad = [int(i) for i in rng.permutation(BAD)]
    for name in VISA:
        good = [path.stem for path in sorted((home / "data" / name / "Data" / "Images" / "Normal").iterdir())]
        chosen = [(1, f"{i:03}") for i in bad]
        chosen += [(0, good[i]) for i in rng.permutation(len(good))[: 8 + TEST_GOOD]]
        segments = {"pcb1": 6, "pcb4": 6, "pcb2": 8, "pcb3": 8}.get(name, 2)
        release(home / "release", chosen, name, segments=segments, size=(64, 64), training=8)
    monkeypatch.setenv("SEGAD_MAPS", str(home / "release" / "anomaly_maps"))
    monkeypatch.setenv("SEGAD_SEGMENTATIONS", str(home / "release" / "visa_segm"))
    run = Run("visa_precomputed", home, SETTINGS[0])
    run.check_results(list(VISA), SEEDS)
    run.check_comparison(list(VISA))
    listed = [BY_NAME[i] for i in bad]
    _check_split(run, detectors=0, final_good=8, bad=listed, categories=list(VISA))
    with pytest.raises(AssertionError):
        _check_split(run, detectors=0, final_good=8)


def test_each_annotated_type_of_defect_held_out_in_turn(home: Path) -> None:
    """Types are those of image_anno.csv; an image with two of them goes with either. Classifiers, too."""
    rows = [{"name": "DevNet", "score": "devnet"}]
    settings = ["split.hold_out=defects", "split.seeds=[333]", "categories=[pcb1]"]
    run = Run("visa_baselines", home, *settings, f"rows={json.dumps(rows)}")
    types = sorted(visa_types("pcb1"))
    shown = dict(zip(BY_NAME, visa_defects("pcb1", BAD), strict=True))
    assert [r["held_out"] for r in run.results] == ["", *types]
    drawn = run.splits["pcb1"]
    assert list(drawn) == ["333", *(f"333 without {name}" for name in types)]
    for name, result in zip(types, run.results[1:], strict=True):
        split = drawn[f"333 without {name}"]
        others = [image for image in BY_NAME if name not in shown[image]]
        moved = {others[i] for i in np.random.RandomState(333).permutation(len(others))[-10:]}
        for images in (split["final"], split["classifiers"]["devnet"]):
            assert {i for i in images if "Anomaly" in i} == moved
        assert {i for i in split["test"] if "Anomaly" in i} == {*BY_NAME} - moved
        assert (int(result["n_bad"]), int(result["n_unseen"])) == (BAD - 10, BAD - len(others))
        assert 0 <= float(result["auroc_unseen"]) <= 1
    assert "## Held-out defect types" in run.table
