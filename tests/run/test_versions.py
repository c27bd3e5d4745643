"""A table that rests on artifacts of different versions says so; otherwise nothing is said."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import fakes
import numpy as np
import pytest
from builders import run_command, said, workshop, write_recipe
from numpy.typing import NDArray
from small_runs import done, workplace, write

from segad_core.base.versions import required_versions, version_of
from segad_core.contracts import Arrays, ImageBatch
from segad_core.plugins.registry import Provider, Registry
from segad_core.recipe import Choice
from segad_core.run.cells import FitCell, ScoresCell, StatisticsCell, StatisticsTask, distributions
from segad_core.run.versions import version_notes
from segad_core.store.store import Store


def strip_versions(store: Path) -> None:
    """Makes a store as segad wrote it before it recorded versions."""
    for path in store.glob("objects/*/*/manifest.json"):
        manifest = json.loads(path.read_text())
        del manifest["versions"]
        path.write_text(json.dumps(manifest))


def test_a_store_filled_under_another_version_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = workshop(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("segad_core.base.versions.version_of", lambda name: f"0.0.{len(name)}")
        first = run_command(recipe)
    assert first.exit_code == 0 and "version" not in said(first)
    again = run_command(recipe)
    assert again.exit_code == 0 and "version" not in said(again)  # all of it is of one version
    more = run_command(write_recipe(tmp_path, ("n_estimators: 2", "n_estimators: 3")))
    assert more.exit_code == 0
    table = next((tmp_path / "runs").rglob("table.md"))
    tables = [path.read_text() for path in table.parents[1].rglob("table.md")]
    mixed = [text for text in tables if "different versions" in text]
    assert len(mixed) == 1
    for words in (f"numpy 0.0.5 and {np.__version__}", "xgboost 0.0.7 and "):
        assert words in said(more) and words in mixed[0].replace("\n", " ")


def test_artifacts_of_an_older_store_are_unknown_and_said_once(tmp_path: Path) -> None:
    recipe = workshop(tmp_path)
    assert run_command(recipe).exit_code == 0
    strip_versions(tmp_path / "store")
    output = said(run_command(recipe))
    assert output.count("unknown") == output.count("of 6 artifacts") == 2  # the warning, and the table's note


def test_notes_name_each_library_with_its_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    for key, versions in {
        "aa": {"numpy": "1", "torch": "2"},
        "bb": {"numpy": "1", "torch": "3"},
        "cc": {"numpy": "1"},
    }.items():
        monkeypatch.setattr("segad_core.store.store.current_versions", lambda versions=versions: versions)
        store.put(key, "fit", {"a": b""})
    assert version_notes(store, ["aa", "cc", "not there"]) == []
    (note,) = version_notes(store, ["aa", "bb", "cc"])
    assert "torch 2 and 3" in note and "numpy" not in note


def test_artifacts_that_were_computed_with_other_numbers_of_threads_are_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    for key, threads in (("aa", "2"), ("bb", "16"), ("dd", "2")):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        store.put(key, "fit", {"a": b""})
        assert (found := store.versions(key)) and found["threads"] == threads
    with monkeypatch.context() as patched:  # an artifact of before
        patched.setattr("segad_core.store.store.current_versions", lambda: {"numpy": "1"})
        store.put("cc", "fit", {"a": b""})
    assert not [note for note in version_notes(store, ["aa", "cc", "dd"]) if "threads" in note]
    (note,) = [note for note in version_notes(store, ["aa", "bb", "cc"]) if "threads" in note]
    assert "2 and 16 threads" in note and "OMP_NUM_THREADS" in note


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workplace where the plugins of each kind come from a distribution of their own."""
    home = workplace(tmp_path, monkeypatch)
    installed = Registry.providers

    def providers(self: Registry, kind: str | None = None) -> list[Provider]:
        return [
            replace(p, distribution=f"our-{p.kind}") if p.distribution == "faulty" else p
            for p in installed(self, kind)
        ]

    monkeypatch.setattr(Registry, "providers", providers)
    return home


def third_parties(store: Store, cells: Sequence[Any]) -> list[set[str]]:
    """The distributions behind each cell, without "our-"."""
    return [
        {n.removeprefix("our-") for n in store.versions(c.key) or {} if n.startswith("our-")} for c in cells
    ]


