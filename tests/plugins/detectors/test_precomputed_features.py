"""Runs on a published release: feature tables are those of the official code, scores are the maps'."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from builders import data_set, run_command, said, segad
from published_maps import map_file, maps_of, release, segmentation_file
from scipy.stats import kurtosis, skew
from small_runs import done, prepared, row, workplace, write

from segad_core.errors import RecipeError
from segad_core.run.cells import StatisticsTask
from segad_core.run.rows import feature_table, read_final

SIZE = (40, 56)
MODELS = ["efficient_ad", "rd4ad"]
SEGMENTS = ["background", "board", "chip"]
GOOD, BAD = 9, 7
IMAGES = [(0, f"{i:03}") for i in range(GOOD)] + [(1, f"{i:03}") for i in range(BAD)]
STATISTICS = ["q995", "skew", "kurtosis", "mean"]


def official_line(root: Path, label: int, stem: str) -> dict[str, float]:
    """An image's features by the official definitions, each from its own name: nothing of segad's is used.

    Per segment and model the 99.5 % quantile, the biased skew, the biased Fisher kurtosis and the mean,
    all 0 where the segment is empty; then each model's maximum. Segmentations have half the maps' size.
    """
    labels = np.load(segmentation_file(root, "a", label, stem)).repeat(2, axis=0).repeat(2, axis=1)
    maps = {model: np.load(map_file(root, model, "a", label, stem)).astype(np.float64) for model in MODELS}
    line = {}
    for place, segment in enumerate(SEGMENTS):
        for model in MODELS:
            values = pd.Series(maps[model][labels == place])
            line[f"{segment}.{model}.q995"] = np.quantile(values, 0.995) if len(values) else 0.0
            line[f"{segment}.{model}.skew"] = skew(values) if len(values) else 0.0
            line[f"{segment}.{model}.kurtosis"] = kurtosis(values) if len(values) else 0.0
            line[f"{segment}.{model}.mean"] = values.mean() if len(values) else 0.0
    return line | {f"image.{model}.max": maps[model].max() for model in MODELS}


def official_table(root: Path, ids: list[str]) -> pd.DataFrame:
    """A line for each image, which is known by its path in the data set."""
    lines = [official_line(root, int(i.startswith("bad/")), Path(i).stem) for i in ids]
    return pd.DataFrame(lines, index=ids)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    workplace(tmp_path, monkeypatch)  # brings the final classifier that keeps what it learns from
    half = (SIZE[0] // 2, SIZE[1] // 2)
    release(tmp_path / "published", IMAGES, "a", MODELS, len(SEGMENTS), SIZE, half)
    data_set(tmp_path / "images", good=GOOD, bad=BAD)
    return tmp_path


def maps(model: str, category: str) -> dict[str, str]:
    """The detector's parameters: a folder, seen from the recipe's."""
    return {"maps": str(maps_of(Path("published"), model, category))}


def recipe(home: Path, **changes: Any) -> Path:
    """All that the official code reads of a release: two models' maps, and a segmentation."""
    detectors = {model: {"use": "precomputed", "per_category": {"a": maps(model, "a")}} for model in MODELS}
    given = {"segmentations": "published/visa_segm/a", "segments": SEGMENTS}
    plain = {
        "dataset": {"use": "folder", "params": {"root": "images"}},
        "image": {"size": list(SIZE)},
        "split": {"seeds": [333], "test": {"good": 3, "bad": 4}, "detectors": {"good": 0}},
        "detectors": detectors,
        "segmenter": {"use": "precomputed", "per_category": {"a": given}},
        "features": STATISTICS,
        "rows": [*({"name": m, "score": m} for m in MODELS), {"name": "SegAD", "detectors": "all"}],
        **changes,
    }
    return write(home, **plain)


