"""What hostile and very large image files cost: processor time and memory, each in a process of its own.

python benchmarks/hostile_images.py [PART OF A NAME ...]
"""

from __future__ import annotations

import json
import platform
import resource
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

import hostile_images as hostile
import numpy as np
from PIL import Image, ImageFile

from segad_core.errors import SegadError
from segad_core.images import decode_resized, read_labels, read_mask

ImageFile.MAXBLOCK = 1 << 28  # of noise
SIDE = 9_900  # squared, 98 megapixels
PIXELS = SIDE * SIDE


def noise(side: int, channels: int = 3, values: int = 256) -> Image.Image:
    """Pixels that hardly compress."""
    pixels = np.random.default_rng(0).integers(0, values, (side, side, channels), dtype=np.uint8)
    return Image.fromarray(pixels if channels > 1 else pixels[..., 0])


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    """An image as the bytes of a file."""
    with tempfile.TemporaryFile() as file:
        image.save(file, form, **options)
        file.seek(0)
        return file.read()


def turned(form: str) -> bytes:
    """The largest image, lying on its side."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(
        Image.new("RGB", (SIDE, SIDE), (9, 99, 200)),
        form,
        exif=exif,
        **{"quality": 90} if form == "JPEG" else {},
    )


def compressed_tiff(compression: str, side: int, quiet: bool = False) -> bytes:
    """A TIFF that libtiff unpacks."""
    return saved(
        Image.new("RGB", (side, side)) if quiet else noise(side, values=16), "TIFF", compression=compression
    )


CASES: dict[str, Callable[[], bytes]] = {
    "ordinary: PNG, 98 MP of RGB": lambda: hostile.png(SIDE, SIDE),
    "ordinary: PNG, 98 MP of grey, 16 bits": lambda: hostile.png(SIDE, SIDE, depth=16, colour=0),
    "ordinary: PNG, 98 MP of RGBA": lambda: saved(Image.new("RGBA", (SIDE, SIDE), (9, 9, 9, 255)), "PNG"),
    "ordinary: PNG, 98 MP interlaced": lambda: hostile.png(SIDE, SIDE, interlaced=True),
    "ordinary: PNG, 49 MP of noise": lambda: saved(noise(7000), "PNG", compress_level=1),
    "ordinary: JPEG, 98 MP": lambda: hostile.jpeg(SIDE, SIDE, quality=90),
    "ordinary: JPEG, 98 MP on its side": lambda: turned("JPEG"),
    "ordinary: JPEG, 98 MP progressive, 4:4:4": lambda: hostile.jpeg(
        SIDE, SIDE, quality=90, progressive=True, subsampling=0
    ),
    "ordinary: JPEG, 49 MP progressive of noise": lambda: saved(
        noise(7000), "JPEG", quality=75, progressive=True
    ),
    "ordinary: JPEG, 98 MP of CMYK": lambda: saved(Image.new("CMYK", (SIDE, SIDE)), "JPEG"),
    "ordinary: TIFF, 98 MP of RGB": lambda: saved(Image.new("RGB", (SIDE, SIDE)), "TIFF"),
    "ordinary: TIFF, 98 MP on its side": lambda: turned("TIFF"),
    "ordinary: TIFF, 98 MP, 16 bits": lambda: hostile.tiff(SIDE, SIDE, bits=16),
    "ordinary: TIFF, 49 MP, LZW of noise": lambda: compressed_tiff("tiff_lzw", 7000),
    "ordinary: TIFF, 49 MP, deflate of noise": lambda: compressed_tiff("tiff_adobe_deflate", 7000),
    "ordinary: TIFF, 98 MP, deflate": lambda: compressed_tiff("tiff_adobe_deflate", SIDE, True),
    "ordinary: TIFF, 98 MP, JPEG": lambda: compressed_tiff("jpeg", SIDE, True),
    "ordinary: TIFF, 49 MP, zstd of noise": lambda: compressed_tiff("zstd", 7000),
    "ordinary: TIFF, 16 MP, LZMA of noise": lambda: compressed_tiff("lzma", 4000),
    "ordinary: TIFF, 98 MP, LZMA": lambda: compressed_tiff("lzma", SIDE, True),
    "ordinary: BMP, 98 MP": lambda: saved(Image.new("RGB", (SIDE, SIDE)), "BMP"),
    "ordinary: GIF, 98 MP": lambda: hostile.gif(SIDE, SIDE),
    "ordinary: WebP, 98 MP": lambda: hostile.webp(SIDE, SIDE, False),
    "ordinary: WebP, 98 MP lossless": lambda: hostile.webp(SIDE, SIDE, True),
    "ordinary: PPM, 98 MP": lambda: saved(Image.new("RGB", (SIDE, SIDE)), "PPM"),
    "ordinary: mask, 98 MP": lambda: saved(Image.new("L", (SIDE, SIDE)), "PNG"),
    "ordinary: labels, 98 MP in colours": lambda: saved(
        Image.new("RGB", (SIDE, SIDE), (0x2E, 0x54, 0xA6)), "PNG"
    ),
    "ordinary: labels, 98 MP indexed": lambda: hostile.gif(SIDE, SIDE),
    "JPEG, 1,500 scans of 49 MP": lambda: hostile.repeated_scans(
        hostile.jpeg(7000, 7000, quality=30, progressive=True), 1500
    ),
    "JPEG, the most scans of 49 MP": lambda: hostile.repeated_scans(
        hostile.jpeg(7000, 7000, quality=30, progressive=True), 80
    ),
    "JPEG, the most scans of 98 MP": lambda: hostile.repeated_scans(
        hostile.jpeg(SIDE, SIDE, quality=30, progressive=True, subsampling=0), 30
    ),
    "JPEG, refinements of noise": lambda: hostile.repeated_scans(
        saved(noise(3000), "JPEG", quality=75, progressive=True, subsampling=0), 35
    ),
    "JPEG, arithmetic, 98 MP": lambda: hostile.arithmetic(SIDE, SIDE, 0, 1 << 20),
    "JPEG, arithmetic, 20 scans of 4 MP": lambda: hostile.arithmetic(2000, 2000, 20, 1 << 20),
    "JPEG, five million comments": lambda: hostile.segments(hostile.jpeg(64, 64), 0xFE, b"", 5_000_000),
    "JPEG, 200 MB between segments": lambda: (lambda d: d[:20] + bytes(200_000_000) + d[20:])(
        hostile.jpeg(64, 64)
    ),
    "JPEG, EXIF that begins a million times": lambda: hostile.segments(
        hostile.jpeg(64, 64), 0xE1, b"Exif\0\0" * 10_000, 200
    ),
    "JPEG, millions of fractions in MPF": lambda: hostile.segments(
        hostile.jpeg(64, 64), 0xE2, b"MPF\0" + hostile.fractions(4000, 2000), 1
    ),
    "TIFF, 100,000 pages": lambda: hostile.tiff(16, 16, pages=100_000),
    "TIFF, pages in a circle": lambda: hostile.tiff(16, 16, pages=2, following=8 + 256),
    "TIFF, ten million tags": lambda: hostile.bigtiff(10_000_000),
    "TIFF, five million strips": lambda: hostile.tiff(
        16,
        5_000_000,
        {
            273: (4, 5_000_000, struct.pack("<I", 8) * 5_000_000),
            278: (4, 1, struct.pack("<I", 1)),
            279: (4, 5_000_000, struct.pack("<I", 16) * 5_000_000),
        },
        data=bytes(16),
    ),
    "TIFF, 60,000 strips": lambda: hostile.tiff(
        16,
        60_000,
        {
            273: (4, 60_000, struct.pack("<I", 8) * 60_000),
            278: (4, 1, struct.pack("<I", 1)),
            279: (4, 60_000, struct.pack("<I", 16) * 60_000),
        },
    ),
    "TIFF, a fraction of twenty million": lambda: hostile.tiff(
        16, 16, {282: (5, 20_000_000, struct.pack("<II", 1, 3) * 20_000_000)}
    ),
    "TIFF, a tile larger than the image": lambda: hostile.tiles(16, 16, 40_000, 8, b"x"),
    "TIFF, 100 scans in each JPEG": lambda: hostile.tiles(
        8192,
        8192,
        1024,
        7,
        hostile.repeated_scans(hostile.jpeg(1024, 1024, progressive=True, quality=30), 90),
    ),
    "TIFF, deflate of 100 MB of empty blocks": lambda: hostile.slow_tiff(64, 64, 100_000_000),
    "PNG, 100 MB of empty blocks": lambda: hostile.slow_png(64, 64, 100_000_000),
    "PNG, 20,000 colour profiles": lambda: hostile.png(64, 64, hostile.profiles(20_000)),
    "PNG, 400 MB of text": lambda: hostile.png(64, 64, [hostile.chunk(b"tEXt", b"a\0" + bytes(400_000_000))]),
    "PNG, five million chunks": lambda: hostile.png(64, 64, pieces=5_000_000),
    "PNG, 1 x 99,000,000": lambda: hostile.png(1, 99_000_000, colour=0),
    "PNG, 99,000,000 x 1": lambda: hostile.png(99_000_000, 1, colour=0),
    "PNG, 1,500 x 65,000": lambda: hostile.png(1500, 65_000),
    "GIF, 100,000 frames": lambda: hostile.gif(16, 16, 100_000),
    "GIF, a comment of 50 MB": lambda: hostile.gif(16, 16, 1, 200_000),
    "PGM, plain, 30 million values": lambda: hostile.plain_ppm(6000, 5000),
    "PGM, plain, 5.9 million values": lambda: hostile.plain_ppm(2950, 2000),
    "PGM, plain, a million comments": lambda: hostile.plain_ppm(500, 500, b"7       ", 400_000),
    "PPM, white of 254, 30 million values": lambda: hostile.odd_ppm(5000, 2000),
    "PPM, white of 254, 5.9 million values": lambda: hostile.odd_ppm(2950, 660),
    "BMP, run lengths of 98 MP": lambda: hostile.rle_bmp(SIDE, SIDE),
    "BMP, run lengths of 5.9 MP": lambda: hostile.rle_bmp(2950, 2000),
}


def measured(path: Path, name: str) -> dict[str, object]:
    """Decodes a file, and says what it came to."""
    read = read_mask if "mask" in name else read_labels if "labels" in name else decode_resized
    before = resource.getrusage(resource.RUSAGE_SELF)
    try:
        read(path, (256, 256)) if read is decode_resized else read(path)
        outcome = "decoded"
    except SegadError as error:
        outcome = f"refused: {error.what.removeprefix(f'{path}: ')}"
    after = resource.getrusage(resource.RUSAGE_SELF)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": seconds, "peak": after.ru_maxrss / 1024, "outcome": outcome}


def main() -> None:
    """Builds and measures the cases whose names contain one of the arguments."""
    if sys.argv[1:2] == ["--build"]:
        Path(sys.argv[3]).write_bytes(CASES[sys.argv[2]]())
        return
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measured(Path(sys.argv[3]), sys.argv[2])))
        return
    wanted = sys.argv[1:] or [""]
    print(f"{platform.machine()}, Python {platform.python_version()}, Pillow {Image.__version__}\n")
    print("| file | MB | s | peak MB | outcome |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image"
        for name in CASES:
            if not any(part in name for part in wanted):
                continue
            subprocess.run([sys.executable, __file__, "--build", name, str(path)], check=True)
            run = [sys.executable, __file__, "--measure", name, str(path)]
            found = json.loads(subprocess.run(run, check=True, capture_output=True).stdout.splitlines()[-1])
            size = path.stat().st_size / 1e6
            print(
                f"| {name} | {size:.1f} | {found['seconds']:.2f} | {found['peak']:.0f} "
                f"| {found['outcome']} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
