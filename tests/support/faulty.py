"""A machine that fails on purpose: each operation below a folder can be made to fail, one after the other.

`Machine(root).watch(action)` runs something once and lists its operations on files; `fail` runs it again with
one of them failing as a full disk, a broken cable or missing memory would make it fail. Opens, renames, links
and the like are caught by an audit hook, reads and writes by files that ask first, the rest by patches.
"""

from __future__ import annotations

import builtins
import ctypes
import errno
import io
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ImageFile

import segad_core
import segad_plugins

ERRORS: Mapping[str, tuple[int, ...]] = {
    "open": (errno.EACCES, errno.EIO, errno.EMFILE),
    "create": (errno.ENOSPC, errno.EACCES, errno.EMFILE),
    "read": (errno.EIO, 0),
    "write": (errno.ENOSPC, errno.EIO, errno.EFBIG),
    "fsync": (errno.ENOSPC, errno.EIO),
    "rename": (errno.ENOSPC, errno.EACCES, errno.EIO),
    "link": (errno.ENOSPC, errno.EACCES),
    "mkdir": (errno.ENOSPC, errno.EACCES),
    "truncate": (errno.EIO,),
    "remove": (errno.EACCES, errno.EIO),
    "list": (errno.EACCES, errno.EIO, errno.EMFILE),
    "exchange": (errno.ENOSYS,),
    "decode": (errno.EIO, 0),
}
"""How each kind of operation fails; 0 stands for `MemoryError`."""

TIDYING = ("remove", "list")
"""Operations whose failure may leave something behind, to be swept by the next command."""

_EVENTS = {
    "os.rename": "rename",
    "os.link": "link",
    "os.symlink": "link",
    "os.mkdir": "mkdir",
    "os.rmdir": "remove",
    "os.remove": "remove",
    "os.truncate": "truncate",
    "os.listdir": "list",
    "os.scandir": "list",
}
_TOKEN = re.compile(r"[0-9a-f]{16}(?=\.segad-)|(?<=segad-scratch-)[^/]+")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_CODE = tuple(str(Path(package.__file__).parent) for package in (segad_core, segad_plugins))
"""Where segad's code is: in the checkout, or where it was installed."""


@dataclass(frozen=True)
class Operation:
    """An operation that can fail.

    Attributes:
        kind: a key of `ERRORS`.
        path: what it concerns.
        site: the lines of segad's code that led to it.
    """

    kind: str
    path: str
    site: tuple[str, ...]

    @property
    def key(self) -> tuple[str, ...]:
        """What it is in every run, whatever temporary names are called."""
        return (self.kind, _TOKEN.sub("*", self.path), *self.site)

    def __str__(self) -> str:
        lines = " < ".join(line.rpartition("/")[2] for line in self.site[:4])
        return f"{self.kind} {Path(self.path).name} at {lines}"


def reason(code: int) -> str:
    """What a message says about an error."""
    return os.strerror(code) if code else "out of memory"


class Machine:
    """Counts the operations below a folder, and lets one of them fail.

    Relative paths count too: segad uses them beside the descriptor of a folder that it has open.
    """

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._lock = threading.Lock()
        self._operations: list[Operation] = []
        self._wanted: tuple[tuple[str, ...], int] = (), 0
        self._code = 0
        self.failed: Operation | None = None

    def watch(self, action: Callable[[], object]) -> list[Operation]:
        """The operations of an action that nothing disturbs."""
        with self._running(((), 0), 0):
            action()
        return list(self._operations)

    def fail(
        self, operations: Sequence[Operation], place: int, code: int, action: Callable[[], object]
    ) -> BaseException | None:
        """Runs an action in which one of its operations fails; returns the error that it raises.

        Threads may do the others in another order.
        """
        key = operations[place].key
        before = sum(operation.key == key for operation in operations[:place])
        with self._running((key, before), code):
            try:
                action()
            except (Exception, SystemExit) as error:
                return error
        return None

    def meet(self, kind: str, path: object) -> None:
        """Counts an operation on a path or a descriptor, and raises if it has to fail."""
        name = _name_of(path)
        if name is None or not (name.startswith(self._root) or not name.startswith("/")):
            return
        operation = Operation(kind, name, _site())
        if not operation.site:  # what the test itself does
            return
        key, before = self._wanted
        with self._lock:
            hit = operation.key == key and sum(other.key == key for other in self._operations) == before
            self._operations.append(operation)
        if hit:
            self.failed = operation
            if not self._code:
                raise MemoryError
            if kind in ("read", "write", "fsync", "decode"):  # as the system does: it knows no name there
                raise OSError(self._code, os.strerror(self._code))
            raise OSError(self._code, os.strerror(self._code), name)

    @contextmanager
    def _running(self, wanted: tuple[tuple[str, ...], int], code: int) -> Iterator[None]:
        global _machine
        self._operations, self._wanted, self._code, self.failed = [], wanted, code, None
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(
                "SEGAD_KERNEL_CACHE", "off"
            )  # what is compiled once a process is no operation of each run
            _patch(patch)
            _machine = self
            try:
                yield
            finally:
                _machine = None


