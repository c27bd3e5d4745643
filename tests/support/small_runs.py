"""Runs of small sound fakes on a small data set, task by task: what they make can be worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fakes
import pytest
import yaml
from builders import data_set

from segad_core.plugins.registry import Registry
from segad_core.recipe import load_recipe
from segad_core.run.cells import RowTask
from segad_core.run.plan import CategoryPlan
from segad_core.run.prepare import Prepared, prepare
from segad_core.run.tasks import execute
from segad_core.store.store import Store


def workplace(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with 24 good and 13 bad images; the fakes are installed."""
    fakes.install(monkeypatch)
    data_set(folder / "data", good=24, bad=13)
    return folder


def write(home: Path, **changes: Any) -> Path:
    """A recipe: of each label 4 and 3 are tested, so 20 good and 10 bad are there to train on."""
    path = home / "tiny.yaml"
    plain = {
        "segad": 1,
        "dataset": {"use": "folder", "params": {"root": "data"}},
        "image": {"size": [48, 48]},
        "batch_size": 4,
        "split": {"seeds": [0], "test": {"good": 4, "bad": 3}, "detectors": {"good": 8}},
        "detectors": {"spotty": {"use": "spotty", "params": {"wrong": "nowhere"}}},
        "segmenter": "whole_image",
        "features": ["mean"],
        "image_features": ["max"],
        "final": "table",
        **changes,
    }
    path.write_text(yaml.safe_dump(plain))
    return path


def prepared(path: Path) -> Prepared:
    """What is known before the recipe runs."""
    return prepare(load_recipe(str(path), Registry()), Store(path.parent / "store"))


def done(path: Path) -> tuple[CategoryPlan, Store]:
    """The plan of the one category, all its tasks done."""
    plan, store = prepared(path).plans[0], Store(path.parent / "store")
    for task in plan.tasks:
        execute(task, store, "cpu", lambda *_: None)
    return plan, store


def row(plan: CategoryPlan, name: str) -> RowTask:
    """The task of a row."""
    return next(task for task in plan.rows() if task.row.name == name)
