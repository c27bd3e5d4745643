"""The trainings of folds share one pass of the encoder over all of their images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import fakes
import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load
from small_runs import done, prepared, workplace, write

from segad_core.contracts import Sample
from segad_core.images import FileImageSet
from segad_core.images.image_set import Preprocessing
from segad_core.images.part_of_set import part_of
from segad_core.run.cells import FitCell, FitTask
from segad_core.run.described import Described
from segad_core.run.estimates import needs
from segad_core.run.fit import STATE, _told
from segad_core.run.tasks import execute
from segad_core.store.store import Store


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return workplace(tmp_path, monkeypatch)


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the batches that an encoder was given."""
    sizes: list[int] = []
    encode = fakes.Neighbours.encode

    def counted(self: Any, pixels: NDArray[np.uint8], layers: Any) -> Any:
        sizes.append(len(pixels))
        return encode(self, pixels, layers)

    monkeypatch.setattr(fakes.Neighbours, "encode", counted)
    return sizes


def recipe(home: Path, **changes: Any) -> Path:
    changes = {
        "encoder": "neighbours",
        "detectors": {"averaged": "averaged"},
        "split": {"seeds": [0], "test": {"good": 4, "bad": 3}, "detectors": {"folds": 3}},
        "rows": [{"name": "SegAD", "detectors": "all"}],
        **changes,
    }
    return write(home, **changes)


def out_of_fold(home: Path, classifier: str = "felt", **changes: Any) -> Path:
    return recipe(
        home,
        classifiers={"g": {"use": classifier, "out_of_fold": 3}},
        split={"seeds": [0], "test": {"good": 4, "bad": 3}, "detectors": {"good": 8}},
        rows=[{"name": "g", "detectors": "all", "classifier": "g"}],
        **changes,
    )


def trainings(path: Path, labelled: bool = False) -> list[FitTask]:
    tasks = prepared(path).plans[0].tasks
    return [task for task in tasks if isinstance(task, FitTask) and bool(task.labels) == labelled]


def expected(task: FitTask, cell: FitCell) -> NDArray[np.float32]:
    """The mean features of a training's images, in the batches of four of all images."""
    images = FileImageSet(
        task.samples, Preprocessing((48, 48), batch_size=4), fakes.Neighbours(), ("layer2",)
    )
    return images.features()["layer2"][list(cell.lines or range(len(task.samples)))].mean(axis=0)


@pytest.mark.parametrize(("path", "labelled"), [(recipe, False), (out_of_fold, True)])
def test_each_image_is_encoded_once_for_all_folds(
    home: Path, encoded: list[int], path: Any, labelled: bool
) -> None:
    (task,) = trainings(path(home), labelled)
    assert [bool(cell.lines) for cell in task.cells] == [False, True, True, True]
    store = Store(home / "store")
    fit(task, store)
    assert sum(encoded) == len(task.samples)
    for cell in task.cells:
        state = load(store.require(cell.key)[STATE])
        np.testing.assert_array_equal(state["mean"], expected(task, cell))
        own = task.of(cell)
        if labelled:
            assert state["counts"].tolist() == [own.labels.count(0), own.labels.count(1)]
        else:
            assert state["count"] == len(own.samples)


def fit(task: FitTask, store: Store) -> None:
    execute(task, store, "cpu", lambda *_: None)


def test_the_folds_are_those_of_the_split(home: Path) -> None:
    (task,) = trainings(recipe(home))
    (split,) = prepared(home / "tiny.yaml").splits["a"].values()
    own = [[sample.id for sample in task.of(cell).samples] for cell in task.cells]
    assert own == [list(ids) for ids in split.trainings()]
    assert all(task.of(cell).cells == (cell,) for cell in task.cells)


def test_only_what_is_missing_is_trained_again(home: Path, encoded: list[int]) -> None:
    (task,) = trainings(recipe(home))
    fit(FitTask(**{**vars(task), "cells": task.cells[:2]}), Store(home / "store"))
    encoded.clear()
    fit(task, Store(home / "store"))
    assert sum(encoded) == len(task.samples)
    encoded.clear()
    fit(task, Store(home / "store"))
    assert not encoded


