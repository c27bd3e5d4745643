"""Taking files out of what packs them, the first MiB of each, without trusting a table of contents."""

from __future__ import annotations

import bz2
import lzma
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

PART = 1 << 20
"""Bytes that are taken of each file."""

Files = Iterator[memoryview | bytes | None]


class _Decompressor(Protocol):
    def decompress(self, data: memoryview, max_length: int, /) -> bytes: ...


def unpacked(data: memoryview, offset: int = 0) -> Files:
    """The beginnings of the files that bytes pack, from an offset on: nothing if they are no known packing.

    Yields None for what is or has to be a pickle: an array of objects, or a file that is called one.
    """
    for magic, opened in _PACKINGS:
        if magic.match(data, offset):
            try:
                yield from opened(data[offset:])
            except (OSError, EOFError, ValueError, struct.error, zlib.error, lzma.LZMAError):
                return  # damaged


def _zlib(window: int) -> Callable[[], _Decompressor]:
    return lambda: zlib.decompressobj(window)


def _xz() -> _Decompressor:
    return lzma.LZMADecompressor(memlimit=1 << 28)


_METHODS: dict[int, Callable[[], _Decompressor]] = {8: _zlib(-15), 12: bz2.BZ2Decompressor}


def _stream(make: Callable[[], _Decompressor]) -> Callable[[memoryview], Files]:
    def opened(data: memoryview) -> Files:
        yield make().decompress(data[: 2 * PART], PART)

    return opened


def _zip(data: memoryview) -> Files:
    for found in re.finditer(rb"PK\x03\x04", data):
        header = data[found.start() : found.start() + 30]
        if len(header) < 30:
            return
        flags, method, size, name, extra = struct.unpack("<6xHH8xI4xHH", header)
        size = PART if flags & 8 else min(size, PART)  # of a stream, it is told at its end
        begins = found.end() + 26
        yield from _named(bytes(data[begins : begins + name]))
        packed = data[begins + name + extra :]
        try:
            yield from (_stream(_METHODS[method])(packed) if method in _METHODS else [packed[:size]])
        except (OSError, EOFError, ValueError, zlib.error):
            continue


def _tar(data: memoryview) -> Files:
    for found in re.finditer(rb"ustar", data):
        begins = found.start() - 257
        if begins >= 0:
            yield from _named(bytes(data[begins : begins + 100]).rstrip(b"\0"))
            yield data[begins + 512 : begins + 512 + PART]


def _named(name: bytes) -> Files:
    if name.endswith((b".pkl", b".pickle")):
        yield None


def _npy(data: memoryview) -> Files:
    layout = "<H" if data[6] == 1 else "<I"
    begins = 8 + struct.calcsize(layout)
    (length,) = struct.unpack_from(layout, data, 8)
    if _OBJECTS.search(data[begins : begins + length]):
        yield None
    yield data[begins + length :]


_OBJECTS = re.compile(rb"""['"][<>=|]?(O\d?|object_?)['"]""")

_PACKINGS: tuple[tuple[re.Pattern[bytes], Callable[[memoryview], Files]], ...] = (
    (re.compile(rb"PK\x03\x04"), _zip),
    (re.compile(rb"\x93NUMPY[\x01-\x03]"), _npy),
    (re.compile(rb"\x1f\x8b\x08"), _stream(_zlib(31))),
    (re.compile(rb"\x78[\x01\x5e\x9c\xda]"), _stream(_zlib(15))),
    (re.compile(rb"BZh[1-9]1AY&SY"), _stream(bz2.BZ2Decompressor)),
    (re.compile(rb"\xfd7zXZ\x00|\x5d\x00\x00"), _stream(_xz)),
    (re.compile(rb"(?s:.{257})ustar"), _tar),
)
