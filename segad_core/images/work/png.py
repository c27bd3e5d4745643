"""PNG: the checksums, which decoding skips, and chunks that cost more than their bytes."""

from __future__ import annotations

import struct
import zlib
from io import BufferedReader
from pathlib import Path

from segad_core.images.faults import damaged
from segad_core.images.limits import MAX_METADATA, too_slow

_BLOCK = 1 << 20
_PIXELS = (b"IDAT", b"fdAT")
_MAX_CHUNKS = 250_000


def check(path: Path, file: BufferedReader, size: int) -> None:
    """Walks the chunks up to the last one.

    Raises:
        ImageError: a checksum is wrong, the end is missing, or there is too much beside the pixels.
    """
    file.seek(8)
    chunks = others = profiles = 0
    while True:
        head = file.read(8)
        if len(head) < 8:
            raise damaged(path, "its end is missing")
        length, kind = struct.unpack(">I4s", head)
        if kind == b"IEND":
            return
        chunks += 1
        others += 0 if kind in _PIXELS else length
        profiles += kind == b"iCCP"  # each may inflate a thousandfold
        if chunks > _MAX_CHUNKS or others > MAX_METADATA or profiles > 1:
            raise too_slow(path, f"{chunks} chunks, {others} bytes that are no pixels")
        _check_sum(path, file, length, kind)


def _check_sum(path: Path, file: BufferedReader, length: int, kind: bytes) -> None:
    digest = zlib.crc32(kind)
    while length > 0:
        block = file.read(min(length, _BLOCK))
        if not block:
            raise damaged(path, "its end is missing")
        digest = zlib.crc32(block, digest)
        length -= len(block)
    if file.read(4) != struct.pack(">I", digest):
        raise damaged(path, f"the checksum of its chunk {kind!a} is wrong")
