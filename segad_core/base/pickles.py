"""Recognising pickles, which can run code when they are read: no state of a plugin may hold one.

`pickletools` reads their opcodes, and runs nothing.
"""

from __future__ import annotations

import bz2
import io
import lzma
import pickletools  # nosec B403
import zipfile
import zlib
from collections.abc import Callable

_OPENERS: tuple[tuple[bytes, Callable[[bytes], bytes]], ...] = (
    (b"\x1f\x8b", lambda data: zlib.decompressobj(31).decompress(data, 1 << 20)),
    (b"\x78", lambda data: zlib.decompressobj().decompress(data, 1 << 20)),
    (b"BZh", lambda data: bz2.BZ2Decompressor().decompress(data, 1 << 20)),
    (b"\xfd7zXZ", lambda data: lzma.LZMADecompressor().decompress(data, 1 << 20)),
    (b"\x5d\x00\x00", lambda data: lzma.LZMADecompressor().decompress(data, 1 << 20)),
)
_FEW = 64
"""Opcodes that are read after the header of a pickle: nothing else goes on like one for so long."""

_CALLS = {"GLOBAL", "INST", "REDUCE", "BUILD", "OBJ"}
"""What makes a pickle of the first two protocols more than plain data."""

_HEADERS = range(2, max(opcode.proto for opcode in pickletools.opcodes) + 1)
"""The protocols whose pickles begin with their number."""


def holds_pickle(data: bytes) -> bool:
    """Whether bytes are a pickle as it is, compressed (joblib), in an archive (torch), or in an npy file."""
    if data[:4] == b"PK\x03\x04":
        return _archive_has_one(data)
    if data[:6] == b"\x93NUMPY":
        return b"'|O'" in data[:1024] or b"|O" in data[:1024]
    if _is_pickle(data):
        return True
    for magic, opened in _OPENERS:
        if data.startswith(magic):
            try:
                return _is_pickle(opened(data))
            except (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError):
                return False
    return False


def _is_pickle(data: bytes) -> bool:
    """Whether bytes are the opcodes of a pickle; of the old protocols, which have no header, with a call."""
    begins = len(data) > 2 and data[0] == 0x80 and data[1] in _HEADERS
    if not begins and not data.endswith(b"."):
        return False
    calls = False
    try:
        for number, (opcode, _, position) in enumerate(pickletools.genops(data)):
            calls = calls or opcode.name in _CALLS
            if opcode.name == "STOP":
                return begins or (calls and position == len(data) - 1)
            if begins and number >= _FEW:
                return True
    except Exception:  # whatever damaged opcodes make of it: no pickle can be read from them
        return False
    return False


def _archive_has_one(data: bytes) -> bool:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return any(name.endswith((".pkl", ".pickle")) for name in archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False
