"""A process that has imported everything and forks a `segad` when told: a start costs almost nothing.

What a forked command does is unchanged, but that it notes in a journal each artifact that it is about to
write, and whether that artifact is in the store already.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PLUGINS = (
    "datasets.folder",
    "detectors.patchcore",
    "encoders.efficientnet_lite0",
    "executors.serial",
    "features.moments",
    "features.order",
    "final_classifiers.brf",
    "segmenters.whole_image",
)


class Nursery:
    """The process, and what a test asks of it."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"},
        )

    def start(self, journal: Path, *words: str | Path) -> int:
        """Starts `segad words`; returns its process id."""
        return self._ask(journal, *words)

    def wait(self, child: int) -> int:
        """How a command ended: its exit code, or minus the signal that killed it."""
        return self._ask(child)

    def run(self, journal: Path, *words: str | Path) -> int:
        """Starts a command and waits for its end."""
        return self.wait(self.start(journal, *words))

    def close(self) -> None:
        """Ends the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(10)

    def _ask(self, *words: object) -> int:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps([str(word) for word in words]), file=self.process.stdin, flush=True)
        return int(self.process.stdout.readline())


def written(journal: Path) -> list[Mapping[str, str]]:
    """The artifacts that commands were about to write, in order."""
    return [json.loads(line) for line in journal.read_text().splitlines()] if journal.exists() else []


def _serve() -> None:
    for module in ("run.engine", "cli.progress", "cli.run"):
        importlib.import_module(f"segad_core.{module}")
    for module in PLUGINS:
        importlib.import_module(f"segad_plugins.{module}")
    for line in sys.stdin:
        first, *words = json.loads(line)
        if words:
            child = os.fork()
            if child == 0:
                _be_segad(Path(first), words)
            print(child, flush=True)
        else:
            print(os.waitstatus_to_exitcode(os.waitpid(int(first), 0)[1]), flush=True)


def _be_segad(journal: Path, words: list[str]) -> None:
    from segad_core.cli import main
    from segad_core.store.store import Store

    silence = os.open(os.devnull, os.O_RDWR)
    os.dup2(silence, 0)
    os.dup2(silence, 1)
    os.dup2(os.open(f"{journal}.said", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    put = Store.put

    def noting(self: Store, key: str, kind: str, *more: Any, **named: Any) -> None:
        with journal.open("a") as file:
            note = {"key": key, "kind": kind, "there": self.has(key)}
            file.write(json.dumps(note) + "\n")
        put(self, key, kind, *more, **named)

    Store.put = noting  # type: ignore[method-assign]
    code = 1
    try:
        main(words)
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        os._exit(code)


if __name__ == "__main__":
    _serve()
