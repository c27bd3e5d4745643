"""Runs that are killed, run twice, or run side by side end in the same bytes and compute nothing twice."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from builders import data_set, write_recipe
from nursery import nursery

OUTCOME = ("scores.csv", "results.csv", "table.md")
KILLS = 12

SEGAD = """
import json, sys
from pathlib import Path
from segad_core.cli import main
from segad_core.store.store import Store

journal, put = Path(sys.argv[1]), Store.put

def noting(self, key, kind, *more, **named):
    with journal.open("a") as file:
        file.write(json.dumps({"key": key, "kind": kind, "there": self.has(key)}) + "\\n")
    put(self, key, kind, *more, **named)

Store.put = noting
main(sys.argv[2:])
"""
"""`segad` that notes in a journal each artifact that it is about to write, and whether the store has it."""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One category under two seeds: two trainings, two passes of three statistics each, four rows."""
    folder = tmp_path_factory.mktemp("recipe")
    data_set(folder / "data")
    return write_recipe(folder, ("seeds: [0]", "seeds: [0, 1]"))


@pytest.fixture(scope="module")
def undisturbed(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a run that nothing disturbed."""
    home = tmp_path_factory.mktemp("undisturbed")
    assert run(recipe, home) == 0
    return home


def start(recipe: Path, home: Path, runs: str = "runs") -> int:
    """Starts a run; returns its process id."""
    words = ["run", recipe, "--store", home / "store", "--runs", home / runs, "--device", "cpu"]
    return nursery().start("-c", SEGAD, home / "journal", *words)


def run(recipe: Path, home: Path) -> int:
    """Runs the recipe; returns the exit code."""
    return nursery().wait(start(recipe, home)).code


def written(journal: Path) -> list[Mapping[str, str]]:
    """The artifacts that runs were about to write, in order."""
    return [json.loads(line) for line in journal.read_text().splitlines()] if journal.exists() else []


def outcome(home: Path, runs: str = "runs") -> dict[str, bytes]:
    return {name: (home / runs / "tiny" / "latest" / name).read_bytes() for name in OUTCOME}


def artifacts(store: Path) -> dict[str, int]:
    """The artifacts in a store by key, and when each was put there."""
    return {path.parent.name: path.stat().st_mtime_ns for path in store.glob("objects/*/[!.]*/manifest.json")}


def test_the_same_command_gives_the_same_bytes(recipe: Path, undisturbed: Path, tmp_path: Path) -> None:
    assert run(recipe, tmp_path) == 0
    assert outcome(tmp_path) == outcome(undisturbed)
    assert artifacts(tmp_path / "store").keys() == artifacts(undisturbed / "store").keys()


def test_a_warm_run_computes_nothing(recipe: Path, undisturbed: Path, tmp_path: Path) -> None:
    shutil.copytree(undisturbed / "store", tmp_path / "store")
    before = artifacts(tmp_path / "store")
    assert run(recipe, tmp_path) == 0
    assert written(tmp_path / "journal") == []
    assert artifacts(tmp_path / "store") == before
    assert outcome(tmp_path) == outcome(undisturbed)


def test_what_is_lost_is_computed_and_nothing_else(recipe: Path, undisturbed: Path, tmp_path: Path) -> None:
    """One spoilt byte in each kind of artifact costs that artifact alone."""
    shutil.copytree(undisturbed / "store", tmp_path / "store")
    chosen = {entry["kind"]: entry["key"] for entry in written(undisturbed / "journal")}
    for key in chosen.values():
        folder = tmp_path / "store" / "objects" / key[:2] / key
        file = max(folder.iterdir(), key=lambda path: path.stat().st_size)
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    assert run(recipe, tmp_path) == 0
    again = written(tmp_path / "journal")
    assert sorted(entry["key"] for entry in again) == sorted(chosen.values())
    assert outcome(tmp_path) == outcome(undisturbed)
    assert {path.name for path in (tmp_path / "store" / "quarantine").iterdir()} == {
        f"{key}.0" for key in chosen.values()
    }


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again(recipe: Path, undisturbed: Path, tmp_path: Path) -> None:
    """SIGKILL at random moments: each start goes on where the last one was, to the same bytes.

    Torn leftovers of writers lie beside every artifact from the beginning, and those that the kills leave
    are spoilt: whoever read one would come to another end.
    """
    rng = np.random.default_rng(20240612)
    moments: list[float] = []
    begun = time.monotonic()
    assert run(recipe, tmp_path) == 0
    whole = time.monotonic() - begun
    for attempt in range(20):
        home = tmp_path / str(attempt)
        _litter(home / "store", list(artifacts(undisturbed / "store")))
        _run_to_the_end(recipe, home, lambda: rng.uniform(0.05, 0.8) * whole, moments)
        assert outcome(home) == outcome(undisturbed)
        entries = written(home / "journal")
        assert not any(entry["there"] for entry in entries)
        finished = artifacts(home / "store")
        assert finished.keys() == artifacts(undisturbed / "store").keys()
        assert not list((home / "store").glob("quarantine/*"))
        assert not list((home / "runs").rglob("*.part"))
        # a cell that was begun again had not been finished: at most one put is lost with each kill
        assert len(entries) - len(finished) <= len(moments)
        if len(moments) >= KILLS:
            break
    assert len(moments) >= KILLS


def _run_to_the_end(recipe: Path, home: Path, draw: Callable[[], float], moments: list[float]) -> None:
    """Starts a run until it ends by itself, killing it at drawn moments."""
    kept: dict[str, int] = {}
    for _ in range(100):
        child = start(recipe, home)
        moment = draw()
        time.sleep(moment)
        os.kill(child, signal.SIGKILL)  # a child that has ended is still there until it is waited for
        code = nursery().wait(child).code
        now = artifacts(home / "store")
        assert kept.items() <= now.items()  # what was finished stays as it was
        kept = now
        if code == 0:
            return
        assert code == -signal.SIGKILL
        moments.append(moment)
        for part in [*(home / "store").rglob("*.part/*"), *(home / "runs").rglob(".*.part")]:
            part.write_bytes(b"torn")
    raise AssertionError("the run never came to its end")


def _litter(store: Path, keys: list[str]) -> None:
    for key in keys:
        part = store / "objects" / key[:2] / f".{key}.part"
        part.mkdir(parents=True)
        (part / "manifest.json").write_text('{"format": 1, "kind": "fit", "files": {}}')
        (part / "values.npy").write_bytes(b"torn")


def test_two_processes_share_a_store(recipe: Path, undisturbed: Path, tmp_path: Path) -> None:
    """Both come to the same end, and nothing that takes long is made by both."""
    children = [start(recipe, tmp_path, runs) for runs in ("one", "two")]
    assert [nursery().wait(child).code for child in children] == [0, 0]
    assert outcome(tmp_path, "one") == outcome(tmp_path, "two") == outcome(undisturbed)
    entries = written(tmp_path / "journal")
    made = Counter(entry["key"] for entry in entries if entry["kind"] in ("fit", "statistics"))
    assert set(made.values()) == {1}
    assert not list((tmp_path / "store").rglob("*.part"))


def test_two_processes_on_one_run_folder(recipe: Path, undisturbed: Path, tmp_path: Path) -> None:
    """One of them works, the other is refused."""
    children = [start(recipe, tmp_path) for _ in range(2)]
    ended = [nursery().wait(child) for child in children]
    assert sorted(one.code for one in ended) == [0, 1]
    (said,) = (one.err for one in ended if one.code == 1)
    link = tmp_path / "runs" / "tiny" / "latest"
    assert said.startswith(f"error: {link.parent / link.readlink()} is held by process ")
    assert "--runs" in said
    assert outcome(tmp_path) == outcome(undisturbed)
