"""The tasks of a run share what they see of images; the store holds the same bytes as without that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fakes
import numpy as np
import pytest
from numpy.typing import NDArray
from small_runs import done, workplace, write

from segad_core.plugins import hooks
from segad_core.run import kept_images
from segad_core.run.schedule import run_tasks
from segad_core.store.store import Store
from segad_plugins.executors.serial import Serial


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return workplace(tmp_path, monkeypatch)


def test_two_seeds_encode_full_batches_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A training and statistics for each seed."""
    sizes: list[int] = []
    encode = fakes.Neighbours.encode

    def counted(self: Any, pixels: NDArray[np.uint8], layers: Any) -> Any:
        sizes.append(len(pixels))
        return encode(self, pixels, layers)

    monkeypatch.setattr(fakes.Neighbours, "encode", counted)
    path = write(
        home,
        encoder="neighbours",
        detectors={
            "averaged": "averaged",
            "patchcore": {"use": "patchcore", "params": {"layers": ["layer2"]}},
        },
        split={"seeds": [0, 1], "test": {"good": 4, "bad": 3}, "detectors": {"good": 8}},
        rows=[{"name": "SegAD", "detectors": "all"}],
    )
    plan, plain = done(path)  # task by task: nothing is kept
    apart = sum(sizes)
    sizes.clear()
    store = Store(home / "other")
    hook = hooks.manager().hook
    run_tasks(plan.tasks, [1] * len(plan.tasks), Serial(), store, "cpu", hook, lambda _: None)
    for key in [cell.key for task in plan.tasks for cell in task.cells]:
        assert store.require(key) == plain.require(key)
    images = {sample for task in plan.tasks for sample in getattr(task, "samples", ())}
    assert sum(sizes) < apart - len(images) // 2
    assert not kept_images._KEPT
