"""Processes that do at random what people do on one store, one bundle, one output and one recipe.

None may see a false alarm, lose a line, or meet another error than that something is held by a process.

    python tests/faults/stress.py --seconds 120
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import multiprocessing
import os
import random
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1] / "support")]

import pytest
from builders import run_command, segad
from light_bundle import install, made

from segad_core.store.records import Records
from segad_core.store.store import Store

CPU = ("--device", "cpu")
SEEDS = (0, 1, 2)
HELD = re.compile(r"^error: .+ is held by process (\d+) on ", re.MULTILINE)
RULES = ("--catch=0.5", "--catch=0.9", "--false-rejects=1/2", "--false-rejects=1/3", "--cost=miss=9,reject=1")
LEFT = re.compile(r"\.segad-(part|old|lock)$|^segad-scratch-|\.part$")


@dataclass
class Place:
    """Where all processes work; the working folder."""

    home: Path
    images: list[Path]
    reference: dict[int, bytes]
    wanted: Any
    """How many of the images have been asked for, shared by all processes."""


@dataclass
class Worker:
    """One of the processes."""

    place: Place
    random: random.Random
    number: int
    done: Counter[str] = field(default_factory=Counter)
    held: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    written: int = 0
    """How many images the output holds, as a command of this process has said."""

    def act(self) -> None:
        """Does one thing."""
        action = self.random.choices([*ACTIONS], [weight for _, weight in ACTIONS.values()])[0]
        try:
            ACTIONS[action][0](self)
        except Exception as error:
            self.wrong.append(f"{action}: {error!r}")

    def command(self, *words: str | Path, codes: tuple[int, ...] = (0,)) -> bool:
        """Runs a command; whether it came to its end."""
        result = segad(*words)
        name = " ".join(str(word) for word in words[: 2 if words[0] == "bundle" else 1])
        if result.exit_code in codes:
            self.done[name] += 1
            return True
        if result.exit_code == 1 and HELD.search(result.output):
            self.held[name] += 1
        else:
            said = f"{result.output[-2000:]} {result.exception!r}"
            self.wrong.append(f"{[*map(str, words[:3])]}: exit code {result.exit_code}: {said}")
        return False


def resume(worker: Worker) -> None:
    """Goes on with the one output, for a few images more than anybody has asked for."""
    with worker.place.wanted.get_lock():
        worker.place.wanted.value += worker.random.randint(1, 5)
        count = min(worker.place.wanted.value, len(worker.place.images))
    names = worker.place.images[:count]
    if worker.command("predict", "p", *names, "-o", "out.csv", "--resume", *CPU):
        worker.written = max(worker.written, count)


def predict(worker: Worker) -> None:
    worker.command("predict", bundle(worker), *worker.random.sample(worker.place.images, 3), *CPU)


def operate(worker: Worker) -> None:
    worker.command("operate", bundle(worker), worker.random.choice(RULES))


def verify(worker: Worker) -> None:
    worker.command("bundle", "verify", bundle(worker), *CPU)


def show(worker: Worker) -> None:
    worker.command("bundle", "show", bundle(worker))


def learn(worker: Worker) -> None:
    out = f"learnt-{worker.number}{worker.random.choice(['', '.zip'])}"
    bad = worker.random.choice([image for image in worker.place.images[:40] if "bad" in image.name])
    if worker.command("learn", bundle(worker), "--bad", bad, "-o", out, *CPU):
        worker.command("bundle", "verify", out, *CPU)
        shutil.rmtree(out) if Path(out).is_dir() else Path(out).unlink()


def run(worker: Worker) -> None:
    seed = worker.random.choice(SEEDS)
    worker.command("run", "tiny.yaml", "--set", f"split.seeds=[{seed}]", *CPU)


def maps(worker: Worker) -> None:
    force = worker.random.choice([(), ("--force",)])
    worker.command("maps", "tiny.yaml", "-o", "maps", *force, *CPU)


def keep(worker: Worker) -> None:
    """Writes an artifact, or reads it, and adds to a record."""
    store, number = Store(Path("store")), worker.random.randrange(40)
    key = hashlib.sha256(str(number).encode()).hexdigest()
    files = {"values.npy": key.encode() * 1000, "columns.json": json.dumps(number).encode()}
    if (found := store.get(key)) is None:
        store.put(key, "fit", files)
        found = store.require(key)
    if found != files:
        worker.wrong.append(f"store: {key} holds something else")
    records = Records(store, "stress")
    own = f"{worker.number}-{worker.done['store']}"
    records.add({own: number})
    if records.read().get(own) != number:
        worker.wrong.append(f"store: the record {own} is lost")
    worker.done["store"] += 1


def clean(worker: Worker) -> None:
    worker.command("clean", ".")


def bundle(worker: Worker) -> str:
    return worker.random.choice(["b", "b.zip"])


ACTIONS: dict[str, tuple[Callable[[Worker], None], int]] = {
    "resume": (resume, 6),
    "predict": (predict, 3),
    "operate": (operate, 4),
    "verify": (verify, 3),
    "show": (show, 1),
    "learn": (learn, 2),
    "run": (run, 2),
    "maps": (maps, 1),
    "store": (keep, 4),
    "clean": (clean, 1),
}


@contextmanager
def workplace(images: int) -> Iterator[Place]:
    """A folder with everything that the processes share, as the working folder."""
    before = Path.cwd()
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(prefix="segad-stress-") as folder:
        install(patch)
        home = Path(folder)
        shutil.copytree(made(), home, dirs_exist_ok=True, symlinks=True)
        shutil.copytree(home / "b", home / "p")
        reference = {}
        for seed in SEEDS:
            words = ("--set", f"split.seeds=[{seed}]")
            result = run_command(home / "tiny.yaml", *words, store=home / "s", runs=home / "alone")
            assert result.exit_code == 0, result.output
            reference[seed] = (home / "alone" / "tiny" / "latest" / "scores.csv").read_bytes()
        (home / "lot").mkdir()
        originals = sorted((home / "data").rglob("*.png"))
        names = []
        for number in range(images):
            original = originals[number % len(originals)]
            names.append(Path("lot", f"{number:05}-{original.parent.name}.png"))
            (home / names[-1]).hardlink_to(original)
        (home / "tmp").mkdir()
        patch.setattr(tempfile, "tempdir", str(home / "tmp"))
        os.chdir(home)
        try:
            yield Place(home, names, reference, multiprocessing.get_context("fork").Value("i", 0))
        finally:
            os.chdir(before)
            patch.undo()


def work(place: Place, number: int, seed: int, rounds: int, end: float) -> Worker:
    """What one process does."""
    worker = Worker(place, random.Random(f"{seed}-{number}"), number)
    while rounds > 0 and (not end or time.monotonic() < end):
        worker.act()
        rounds -= 1
    return worker


def _report(place: Place, number: int, seed: int, rounds: int, end: float) -> None:
    code = 1
    try:
        worker = work(place, number, seed, rounds, end)
        report = {"done": worker.done, "held": worker.held, "wrong": worker.wrong, "written": worker.written}
        Path(f"report-{number}.json").write_text(json.dumps(report))
        code = 0
    finally:
        os._exit(code)


def check(place: Place, written: int) -> list[str]:
    """What is wrong afterwards."""
    wrong = []
    names = [str(name) for name in place.images]
    if written:
        with Path("out.csv").open(encoding="utf-8", newline="") as file:
            lines = [line["image"] for line in csv.DictReader(file)]
        counts = Counter(lines)
        wrong += [f"{name} has {count} lines" for name, count in counts.items() if count != 1]
        if lost := [name for name in names[:written] if name not in counts]:
            wrong.append(f"{len(lost)} lines are lost: {lost[:3]}")
        result = segad("predict", "p", *lines, "-o", "out.csv", "--resume", *CPU)
        if result.exit_code or Path("out.csv").read_bytes().count(b"\n") != len(lines) + 1:
            wrong.append(f"the output cannot be gone on with: {result.output}")
    for name in ("b", "b.zip", "p"):
        if (result := segad("bundle", "verify", name, *CPU)).exit_code:
            wrong.append(f"verify {name}: {result.output}")
    for scores in Path("runs", "tiny").glob("[0-9a-f]*/scores.csv"):
        if scores.read_bytes() not in place.reference.values():
            wrong.append(f"{scores} differs from a run alone")
    wrong += [f"{path} is left" for path in Path().rglob("*") if LEFT.search(path.name)]
    wrong += [f"{path} is set aside" for path in Path("store").glob("quarantine/*")]
    return wrong


def stress(processes: int, rounds: int, seconds: float = 0, seed: int = 0, images: int = 4000) -> Worker:
    """Lets processes work, and adds up what they did.

    Args:
        processes: how many.
        rounds: how many things each does at most.
        seconds: how long they work; 0 for all rounds.
        seed: decides what they do.
        images: how many there are for the output.
    """
    context = multiprocessing.get_context("fork")
    with workplace(images) as place:
        total = Worker(place, random.Random(seed), -1)
        end = time.monotonic() + seconds if seconds else 0
        workers = [
            context.Process(target=_report, args=(place, number, seed, rounds, end))
            for number in range(processes)
        ]
        for one in workers:
            one.start()
        for number, one in enumerate(workers):
            one.join(seconds + 300)
            if one.exitcode != 0:
                one.kill()
                total.wrong.append(f"process {number} ended with {one.exitcode}")
                continue
            report = json.loads(Path(f"report-{number}.json").read_text())
            total.done.update(report["done"])
            total.held.update(report["held"])
            total.wrong += report["wrong"]
            total.written = max(total.written, report["written"])
        total.wrong += check(place, total.written)
    return total


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--processes", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    total = stress(given.processes, 10**9, given.seconds, given.seed)
    for name, count in sorted(total.done.items()):
        print(f"{name:15} {count:6} done {total.held[name]:6} held by another process")
    print(f"{total.written} images in the one output")
    print("\n".join([f"{len(total.wrong)} wrong", *total.wrong[:20]]))
    return 1 if total.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
