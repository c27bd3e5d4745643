"""The paper's MVTec AD recipe, end to end on a tree as MVTec AD is published, with SAM's own code."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny_sam
from paper_recipes import Run
from published_trees import mvtec_tree

pytestmark = pytest.mark.slow

SEEDS = [333, 576]
CATEGORIES = ["bottle", "toothbrush"]


def test_all_detectors_and_held_out_defects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Table 9; and what the paper leaves out: each type of defect held out in turn, where there are two."""
    mvtec_tree(
        tmp_path / "data", CATEGORIES, counts={"train good": 20, "test good": 5, "test bad": 30}, side=48
    )
    tiny_sam.register(monkeypatch)
    monkeypatch.setenv("MVTEC_ROOT", str(tmp_path / "data"))
    monkeypatch.setenv("SAM_CHECKPOINT", str(tiny_sam.checkpoint(tmp_path)))
    settings = [f"split.seeds={SEEDS}", "segmenter.params.model=tiny"]
    run = Run("mvtec_allad", tmp_path, *settings)
    run.check_results(CATEGORIES, SEEDS)
    run.check_comparison(CATEGORIES)
    for category in CATEGORIES:
        for split in run.splits[category].values():
            assert len(split["detectors"]) == 18
            assert len(split["final"]) == 2 + 20
            assert len([i for i in split["test"] if "/good/" not in i]) == 10