def sites(operations: Sequence[Operation], depth: int) -> list[int]:
    """The first and the last operation of each kind and site, of which the innermost lines count."""
    first: dict[tuple[str, tuple[str, ...]], int] = {}
    last: dict[tuple[str, tuple[str, ...]], int] = {}
    for number, operation in enumerate(operations):
        first.setdefault((operation.kind, operation.site[:depth]), number)
        last[(operation.kind, operation.site[:depth])] = number
    return sorted({*first.values(), *last.values()})


_machine: Machine | None = None


def _meet(kind: str, path: object) -> None:
    if _machine is not None:
        _machine.meet(kind, path)


def _audited(event: str, arguments: tuple[Any, ...]) -> None:
    if _machine is None:
        return
    if event == "open":
        path, _, flags = arguments
        if not isinstance(path, int):
            _machine.meet("create" if flags & _WRITES else "open", path)
    elif event in _EVENTS:
        _machine.meet(_EVENTS[event], arguments[0])


sys.addaudithook(_audited)


class _File(io.FileIO):
    """A file whose reads and writes can fail."""

    def readinto(self, buffer: Any) -> int:
        _meet("read", self.fileno())
        return super().readinto(buffer)

    def read(self, size: int = -1) -> bytes:
        _meet("read", self.fileno())
        return super().read(size)

    def readall(self) -> bytes:
        _meet("read", self.fileno())
        return super().readall()

    def write(self, data: Any) -> int:
        _meet("write", self.fileno())
        return super().write(data)


_open = io.open


def _opened(
    file: Any,
    mode: str = "r",
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    closefd: bool = True,
    opener: Any = None,
) -> Any:
    """`open`, as the standard library builds it, over a `_File`."""
    raw = _File(file, mode.replace("b", "").replace("t", ""), closefd, opener)
    try:
        if buffering == 0:
            return raw
        size = buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE
        kind = io.BufferedRandom if "+" in mode else io.BufferedReader if "r" in mode else io.BufferedWriter
        buffered = kind(raw, size)
        if "b" in mode:
            return buffered
        text = io.TextIOWrapper(buffered, io.text_encoding(encoding), errors, newline, buffering == 1)
        text.mode = mode  # type: ignore[misc]
        return text
    except BaseException:
        raw.close()
        raise


def _patch(patch: pytest.MonkeyPatch) -> None:
    """Puts the functions in place that no audit event stands for."""
    from segad_core.base import files

    def before(owner: Any, name: str, kind: str, path: Callable[..., object]) -> None:
        original = getattr(owner, name)

        def asking(*arguments: Any, **named: Any) -> Any:
            _meet(kind, path(*arguments))
            return original(*arguments, **named)

        patch.setattr(owner, name, asking)

    patch.setattr(io, "open", _opened)
    patch.setattr(builtins, "open", _opened)
    patch.setattr(os, "fsync", lambda descriptor: _meet("fsync", descriptor))  # the disk itself is not tested
    before(os, "write", "write", lambda descriptor, _: descriptor)
    before(np, "fromfile", "decode", lambda file, *_: file.fileno())
    before(ImageFile.ImageFile, "load", "decode", lambda image: getattr(image.fp, "name", None))
    exchange = files._exchange

    def exchanging(one: Path, other: Path) -> bool:
        try:
            _meet("exchange", str(one))
        except OSError:  # the file system cannot: what is done then is watched by its own operations
            return False
        return exchange(one, other)

    patch.setattr(files, "_exchange", exchanging)


def _name_of(path: object) -> str | None:
    """A path as text, or where a descriptor leads."""
    if isinstance(path, int):
        if path < 0:
            return None
        buffer = ctypes.create_string_buffer(4096)
        length = _readlink(f"/proc/self/fd/{path}".encode(), buffer, 4096)
        return None if length < 0 else os.fsdecode(buffer.raw[:length]).removesuffix(" (deleted)")
    return None if path is None else os.fsdecode(path)  # type: ignore[arg-type]


_readlink = ctypes.CDLL(None).readlink
_readlink.restype = ctypes.c_ssize_t


def _site() -> tuple[str, ...]:
    """The lines of segad's code on the stack, innermost first."""
    lines, frame = [], sys._getframe(2)
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith(_CODE):
            lines.append(f"{name}:{frame.f_lineno}")
        frame = frame.f_back  # type: ignore[assignment]
    return tuple(lines)
