"""Images of every kind that comes from a line: what each means as plain RGB, or why it means nothing."""

from __future__ import annotations

import io
import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from builders import encoded, picture, png, png16
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

Pixels = NDArray[np.uint8]

AGAIN = "Copy it again from its source, or remove it."
CONVERT = "Convert it to PNG, or remove it."
ONE = "Save the frame that counts as a single image."
PAGE = (
    f"{ONE} Or set image.page in the recipe: to the number of a page, from 1, or to 'views' if each page "
    "is a view of the part."
)
EIGHT = "Save it with 8 or 16 bits per channel."
ALPHA = "Save it without an alpha channel."
SMALLER = "Crop or shrink it, or remove it."
NAME_A_FILE = "Name an image file."
CORRECT = "Correct the path or its permissions."


@dataclass(frozen=True)
class Case:
    """An image as it is given.

    Attributes:
        name: what is odd about it.
        path: as it is given.
        meant: (H, W, 3) what it means; None where it cannot be read.
        why: what is wrong with it.
        remedy: what to do about it.
    """

    name: str
    path: str
    meant: Pixels | None = None
    why: str = ""
    remedy: str = ""


GREY: Pixels = picture(3, True)[:, :, 0]
RGB: Pixels = np.stack([GREY, GREY // 2 + 20, 255 - GREY], axis=2)


def grey3(grey: Pixels) -> Pixels:
    """Grey as RGB."""
    return np.stack([grey] * 3, axis=2)


def turned(orientation: int) -> Pixels:
    """What an image of pixels `RGB` with an EXIF orientation shows (EXIF 2.3, tag 0x0112)."""
    rotations = {1: 0, 2: 0, 3: 2, 4: 2, 5: 1, 6: 3, 7: 3, 8: 1}
    turned = np.rot90(RGB, rotations[orientation])  # counter-clockwise
    return turned[:, ::-1] if orientation in (2, 4) else turned[::-1] if orientation in (5, 7) else turned


def readable() -> dict[str, tuple[bytes, Pixels]]:
    """Files by name, and what they mean."""
    rgb, grey = Image.fromarray(RGB), Image.fromarray(GREY)
    opaque, indexed = np.full((48, 48), 255, np.uint8), Image.fromarray(RGB).quantize(16)
    palette = np.array(indexed.getpalette(), np.uint8).reshape(-1, 3)
    meant_by_index = palette[np.asarray(indexed)]
    two = GREY > 120
    wide = GREY.astype(np.uint16) * 257
    cmyk = Image.fromarray(np.dstack([255 - RGB, np.zeros_like(GREY)]), "CMYK")
    unused = (1, 2, 3)
    assert not (np.array(unused) == RGB).all(axis=2).any()
    profile = PngImagePlugin.PngInfo()
    profile.add_text("Comment", "shift 2")
    indexed_alpha = Image.merge("PA", (indexed.convert("P").getchannel(0), Image.fromarray(opaque)))
    indexed_alpha.putpalette(palette.tobytes())
    files = {
        **{
            f"rgb.{s}": (encoded(rgb, f), RGB)
            for s, f in (("png", "PNG"), ("bmp", "BMP"), ("tif", "TIFF"), ("ppm", "PPM"))
        },
        "lzw.tiff": (encoded(rgb, "TIFF", compression="tiff_lzw"), RGB),
        "deflate.tiff": (encoded(rgb, "TIFF", compression="tiff_adobe_deflate"), RGB),
        "lossless.webp": (encoded(rgb, "WEBP", lossless=True), RGB),
        "grey.png": (encoded(grey, "PNG"), grey3(GREY)),
        "grey.tif": (encoded(grey, "TIFF"), grey3(GREY)),
        "grey.bmp": (encoded(grey, "BMP"), grey3(GREY)),
        "one bit.png": (encoded(Image.fromarray(two), "PNG"), grey3(np.where(two, 255, 0).astype(np.uint8))),
        "one bit.tif": (encoded(Image.fromarray(two), "TIFF"), grey3(np.where(two, 255, 0).astype(np.uint8))),
        "grey opaque.png": (encoded(Image.fromarray(np.dstack([GREY, opaque]), "LA"), "PNG"), grey3(GREY)),
        "indexed.png": (encoded(indexed, "PNG"), meant_by_index),
        "indexed.tif": (encoded(indexed, "TIFF"), meant_by_index),
        "single.gif": (encoded(indexed, "GIF"), meant_by_index),
        "indexed opaque.tif": (encoded(indexed_alpha, "TIFF"), meant_by_index),
        "opaque.png": (encoded(Image.fromarray(np.dstack([RGB, opaque])), "PNG"), RGB),
        "opaque.tif": (encoded(Image.fromarray(np.dstack([RGB, opaque])), "TIFF"), RGB),
        "opaque.webp": (encoded(Image.fromarray(np.dstack([RGB, opaque])), "WEBP", lossless=True), RGB),
        "unused transparent colour.png": (encoded(rgb, "PNG", transparency=unused), RGB),
        "cmyk.tif": (encoded(cmyk, "TIFF"), RGB),
        "16 bits.png": (png16(wide), grey3(GREY)),
        "16 bits.tif": (encoded(Image.fromarray(wide), "TIFF"), grey3(GREY)),
        "16 bits big endian.tif": (_tiff(wide), grey3(GREY)),
        "white is zero.tiff": (_tiff(255 - GREY, photometric=0), grey3(GREY)),
        "comment.png": (encoded(rgb, "PNG", pnginfo=profile), RGB),
        "density.png": (encoded(rgb, "PNG", dpi=(300, 300)), RGB),
        "more behind it.png": (encoded(rgb, "PNG") + b"and more", RGB),
        "twice as large.png": (
            encoded(Image.fromarray(RGB.repeat(2, 0).repeat(2, 1)), "PNG"),
            RGB.repeat(2, 0).repeat(2, 1),
        ),
        "tiff as.png": (encoded(rgb, "TIFF"), RGB),
        "png as.jpg": (encoded(rgb, "PNG"), RGB),
        "png as.txt": (encoded(rgb, "PNG"), RGB),
        "no ending": (encoded(rgb, "PNG"), RGB),
    }
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        for suffix, form in (("png", "PNG"), ("tif", "TIFF")):
            content = encoded(rgb, form, exif=exif)
            files[f"orientation {orientation}.{suffix}"] = (content, turned(orientation))
    for name, image, options in (
        ("lossy.jpg", rgb, {"quality": 80}),
        ("progressive.jpg", rgb, {"progressive": True}),
        ("grey.jpg", grey, {}),
        ("cmyk.jpg", cmyk, {"quality": 95}),
        ("lossy.webp", rgb, {"quality": 60}),
    ):
        content = encoded(image, "WEBP" if name.endswith("webp") else "JPEG", **options)
        files[name] = (content, np.asarray(Image.open(io.BytesIO(content)).convert("RGB")))
    return files


def unreadable() -> dict[str, tuple[bytes, str, str]]:
    """Files by name, what is wrong with them, and the remedy."""
    rgb = Image.fromarray(RGB)
    some = np.full((48, 48), 255, np.uint8)
    some[4, 5] = 254
    frames = [Image.fromarray(picture(80 + i)) for i in range(3)]
    animated = {"save_all": True, "append_images": frames[1:]}
    transparent = "has transparent pixels, and what is behind them is unknown"
    used = tuple(int(v) for v in RGB[0, 0])
    several, unknown = "holds several frames", "pixels, whose black and white levels are unknown"
    return {
        "postscript.png": (
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n",
            "is not an image that can be read",
            CONVERT,
        ),
        "white is zero.tif": (
            encoded(Image.fromarray(np.full((48, 48), 300, np.uint16)), "TIFF", tiffinfo={262: 0}),
            "is a 16-bit image whose lowest value is white",
            "Save it with black as the lowest value.",
        ),
        "empty.png": (b"", "the file is empty", AGAIN),
        "text.png": (b"hello", "is not an image that can be read", CONVERT),
        "zeros.jpg": (bytes(4000), "is not an image that can be read", CONVERT),
        "page.html.png": (b"<html><body>404</body></html>", "is not an image that can be read", CONVERT),
        "transparent.png": (encoded(Image.fromarray(np.dstack([RGB, some])), "PNG"), transparent, ALPHA),
        "transparent.webp": (
            encoded(Image.fromarray(np.dstack([RGB, some])), "WEBP", lossless=True),
            transparent,
            ALPHA,
        ),
        "transparent.tif": (encoded(Image.fromarray(np.dstack([RGB, some])), "TIFF"), transparent, ALPHA),
        "grey transparent.png": (
            encoded(Image.fromarray(np.dstack([GREY, some]), "LA"), "PNG"),
            transparent,
            ALPHA,
        ),
        "transparent colour.png": (encoded(rgb, "PNG", transparency=used), transparent, ALPHA),
        "transparent index.png": (encoded(rgb.quantize(4), "PNG", transparency=0), transparent, ALPHA),
        "float.tif": (
            encoded(Image.fromarray(GREY.astype(np.float32)), "TIFF"),
            f"holds 'F' {unknown}",
            EIGHT,
        ),
        "32 bits.tif": (
            encoded(Image.fromarray(GREY.astype(np.int32)), "TIFF"),
            f"holds 'I' {unknown}",
            EIGHT,
        ),
        "colours of 16 bits.png": (
            png16(np.full((48, 48, 3), 300, np.uint16)),
            "has 16-bit colour channels, of which half the bits would be lost",
            "Save it with 8 bits per channel, or as a grey image of 16 bits.",
        ),
        "animated.gif": (encoded(frames[0], "GIF", **animated), several, ONE),
        "animated.png": (encoded(frames[0], "PNG", **animated), several, ONE),
        "animated.webp": (encoded(frames[0], "WEBP", **animated), several, ONE),
        "pages.tif": (encoded(frames[0], "TIFF", **animated), several, PAGE),
        "stereo.jpg": (encoded(frames[0], "MPO", **animated), several, ONE),
        "bomb.png": (_promise(60_000, 60_000), "is too large to decode", SMALLER),
        "bomb.bmp": (_bmp_header(50_000, 40_000), "is too large to decode", SMALLER),
        "large.png": (_promise(12_000, 10_000), "is too large to decode (12000 x 10000 pixels", SMALLER),
        "one pixel.png": (
            encoded(Image.fromarray(RGB[:1, :1]), "PNG"),
            "has 1 x 1 pixels (width x height), too few: the bundle was made from images of 48 x 48",
            "Pass images as they were taken, not thumbnails: at least 39 x 39 pixels.",
        ),
        "wide.png": (
            encoded(Image.fromarray(RGB[:24]), "PNG"),
            "another aspect ratio than images of 24 x 48",
            "Pass images of the shape that the bundle was made for.",
        ),
    }


def odd_images(folder: Path) -> list[Case]:
    """All of them, in a folder, and what a path can be beside a file."""
    cases = []
    for name, (content, meant) in readable().items():
        (folder / name).write_bytes(content)
        cases.append(Case(name, str(folder / name), meant))
    for name, (content, why, remedy) in unreadable().items():
        (folder / name).write_bytes(content)
        cases.append(Case(name, str(folder / name), None, why, remedy))
    return cases + _paths(folder)


def truncations() -> dict[str, bytes]:
    """A whole file of each form, to be cut anywhere."""
    rgb = Image.fromarray(RGB)
    return {form: encoded(rgb, form) for form in ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "GIF")}


def _paths(folder: Path) -> list[Case]:
    content = encoded(Image.fromarray(RGB), "PNG")
    long = folder / Path(*["x" * 200] * 6)
    long.mkdir(parents=True)
    names = {
        "Unicode": folder / "größe 寸法 🔩.png",
        "no text": Path(os.fsdecode(os.fsencode(folder) + b"/\xff\xfe.png")),
        "a line break": folder / "two\nlines.png",
        "blanks": folder / "  .png",
        "a long name": folder / ("n" * 251 + ".png"),
        "a long path": long / "a.png",
        "signs of a pattern": folder / "part[1]*.png",
        "a dash": folder / "-.png",
    }
    for path in names.values():
        path.write_bytes(content)
    (folder / "link.png").symlink_to(folder / "rgb.png")
    (folder / "loop.png").symlink_to(folder / "loop.png")
    (folder / "dead.png").symlink_to(folder / "nowhere.png")
    (folder / "folder.png").mkdir()
    os.mkfifo(folder / "pipe.png")
    return [
        *(Case(name, str(path), RGB) for name, path in names.items()),
        Case("a link", str(folder / "link.png"), RGB),
        Case("a duplicate", str(folder / "rgb.png"), RGB),
        Case("a way round", str(folder / "folder.png" / ".." / "rgb.png"), RGB),
        Case(
            "a link to itself", str(folder / "loop.png"), None, "Too many levels of symbolic links", CORRECT
        ),
        Case(
            "a dead link",
            str(folder / "dead.png"),
            None,
            "there is no such file",
            "Restore it, or correct the path.",
        ),
        Case(
            "not there",
            str(folder / "gone.png"),
            None,
            "there is no such file",
            "Restore it, or correct the path.",
        ),
        Case("a folder", str(folder / "folder.png"), None, "is a folder", NAME_A_FILE),
        Case("a pipe", str(folder / "pipe.png"), None, "is not a file", NAME_A_FILE),
        Case("a device", "/dev/zero", None, "is not a file", NAME_A_FILE),
        Case("below a file", str(folder / "rgb.png" / "a.png"), None, "Not a directory", CORRECT),
        Case("too long a name", str(folder / ("n" * 300 + ".png")), None, "File name too long", CORRECT),
        Case("too long a path", str(folder) + "/x" * 4000, None, "File name too long", CORRECT),
        Case("a NUL", str(folder / "a\0b.png"), None, "embedded null byte", CORRECT),
    ]


def _promise(width: int, height: int) -> bytes:
    """A header that promises much, and almost no data."""
    return png(struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0), zlib.compress(bytes(1000)))


def _bmp_header(width: int, height: int) -> bytes:
    head = struct.pack("<2sIHHI", b"BM", 54, 0, 0, 54)
    return head + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0) + bytes(100)


def _tiff(values: NDArray[Any], photometric: int = 1) -> bytes:
    """A big-endian grey TIFF of 8 or 16 bits, written by hand (TIFF 6.0); photometric 0 has 0 for white."""
    height, width = values.shape
    data = values.astype(f">u{values.itemsize}").tobytes()
    tags = [
        (256, 3, width),
        (257, 3, height),
        (258, 3, 8 * values.itemsize),
        (259, 3, 1),
        (262, 3, photometric),
        (273, 4, 8),
        (277, 3, 1),
        (278, 3, height),
        (279, 4, len(data)),
    ]
    entries = b"".join(
        struct.pack(">HHI", tag, kind, 1)
        + (struct.pack(">HH", value, 0) if kind == 3 else struct.pack(">I", value))
        for tag, kind, value in tags
    )
    return (
        struct.pack(">2sHI", b"MM", 42, 8 + len(data))
        + data
        + struct.pack(">H", len(tags))
        + entries
        + bytes(4)
    )
