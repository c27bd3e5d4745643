"""Recognising pickles, which can run code when they are read: no state of a plugin may hold one."""

from __future__ import annotations

import io
from collections.abc import Iterator

from segad_core.base.pickle_opcodes import BEGIN, MOST, Trace
from segad_core.base.unpacked import unpacked

LEADING = 64
"""Bytes that may come before a pickle, or before what it is packed in."""

DEPTH = 4
"""Packings within one another that are opened; what is packed deeper counts as a pickle."""

MEMBERS = 2048
"""Files that are taken out of packings; what has more of them counts as one that holds a pickle."""

_HEAD = 1 << 20
_FEW = 500
"""Opcodes that are followed where no header says that they are some, lest arrays of one number take long."""


def holds_pickle(data: bytes | memoryview) -> bool:
    """Whether bytes hold a pickle: as they are, after a few others, or packed.

    Packings are zip, tar, gzip, bzip2, xz and zlib, within one another too; an npy file of objects is one.
    Pickles of plain data, which run no code, are recognised at the beginning, and of protocol 4 on also after
    other bytes. Nothing is run.
    """
    return _holds(memoryview(data), DEPTH, iter(range(MEMBERS)))


def _holds(data: memoryview, depth: int, left: Iterator[int]) -> bool:
    head = io.BytesIO(data[:_HEAD])
    for offset in range(min(LEADING + 1, len(data))):
        if data[offset] in BEGIN and _is_pickle(data, head, offset):
            return True
        for member in unpacked(data, offset):
            if member is None or not depth or next(left, None) is None:
                return True
            if _holds(memoryview(member), depth - 1, left):
                return True
    return False


def _is_pickle(data: memoryview, head: io.BytesIO, offset: int) -> bool:
    head.seek(offset)
    trace = Trace(head, MOST if not offset or data[offset] == 0x80 else _FEW)
    if trace.header and not trace.whole and len(data) > _HEAD:  # few get so far
        trace = Trace(io.BytesIO(data[offset:]))
    if trace.header:
        return trace.names or (trace.whole and (trace.framed or not offset))
    return trace.whole and trace.names and trace.calls
