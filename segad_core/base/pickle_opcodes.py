"""What the opcodes of a pickle would do, without doing it."""

from __future__ import annotations

import io
import pickletools  # nosec B403
import re
import warnings
from typing import Any

MOST = 10_000
"""Opcodes that are followed: hardly anything but a pickle has so many that fit together."""

BEGIN = frozenset(ord(opcode.code) for opcode in pickletools.opcodes if not opcode.stack_before)
"""The bytes that a pickle can begin with."""

_HEADERS = range(2, max(opcode.proto for opcode in pickletools.opcodes) + 1)
"""The protocols whose pickles begin with their number."""

_CALLS = {"INST", "REDUCE", "BUILD", "OBJ", "NEWOBJ"}
_NAME = re.compile(r"[^\W\d][\w.]*[ .][^\W\d][\w.]*")
_MARK = pickletools.markobject
_TEXT = pickletools.pyunicode


class Trace:
    """What was found on the way through a pickle.

    Attributes:
        header: whether it begins with its protocol.
        framed: whether it then says how long it is, as those of protocol 4 and later do.
        names: whether it names something in a module, as it has to before it can call it.
        calls: whether it calls something.
        whole: whether it has an end, or goes on for long, and all opcodes on the way find what they need.
    """

    def __init__(self, file: io.BytesIO, most: int = MOST) -> None:
        """Follows at most so many opcodes, from where the file is."""
        self.header = self.framed = self.names = self.calls = False
        self._stack: list[Any] = []
        self._memo: dict[Any, Any] = {}
        try:
            with warnings.catch_warnings():  # of escapes in what are no texts
                warnings.simplefilter("ignore", DeprecationWarning)
                self.whole = self._follow(file, most)
        except Exception:  # whatever damaged opcodes make of it: no pickle can be read from them
            self.whole = False

    def _follow(self, file: io.BytesIO, most: int) -> bool:
        data, begins, left = file.getbuffer(), file.tell(), most
        self.header = len(data) > begins + 1 and data[begins] == 0x80 and data[begins + 1] in _HEADERS
        ends = False
        while not ends:  # some files are several pickles
            for number, (opcode, argument, _) in enumerate(pickletools.genops(file)):
                left -= 1
                if number and opcode.name == "PROTO":  # it only begins pickles
                    return False
                if opcode.name == "FRAME":
                    self.framed |= number == 1 and int(argument or 0) <= len(data) - file.tell()
                self._do(opcode, argument)
                if self.header and self.names:
                    return True
                if not left:
                    return self.header and bool(self._memo)
            ends = bool(self._stack) or not self.header or bytes(data[file.tell() :][:1]) != b"\x80"
        return not self._stack

    def _do(self, opcode: pickletools.OpcodeInfo, argument: Any) -> None:
        """Raises an exception if the opcode does not find what it needs."""
        stack, name, after = self._stack, opcode.name, opcode.stack_after
        if name in ("GLOBAL", "INST"):
            self.names |= _NAME.fullmatch(argument) is not None
        elif name == "STACK_GLOBAL":
            self.names |= stack[-1] is stack[-2] is _TEXT
        elif name == "MEMOIZE":
            self._memo[len(self._memo)] = stack[-1]
        elif name.endswith("PUT"):
            self._memo[argument] = stack[-1]
        elif name.endswith("GET"):
            after = [self._memo[argument]]
        self.calls |= name in _CALLS
        needed = len(opcode.stack_before)
        if _MARK in opcode.stack_before:
            needed = opcode.stack_before.index(_MARK)
            while stack.pop() is not _MARK:
                pass
        if needed > len(stack):
            raise ValueError("stack")
        if name == "MEMOIZE":
            return
        del stack[len(stack) - needed :]
        stack.extend(after)