def test_cells_name_the_distributions_of_all_plugins_that_made_them(home: Path) -> None:
    """The encoder only where a learner reads its layers; the segmenter that says where defects are put."""
    rows = [
        {"name": "SegAD", "detectors": ["reads"], "classifier": "memory"},
        {"name": "other", "detectors": ["blind"], "segmenter": "whole_image"},
        {"name": "generated", "detectors": ["blind"], "bad": {"from": "generated", "use": ["dot"]}},
        {"name": "memory", "score": "memory"},
    ]
    split = {"seeds": [0], "test": {"good": 4, "bad": 3}, "detectors": {"good": 8}}
    path = write(
        home,
        encoder="tinyencoder",
        detectors={"reads": {"use": "steps", "params": {"layers": ["layer1"]}}, "blind": "stairs"},
        classifiers={"memory": {"use": "memory", "params": {"layers": ["layer1"]}}},
        segmenter="halves",
        split={**split, "classifiers": {"good": 4, "bad": 3}},
        rows=rows,
    )
    plan, store = done(path)
    for task in plan.tasks:
        for cell, names in zip(task.cells, third_parties(store, task.cells), strict=True):
            if isinstance(cell, FitCell):
                learner = "classifiers" if cell.alias == "memory" else "detectors"
                assert names == ({learner} if cell.alias == "blind" else {learner, "encoders"})
            elif isinstance(cell, ScoresCell):
                assert names == {"classifiers", "encoders"}
            elif isinstance(cell, StatisticsCell) and isinstance(task, StatisticsTask):
                expected = {"detectors"} | ({"encoders"} if cell.fit.alias == "reads" else set())
                halves = task.defects or (cell.segmenter and cell.segmenter.provider.name == "halves")
                expected |= {"segmenters"} if halves else set()
                assert names == expected | ({"defects"} if task.defects else set())


class Measuring(fakes.Halves):
    """A segmenter that keeps what it measures of each image."""

    def segment(self, batch: ImageBatch) -> NDArray[np.uint8]:
        for i in range(len(batch)):
            batch.artifact(i, {}, size_of)
        return super().segment(batch)


def size_of(pixels: NDArray[np.uint8]) -> Arrays:
    return {"size": np.array(pixels.shape)}


def test_artifacts_of_another_version_that_are_in_no_plan_are_named(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part that trainings share, and what a segmenter keeps of images: also once all cells are stored."""
    monkeypatch.setattr(fakes, "Halves", Measuring)
    steps = {"use": "steps", "params": {"shared": "x"}}
    path = write(
        home,
        detectors={"steps": steps, "spotty": {"use": "spotty", "params": {"wrong": "nowhere"}}},
        segmenter="halves",
        rows=[{"name": a, "detectors": [a]} for a in ("steps", "spotty")],
    )
    with monkeypatch.context() as patch:
        patch.setattr("segad_core.store.store.current_versions", lambda: {"torch": "1"})
        plan, store = done(path)
    cells = [cell for task in plan.tasks for cell in task.cells]
    assert version_notes(store, [cell.key for cell in cells]) == []
    for cell in cells:
        shutil.rmtree(store.root / "objects" / cell.key[:2] / cell.key)
    monkeypatch.setattr("segad_core.store.store.current_versions", lambda: {"torch": "2"})
    _, store = done(path)
    mixed = {
        (type(cell).__name__, cell.alias if isinstance(cell, FitCell) else "")
        for cell in cells
        if any("torch 1 and 2" in note for note in version_notes(store, [cell.key]))
    }
    assert mixed == {("FitCell", "steps"), ("StatisticsCell", "")}
    artifacts = [json.loads(path.read_text()) for path in store.root.glob("objects/*/*/manifest.json")]
    by_kind = {one["kind"]: set(one["versions"]) for one in artifacts if "artifact" in one["kind"]}
    assert by_kind == {"artifact": {"torch", "our-detectors"}, "image artifact": {"torch", "our-segmenters"}}


def test_versions_of_what_a_third_party_wraps_are_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "segad_wrapper-1.0.dist-info"
    info.mkdir()
    required = ["numpy", "Segad>=0.1", "hypothesis>=6", "no-such-library", "pytest; extra == 'test'"]
    lines = ["Metadata-Version: 2.1", "Name: segad-wrapper", "Version: 1.0"]
    (info / "METADATA").write_text("\n".join(lines + [f"Requires-Dist: {one}" for one in required]))
    monkeypatch.syspath_prepend(str(tmp_path))
    assert required_versions("segad-wrapper") == {"hypothesis": version_of("hypothesis")}
    assert required_versions("segad") == required_versions("not-installed-at-all") == {}
    provider = Provider("detectors", "wrapper", "segad-wrapper", "1.0", "segad_wrapper:Wrapper")
    assert distributions(Choice(provider, fakes.Spotty, None), None) == {
        "segad-wrapper": "1.0",
        "hypothesis": version_of("hypothesis"),
    }
