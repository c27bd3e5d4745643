"""What has to hold when a machine fails in the middle of something: who is told what, and what is left."""

from __future__ import annotations

import errno
import fnmatch
import gc
import os
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from faulty import ERRORS, TIDYING, Machine, Operation, reason, sites

from segad_core.base import leftovers
from segad_core.errors import SegadError

Tree = dict[str, bytes | str]

LIES = (
    "bug in segad",
    "defect in segad",
    "damaged",
    "truncated",
    "tampered",
    "does not match",
    "make the bundle again",
    "fresh copy",
    "did not write",
    "corrupt",
    "report it",
)
"""What no message says of a fault of the machine."""

LEFT = re.compile(r"(^|/)([^/]*\.(part|segad-part|segad-old|segad-lock)|segad-(scratch|bundle)-[^/]*)(/|$)")
"""Paths of what must not stay."""


@dataclass(frozen=True)
class Scenario:
    """Something that segad does with files.

    Attributes:
        prepare: makes what is there before, in an empty folder.
        act: does it; what it returns counts as part of the result.
        again: does it after it failed, if that is not `act`.
        varies: patterns of files whose bytes differ from run to run, or that may be there or not.
        grows: patterns of files that may hold some of the new lines, besides all old ones.
        mends: patterns of files that are added to, and replaced at the end.
        true: words that are no lies here.
        every: whether each operation fails in each way; otherwise in one of them, in turn.
        depth: how many of the lines that lead to an operation tell it from others.
        raw: whether errors of the system reach the caller as they are, as its documentation says.
        excused: says of an operation and an error number that another outcome is right.
    """

    prepare: Callable[[Path], object]
    act: Callable[[Path], Any]
    again: Callable[[Path], Any] | None = None
    varies: tuple[str, ...] = ()
    grows: tuple[str, ...] = ()
    mends: tuple[str, ...] = ()
    true: tuple[str, ...] = ()
    every: bool = True
    depth: int = 9
    raw: bool = False
    excused: Callable[[Operation, int, Any], bool] = lambda operation, code, outcome: False


def tree(root: Path, varies: Sequence[str] = ()) -> Tree:
    """Every file, link and folder below a folder, but for locks of the store and of runs."""
    found: Tree = {}
    for folder, folders, files in os.walk(root):
        for name in [*folders, *files]:
            path = Path(folder, name)
            inside = path.relative_to(root).as_posix()
            if name.endswith(".lock") or any(fnmatch.fnmatch(inside, pattern) for pattern in varies):
                continue
            if path.is_symlink():
                found[inside] = f"-> {path.readlink()}"
            elif not path.is_dir():
                found[inside] = path.read_bytes()
            else:
                found.setdefault(f"{inside}/", "")
    return found


