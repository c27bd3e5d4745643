"""A training that is killed in its middle goes on from its checkpoint, and ends in the same bytes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from builders import data_set, write_recipe

OUTCOME = ("scores.csv", "results.csv", "table.md")
STEPS = 40
LABEL = "flow: training steps"

# a process that has imported everything forks one `segad run` after the other; each leaves a checkpoint
# after every step, writes down the steps, and may end as by `kill -9`
PROGRAM = """
import json, os, signal, sys
import segad_core.cli.progress, segad_core.cli.run
import segad_plugins.datasets.folder, segad_plugins.detectors.fastflow, segad_plugins.executors.serial
import segad_plugins.encoders.efficientnet_lite0
from segad_core.run import engine, schedule
from segad_core.store import checkpoints
from segad_core.cli import main

recipe, label, *runs = json.loads(sys.argv[1])
checkpoints.SECONDS = 0
report = schedule.report
for number, (home, kill_at) in enumerate(runs):
    steps = []

    def journalled(hook, name, what, done, total, note=""):
        if what == label:
            with open(f"{home}/steps.{number}", "a") as file:
                print(done, file=file)
            if done == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
        report(hook, name, what, done, total, note)

    child = os.fork()
    if child == 0:
        os.dup2(os.open(f"{home}/said.{number}", os.O_WRONLY | os.O_CREAT), 2)
        os.dup2(2, 1)
        engine.report = schedule.report = journalled
        code = 1
        try:
            main(["run", recipe, "--store", f"{home}/store", "--runs", f"{home}/runs", "--device", "cpu"])
        except SystemExit as end:
            code = end.code
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    left = [f"{folder}/{name}" for folder, _, names in os.walk(f"{home}/store/checkpoints") for name in names]
    finished = os.path.exists(f"{home}/runs/tiny/latest/table.md")
    print(json.dumps([code, finished, left]), flush=True)
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


def run(recipe: Path, *homes: tuple[Path, int]) -> list[Ended]:
    """Runs the recipe in one home after the other, each time to the end or to the step that kills it."""
    for home, _ in homes:
        home.mkdir(exist_ok=True)
    given = json.dumps([str(recipe), LABEL, *([str(home), kill_at] for home, kill_at in homes)])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, given], capture_output=True, text=True, env=environment, timeout=300
    )
    assert done.returncode == 0, done.stderr
    ended = []
    for number, line in enumerate(done.stdout.splitlines()):
        code, finished, left = json.loads(line)
        home = homes[number][0]
        assert "Traceback" not in (home / f"said.{number}").read_text()
        steps = home / f"steps.{number}"
        told = [int(step) for step in steps.read_text().split()] if steps.exists() else []
        ended.append(Ended(code, told, finished, [Path(path) for path in left]))
    return ended


def outcome(home: Path) -> dict[str, bytes]:
    return {name: (home / "runs" / "tiny" / "latest" / name).read_bytes() for name in OUTCOME}


def test_a_killed_training_goes_on_to_the_same_bytes(recipe: Path, tmp_path: Path) -> None:
    """Killed twice: the second time in a training that had gone on."""
    whole, home = tmp_path / "undisturbed", tmp_path / "killed"
    undisturbed, first, second, third, warm = run(
        recipe, (whole, 0), (home, 15), (home, 29), (home, 0), (home, 0)
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