def test_feature_tables_are_those_of_the_official_code(home: Path) -> None:
    """Every feature of every image, in the official order; empty segments, ignored pixels, sizes included."""
    plan, store = done(recipe(home))
    task = row(plan, "SegAD")
    (scored,) = (task for task in plan.tasks if isinstance(task, StatisticsTask))
    ids = [sample.id for sample in scored.samples]
    assert len(ids) == GOOD + BAD
    found, names = feature_table(task, task.table, store)
    expected = official_table(home / "published", ids)
    assert names == list(expected.columns)
    assert len(names) == 4 * len(MODELS) * len(SEGMENTS) + len(MODELS)
    assert (expected[[f"{name}.rd4ad.mean" for name in SEGMENTS]] == 0).any(axis=None)  # some are empty
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_the_final_classifier_learns_from_just_these(home: Path) -> None:
    """The lines of its training images and their labels."""
    plan, store = done(recipe(home))
    task = row(plan, "SegAD")
    state, _ = read_final(task, store)
    labels, learnt = state["labels"], state["features"]
    (scored,) = (task for task in plan.tasks if isinstance(task, StatisticsTask))
    ids = [scored.samples[line].id for line in task.train]
    assert labels.tolist() == [int(i.startswith("bad/")) for i in ids]
    assert sorted(set(labels.tolist())) == [0, 1]
    np.testing.assert_allclose(learnt, official_table(home / "published", ids), rtol=1e-6, atol=1e-6)


def test_a_run_scores_each_image_by_its_maps_maximum(home: Path) -> None:
    said(result := run_command(recipe(home, final="brf")))
    assert result.exit_code == 0, result.output
    scores = pd.read_csv(home / "runs" / "tiny" / "latest" / "scores.csv")
    for model in MODELS:
        own = scores[scores["row"] == model].set_index("image")["score"]
        assert len(own) == 3 + 4
        expected = official_table(home / "published", list(own.index))[f"image.{model}.max"]
        np.testing.assert_allclose(own, expected, rtol=1e-6)


def test_what_is_wrong_with_all_maps_is_told_before_anything_runs(home: Path) -> None:
    result = segad("check", recipe(home, image={"size": [56, 40]}), "--store", home / "store")
    assert "is 56 x 40 pixels (width x height), and the recipe resizes images to 40 x 56" in said(result)
    assert result.exit_code == 1


def test_a_run_names_the_image_whose_map_is_missing(home: Path) -> None:
    lost = map_file(home / "published", "rd4ad", "a", 1, "003")
    lost.unlink()
    result = run_command(recipe(home, final="brf"))
    told = " ".join(said(result).split())
    assert "image 'bad/003.png': anomaly map" in told
    assert result.exit_code == 1


def test_a_map_that_changed_is_read_anew(home: Path) -> None:
    """What is in the store belongs to the content of the folder."""
    path = recipe(home)
    before = _maxima(path)
    changed = map_file(home / "published", "rd4ad", "a", 1, "003")
    np.save(changed, np.load(changed) * np.float32(2))
    after = _maxima(path)
    assert [i for i in before if after[i] != before[i]] == ["bad/003.png"]
    assert after["bad/003.png"] == 2 * before["bad/003.png"]


def test_an_image_that_was_renamed_has_the_map_of_its_new_name(home: Path) -> None:
    """Though neither its content nor the maps have changed since its old name was scored."""
    renamed = [f"{i + 100:03}" for i in range(GOOD)]
    for old, new in zip((f"{i:03}" for i in range(GOOD)), renamed, strict=True):
        for model in MODELS:
            np.save(
                map_file(home / "published", model, "a", 0, new),
                np.load(map_file(home / "published", model, "a", 0, old)) + np.float32(1000),
            )
        labels = np.load(segmentation_file(home / "published", "a", 0, old))
        np.save(segmentation_file(home / "published", "a", 0, new), labels)
    path = recipe(home)
    before = _maxima(path)
    for old, new in zip((f"{i:03}" for i in range(GOOD)), renamed, strict=True):
        (home / "images/a/good" / f"{old}.png").rename(home / "images/a/good" / f"{new}.png")
    after = _maxima(path)
    expected = official_table(home / "published", list(after))["image.rd4ad.max"]
    assert after == pytest.approx(dict(expected), rel=1e-6)
    assert all(after[f"good/{name}.png"] > 900 for name in renamed)
    assert all(before[f"good/{i:03}.png"] < 900 for i in range(GOOD))