def test_a_fold_is_known_by_the_images_that_it_is_encoded_with(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where features round differently, what is learnt from them is another thing."""
    (task,) = trainings(recipe(home))
    monkeypatch.setattr(Described, "reads_features", lambda *_: False)
    alone = [cell.key for one in trainings(recipe(home)) for cell in one.cells]
    assert len(alone) == 4
    assert [cell.key for cell in task.cells if cell.key in alone] == [task.cells[0].key]


@pytest.mark.parametrize(
    ("path", "changes", "labelled", "count"),
    [
        (recipe, {"detectors": {"known": "known"}}, False, 4),  # reads no features
        (recipe, {"detectors": {"known": "known", "averaged": "averaged"}}, False, 4),
        (recipe, {"image": {"size": [48, 48], "tiles": {"size": [32, 32]}}}, False, 4),
        (out_of_fold, {"classifier": "memory"}, True, 4),
        (out_of_fold, {"classifier": "recall"}, True, 4),  # learns from vectors
    ],
)
def test_other_folds_have_passes_of_their_own(
    home: Path, path: Any, changes: dict[str, Any], labelled: bool, count: int
) -> None:
    tasks = trainings(path(home, **changes), labelled)
    assert len(tasks) == count
    for task in tasks[1:]:
        assert [cell.lines for cell in task.cells] == [()]


def test_a_run_with_folds_comes_to_its_end(home: Path) -> None:
    for path in (recipe(home), out_of_fold(home)):
        done(path)


def test_progress_says_which_fold_is_trained(home: Path) -> None:
    (task,) = trainings(recipe(home))
    names = ["averaged", *(f"averaged, fold {number} of 3" for number in (1, 2, 3))]
    assert [_told(cell, task) for cell in task.cells] == names


def test_the_plan_counts_what_folds_hold_beside_all_features(home: Path) -> None:
    plan = prepared(recipe(home)).plans[0]
    (task,) = [task for task in plan.tasks if isinstance(task, FitTask)]
    store = Store(home / "empty")
    alone = needs([type(plan)(plan.category, (task.of(task.cells[0]),))], store).memory
    together = needs([type(plan)(plan.category, (task,))], store).memory
    most = max(len(cell.lines) for cell in task.cells)
    assert together - alone == 4 * most * 6 * 6 * 6  # float32, channels, rows, columns


# ---- part of a set ----


@pytest.fixture
def whole(home: Path) -> FileImageSet:
    paths = sorted((home / "data").rglob("*.png"))[:10]
    samples = [Sample(path.name + str(i), path, 0) for i, path in enumerate(paths)]
    return FileImageSet(samples, Preprocessing((48, 48), batch_size=4), fakes.Neighbours(), ("layer2",))


PLACES = (1, 4, 5, 8, 9)


def test_its_features_are_those_of_the_whole(whole: FileImageSet, encoded: list[int]) -> None:
    part, layer = part_of(whole, PLACES), whole.features()["layer2"]
    assert len(part) == 5
    np.testing.assert_array_equal(part.features()["layer2"], layer[list(PLACES)])
    np.testing.assert_array_equal(
        np.concatenate([batch.features()["layer2"] for batch in part.batches()]), layer[list(PLACES)]
    )
    np.testing.assert_array_equal(part.pick([3, 0]).features()["layer2"], layer[[8, 1]])
    assert encoded == [4, 4, 2]
    assert not part.features()["layer2"].flags.writeable
    assert not part.pick([0]).features()["layer2"].flags.writeable


def test_other_pixels_of_a_batch_have_features_of_their_own(whole: FileImageSet) -> None:
    batch = part_of(whole, PLACES).pick([0, 1])
    other = batch.with_pixels(255 - batch.pixels).features()["layer2"]
    np.testing.assert_array_equal(other, fakes.Neighbours().encode(255 - batch.pixels, ["layer2"])["layer2"])


def test_its_pixels_and_size_are_its_own(whole: FileImageSet) -> None:
    part = part_of(whole, PLACES)
    np.testing.assert_array_equal(part.pixels(), whole.pixels()[list(PLACES)])
    small = part.resized((32, 32))
    assert small.pixels().shape == (5, 32, 32, 3)
    np.testing.assert_array_equal(small.features()["layer2"], small.resized((32, 32)).features()["layer2"])


def test_its_digest_knows_the_whole(whole: FileImageSet) -> None:
    more = FileImageSet(whole.samples[:9], whole.preprocessing, whole.encoder, whole.layers)
    parts = [part_of(whole, PLACES[:4]), part_of(more, PLACES[:4]), part_of(whole, PLACES)]
    assert len({part.digest() for part in parts}) == 3


def test_what_is_ignored_is_that_of_its_images(whole: FileImageSet) -> None:
    masks = np.zeros((10, 48, 48), np.bool_)
    masks[range(10), range(10)] = True
    number = {sample.id: i for i, sample in enumerate(whole.samples)}
    whole = replace(whole, ignoring=lambda batch: masks[[number[sample.id] for sample in batch.samples]])
    part = part_of(whole, PLACES)
    part.features()
    np.testing.assert_array_equal(part.ignored(), masks[list(PLACES)])
    np.testing.assert_array_equal(part.pick([1]).ignored, masks[[4]])
