"""What a recipe never inspects: in no statistic, no score and no training, and in no key without it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import data_set, run_command, said, segad
from PIL import Image
from small_runs import done, prepared, row, workplace, write

from segad_core.bundle.format.appearance import FILE
from segad_core.bundle.runtime.bundle import Bundle
from segad_core.errors import RecipeError, SegadError
from segad_core.plugins.registry import Registry
from segad_core.recipe import load_recipe
from segad_core.run.rows import feature_table, read_scores

ROWS = [{"name": "Spotty", "score": "spotty"}, {"name": "SegAD", "detectors": ["spotty"]}]
BOX = (slice(30, 44), slice(4, 20))
"""Where a serial number stands."""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = workplace(tmp_path, monkeypatch)
    mask = np.zeros((48, 48), np.uint8)
    mask[BOX] = 1
    Image.fromarray(mask * 255).save(place / "ignore.png")
    Image.fromarray(mask).save(place / "labels.png")
    return place


def labelled(home: Path, **changes: Any) -> Path:
    """A recipe whose drawn mask has a segment `ignore`."""
    params = {"mask": "labels.png", "segments": ["part", "ignore"]}
    return write(home, rows=ROWS, segmenter={"use": "static_mask", "params": params}, **changes)


def number_everything(home: Path, value: int) -> None:
    """Writes something else, as bright as it can be, where nothing is inspected."""
    for path in sorted((home / "data").rglob("*.png")):
        pixels = np.array(Image.open(path))
        pixels[BOX] = np.random.default_rng([value, int(path.stem)]).integers(0, 256, pixels[BOX].shape)
        pixels[31, 5] = 255
        Image.fromarray(pixels).save(path)


def expected(home: Path, image: str) -> tuple[float, float]:
    """The mean and the maximum of what is inspected."""
    pixels = np.array(Image.open(home / "data" / "a" / image))[..., 0].astype(np.float32)
    inspected = np.ones(pixels.shape, bool)
    inspected[BOX] = False
    return float(pixels[inspected].mean(dtype=np.float64)), float(pixels[inspected].max())


@pytest.mark.parametrize("how", ["mask", "label"])
def test_statistics_and_scores_are_those_of_the_rest(home: Path, how: str) -> None:
    number_everything(home, 1)
    whole = {"image_features": ["max", "mean"]}
    path = write(home, rows=ROWS, ignore="ignore.png", **whole) if how == "mask" else labelled(home, **whole)
    plan, store = done(path)
    task = row(plan, "SegAD")
    features, names = feature_table(task, task.table, store)
    segment = "whole" if how == "mask" else "part"
    assert names == [f"{segment}.spotty.mean", "image.spotty.max", "image.spotty.mean"]
    alone = row(plan, "Spotty")
    for line, image, score in zip(alone.scored, alone.scored_ids, read_scores(alone, store), strict=True):
        mean, highest = expected(home, image)
        assert features[line] == pytest.approx([mean, highest, mean], rel=1e-6)
        assert score == highest


def test_a_mask_can_belong_to_one_category(home: Path) -> None:
    for ignore, keys in (({"a": "ignore.png"}, True), ({}, False)):
        plan = prepared(write(home, rows=ROWS, **({"ignore": ignore} if ignore else {}))).plans[0]
        found = [task.ignore is not None for task in plan.tasks if hasattr(task, "ignore")]
        assert found and all(one is keys for one in found)
    with pytest.raises(RecipeError, match="'b'"):
        prepared(write(home, rows=ROWS, ignore={"b": "ignore.png"}))


def test_all_keys_change_with_the_mask_and_none_without_it(home: Path) -> None:
    def keys(path: Path) -> set[str]:
        return {cell.key for task in prepared(path).plans[0].tasks for cell in task.cells}

    plain = keys(write(home, rows=ROWS))
    assert "ignore" not in (home / "tiny.yaml").read_text()
    ignoring = keys(write(home, rows=ROWS, ignore="ignore.png"))
    assert not plain & ignoring and len(plain) == len(ignoring)
    other = np.zeros((48, 48), np.uint8)
    other[0] = 255
    Image.fromarray(other).save(home / "ignore.png")
    assert not ignoring & keys(write(home, rows=ROWS, ignore="ignore.png"))
    assert keys(write(home, rows=ROWS)) == plain


def test_the_resolved_recipe_names_the_mask(home: Path) -> None:
    for given in ("ignore.png", {"a": "ignore.png"}):
        resolved = load_recipe(str(write(home, rows=ROWS, ignore=given)), Registry()).resolved()
        assert str(home / "ignore.png") in resolved
        (home / "again.yaml").write_text(resolved)
        assert load_recipe(str(home / "again.yaml"), Registry()).resolved() == resolved


@pytest.mark.parametrize("wrong", ["absent", "empty", "shape"])
def test_masks_that_cannot_be_meant_are_refused_before_training(home: Path, wrong: str) -> None:
    mask = np.full((48, 48 if wrong == "empty" else 96), 0, np.uint8)
    mask[0, 0] = 255 if wrong == "shape" else 0
    Image.fromarray(mask).save(home / "other.png")
    with pytest.raises(SegadError, match=r"other\.png|absent\.png"):
        prepared(write(home, rows=ROWS, ignore="absent.png" if wrong == "absent" else "other.png"))


def test_generated_defects_lie_on_what_is_inspected(home: Path) -> None:
    bad = {"from": "generated", "use": ["rectangle"]}
    rows = [{"name": "SegAD", "detectors": ["spotty"], "bad": bad}]
    params = {"mask": "labels.png", "segments": ["part", "ignore"]}
    plan, store = done(write(home, rows=rows, segmenter={"use": "static_mask", "params": params}))
    task = row(plan, "SegAD")
    assert task.generated is not None
    damaged, _ = feature_table(task, task.generated, store)
    good, _ = feature_table(task, task.table, store)
    assert len(damaged) == len(task.train)
    assert (damaged[:, 0] != good[list(task.train), 0]).all()


def test_features_that_learn_from_good_parts_see_the_rest_alone(home: Path) -> None:
    number_everything(home, 2)
    plan, store = done(
        write(home, rows=ROWS[1:], ignore="ignore.png", features=["above"], image_features=["above"])
    )
    task = row(plan, "SegAD")
    features, _ = feature_table(task, task.table, store)
    means = [expected(home, image)[0] for image in _good_trained(plan, task)]
    for line, image in zip(task.scored, task.scored_ids, strict=True):
        pixels = np.array(Image.open(home / "data" / "a" / image))[..., 0].astype(np.float64)
        pixels[BOX] = 0
        assert features[line].tolist() == [(pixels > max(means)).sum()] * 2


def _good_trained(plan: Any, task: Any) -> list[str]:
    samples = next(t for t in plan.tasks if type(t).__name__ == "StatisticsTask").samples
    return [samples[line].id for line, label in zip(task.train, task.train_labels, strict=True) if not label]


def test_a_bundle_gives_the_same_scores_whatever_is_there(home: Path, tmp_path: Path) -> None:
    path = labelled(home)
    for name, out in (("SegAD", "s"), ("Spotty", "p")):
        words = ("--category", "a", "--row", name, "--device", "cpu", "--store", home / "store")
        result = segad("fit", path, *words, "-o", home / out)
        assert result.exit_code == 0, said(result)
    before = {out: segad("predict", home / out, home / "data").stdout for out in ("s", "p")}
    number_everything(home, 3)
    after = {out: segad("predict", home / out, home / "data").stdout for out in ("s", "p")}
    assert after == before
    assert "ignore" not in before["s"]
    shown = segad("bundle", "show", home / "s")
    assert "part" in shown.output and "ignore," not in shown.output
    assert "the segment 'ignore' of static_mask" in shown.output
    overlays = segad("predict", home / "s", home / "data" / "a" / "bad" / "000.png", "--overlays", home / "o")
    assert overlays.exit_code == 0, said(overlays)
    picture = np.asarray(Image.open(next((home / "o").rglob("*.jpg"))))
    factor = 384 // 48
    top = picture.shape[0] - 384  # the panels' own height; the legend has one segment, so none
    found = picture[:, 12 : 12 + 384].reshape(len(picture), -1, 3)
    grey = np.abs(found.astype(int) - 128).max(axis=-1) < 6
    assert grey.sum() > 0.9 * (14 * 16 * factor**2), top


def test_patchcore_runs_and_predicts_the_same_whatever_is_there(tmp_path: Path) -> None:
    """The real detector, encoder and forest: nothing of what is ignored reaches any score."""
    from builders import write_recipe

    data_set(tmp_path / "data")
    mask = np.zeros((48, 48), np.uint8)
    mask[BOX] = 255
    Image.fromarray(mask).save(tmp_path / "ignore.png")
    path = write_recipe(tmp_path, ("segmenter: whole_image", "segmenter: whole_image\nignore: ignore.png"))
    tables = []
    for value in (4, 5):
        number_everything(tmp_path, value)
        result = run_command(path)
        assert result.exit_code == 0, said(result)
        latest = (tmp_path / "runs" / "tiny" / "latest" / "scores.csv").read_text()
        tables.append(latest)
    assert tables[0] == tables[1]


def test_a_segment_called_ignore_may_lie_elsewhere_in_each_image(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of `halves`, whose border is at a height of its own in each image."""
    monkeypatch.setattr("fakes.Halves.segments", lambda _: ("top", "ignore"))
    path = write(home, rows=ROWS, segmenter="halves")
    plan, store = done(path)
    task, alone = row(plan, "SegAD"), row(plan, "Spotty")
    features, names = feature_table(task, task.table, store)
    assert names == ["top.spotty.mean", "image.spotty.max"]
    scores = dict(zip(alone.scored_ids, read_scores(alone, store), strict=True))
    words = ("--category", "a", "--row", "Spotty", "--device", "cpu", "--store", home / "store")
    result = segad("fit", path, *words, "-o", home / "p")
    assert result.exit_code == 0, said(result)
    with Bundle.load(home / "p", "cpu") as bundle:
        for line, image in zip(task.scored, task.scored_ids, strict=True):
            place = home / "data" / "a" / image
            pixels = np.array(Image.open(place))[..., 0].astype(np.float64)
            top = pixels[: 10 + int(pixels[0, 0]) % 5]
            assert features[line] == pytest.approx([top.mean(), top.max()], rel=1e-6)
            assert scores[image] == top.max() == bundle.predict([place])[0].score


