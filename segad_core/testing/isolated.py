"""The suite of an installed plugin, each clause in a process of its own: `segad plugin test`."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from segad_core.base.text import in_one_line, reason
from segad_core.contracts import KINDS, Component, Parameters
from segad_core.contracts.component import SUPER_INIT
from segad_core.errors import PluginError, SegadError, UsageError
from segad_core.plugins.contract_version import remedy, unsupported
from segad_core.plugins.processes import ProcessEnded, Say, in_process, messages
from segad_core.plugins.registry import Provider, contract_problems
from segad_core.testing.component import ComponentSuite
from segad_core.testing.expected import clauses
from segad_core.testing.suites import suite_of
from segad_core.testing.violations import wrong_with

Check = Callable[[type[Parameters]], Parameters]
"""Makes the parameters to test with; raises a `SegadError` if they are wrong."""

Tried = tuple[str, float, list[str]]
"""What is wrong, the seconds that it took, and the modules that it imported."""

_MARGIN = 10.0  # seconds that the process which waits for another one has in addition
_SLOW = 1.0  # seconds for a constructor: `segad check` calls all of a recipe


@dataclass(frozen=True)
class Step:
    """One thing that was tried.

    Attributes:
        name: `import`, `construction`, or of a clause.
        wrong: what is wrong, in one line; empty if nothing is.
        seconds: that it took.
    """

    name: str
    wrong: str
    seconds: float


def steps(provider: Provider, check: Check, limit: float, only: str = "") -> Iterator[Step]:
    """Imports a plugin, constructs it, and runs the clauses of its kind's suite.

    Nothing follows what makes all that follows useless. The plugin is imported in a process that the others
    are forks of, where the platform can fork.

    Args:
        provider: the plugin, of a kind that has a suite.
        check: can be pickled where the platform cannot fork.
        limit: in seconds, for the import and for each clause.
        only: text in the names of the clauses to run.

    Raises:
        UsageError: the parameters are wrong, or no clause is to be run.
    """
    if provider.kind not in KINDS:
        raise UsageError(f"there is no suite for {provider.kind}")
    done = 0
    try:
        call = partial(_host, provider, check, limit, only)
        for said in messages(call, limit + _MARGIN, first=limit):
            if not isinstance(said, Step):
                raise UsageError(*said)
            yield said
            done += 1
    except ProcessEnded as error:
        name = "import" if not done else "suite"
        wrong = _too_long(limit) if error.late else str(error)
        yield Step(name, wrong, limit if error.late else 0.0)


def _host(provider: Provider, check: Check, limit: float, only: str, say: Say) -> None:
    """In the process that imports the plugin."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # ends the process that it waits for, too
    start = time.perf_counter()
    try:
        found = provider.load()
        wrong = unsupported(provider, found)
        problems = [f"{wrong}. {remedy(provider, found)}"] if wrong else contract_problems(provider, found)
        if not problems and not (isinstance(found, type) and issubclass(found, Component)):
            problems = [f"{provider.target} is not a subclass of segad_core.api.Hook, so no suite tests it"]
    except PluginError as error:
        problems = [error.what]
    say(Step("import", _line("; ".join(problems)), time.perf_counter() - start))
    if problems:
        return
    assert isinstance(found, type) and issubclass(found, Component)
    known = clauses(suite_of(found))
    wanted = [name for name in known if only in name]
    try:
        check(found.Params)
        if not wanted:
            raise UsageError(f"no clause has '{only}' in its name: {', '.join(known)}")
    except SegadError as error:
        say((error.problems, error.remedy))
        return
    made = _apart("construction", partial(_construct, provider, check), limit)
    say(made)
    if made.wrong and made.seconds < _SLOW:
        return
    for name in wanted:
        say(_apart(name, partial(_clause, provider, check, name), limit))


def _apart(name: str, call: Callable[[], Tried], limit: float) -> Step:
    """A step in a process of its own. What it imported is there for the next one."""
    start = time.perf_counter()
    try:
        wrong, seconds, modules = in_process(call, limit)
        for module in modules:
            with suppress(Exception):
                importlib.import_module(module)
        return Step(name, wrong, seconds)
    except ProcessEnded as error:
        wrong = _too_long(limit) if error.late else str(error)
        return Step(name, wrong, time.perf_counter() - start)


def _too_long(limit: float) -> str:
    return f"does not end within {limit:g} s"


def _construct(provider: Provider, check: Check) -> Tried:
    """Constructs the plugin."""
    cls = _loaded(provider)
    params = check(cls.Params)
    start = time.perf_counter()
    try:
        made = cls(params)
    except BaseException as error:
        return _said(error, provider), time.perf_counter() - start, []
    seconds = time.perf_counter() - start
    if not hasattr(made, "params"):
        return f"the constructor leaves params unset: {SUPER_INIT}", seconds, []
    slow = f"takes {seconds:.1f} s: do slow work when the component is used, as `segad check` constructs it"
    return slow if seconds > _SLOW else "", seconds, []


def _clause(provider: Provider, check: Check, name: str) -> Tried:
    """Runs a clause."""
    case, known, files = case_of(_loaded(provider), check), set(sys.modules), _files_here()
    start = time.perf_counter()
    try:
        error: BaseException | None = wrong_with(case, name)
    except BaseException as ended:  # such as SystemExit
        error = ended
    seconds = time.perf_counter() - start
    # what compiled code writes, such as torch.save, is seen nowhere else
    left = ", ".join(sorted(_files_here() - files))
    wrong = f"it leaves {_line(left)} in the working folder: results are what methods return" if left else ""
    modules = [module for module in sys.modules if module not in known]
    return wrong if error is None else _said(error, provider), seconds, modules


def _files_here() -> set[str]:
    """The files and folders in the working folder, apart from hidden ones and caches of imports."""
    with suppress(OSError):
        return {path.name for path in Path().iterdir() if not path.name.startswith((".", "__pycache__"))}
    return set()


def case_of(cls: type[Component], check: Check) -> type[ComponentSuite]:
    """The suite of a plugin with parameters."""
    params = check(cls.Params)
    return type(f"Test{cls.__name__}", (suite_of(cls),), {"make": lambda self: cls(params)})


def _loaded(provider: Provider) -> Any:
    return provider.load()


def _said(error: BaseException, provider: Provider) -> str:
    """What an error says in one line, and where: the last line of the plugin, or, of no clause, the last."""
    claim = isinstance(error, AssertionError) and bool(str(error))
    frames = traceback.extract_tb((error.__cause__ or error).__traceback__)
    home = _home(provider)
    own = [frame for frame in frames if home and frame.filename.startswith(home)]
    last = (own or ([] if claim else frames))[-1:]
    where = "".join(f" ({frame.name}, {frame.filename}:{frame.lineno})" for frame in last)
    return (_line(str(error)) if claim else reason(error)) + in_one_line(where)


def _home(provider: Provider) -> str:
    """The folder of a plugin's package, or its file if it is in none; empty if it is not imported."""
    name = provider.target.partition(":")[0].strip()
    top = sys.modules.get(name.partition(".")[0])
    file = getattr(top, "__file__", None) or getattr(sys.modules.get(name), "__file__", None) or ""
    return f"{Path(file).parent}{os.sep}" if file and hasattr(top, "__path__") else file


def _line(text: str) -> str:
    return in_one_line(" ".join(text.split()))
