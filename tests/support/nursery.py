"""A process that has imported the libraries and forks a Python when asked: a start costs almost nothing.

A forked Python does what `python COMMAND` does in a process of its own: its folder, environment, path,
output, exit code and death are its own. Only what is imported at the start is not: use a real process to test
imports, a closed standard input, or how installed packages are found at the start.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import runpy
import signal
import site
import subprocess
import sys
import tempfile
import threading
import traceback
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

CORE = (
    "cli.check",
    "cli.list_plugins",
    "cli.progress",
    "cli.run",
    "run.engine",
    "run.environment",
    "testing",
)
PLUGINS = (
    "datasets.folder",
    "detectors.fastflow",
    "detectors.patchcore",
    "encoders.efficientnet_lite0",
    "executors.serial",
    "features.moments",
    "features.order",
    "final_classifiers.brf",
    "segmenters.whole_image",
)
THREADS = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
"""Libraries read these when they are imported; a forked Python keeps them."""


@dataclass
class Ended:
    """How a process ended: its exit code, or minus the signal that killed it, and what it printed."""

    code: int
    out: str
    err: str


class Nursery:
    """The process, and what a test asks of it."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
            env={**os.environ, **THREADS},
        )
        self._outputs: dict[int, Path] = {}

    def start(
        self,
        *command: str | Path,
        cwd: Path | None = None,
        environment: Mapping[str, str] | None = None,
        sites: Sequence[Path] = (),
    ) -> int:
        """Starts `python COMMAND`, where COMMAND begins with `-m MODULE` or `-c CODE`.

        Args:
            environment: the environment of the process; by default this one's.
            sites: folders of installed packages, with their .pth files, beside those of this Python.

        Returns:
            The process id.
        """
        output = Path(tempfile.mkdtemp(prefix="nursery-"))
        child = self._ask(
            {
                "command": [str(word) for word in command],
                "cwd": str(cwd or Path.cwd()),
                "environment": dict(os.environ if environment is None else environment),
                "sites": [str(folder) for folder in sites],
                "output": str(output),
            }
        )
        self._outputs[child] = output
        return child

    def wait(self, child: int) -> Ended:
        """How a process ended that was started here."""
        code = self._ask({"child": child})
        output = self._outputs.pop(child)
        texts = []
        for name in ("out", "err"):
            texts.append((output / name).read_text(encoding="utf-8"))
            (output / name).unlink()
        output.rmdir()
        return Ended(code, *texts)

    def run(
        self,
        *command: str | Path,
        cwd: Path | None = None,
        environment: Mapping[str, str] | None = None,
        sites: Sequence[Path] = (),
    ) -> Ended:
        """Starts `python COMMAND` as `start` does, and waits for its end."""
        return self.wait(self.start(*command, cwd=cwd, environment=environment, sites=sites))

    def close(self) -> None:
        """Ends the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(60)

    def _ask(self, request: object) -> int:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps(request), file=self.process.stdin, flush=True)
        return int(self.process.stdout.readline())


@cache
def nursery() -> Nursery:
    """The nursery of this test process."""
    opened = Nursery()
    atexit.register(opened.close)
    return opened


def _serve() -> None:
    for module in CORE:
        importlib.import_module(f"segad_core.{module}")
    for module in PLUGINS:
        importlib.import_module(f"segad_plugins.{module}")
    _compile()
    for line in sys.stdin:
        request = json.loads(line)
        if "child" in request:
            print(os.waitstatus_to_exitcode(os.waitpid(request["child"], 0)[1]), flush=True)
            continue
        for name in ("out", "err"):  # there for whoever waits for a process that is killed at once
            Path(request["output"], name).touch()
        child = os.fork()
        if child == 0:
            _be_python(**request)
        print(child, flush=True)
    os._exit(0)  # taking down what was imported takes longer than all else here


def _compile() -> None:
    """Compiles what each process would compile for itself.

    As each has one thread, the coreset's loops are compiled as plain ones: parallel ones cannot be forked.
    """
    import numba
    import numpy as np

    from segad_plugins.detectors import coreset
    from segad_plugins.features import kernels

    for name, kernel in list(vars(coreset).items()):
        if getattr(kernel, "targetoptions", {}).get("parallel"):
            setattr(coreset, name, numba.njit(nogil=True)(kernel.py_func))
    coreset.greedy_coreset(np.random.default_rng(0).random((64, 40), np.float32), 4, 0)
    values, offsets = np.linspace(0, 1, 64, dtype=np.float32), np.array([0, 64])
    kernels.central_moments(values, offsets)
    kernels.maxima(values, offsets)
    kernels.quantiles(values, offsets, 0.995)


def _be_python(
    command: list[str], cwd: str, environment: dict[str, str], sites: list[str], output: str
) -> None:
    code = 1
    try:
        for descriptor, path, flags in (
            (0, os.devnull, os.O_RDONLY),
            (1, f"{output}/out", os.O_WRONLY),
            (2, f"{output}/err", os.O_WRONLY),
        ):
            opened = os.open(path, flags)
            os.dup2(opened, descriptor)
            os.close(opened)
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
        os.environ.clear()
        os.environ.update({**environment, **THREADS})
        os.chdir(cwd)
        sys.path[:1] = [cwd, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
        sys.dont_write_bytecode = bool(environment.get("PYTHONDONTWRITEBYTECODE"))
        for folder in sites:
            site.addsitedir(folder)
        code = _run(*command)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _run(option: str, what: str, *arguments: str) -> int:
    """Runs `python OPTION WHAT ARGUMENTS` to its end; returns the exit code."""
    try:
        sys.argv = [option, *arguments]
        if option == "-m":
            runpy.run_module(what, run_name="__main__", alter_sys=True)
        else:
            main = sys.modules["__main__"] = types.ModuleType("__main__")
            exec(compile(what, "<string>", "exec"), main.__dict__)
        code = 0
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        traceback.print_exc()
        code = 128 + signal.SIGINT
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()  # as a Python does at its end
    atexit._run_exitfuncs()
    return code


if __name__ == "__main__":
    _serve()