def test_check_says_what_is_ignored_and_preview_shows_it(home: Path) -> None:
    path = write(home, rows=ROWS, ignore="ignore.png")
    checked = segad("check", path, "--store", home / "store")
    assert "9.7% of each image (ignore.png)" in said(checked)  # 14 x 16 of 48 x 48 pixels
    assert "segment 'ignore' of static_mask" in said(segad("check", labelled(home), "--store", home / "s"))
    assert "ignored" not in said(segad("check", write(home, rows=ROWS), "--store", home / "s"))
    words = ("--store", home / "store", "-o", home / "preview.png")
    path = write(home, rows=ROWS, ignore="ignore.png")
    assert "9.7%" in said(segad("mask", "preview", path, *words))


def test_maps_of_known_images_cannot_say_what_detectors_ignore(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fakes.Halves.segments", lambda _: ("top", "ignore"))
    monkeypatch.setattr("fakes.Halves.knows_images_by_name", True, raising=False)
    with pytest.raises(RecipeError, match="halves"):
        prepared(write(home, rows=ROWS, segmenter="halves"))


@pytest.mark.parametrize(
    "image",
    [
        {"size": [48, 48], "tiles": {"size": [32, 32], "overlap": 0.25}},
        {"size": [48, 80], "fit": "pad"},
        {"size": [48, 80], "fit": "pad", "tiles": {"size": [32, 48], "overlap": 0.25}},
    ],
    ids=str,
)
def test_tiles_and_padding_ignore_the_same(home: Path, image: dict[str, Any]) -> None:
    number_everything(home, 6)
    path = labelled(home, image=image, regions={"good": 1.0}, image_features=["max", "mean"])
    plan, store = done(path)
    task = row(plan, "SegAD")
    features, _ = feature_table(task, task.table, store)
    for line, name in zip(task.scored, task.scored_ids, strict=True):
        mean, highest = expected(home, name)
        assert features[line] == pytest.approx([mean, highest, mean], rel=1e-5)
    words = ("--category", "a", "--row", "SegAD", "--device", "cpu", "--store", home / "store")
    result = segad("fit", path, *words, "-o", home / "b")
    assert result.exit_code == 0, said(result)
    images = [home / "data" / "a" / "bad" / f"{i:03}.png" for i in range(4)]
    with Bundle.load(home / "b", "cpu") as bundle:
        before = bundle.predict(images)
        number_everything(home, 7)
        assert bundle.predict(images) == before
        for path, found in zip(images, before, strict=True):
            pixels = np.array(Image.open(path))[..., 0].astype(int)
            pixels[BOX] = 0
            rows, columns = np.nonzero(pixels > 200)
            if len(rows):
                (region,) = found.regions
                assert (region.x, region.y) == (columns.min(), rows.min())
                assert (region.width, region.height) == (np.ptp(columns) + 1, np.ptp(rows) + 1)


def test_how_good_images_look_does_not_depend_on_what_is_there(home: Path) -> None:
    """Predictions look at grey, and so must what they are compared with."""
    path, looks = write(home, rows=ROWS, ignore="ignore.png"), []
    for value in (8, 9):
        number_everything(home, value)
        words = ("--category", "a", "--row", "Spotty", "--device", "cpu", "--store", home / "store")
        result = segad("fit", path, *words, "-o", home / f"{value}")
        assert result.exit_code == 0, said(result)
        looks.append((home / f"{value}" / FILE).read_bytes())
    assert looks[0] == looks[1]


def test_a_bundle_has_the_segmenter_once_though_its_row_switches_a_segment_off(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = np.array(Image.open(home / "labels.png"))
    labels[:, 40:] = 2
    Image.fromarray(labels).save(home / "labels.png")
    params = {"mask": "labels.png", "segments": ["part", "ignore", "edge"]}
    path = write(
        home,
        rows=[{**ROWS[1], "segments": {"edge": 0}}],
        segmenter={"use": "static_mask", "params": params},
        final="logistic",
    )
    words = ("--category", "a", "--row", "SegAD", "--device", "cpu", "--store", home / "store")
    result = segad("fit", path, *words, "-o", home / "b")
    assert result.exit_code == 0, said(result)
    assert [file.name for file in (home / "b" / "files").iterdir()] == ["segmenter-mask-0.png"]
    with Bundle.load(home / "b", "cpu") as bundle:
        row, ignored = bundle.pipeline.segad, bundle.pipeline.ignored
        assert row is not None and ignored is not None
        assert row.segmenter.segments == ("part",)
        assert ignored._segmenters[0].segmenter is row.segmenter.segmenter
