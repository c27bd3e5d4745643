"""Features that learn from good parts: fitted on good images of the final classifier, kept, bundled."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import fakes
import numpy as np
import pytest
from builders import said, segad
from numpy.typing import NDArray
from PIL import Image
from small_runs import done, prepared, row, workplace, write

from segad_core.bundle.runtime.bundle import Bundle
from segad_core.run.cells import StatisticsTask
from segad_core.run.estimates import Estimates, Needs, _statistics
from segad_core.run.rows import feature_table

SPLIT = {"seeds": [0, 1], "test": {"good": 4, "bad": 3}, "detectors": {"good": 8, "seed": 0}}
ROWS: list[dict[str, Any]] = [{"name": "real", "detectors": "all"}]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return workplace(tmp_path, monkeypatch)


def recipe(home: Path, **changes: Any) -> Path:
    return write(home, **{"features": ["above"], "segmenter": "halves", "rows": ROWS, **changes})


def brightness(home: Path, image: str) -> NDArray[np.float64]:
    """The map of the detector: what the red channel shows."""
    shown = Image.open(home / "data" / "a" / image).convert("RGB")
    return np.asarray(shown.resize((48, 48), Image.Resampling.BILINEAR), np.float64)[..., 0]


def halves(anomaly_map: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Top and low, as the fake segmenter has them: the first pixel says where the border is."""
    border = 10 + int(anomaly_map[0, 0]) % 5
    return [anomaly_map[:border], anomaly_map[border:]]


def test_features_learn_from_the_final_classifiers_good_images_alone(home: Path) -> None:
    """By hand: pixels above the highest mean of the good images of each seed's final split."""
    path = recipe(home, split=SPLIT)
    splits = prepared(path).splits["a"]
    plan, store = done(path)
    made_by = {c.key: t for t in plan.tasks if isinstance(t, StatisticsTask) for c in t.cells}
    limits = []
    for fold, split in splits.items():
        task = next(task for task in plan.rows() if task.seed == fold.seed)
        scored = made_by[task.table.segment_keys[0]]
        found, names = feature_table(task, task.table, store)
        assert names == ["top.spotty.above", "low.spotty.above", "image.spotty.max"]
        good = [halves(brightness(home, i)) for i in split.final if i.startswith("good/")]
        limits.append([max(float(maps[half].mean()) for maps in good) for half in (0, 1)])
        for sample, line in zip(scored.samples, found, strict=True):
            shown = halves(brightness(home, sample.id))
            assert line[:2].tolist() == [int((shown[h] > limits[-1][h]).sum()) for h in (0, 1)]
    assert limits[0] != limits[1]  # else this test could not tell one seed's images from another's


def test_generated_defects_are_measured_by_what_real_good_images_show(home: Path) -> None:
    rows = [{**ROWS[0], "bad": {"from": "generated", "use": ["dot"]}}]
    plan, store = done(recipe(home, rows=rows))
    task = row(plan, "real")
    assert task.generated is not None
    damaged, _ = feature_table(task, task.generated, store)
    real, _ = feature_table(task, task.table, store)
    good = real[list(task.train)]
    np.testing.assert_array_equal(damaged[:, 0], good[:, 0])
    gained = damaged[:, 1] - good[:, 1]  # a white pixel in the lower half, where it was not bright already
    assert set(gained.tolist()) <= {0, 1} and gained.any()


def test_a_bundle_takes_along_what_its_features_learnt(home: Path) -> None:
    path, out = recipe(home, final="brf", image_features=["above"]), home / "above.segad"
    options = ("--store", home / "store", "--device", "cpu")
    result = segad("fit", path, "--category", "a", "--row", "real", "-o", out, *options)
    assert result.exit_code == 0, said(result)
    result = segad("run", path, "--runs", home / "runs", *options)
    assert result.exit_code == 0, said(result)
    (scores,) = {file.resolve() for file in (home / "runs").rglob("scores.csv")}
    with scores.open(encoding="utf-8") as file:
        expected = {line["image"]: float(line["score"]) for line in csv.DictReader(file)}
    with Bundle.load(out, "cpu") as bundle:
        for image, score in expected.items():
            (found,) = bundle.predict([home / "data" / "a" / image])
            assert found.score == pytest.approx(score, abs=1e-9)
    files = json.loads((out / "manifest.json").read_text())["files"]
    assert {"features/spotty.safetensors", "image_features/spotty.safetensors"} <= files.keys()


