"""Rows that learn from generated defects, and segmentation maps that say how well they fit."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import fakes
import numpy as np
import pytest
from builders import run_command, said
from numpy.typing import NDArray
from PIL import Image
from small_runs import done, prepared, row, workplace, write

from segad_core.contracts import DefectGenerator, ImageBatch, Sample
from segad_core.errors import DataError, PluginError
from segad_core.plugins.registry import Registry
from segad_core.recipe import load_recipe
from segad_core.run.cells import StatisticsTask
from segad_core.run.rows import read_final
from segad_core.scoring.defects import with_defects

DOT = {"from": "generated", "use": ["dot"]}
ROWS: list[dict[str, Any]] = [
    {"name": "real", "detectors": ["spotty"]},
    {"name": "generated", "detectors": ["spotty"], "bad": DOT},
    {"name": "one segment", "detectors": ["spotty"], "bad": DOT, "segmenter": "whole_image"},
]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return workplace(tmp_path, monkeypatch)


def recipe(home: Path, **changes: Any) -> Path:
    return write(home, **{"segmenter": "halves", "features": ["max"], "rows": ROWS, **changes})


def learnt(home: Path, name: str, **changes: Any) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    plan, store = done(recipe(home, **changes))
    state, _ = read_final(row(plan, name), store)
    return np.asarray(state["features"], np.float64), np.asarray(state["labels"], np.int64)


def test_a_row_learns_from_one_defect_on_each_good_image(home: Path) -> None:
    """Good images as they are, then the same with a white pixel in the lower half; no real bad image."""
    features, labels = learnt(home, "generated")
    assert labels.tolist() == [0] * 12 + [1] * 12
    good, bad = features[:12], features[12:]
    np.testing.assert_array_equal(bad[:, 0], good[:, 0])  # top: no defect there
    assert (good < 255).all()
    np.testing.assert_array_equal(bad[:, 1:], 255.0)  # low, and the whole map


def test_the_map_of_a_damaged_image_is_that_of_the_good_one(home: Path) -> None:
    """The border between the halves follows a pixel of the image, before the defect came."""
    pixels = [np.array(Image.open(path)) for path in sorted((home / "data/a/good").iterdir())]
    assert len({int(image[0, 0, 0]) % 5 for image in pixels}) > 2
    np.testing.assert_array_equal(learnt(home, "generated")[0][12:, 0], learnt(home, "generated")[0][:12, 0])


def test_another_row_keeps_the_real_ones(home: Path) -> None:
    _, labels = learnt(home, "real")
    assert labels.sum() == 10


def test_rows_with_other_segmenters_learn_from_the_same_images(home: Path) -> None:
    """Defects lie on the segments of the recipe's segmenter, whatever a row measures."""
    plan = prepared(recipe(home)).plans[0]
    assert len([t for t in plan.tasks if isinstance(t, StatisticsTask) and t.defects]) == 1
    both = [learnt(home, name)[0] for name in ("generated", "one segment")]
    np.testing.assert_array_equal(both[0][:, -1], both[1][:, -1])


def test_a_split_without_bad_images_holds_for_all_rows(home: Path) -> None:
    split = {"seeds": [0], "test": {"good": 4, "bad": 3}, "detectors": {"good": 8}}
    path = recipe(home, split={**split, "final": {"bad": DOT}}, rows=ROWS[:1])
    assert run_command(path).exit_code == 0
    splits = json.loads((home / "runs/tiny/latest/splits.json").read_text())["a"]["0"]
    assert not [image for image in splits["final"] if image.startswith("bad/")]
    assert len([image for image in splits["unused"] if image.startswith("bad/")]) == 10


def keys(path: Path) -> set[str]:
    tasks = prepared(path).plans[0].tasks
    return {c.key for t in tasks if isinstance(t, StatisticsTask) and t.defects for c in t.cells}


def test_what_changes_the_defects_changes_their_keys(home: Path) -> None:
    before = keys(recipe(home))
    grey = {"from": "generated", "use": [{"use": "dot", "params": {"grey": 1}}]}
    both = {"from": "generated", "use": ["dot", "dot"]}
    for bad in (grey, both):
        assert not before & keys(recipe(home, rows=[{**ROWS[1], "bad": bad}]))
    segmenter = {"use": "halves", "params": {"fit": 0.5}}
    assert not before & keys(recipe(home, segmenter=segmenter, rows=ROWS[2:]))
    split = {"seeds": [1], "test": {"good": 4, "bad": 3}, "detectors": {"good": 8}}
    assert not before & keys(recipe(home, split=split))
    assert keys(recipe(home)) == before


def test_the_resolved_recipe_gives_the_same_keys(home: Path) -> None:
    path = recipe(home)
    before = [cell.key for task in prepared(path).plans[0].tasks for cell in task.cells]
    path.write_text(load_recipe(str(path), Registry()).resolved())
    assert [cell.key for task in prepared(path).plans[0].tasks for cell in task.cells] == before


