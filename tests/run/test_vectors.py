"""Classifiers that learn from vectors: each image is described once, whoever learns from it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import fakes
import numpy as np
import pytest
from builders import said, segad
from safetensors.numpy import load
from small_runs import done, prepared, row, workplace, write

from segad_core.contracts import ImageBatch, Run, Vectors
from segad_core.images import FileImageSet
from segad_core.images.image_set import Preprocessing
from segad_core.run.cells import FitTask, ScoresTask, VectorsTask
from segad_core.run.fit import STATE
from segad_core.run.rows import read_scores
from segad_core.run.tasks import execute
from segad_core.run.work import images_read
from segad_core.store.store import Store
from segad_core.testing import TinyEncoder
from segad_plugins.classifiers.linear_probe import LinearProbe

ROWS: list[dict[str, Any]] = [
    {"name": "alone", "score": "recall"},
    {"name": "SegAD + g", "detectors": ["spotty"], "classifier": "recall"},
]
SPLIT = {"seeds": [0, 1], "test": {"good": 4, "bad": 3}, "detectors": {"good": 8}}
IMAGES = 24 + 13


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return workplace(tmp_path, monkeypatch)


def recipe(home: Path, **changes: Any) -> Path:
    return write(home, **{"classifiers": {"recall": "recall"}, "rows": ROWS, "split": SPLIT, **changes})


@pytest.fixture
def described(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each image was described."""
    seen: Counter[str] = Counter()
    vectors = fakes.Recall.vectors

    def counted(self: fakes.Recall, batch: ImageBatch) -> Vectors:
        seen.update(sample.id for sample in batch.samples)
        return vectors(self, batch)

    monkeypatch.setattr(fakes.Recall, "vectors", counted)
    return seen


def test_each_image_is_described_once_for_all_seeds_folds_and_scores(
    home: Path, described: Counter[str]
) -> None:
    plan, _ = done(recipe(home))
    assert len(described) == IMAGES and set(described.values()) == {1}
    fits = [task for task in plan.tasks if isinstance(task, FitTask) and task.labels]
    assert len(fits) == 2 * (1 + 5)
    (task,) = [task for task in plan.tasks if isinstance(task, VectorsTask)]
    assert plan.tasks[0] is task and images_read(task) == IMAGES
    done(recipe(home, split={**SPLIT, "seeds": [0, 1, 2]}, rows=[ROWS[1]]))
    assert set(described.values()) == {1}


def test_what_has_vectors_decodes_no_image(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, store = prepared(recipe(home)).plans[0], Store(home / "store")
    for task in plan.tasks:
        with monkeypatch.context() as patched:
            if isinstance(task, FitTask | ScoresTask) and task.vectors:
                patched.setattr(FileImageSet, "_decode", None)
                assert images_read(task) == 0
            execute(task, store, "cpu", lambda *_: None)


def test_equal_descriptions_are_made_once_and_others_in_one_pass(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: list[int] = []
    encode = TinyEncoder.encode

    def counted(self: TinyEncoder, pixels: Any, layers: Any) -> Any:
        passes.append(len(pixels))
        return encode(self, pixels, layers)

    monkeypatch.setattr(TinyEncoder, "encode", counted)
    probes = {
        name: {"use": "linear_probe", "params": {"C": [c]}} for name, c in (("a", 1), ("b", 1), ("c", 0.1))
    }
    rows = [{"name": alias, "score": alias} for alias in probes]
    plan, _ = done(recipe(home, encoder="tinyencoder", classifiers=probes, rows=rows, detectors={}))
    (task,) = [task for task in plan.tasks if isinstance(task, VectorsTask)]
    assert len(task.cells) == 2 and sum(passes) == IMAGES


def test_the_probe_of_a_run_is_the_probe_of_its_images(home: Path) -> None:
    """A training and scores from stored vectors are those from images and an encoder."""
    rows = [{"name": "probe", "score": "probe"}]
    changes = {"encoder": "tinyencoder", "classifiers": {"probe": "linear_probe"}, "detectors": {}}
    plan, store = done(recipe(home, rows=rows, **changes))
    fit = next(task for task in plan.tasks if isinstance(task, FitTask))
    layers, how = ("layer1", "layer2", "layer3"), Preprocessing((48, 48), batch_size=4)
    probe, seed = LinearProbe(), np.random.SeedSequence(fit.cells[0].seed)
    probe.fit(FileImageSet(fit.samples, how, TinyEncoder(), layers), np.array(fit.labels), Run(seed))
    for name, array in load(store.require(fit.cells[0].key)[STATE]).items():  # batches round differently
        np.testing.assert_allclose(array, probe.state()[name], rtol=1e-4, atol=1e-5)
    task = row(plan, "probe")
    (scored,) = [one for one in plan.tasks if isinstance(one, ScoresTask) and one.cells[0].key in task.needs]
    tested = [scored.samples[line] for line in task.scored]
    images = FileImageSet(tested, how, TinyEncoder(), layers)
    expected = np.concatenate([probe.scores(batch) for batch in images.batches()])
    np.testing.assert_allclose(read_scores(task, store), expected, rtol=1e-3)


def _keys(home: Path, kind: type, **changes: Any) -> list[str]:
    plan = prepared(recipe(home, **changes)).plans[0]
    return [t.cells[0].key for t in plan.tasks if isinstance(t, kind) and (kind is not FitTask or t.labels)]


def test_what_changes_the_vectors_changes_what_is_learnt_from_them(home: Path) -> None:
    vectors, fits = _keys(home, VectorsTask), _keys(home, FitTask)
    assert _keys(home, VectorsTask, detectors={}, rows=ROWS[:1], classifiers={"recall": "recall"}) == vectors
    other = {"recall": {"use": "recall", "split": {"good": 5}}}
    assert _keys(home, VectorsTask, classifiers=other) == vectors
    assert not set(_keys(home, FitTask, classifiers=other)) & set(fits)
    for change in ({"image": {"size": [32, 48]}}, {"batch_size": 5}):
        assert _keys(home, VectorsTask, **change) != vectors
        assert not set(_keys(home, FitTask, **change)) & set(fits)
    (home / "data/a/good/023.png").unlink()
    assert _keys(home, VectorsTask) != vectors


def test_check_counts_vectors_and_no_passes_of_their_trainings(home: Path) -> None:
    probe = {"classifiers": {"probe": "linear_probe"}, "rows": [{"name": "probe", "score": "probe"}]}
    path = recipe(home, encoder="tinyencoder", detectors={}, **probe)
    text = said(segad("check", path, "--store", home / "store"))
    assert f"vectors of images: 1 cell, 0 in the store, 1 to compute: 1 pass, {IMAGES} images in all" in text
    assert "trained classifiers: 2 cells, 0 in the store, 2 to compute\n    probe, per training: 54" in text
    assert "classifier scores: 2 cells, 0 in the store, 2 to compute\n" in text
    assert "not counting" not in text
