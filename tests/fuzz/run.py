"""Gives damaged files to everything that reads files from elsewhere: `python tests/fuzz/run.py --seconds 60`.

Each target runs in a process of its own, which may crash. An input that a reader does not withstand is
written to `tests/fuzz/corpus/TARGET/`, where the tests find it from then on, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

import pytest
from fuzz_targets import CORPUS, TARGETS, FoundError, Target, attempt, corpus, write_corpus
from light_bundle import install, made
from mutations import mutated


def main() -> int:
    """Runs the targets; the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60, help="for all targets together")
    parser.add_argument("--seed", type=int, help="by default one for each commit")
    parser.add_argument("--target", choices=TARGETS, action="append", help="by default all")
    parser.add_argument("--write-corpus", action="store_true", help="write the sound inputs into the tree")
    given = parser.parse_args()
    with pytest.MonkeyPatch.context() as patch:
        install(patch)
        made()
        if given.write_corpus:
            write_corpus()
            return 0
        names = given.target or list(TARGETS)
        seed = _seed() if given.seed is None else given.seed
        print(f"seed {seed}", flush=True)
        return max([_in_a_process(name, given.seconds / len(names), seed) for name in names])


def _seed() -> int:
    """One for each commit, so that a failure can be repeated."""
    found = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    return int(hashlib.sha256(found.stdout.encode()).hexdigest()[:8], 16)


def _in_a_process(name: str, seconds: float, seed: int) -> int:
    """Runs a target in a fork; 1 if it failed or crashed."""
    with tempfile.TemporaryDirectory(prefix="segad-fuzz-") as folder:
        last = Path(folder) / "last input"
        child = os.fork()
        if child == 0:
            code = 1
            os.dup2(os.open(Path(folder) / "stderr", os.O_WRONLY | os.O_CREAT), 2)  # libtiff's remarks
            try:
                code = _run(name, TARGETS[name], seconds, seed, Path(folder), last)
            finally:
                sys.stdout.flush()
                os._exit(code)  # what the parent would tidy up stays
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code < 0:
            print(f"{name}: ended by signal {-code}, by the input {_keep(name, last.read_bytes())}")
    return int(code != 0)


def _run(name: str, target: Target, seconds: float, seed: int, folder: Path, last: Path) -> int:
    known, accepted, count = corpus(name), list[bytes](), 0
    end = time.monotonic() + seconds
    home = folder / "home"
    home.mkdir()
    while time.monotonic() < end:
        rng = random.Random(f"{seed} {name} {count}")
        data = mutated(rng.choice(known), known, target.tokens, rng)
        last.write_bytes(data)
        try:
            if (found := attempt(target, data, home)) is not None:
                accepted.append(found)
        except FoundError as error:
            print(f"{name}: input {count}, {_keep(name, data)}: {error}")
            return 1
        count += 1
    try:
        target.check(accepted)
    except FoundError as error:
        print(f"{name}: {error}")
        return 1
    print(f"{name}: {count:,} inputs")
    return 0


def _keep(name: str, data: bytes) -> Path:
    """Writes an input into the corpus; its path."""
    path = CORPUS / name / f"found-{hashlib.sha256(data).hexdigest()[:12]}"
    path.write_bytes(data)
    return path


if __name__ == "__main__":
    sys.exit(main())