class Noisy(DefectGenerator):
    """A random pixel of a grey that says which generator it was."""

    grey = 1

    def apply(
        self, pixels: NDArray[np.uint8], segments: NDArray[np.uint8], rng: np.random.Generator
    ) -> NDArray[np.uint8]:
        made = pixels.copy()
        made[tuple(rng.integers(0, 20, 2))] = self.grey
        return made


class Other(Noisy):
    """The same."""

    grey = 2


class Unable(Noisy):
    """Cannot damage anything."""

    def apply(
        self, pixels: NDArray[np.uint8], segments: NDArray[np.uint8], rng: np.random.Generator
    ) -> NDArray[np.uint8]:
        raise DataError("unable", "Take another.")


def batch(home: Path, *names: str) -> ImageBatch:
    paths = [home / "data/a/good" / name for name in names]
    samples = [Sample(path.name, path, 0) for path in paths]
    return ImageBatch(samples, np.stack([np.full((20, 20, 3), 100, np.uint8) for _ in paths]))


def test_what_an_image_becomes_depends_on_its_file_and_the_seed_alone(home: Path) -> None:
    maps = np.zeros((1, 20, 20), np.uint8)
    names = [f"{i:03}.png" for i in range(12)]
    made = with_defects(batch(home, *names), maps, [Noisy(), Other()], 7).pixels
    turned = with_defects(batch(home, *names[::-1]), maps, [Noisy(), Other()], 7).pixels
    np.testing.assert_array_equal(made, turned[::-1])
    assert {int(image.min()) for image in made} == {1, 2}  # both generators have their turn
    other = with_defects(batch(home, *names), maps, [Noisy(), Other()], 8).pixels
    assert not np.array_equal(made, other)


def test_where_one_generator_cannot_another_does(home: Path) -> None:
    maps = np.zeros((1, 20, 20), np.uint8)
    made = with_defects(batch(home, *(f"{i:03}.png" for i in range(8))), maps, [Unable(), Other()], 7).pixels
    assert (made.reshape(8, -1).min(axis=1) == 2).all()


def test_a_damaged_image_is_nowhere_on_disk(home: Path) -> None:
    good = batch(home, "000.png")
    made = with_defects(good, np.zeros((1, 20, 20), np.uint8), [Noisy()], 7)
    with pytest.raises(LookupError, match="no files behind it"):
        made.full_size(0)


def test_labels_that_no_segment_has_are_told_before_anything_is_trained(home: Path) -> None:
    bad = {"from": "generated", "use": [{"use": "blur", "params": {"labels": [2]}}]}
    result = run_command(recipe(home, rows=[{**ROWS[1], "bad": bad}]))
    assert result.exit_code == 2
    assert said(result) == (
        "error: defect blur: no segment has the label 2\n  Choose 'labels' from those of the "
        "segmenter: 0 top, 1 low.\n"
    )


def test_a_generator_that_gives_no_image(home: Path) -> None:
    bad = {"from": "generated", "use": [{"use": "dot", "params": {"wrong": "shape"}}]}
    told = r"'dot' \(faulty 1.0\), image 'good/0.*png': returned uint8 \(47, 48, 3\)"
    with pytest.raises(PluginError, match=told):
        done(recipe(home, rows=[{**ROWS[1], "bad": bad}]))


def test_an_image_that_a_generator_leaves_as_it_is_does_not_count_as_bad(home: Path) -> None:
    """The next generator damages it; where there is none, it is named."""
    idle: Any = {"use": "dot", "params": {"wrong": "idle"}}
    bad = {"from": "generated", "use": [idle]}
    with pytest.raises(DataError, match=r"'dot' \(faulty 1.0\), image 'good/0.*png': changed nothing"):
        done(recipe(home, rows=[{**ROWS[1], "bad": bad}]))
    bad["use"] = [idle, "dot"]
    plan, store = done(recipe(home, rows=[{**ROWS[1], "bad": bad}]))
    state, _ = read_final(row(plan, ROWS[1]["name"]), store)
    good, damaged = np.split(np.asarray(state["features"], np.float64), 2)
    assert (good != damaged).any(axis=1).all()


def test_an_image_that_can_take_no_defect_is_named(home: Path) -> None:
    bad = {"from": "generated", "use": [{"use": "dot", "params": {"wrong": "unable"}}]}
    result = run_command(recipe(home, rows=[{**ROWS[1], "bad": bad}]))
    assert result.exit_code == 1
    assert "error: image 'good/0" in said(result)
    assert "png': dot: no segment will do\n  Take another.\n" in said(result)