def test_plain_features_have_the_keys_that_they_had(home: Path) -> None:
    """What a fitted feature is fitted on is in its keys, and in no other's."""

    def keys(good: float, **changes: Any) -> set[str]:
        final = {"good": good}
        plan = prepared(recipe(home, split={**SPLIT, "seeds": [0], "final": final}, **changes)).plans[0]
        return {c.key for task in plan.tasks if isinstance(task, StatisticsTask) for c in task.cells}

    assert keys(4, features=["mean"]) == keys(5, features=["mean"])
    assert not keys(4, image_features=["above"]) & keys(5, image_features=["above"])


def test_every_detector_has_an_instance_of_its_own(home: Path) -> None:
    """The second detector's limit is its own: its maps are twice as bright."""
    detectors = {
        "spotty": {"use": "spotty", "params": {"wrong": "nowhere"}},
        "twice": {"use": "bright", "params": {}},
    }
    plan, store = done(recipe(home, detectors=detectors, image_features=["max"]))
    found, names = feature_table(row(plan, "real"), row(plan, "real").table, store)
    columns = dict(zip(names, found.T, strict=True))
    for half in ("top", "low"):
        np.testing.assert_array_equal(columns[f"{half}.spotty.above"], columns[f"{half}.twice.above"])
    np.testing.assert_array_equal(2 * columns["image.spotty.max"], columns["image.twice.max"])
    assert fakes.Above.fitted >= 2


def test_all_detectors_share_one_pass_over_the_good_images(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Segments and whole maps, two detectors: every good image is decoded once for all of them."""
    seen: list[str] = []
    sound = fakes.Bright.anomaly_maps

    def counted(self: Any, batch: Any) -> Any:
        seen.extend(sample.id for sample in batch.samples)
        return sound(self, batch)

    monkeypatch.setattr(fakes.Bright, "anomaly_maps", counted)
    detectors = {
        "spotty": {"use": "spotty", "params": {"wrong": "nowhere"}},
        "twice": {"use": "bright", "params": {}},
    }
    path = recipe(home, detectors=detectors, image_features=["above"])
    (split,) = prepared(path).splits["a"].values()
    done(path)
    good = [image for image in split.final if image.startswith("good/")]
    assert sorted(image for image in seen if image in good) == sorted(2 * good)  # to fit, and to score


def test_the_maps_that_features_learn_from_are_estimated(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Float32 maps and uint8 labels of two seeds' good images, by hand."""

    def estimate(features: list[str]) -> tuple[int, int]:
        plans = prepared(recipe(home, split=SPLIT, features=features)).plans
        found = Needs()
        for task in plans[0].tasks:
            if isinstance(task, StatisticsTask):
                _statistics(task, found, Estimates(plans))
        return found.memory, found.temporary

    plan = prepared(recipe(home, split=SPLIT)).plans[0]
    cells = [c for task in plan.tasks if isinstance(task, StatisticsTask) for c in task.cells]
    good = [len(cell.fitted.good) for cell in cells if cell.fitted]
    assert len(good) == 2
    extra = 5 * max(good) * 48 * 48  # each seed has a pass of its own
    learns, plain = estimate(["above"]), estimate(["mean"])
    assert (learns[0] - plain[0], learns[1]) == (extra, 0)
    monkeypatch.setattr("segad_core.run.estimates.IN_MEMORY", 0)
    assert estimate(["above"]) == (plain[0], extra)
