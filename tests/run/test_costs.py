"""What a run costs, counted: passes of the encoder and decoded files of each task. Nothing is timed."""

from __future__ import annotations

import importlib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from small_runs import prepared, workplace, write

from segad_core.run.cells import FitTask, StatisticsTask, Task
from segad_core.run.tasks import execute
from segad_core.store.store import Store
from segad_core.testing import TinyEncoder

decoder = importlib.import_module("segad_core.images.decode")  # a function has its name


class Costs:
    """What was looked at: the images of each pass of the encoder, and how often each file was decoded."""

    def __init__(self) -> None:
        self.encoded: list[int] = []
        self.decoded: Counter[str] = Counter()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return workplace(tmp_path, monkeypatch)


def costs_of(path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Task, Costs]]:
    """The tasks of a cold run that look at images, each with its costs."""
    found, encode, read = [Costs()], TinyEncoder.encode, decoder._read

    def encoded(self: Any, pixels: Any, layers: Any) -> Any:
        found[-1].encoded.append(len(pixels))
        return encode(self, pixels, layers)

    def decoded(file: Path, *given: Any) -> Any:
        found[-1].decoded[str(file)] += 1
        return read(file, *given)

    plan, store = prepared(path).plans[0], Store(path.parent / "store")
    monkeypatch.setattr(TinyEncoder, "encode", encoded)
    monkeypatch.setattr(decoder, "_read", decoded)
    costs = []
    for task in plan.tasks:
        found.append(Costs())
        execute(task, store, "cpu", lambda *_: None)
        costs.append((task, found[-1]))
    return [(task, own) for task, own in costs if own.decoded]


@pytest.mark.parametrize("features", [["mean"], ["mean", "above"]])
def test_each_task_encodes_and_decodes_an_image_once(
    home: Path, monkeypatch: pytest.MonkeyPatch, features: list[str]
) -> None:
    """However many detectors, segmenters, statistics and classifiers read it; batches are not filled up."""
    changes = {
        "encoder": "tinyencoder",
        "detectors": {name: {"use": "averaged"} for name in ("one", "other")},
        "classifiers": {"g": {"use": "felt"}},
        "segmenter": "levels",
        "features": features,
        "rows": [{"name": "all", "detectors": "all", "classifier": "g"}, {"name": "score", "score": "one"}],
    }
    costs = costs_of(write(home, **changes), monkeypatch)
    kinds = {type(task) for task, _ in costs}
    assert {FitTask, StatisticsTask} <= kinds
    for task, own in costs:
        learnt = isinstance(task, StatisticsTask) and "above" in features
        # statistics that learn see maps of good images first, which are scored as all others then
        again = (
            {str(task.samples[i].path) for c in task.cells if c.fitted for i in c.fitted.good}
            if learnt
            else set()
        )
        assert own.decoded == Counter(str(s.path) for s in task.samples) + Counter(again), task.name
        counts = [len(again)] * bool(again) + [len(task.samples)]
        batches = [n for count in counts for n in ([4] * (count // 4) + [count % 4] * bool(count % 4))]
        reads = isinstance(task, FitTask | StatisticsTask)  # the classifier's scores rest on no feature
        assert own.encoded == (batches if reads else []), task.name


def values_of(path: Path, store: Store) -> dict[str, dict[str, bytes]]:
    """The files of each cell of statistics."""
    tasks = [task for task in prepared(path).plans[0].tasks if isinstance(task, StatisticsTask)]
    return {cell.key: dict(store.require(cell.key)) for task in tasks for cell in task.cells}


def test_networks_that_are_ahead_change_no_bit(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(
        home,
        encoder="tinyencoder",
        detectors={"bright": "bright"},
        segmenter="levels",
        rows=[{"name": "all", "detectors": "all"}, {"name": "score", "score": "bright"}],
    )
    found = []
    for free in (True, False):
        monkeypatch.setattr("segad_core.run.score.free_core", lambda device, free=free: free)
        store = Store(home / str(free))
        for task in prepared(path).plans[0].tasks:
            execute(task, store, "cpu", lambda *_: None)
        found.append(values_of(path, store))
    assert found[0] == found[1] and len(found[0]) > 1