MISTAKES = {
    "no generators": (
        {"rows": [{**ROWS[0], "bad": {"from": "generated"}}]},
        "rows[0].bad: 'use' lists generators of defects, and goes together with 'from: generated'",
    ),
    "generators of real ones": (
        {"rows": [{**ROWS[0], "bad": {"from": "train", "use": ["dot"]}}]},
        "rows[0].bad: 'use' lists generators of defects, and goes together with 'from: generated'",
    ),
    "an amount": (
        {"rows": [{**ROWS[0], "bad": {**DOT, "amount": 5}}]},
        "rows[0].bad: 'amount' does not apply to 'from: generated'",
    ),
    "real ones of a row": (
        {"rows": [{**ROWS[0], "bad": {"from": "train"}}]},
        "rows[0]: a row's 'bad' must be 'from: generated'",
    ),
    "a row of a score": (
        {"rows": [{"name": "a", "score": "spotty", "bad": DOT}]},
        "rows[0]: 'bad' does not apply to a 'score' row",
    ),
    "a classifier": (
        {"rows": [{**ROWS[1], "classifier": "g"}], "classifiers": {"g": "memory"}},
        "rows[0].classifier: a classifier needs real bad images",
    ),
    "a classifier alone": (
        {
            "rows": [{"name": "a", "score": "g"}],
            "classifiers": {"g": "memory"},
            "split": {"test": {"good": 4, "bad": 3}, "final": {"bad": DOT}},
        },
        "rows[0].score: a classifier needs real bad images",
    ),
    "an unknown classifier": (
        {"rows": [{**ROWS[0], "classifier": "gg"}], "classifiers": {"g": "memory"}},
        "rows[0].classifier: the recipe has no classifier 'gg' - did you mean 'g'? known: g",
    ),
    "one name twice": (
        {"rows": ROWS[:1], "classifiers": {"spotty": "memory"}},
        "classifiers.spotty: a detector is called 'spotty' too",
    ),
    "an unknown generator": (
        {"rows": [{**ROWS[0], "bad": {"from": "generated", "use": ["dots"]}}]},
        "rows[0].bad.use[0].use: no defect is called 'dots' - did you mean 'dot'?",
    ),
    "no detector": (
        {"detectors": {}, "rows": [{"name": "a", "detectors": "all"}]},
        "the recipe has no detector",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_in_a_recipe(home: Path, mistake: str) -> None:
    changes, message = MISTAKES[mistake]
    result = run_command(recipe(home, **changes))
    assert result.exit_code == 2, said(result)
    assert message in said(result)


def test_how_well_maps_fit_is_written_down_and_the_doubtful_are_named(home: Path) -> None:
    path = recipe(home, rows=ROWS[:1])
    for _ in ("cold", "warm"):
        result = run_command(path)
        assert result.exit_code == 0
        with (home / "runs/tiny/latest/segmentations.csv").open() as file:
            lines = list(csv.DictReader(file))
        assert len(lines) == 24 - 8 + 13  # all but those that the detector trains on
        assert {(line["category"], line["segmenter"], line["fit"]) for line in lines} == {
            ("a", "halves", "0.7500")
        }
        doubts = {line["image"]: line["doubt"] for line in lines}
        assert {image for image, doubt in doubts.items() if doubt} == {fakes.SPOILT}
        assert "1 of 29 segmentation maps are doubtful" in said(result)
        assert "the first: image 'bad/000.png', it is the spoilt one" in said(result)
        assert "1 of 29 segmentation maps are doubtful" in (home / "runs/tiny/latest/table.md").read_text()


def test_two_segmenters_of_one_name_are_told_apart(home: Path) -> None:
    rows = [ROWS[0], {**ROWS[0], "name": "b", "segmenter": {"use": "halves", "params": {"fit": 0.5}}}]
    assert run_command(recipe(home, rows=rows)).exit_code == 0
    with (home / "runs/tiny/latest/segmentations.csv").open() as file:
        found = {(line["segmenter"], line["fit"]) for line in csv.DictReader(file)}
    assert found == {("halves", "0.7500"), ("halves (2)", "0.5000")}


def test_where_there_is_nothing_to_measure_only_the_doubtful_are_listed(home: Path) -> None:
    path = recipe(home, rows=ROWS[:1], segmenter={"use": "halves", "params": {"fit": None}})
    assert run_command(path).exit_code == 0
    with (home / "runs/tiny/latest/segmentations.csv").open() as file:
        (line,) = csv.DictReader(file)
    assert (line["image"], line["fit"], line["doubt"]) == (fakes.SPOILT, "", "it is the spoilt one")


def test_a_row_whose_scores_are_all_equal_is_named(home: Path) -> None:
    small = {"use": "brf", "params": {"n_estimators": 1, "num_parallel_tree": 1, "reg_alpha": 1000.0}}
    result = run_command(recipe(home, rows=[{**ROWS[0], "final": small}]))
    assert "a, seed 0: real: all images have the same score" in said(result)


def test_a_fit_that_is_no_share(home: Path) -> None:
    with pytest.raises(PluginError, match=r"'halves' \(faulty 1.0\): the fit of image '.*' is 1\.5"):
        done(recipe(home, rows=ROWS[:1], segmenter={"use": "halves", "params": {"fit": 1.5}}))
