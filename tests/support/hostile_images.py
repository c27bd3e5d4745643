"""Image files that ask for far more work than their size shows; each function builds one, of any extent."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

Tag = tuple[int, int, int, bytes]
"""Of a TIFF: tag, type, count, value or bytes."""

_PNG = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(
    width: int,
    height: int,
    before: Sequence[bytes] = (),
    pieces: int = 1,
    interlaced: bool = False,
    depth: int = 8,
    colour: int = 2,
) -> bytes:
    """A black PNG: with chunks before its pixels, which are cut into pieces."""
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    line = 1 + (width * depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour] + 7) // 8
    packer = zlib.compressobj(1)
    data = b"".join(packer.compress(bytes(line * 64)) for _ in range(2 * height // 64 + 2)) + packer.flush()
    step = max(1, len(data) // pieces)
    cut = [data[i : i + step] for i in range(0, len(data), step)] + [b""] * (pieces - len(data))
    return b"".join(
        [_PNG, chunk(b"IHDR", head), *before, *(chunk(b"IDAT", piece) for piece in cut), chunk(b"IEND", b"")]
    )


def profiles(count: int) -> list[bytes]:
    """Colour profiles that inflate a thousandfold."""
    return [chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(1 << 20), 9))] * count


def jpeg(width: int, height: int, **options: object) -> bytes:
    """A grey ramp as JPEG."""
    data = io.BytesIO()
    ramp = np.linspace(0, 255, 64).astype(np.uint8).reshape(8, 8).repeat(8, 0).repeat(8, 1)
    tile = np.tile(np.stack([ramp, ramp.T, 255 - ramp], axis=2), (-(-height // 64), -(-width // 64), 1))
    Image.fromarray(tile[:height, :width]).save(data, "JPEG", **options)
    return data.getvalue()


def repeated_scans(image: bytes, times: int) -> bytes:
    """A progressive JPEG whose last scan comes again and again."""
    last, end = image.rindex(b"\xff\xda"), image.rindex(b"\xff\xd9")
    return image[:end] + image[last:end] * times + image[end:]


def segments(image: bytes, kind: int, content: bytes, times: int) -> bytes:
    """A JPEG with a segment at its beginning, many times over."""
    return image[:2] + (struct.pack(">BBH", 255, kind, len(content) + 2) + content) * times + image[2:]


def fractions(count: int, tags: int) -> bytes:
    """EXIF data in which many tags name the same fractions."""
    start = 8 + 2 + 12 * tags + 4
    entries = b"".join(struct.pack("<HHII", 40_000 + i, 5, count, start) for i in range(tags))
    return struct.pack("<2sHIH", b"II", 42, 8, tags) + entries + bytes(4) + struct.pack("<II", 1, 3) * count


def arithmetic(width: int, height: int, scans: int, size: int) -> bytes:
    """A progressive JPEG in arithmetic coding, of random data."""
    noise = np.random.default_rng(0).integers(0, 255, size).astype(np.uint8).tobytes()
    table = b"\xff\xdb\x00\x43\x00" + b"\x01" * 64
    frame = struct.pack(">BBHBHHB", 255, 0xCA, 11, 8, height, width, 1) + b"\x01\x11\x00"
    dc = struct.pack(">BBHB", 255, 0xDA, 8, 1) + b"\x01\x00\x00\x00\x00" + noise
    ac = struct.pack(">BBHB", 255, 0xDA, 8, 1) + b"\x01\x00\x01\x3f\x00" + noise
    return b"\xff\xd8" + table + frame + dc + ac * scans + b"\xff\xd9"


def tiff(
    width: int,
    height: int,
    more: Mapping[int, tuple[int, int, bytes]] | None = None,
    pages: int = 1,
    following: int = 0,
    data: bytes = b"",
    bits: int = 8,
) -> bytes:
    """A grey TIFF: with further or other tags, each (type, count, bytes), and pages that share the pixels.

    Args:
        following: the place to which the last page leads.
    """
    pixels = data or bytes(width * height * bits // 8)
    start = 8 + len(pixels)
    tags: dict[int, tuple[int, int, bytes]] = {
        256: (4, 1, struct.pack("<I", width)),
        257: (4, 1, struct.pack("<I", height)),
        258: (3, 1, struct.pack("<HH", bits, 0)),
        259: (3, 1, struct.pack("<HH", 1, 0)),
        262: (3, 1, struct.pack("<HH", 1, 0)),
        273: (4, 1, struct.pack("<I", 8)),
        278: (4, 1, struct.pack("<I", height)),
        279: (4, 1, struct.pack("<I", len(pixels))),
        **(more or {}),
    }
    kept = {tag: value for tag, value in sorted(tags.items()) if value[1]}
    outside, entries = b"", b""
    place = start + (2 + 12 * len(kept) + 4) * pages
    for tag, (kind, count, value) in kept.items():
        held = value.ljust(4, b"\0") if len(value) <= 4 else struct.pack("<I", place + len(outside))
        outside += value if len(value) > 4 else b""
        entries += struct.pack("<HHI", tag, kind, count) + held
    page = struct.pack("<H", len(kept)) + entries
    chain = b"".join(page + struct.pack("<I", start + (i + 1) * (len(page) + 4)) for i in range(pages - 1))
    return (
        struct.pack("<2sHI", b"II", 42, start)
        + pixels
        + chain
        + page
        + struct.pack("<I", following)
        + outside
    )


END = "the end"
"""The place behind the tags."""


def tiff_of(more: Sequence[tuple[int, int, int, int | str]], behind: bytes = b"") -> bytes:
    """A grey TIFF of 4 x 4 pixels with further tags, each (tag, type, count, value), in this order."""
    plain = [(256, 4), (257, 4), (258, 8), (259, 1), (262, 1), (273, 8), (278, 4), (279, 16)]
    tags = [*((tag, 3, 1, value) for tag, value in plain), *more]
    end = 8 + 16 + 2 + 12 * len(tags) + 4
    entries = b"".join(
        struct.pack("<HHII", tag, kind, count, end if isinstance(value, str) else value)
        for tag, kind, count, value in tags
    )
    head = struct.pack("<2sHI", b"II", 42, 24) + bytes(16) + struct.pack("<H", len(tags))
    return head + entries + bytes(4) + behind


def tiles(width: int, height: int, side: int, compression: int, data: bytes) -> bytes:
    """A TIFF in tiles that are all the same bytes."""
    count = -(-width // side) * -(-height // side)
    return tiff(
        width,
        height,
        {
            259: (3, 1, struct.pack("<HH", compression, 0)),
            273: (4, 0, b""),
            278: (4, 0, b""),
            279: (4, 0, b""),
            322: (4, 1, struct.pack("<I", side)),
            323: (4, 1, struct.pack("<I", side)),
            324: (4, count, struct.pack("<I", 8) * count),
            325: (4, count, struct.pack("<I", len(data)) * count),
        },
        data=data,
    )


def bigtiff(tags: int) -> bytes:
    """A BigTIFF of many tags."""
    return struct.pack("<2sHHHQQ", b"II", 43, 8, 0, 16, tags) + struct.pack("<HHQQ", 60_000, 4, 1, 1) * tags


def gif(width: int, height: int, frames: int = 1, comment: int = 0) -> bytes:
    """A GIF of black frames, with a comment of so many blocks."""
    data = io.BytesIO()
    Image.new("P", (width, height)).save(data, "GIF")
    one = data.getvalue()
    start = one.index(b",")
    head, frame = one[:start], one[start:-1]
    text = (b"!\xfe" + (b"\xff" + b"x" * 255) * comment + b"\0") if comment else b""
    return head + text + frame * frames + b";"


def webp(width: int, height: int, lossless: bool) -> bytes:
    """A WebP of a ramp."""
    data = io.BytesIO()
    line = np.tile(np.arange(256, dtype=np.uint8), (height, -(-width // 256)))[:, :width]
    Image.fromarray(
        np.stack([line, line.T[:1].repeat(height, 0)[:, :width] if width == height else line, line], 2)
    ).save(data, "WEBP", lossless=lossless, method=0, quality=10)
    return data.getvalue()


def plain_ppm(width: int, height: int, token: bytes = b"7 ", comments: int = 0) -> bytes:
    """A PGM in plain text, with comments among its values."""
    return b"P2\n%d %d\n255\n" % (width, height) + b"#\n" * comments + token * (width * height)


def odd_ppm(width: int, height: int) -> bytes:
    """A PPM whose white is 254, which Pillow scales in Python."""
    return b"P6\n%d %d\n254\n" % (width, height) + bytes(width * height * 3)


def rle_bmp(width: int, height: int) -> bytes:
    """A BMP of empty lines in run lengths, which Pillow fills in Python."""
    palette = b"".join(struct.pack("<BBBB", i, 0, 0, 0) for i in range(256))
    data = (b"\1\1\0\0") * height + b"\0\1"
    head = struct.pack("<2sIHHI", b"BM", 54 + 1024 + len(data), 0, 0, 54 + 1024)
    return (
        head
        + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(data), 0, 0, 256, 0)
        + palette
        + data
    )


def empty_blocks(size: int) -> bytes:
    """The beginning of a zlib stream: about so many bytes of blocks that define codes and hold nothing."""
    fields = [(0, 1), (2, 2), (0, 5), (0, 5), (14, 4)]  # dynamic codes, 257 + 1 of them, in 18 lengths
    fields += [
        (int(symbol in (18, 1)), 3)
        for symbol in (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1)
    ]
    fields += [(1, 1), (127, 7), (1, 1), (107, 7), (0, 1), (0, 1), (0, 1)]  # 256 unused, then the end
    bits = [value >> i & 1 for value, width in fields for i in range(width)]
    eight = np.packbits(np.array(bits * 8, np.uint8), bitorder="little").tobytes()
    return b"\x78\x01" + eight * (size // len(eight))


def stored(data: bytes) -> bytes:
    """The end of a zlib stream: bytes as they are."""
    parts = [data[i : i + 65_535] for i in range(0, len(data), 65_535)]
    blocks = [
        struct.pack("<BHH", i == len(parts) - 1, len(part), 65_535 - len(part)) + part
        for i, part in enumerate(parts)
    ]
    return b"".join(blocks) + struct.pack(">I", zlib.adler32(data))


def slow_png(width: int, height: int, size: int) -> bytes:
    """A black PNG whose pixels come after many empty blocks."""
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = empty_blocks(size) + stored(bytes((1 + width) * height))
    return _PNG + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def slow_tiff(width: int, height: int, size: int) -> bytes:
    """The same as TIFF."""
    data = empty_blocks(size) + stored(bytes(width * height))
    return tiff(width, height, {259: (3, 1, struct.pack("<HH", 8, 0))}, data=data)
