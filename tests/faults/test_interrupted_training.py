"""A training that is killed in its middle goes on from its checkpoint, and ends in the same bytes."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path

import pytest
from builders import data_set, write_recipe
from nursery import nursery

OUTCOME = ("scores.csv", "results.csv", "table.md")
STEPS = 40
LABEL = "flow: training steps"

# a `segad run` that leaves a checkpoint after every step, writes down the steps, and may end as by `kill -9`
PROGRAM = """
import os, signal, sys
from segad_core.cli import main
from segad_core.run import engine, schedule
from segad_core.store import checkpoints

label, journal, kill_at, *words = sys.argv[1:]
checkpoints.SECONDS = 0
report = schedule.report

def journalled(hook, name, what, done, total, note=""):
    if what == label:
        with open(journal, "a") as file:
            print(done, file=file)
        if done == int(kill_at):
            os.kill(os.getpid(), signal.SIGKILL)
    report(hook, name, what, done, total, note)

engine.report = schedule.report = journalled
main(words)
"""


@dataclass
class Ended:
    """How a run ended: its exit code, the steps that it trained, whether there is a table, what it left."""

    code: int
    steps: list[int]
    finished: bool
    checkpoints: list[Path]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One detector, trained on four images for many epochs of one step."""
    folder = tmp_path_factory.mktemp("recipe")
    data_set(folder / "data")
    use = f"{{use: fastflow, params: {{steps: 2, epochs: {STEPS}, batch: 4}}}}"
    return write_recipe(
        folder,
        ("patchcore: {use: patchcore, params: {coreset_ratio: 0.1, blur_sigma: 1}}", f"flow: {use}"),
        ("  - {name: SegAD, detectors: [patchcore]}\n", ""),
        ("score: patchcore", "score: flow"),
    )


def run(recipe: Path, home: Path, kill_at: int = 0) -> Ended:
    """Runs the recipe to the end, or to the step that kills it."""
    journal = home / "steps"
    journal.write_text("")
    words = ["run", recipe, "--store", home / "store", "--runs", home / "runs", "--device", "cpu"]
    ended = nursery().run("-c", PROGRAM, LABEL, journal, str(kill_at), *words)
    assert "Traceback" not in ended.err
    left = [path for path in (home / "store" / "checkpoints").rglob("*") if path.is_file()]
    steps = [int(step) for step in journal.read_text().split()]
    return Ended(ended.code, steps, (home / "runs" / "tiny" / "latest" / "table.md").exists(), left)


def outcome(home: Path) -> dict[str, bytes]:
    return {name: (home / "runs" / "tiny" / "latest" / name).read_bytes() for name in OUTCOME}


def test_a_killed_training_goes_on_to_the_same_bytes(recipe: Path, tmp_path: Path) -> None:
    """Killed twice: the second time in a training that had gone on."""
    whole, home = tmp_path / "undisturbed", tmp_path / "killed"
    whole.mkdir()
    home.mkdir()
    undisturbed, first, second, third, warm = (
        run(recipe, *case) for case in ((whole,), (home, 15), (home, 29), (home,), (home,))
    )
    assert undisturbed == Ended(0, list(range(1, STEPS + 1)), True, [])
    # the step that was reported when the kill came was not saved yet: it alone is done again
    assert (first.code, first.steps, first.finished) == (-signal.SIGKILL, list(range(1, 16)), False)
    assert (second.code, second.steps, second.finished) == (-signal.SIGKILL, list(range(15, 30)), False)
    assert third == Ended(0, list(range(29, STEPS + 1)), True, [])
    assert warm == Ended(0, [], True, [])
    (before,), (after,) = first.checkpoints, second.checkpoints
    assert before.parent == after.parent and before.name != after.name
    assert outcome(home) == outcome(whole)
