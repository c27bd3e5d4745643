"""The paper's VisA recipes, end to end on trees as VisA and the authors' maps are published."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny_sam
from paper_recipes import Run
from published_maps import release
from published_trees import VISA, visa_tree

pytestmark = pytest.mark.slow

SEEDS = [333, 576]
CATEGORIES = ["cashew", "pcb1"]
SETTINGS = (f"split.seeds={SEEDS}", f"categories={CATEGORIES}")
GOOD, TEST_GOOD, BAD = 20, 6, 16


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("visa")
    visa_tree(home / "data", counts={"train good": GOOD, "test good": TEST_GOOD, "test bad": BAD}, side=48)
    return home


@pytest.fixture(autouse=True)
def _root(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISA_ROOT", str(home / "data"))


def _check_split(run: Run, detectors: int, final_good: int) -> None:
    for category in CATEGORIES:
        bad = sorted(f"Data/Images/Anomaly/{i:03}.JPG" for i in range(BAD))
        for seed, split in zip(SEEDS, run.splits[category].values(), strict=True):
            # the official rule: of the bad images by name, the last ten of the permutation move over
            moved = {bad[i] for i in np.random.RandomState(seed).permutation(BAD)[BAD - 10 :]}
            assert {i for i in split["final"] if "Anomaly" in i} == {i for i in bad if i in moved}
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
    _check_split(run, detectors=18, final_good=2)
    assert "components map visa_pcb1_template.png is a template" in run.table


def test_baselines(home: Path) -> None:
    run = Run("visa_baselines", home, *SETTINGS)
    run.check_results(CATEGORIES, SEEDS)
    run.check_comparison(CATEGORIES)
    _check_split(run, detectors=18, final_good=2)
    for category in CATEGORIES:
        for split in run.splits[category].values():
            for images in split["classifiers"].values():
                assert (len(images), len([i for i in images if "Anomaly" in i])) == (GOOD + 10, 10)


def test_published_maps(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No detector is trained, and the lists of the release say which images train and test."""
    for name in VISA:
        images = [
            (label, path.stem)
            for label, folder in enumerate(("Normal", "Anomaly"))
            for path in sorted((home / "data" / name / "Data" / "Images" / folder).iterdir())
        ]
        chosen = [one for one in images if one[0]] + [one for one in images if not one[0]][: 3 + TEST_GOOD]
        segments = {"pcb1": 6, "pcb4": 6, "pcb2": 8, "pcb3": 8}.get(name, 2)
        release(home / "release", chosen, name, segments=segments, size=(64, 64), training=3)
    monkeypatch.setenv("SEGAD_MAPS", str(home / "release" / "anomaly_maps"))
    monkeypatch.setenv("SEGAD_SEGMENTATIONS", str(home / "release" / "visa_segm"))
    run = Run("visa_precomputed", home, *SETTINGS)
    run.check_results(CATEGORIES, SEEDS)
    run.check_comparison(CATEGORIES)
    _check_split(run, detectors=0, final_good=3)
