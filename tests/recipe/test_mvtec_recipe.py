"""The paper's MVTec AD recipe, end to end on a tree as MVTec AD is published, with SAM's own code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tiny_sam
from paper_recipes import Run
from published_trees import MVTEC, mvtec_tree

pytestmark = pytest.mark.slow

SEEDS = [333, 576]
CATEGORIES = ["bottle", "toothbrush"]


def test_all_detectors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Table 9."""
    mvtec_tree(
        tmp_path / "data", CATEGORIES, counts={"train good": 80, "test good": 5, "test bad": 30}, side=48
    )
    tiny_sam.register(monkeypatch)
    monkeypatch.setenv("MVTEC_ROOT", str(tmp_path / "data"))
    monkeypatch.setenv("SAM_CHECKPOINT", str(tiny_sam.checkpoint(tmp_path)))
    settings = [f"split.seeds={SEEDS}", f"categories={CATEGORIES}", "segmenter.params.model=tiny"]
    run = Run("mvtec_allad", tmp_path, *settings)
    run.check_results(CATEGORIES, SEEDS)
    run.check_comparison(CATEGORIES)
    for category in CATEGORIES:
        for split in run.splits[category].values():
            assert len(split["detectors"]) == 72
            assert len(split["final"]) == 8 + 20
            assert len([i for i in split["test"] if "/good/" not in i]) == 10


def test_each_type_of_defect_held_out_in_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the paper does not have; where there is but one type there is no fold."""
    mvtec_tree(
        tmp_path / "data", CATEGORIES, counts={"train good": 80, "test good": 5, "test bad": 40}, side=48
    )
    monkeypatch.setenv("MVTEC_ROOT", str(tmp_path / "data"))
    monkeypatch.setenv("SAM_CHECKPOINT", str(tiny_sam.checkpoint(tmp_path)))
    rows = [{"name": "alone", "score": "fastflow"}, {"name": "with SegAD", "detectors": ["fastflow"]}]
    settings = ["split.hold_out=defects", "split.seeds=[333]", f"rows={json.dumps(rows)}"]
    run = Run("mvtec_allad", tmp_path, *settings, f"categories={CATEGORIES}", "segmenter=whole_image")
    types = sorted(MVTEC["bottle"][2])
    folds = [(c, held) for c, own in zip(CATEGORIES, (["", *types], [""]), strict=True) for held in own]
    assert "'defective' is not held out" in run.said
    assert [(r["category"], r["held_out"], r["row"]) for r in run.results] == [
        (*fold, row["name"]) for fold in folds for row in rows
    ]
    drawn = run.splits["bottle"]
    assert list(drawn) == ["333", *(f"333 without {name}" for name in types)]
    assert list(run.splits["toothbrush"]) == ["333"]
    for name in types:
        split = drawn[f"333 without {name}"]
        bad = {part: [i for i in split[part] if "/good/" not in i] for part in ("final", "test")}
        assert split["detectors"] == drawn["333"]["detectors"]
        assert (len(split["final"]), len(bad["final"]), len(bad["test"])) == (8 + 20, 20, 20)
        assert not [i for i in bad["final"] if i.startswith(f"test/{name}/")]
        images = list((tmp_path / "data" / "bottle" / "test" / name).iterdir())
        assert len([i for i in bad["test"] if i.startswith(f"test/{name}/")]) == len(images)
        own = [r for r in run.results if r["held_out"] == name]
        assert [(r["n_bad"], r["n_unseen"]) for r in own] == [("20", str(len(images)))] * 2
        assert all(0 <= float(r["auroc_unseen"]) <= 1 for r in own)
    assert "## Held-out defect types (3)" in run.table
    assert "## Seen and unseen defects" not in run.table