def test_an_image_that_was_renamed_has_the_segmentation_of_its_new_name(home: Path) -> None:
    """Also where the detector goes by content: the statistics of whole maps stay as they are."""
    segmentation = segmentation_file(home / "published", "a", 1, "006")
    np.save(segmentation.with_name("007.npy"), np.load(segmentation)[::-1])
    spotty = {"spotty": {"use": "spotty", "params": {"wrong": "nowhere"}}}
    split = {"test": {"good": 3, "bad": 4}, "detectors": {"good": 2}}
    path = recipe(home, detectors=spotty, rows=[{"name": "SegAD", "detectors": ["spotty"]}], split=split)
    before = row(prepared(path).plans[0], "SegAD").table
    (home / "images/a/bad/006.png").rename(home / "images/a/bad/007.png")
    after = row(prepared(path).plans[0], "SegAD").table
    assert after.image_keys == before.image_keys
    assert after.segment_keys != before.segment_keys


@pytest.mark.parametrize("where", ["row", "split"])
def test_there_are_no_maps_of_generated_defects(home: Path, where: str) -> None:
    """In the row itself and for the whole recipe; the detector's own row needs none."""
    generated = {"bad": {"from": "generated", "use": ["blur"]}}
    rows = [{"name": "alone", "score": "rd4ad"}, {"name": "SegAD", "detectors": ["rd4ad"]}]
    if where == "row":
        path = recipe(home, final="brf", rows=[rows[0], {**rows[1], **generated}])
    else:
        split = {"test": {"good": 3, "bad": 4}, "detectors": {"good": 0}, "final": generated}
        path = recipe(home, final="brf", rows=rows, split=split)
    with pytest.raises(RecipeError) as caught:
        done(path)
    (problem,) = caught.value.problems
    assert "detector 'rd4ad' has precomputed maps" in problem
    assert "rows[1]" in problem


def _maxima(path: Path) -> dict[str, float]:
    plan, store = done(path)
    task = row(plan, "SegAD")
    (scored,) = (task for task in plan.tasks if isinstance(task, StatisticsTask))
    found, _ = feature_table(task, task.table, store)
    return dict(zip((sample.id for sample in scored.samples), found[:, -1], strict=True))


def test_each_category_has_maps_and_segments_of_its_own(home: Path) -> None:
    """As in the release, where a board has other segments than a candle."""
    data_set(home / "images", ("a", "b"), good=GOOD, bad=BAD)
    release(home / "published", IMAGES[::-1], "b", MODELS, 2, SIZE)
    plain = yaml.safe_load(recipe(home, final="brf").read_text())
    for model in MODELS:
        plain["detectors"][model]["per_category"]["b"] = {
            "maps": f"published/anomaly_maps/{model}/b/anomaly_maps"
        }
    given = {"segmentations": "published/visa_segm/b", "segments": SEGMENTS[:2]}
    plain["segmenter"]["per_category"]["b"] = given
    said(result := run_command(write(home, **plain)))
    assert result.exit_code == 0, result.output
    scores = pd.read_csv(home / "runs" / "tiny" / "latest" / "scores.csv", dtype={"category": str})
    own = scores[(scores["row"] == "rd4ad") & (scores["category"] == "b")]
    assert len(own) == 3 + 4
    for image, score in zip(own["image"], own["score"], strict=True):
        path = map_file(home / "published", "rd4ad", "b", int(image.startswith("bad/")), Path(image).stem)
        assert score == pytest.approx(np.load(path).max(), rel=1e-6)