@dataclass
class Trial:
    """One scenario in one folder, disturbed again and again."""

    scenario: Scenario
    home: Path
    _touched: bool = True

    def run(self) -> tuple[int, list[str]]:
        """Lets each operation fail in each of its ways; the number of cases, and what went wrong."""
        template = self.home.with_name("template")
        template.mkdir()
        (template / "tmp").mkdir()
        self.home.mkdir()
        self.scenario.prepare(template)
        shutil.copytree(template, self.home, symlinks=True, dirs_exist_ok=True)
        machine, wrong, cases = Machine(self.home), list[str](), 0
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("tempfile.tempdir", str(self.home / "tmp"))
            patch.setattr(os, "fsync", lambda descriptor: None)
            self._act()  # libraries read what they need once
            self._restore(template)
            before, reference = self._tree(), list[Any]()
            operations = machine.watch(lambda: reference.append(self._act()))
            after = self._tree()
            assert not _left(after), f"undisturbed, it leaves {_left(after)}"
            for turn, place in enumerate(sites(operations, self.scenario.depth)):
                codes = ERRORS[operations[place].kind]
                for code in codes if self.scenario.every else codes[turn % len(codes) :][:1]:
                    self._restore(template)
                    cases += 1
                    said = self._case(machine, operations, place, code, before, after, reference[0])
                    failed = machine.failed or operations[place]
                    word = errno.errorcode.get(code, "MemoryError")
                    wrong += [f"{failed}, {word}: {line}" for line in said]
        return cases, wrong

    def _restore(self, template: Path) -> None:
        if not self._touched:
            return
        shutil.rmtree(self.home)
        shutil.copytree(template, self.home, symlinks=True)

    def _act(self, again: bool = False) -> Any:
        leftovers._swept.clear()  # as in a process of its own
        return ((again and self.scenario.again) or self.scenario.act)(self.home)

    def _tree(self) -> Tree:
        return tree(self.home, self.scenario.varies)

    def _case(
        self,
        machine: Machine,
        operations: Sequence[Operation],
        place: int,
        code: int,
        before: Tree,
        after: Tree,
        expected: Any,
    ) -> list[str]:
        outcome = list[Any]()
        opened = _descriptors()
        error = machine.fail(operations, place, code, lambda: outcome.append(self._act()))
        result = outcome[0] if outcome else None
        if isinstance(result, Result) and result.exit_code not in (0, expected.exit_code):
            error = result  # type: ignore[assignment]
        if machine.failed is None:
            return ["the operation did not come again"]
        failed, now = machine.failed, self._tree()
        if self.scenario.excused(failed, code, error if error is not None else result):
            return []
        wrong = []
        if error is not None:
            wrong += self._told(error, code)
        elif not _same(result, expected):
            wrong.append(f"no error, and another result: {_brief(result)}")
        elif _lasting(now) != _lasting(after):
            wrong.append(f"no error, but {_difference(now, after)}")
        wrong += self._kept(failed, now, before, after)
        del error, result
        outcome.clear()
        if _descriptors() > opened and (gc.collect() or True) and _descriptors() > opened:
            wrong.append("a descriptor stays open")
        self._touched = not now == after == before
        if wrong:
            return wrong[:1]
        if now == after:
            return []
        if complete := _lasting(now) == _lasting(after):
            self._sweep()
        else:
            try:
                again = self._act(again=True)
            except Exception as another:
                return [f"run again: {type(another).__name__}: {another}"]
            if not _same(again, expected):
                return [f"run again, another result: {_brief(again)}"]
        if self._tree() != after:
            word = "swept" if complete else "run again"
            return [f"{word}, {_difference(self._tree(), after)}"]
        return []

    def _sweep(self) -> None:
        """What the next command does where it writes."""
        leftovers._swept.clear()
        for folder in [self.home, *(path for path in self.home.rglob("*") if path.is_dir())]:
            if folder.exists():
                leftovers.sweep(folder)

    def _told(self, error: Any, code: int) -> list[str]:
        """Whether an error says what it is and where."""
        if isinstance(error, Result):
            if error.exception is not None and not isinstance(error.exception, SystemExit):
                return [f"raises {error.exception!r}"]
            text = error.output
        elif isinstance(error, SegadError):
            text = str(error)
        elif isinstance(error, MemoryError) or (self.scenario.raw and getattr(error, "errno", 0) == code):
            return []  # the command line tells the first
        else:
            return [f"raises {error!r}"]
        words = text.replace(str(self.home), "").lower()
        lies = [lie for lie in LIES if lie in words and lie not in self.scenario.true]
        wrong = [f"says {lie!r}: {_brief(text)}" for lie in lies]
        said = {reason(code).lower(), *(("may not be read",) if code == errno.EACCES else ())}
        if not any(word in text.lower() for word in said):
            wrong.append(f"does not say {reason(code)!r}: {_brief(text)}")
        if code and str(self.home) not in text:
            wrong.append(f"names no path: {_brief(text)}")
        return wrong

    def _kept(self, failed: Operation, now: Tree, before: Tree, after: Tree) -> list[str]:
        """Whether everything is as before or as afterwards, and nothing else is there."""
        wrong = []
        for path in sorted(before.keys() & after.keys() - now.keys()):
            if not self._grows(path):
                wrong.append(f"{path} is lost")
        for path, content in now.items():
            if _is_left(path):
                if failed.kind not in (*TIDYING, "open", "exchange"):
                    wrong.append(f"leaves {path}")
            elif self._grows(path):
                if not _between(content, before.get(path, b""), after.get(path, b"")):
                    wrong.append(f"{path} has other lines: {_brief(content)}")
            elif any(fnmatch.fnmatch(path, pattern) for pattern in self.scenario.mends):
                if content != after[path] and not content.startswith(before[path]):  # type: ignore[arg-type]
                    wrong.append(f"{path} has lost lines: {_brief(content)}")
            elif path not in before and path not in after:
                wrong.append(f"leaves {path}")
            elif content not in (before.get(path), after.get(path)):
                wrong.append(f"{path} is neither as before nor as afterwards: {_brief(content)}")
        return wrong

    def _grows(self, path: str) -> bool:
        return any(fnmatch.fnmatch(path, pattern) for pattern in self.scenario.grows)


def _between(content: bytes | str, old: bytes | str, new: bytes | str) -> bool:
    assert isinstance(content, bytes) and isinstance(old, bytes) and isinstance(new, bytes)
    return content == old or not new or not new.find(content) or new.startswith(b"PAR1")


def _is_left(path: str) -> bool:
    return LEFT.search(path) is not None


def _left(found: Tree) -> list[str]:
    return [path for path in found if _is_left(path)]


def _lasting(found: Tree) -> Tree:
    return {path: content for path, content in found.items() if not _is_left(path)}


def _descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Result) and isinstance(other, Result):
        return one.exit_code == other.exit_code
    return repr(one) == repr(other)


def _difference(one: Tree, other: Tree) -> str:
    paths = sorted(p for p in one.keys() | other.keys() if one.get(p) != other.get(p))
    return "; ".join(f"{p}: {_brief(one.get(p))} for {_brief(other.get(p))}" for p in paths[:4])


def _brief(what: object) -> str:
    text = what.output if isinstance(what, Result) else what if isinstance(what, str) else repr(what)
    return text if len(text) < 300 else f"{text[:200]}...{text[-100:]}"
