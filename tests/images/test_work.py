"""Small files that ask for much work are refused, by name, before the work is done."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import hostile_images as hostile
import numpy as np
import pytest
from PIL import Image

from segad_core.errors import ImageError
from segad_core.images import decode, read_labels, read_mask
from segad_core.images.limits import MAX_PIXELS, MAX_SIDE
from segad_core.images.work import check_exif, jpeg, meter
from segad_core.images.work.jpeg import check_scans


def _claiming(image: bytes, width: int, height: int) -> bytes:
    """A JPEG whose header claims another size."""
    place = next(image.index(bytes([255, kind])) for kind in (0xC2, 0xC0) if bytes([255, kind]) in image)
    return image[: place + 5] + struct.pack(">HH", height, width) + image[place + 9 :]


PROGRESSIVE = hostile.jpeg(64, 64, progressive=True)
BASELINE = hostile.jpeg(64, 64)
STRIPS = {
    273: (4, 250_000, struct.pack("<I", 8) * 250_000),
    278: (4, 1, struct.pack("<I", 1)),
    279: (4, 250_000, struct.pack("<I", 1) * 250_000),
}
SCANS = hostile.repeated_scans(hostile.jpeg(512, 512, progressive=True, quality=20), 90)

SLOW: dict[str, Callable[[], bytes]] = {
    "1,500 scans.jpg": lambda: _claiming(hostile.repeated_scans(PROGRESSIVE, 1500), 9000, 9000),
    "scans in arithmetic coding.jpg": lambda: hostile.arithmetic(9000, 9000, 4, 99),
    "a sea of comments.jpg": lambda: hostile.segments(BASELINE, 0xFE, b"", 30_000),
    "what is between segments.jpg": lambda: BASELINE[:20] + bytes(100_000) + BASELINE[20:],
    "fill bytes.jpg": lambda: BASELINE[:2] + b"\xff" * 100_000 + BASELINE[2:],
    "too much beside the pixels.jpg": lambda: hostile.segments(BASELINE, 0xEB, bytes(65_000), 600),
    "EXIF that begins again.jpg": lambda: hostile.segments(BASELINE, 0xE1, b"Exif\0\0" * 50, 2),
    "fractions in EXIF.jpg": lambda: hostile.segments(
        BASELINE, 0xE1, b"Exif\0\0" + hostile.fractions(900, 40), 1
    ),
    "fractions in MPF.jpg": lambda: hostile.segments(
        BASELINE, 0xE2, b"MPF\0" + hostile.fractions(900, 40), 1
    ),
    "fractions in EXIF.png": lambda: hostile.png(4, 4, [hostile.chunk(b"eXIf", hostile.fractions(900, 40))]),
    "fractions in text.png": lambda: hostile.png(
        4,
        4,
        [
            hostile.chunk(
                b"zTXt",
                b"Raw profile type exif\0\0"
                + zlib.compress(b"\nexif\n9\n" + hostile.fractions(900, 40).hex().encode()),
            )
        ],
    ),
    "profiles.png": lambda: hostile.png(4, 4, hostile.profiles(2)),
    "too much beside the pixels.png": lambda: hostile.png(4, 4, [hostile.chunk(b"tEXt", bytes(33 << 20))]),
    "a sea of chunks.png": lambda: hostile.png(4, 4, pieces=250_001),
    "tags.tif": lambda: hostile.bigtiff(70_000),
    "strips.tif": lambda: hostile.tiff(1, 60_000, STRIPS),
    "fractions.tif": lambda: hostile.tiff(4, 4, {282: (5, 30_000, struct.pack("<II", 1, 3) * 30_000)}),
    "a tag that is there twice.tif": lambda: hostile.tiff_of(
        [(274, 3, 0, 0), (274, 5, 30_000, hostile.END)], bytes(240_000)
    ),
    "a tag of no type.tif": lambda: hostile.tiff_of(
        [(274, 99, 1, 1), (274, 5, 30_000, hostile.END)], bytes(240_000)
    ),
    "many directories in one.tif": lambda: hostile.tiff_of([(34665, 4, 1, i) for i in range(5)]),
    "fractions in the second of two.tif": lambda: hostile.tiff_of(
        [(34665, 4, 0, 0), (34665, 4, 1, hostile.END)],
        struct.pack("<HHHIII", 1, 40_000, 5, 30_000, 0, 0) + bytes(240_000),
    ),
    "a tile too large, twice.tif": lambda: hostile.tiff_of(
        [(322, 3, 0, 0), (322, 3, 1, 60_000), (323, 3, 1, 60_000)]
    ),
    "numbers.tif": lambda: hostile.tiff(4, 4, {50_000: (3, 400_000, bytes(800_000))}),
    "a tile too large.tif": lambda: hostile.tiles(16, 16, 12_000, 8, b"x"),
    "scans in tiles.tif": lambda: hostile.tiles(9728, 9728, 512, 7, SCANS),
    "strips over each other.tif": lambda: hostile.tiles(4096, 4096, 64, 7, BASELINE),
    "plain.pgm": lambda: hostile.plain_ppm(3000, 2001, b"7 "),
    "comments.pgm": lambda: hostile.plain_ppm(40, 40, b"7   ", 1001),
    "white space.pgm": lambda: hostile.plain_ppm(4, 4) + b" " * 100_000,
    "a white of 254.ppm": lambda: hostile.odd_ppm(2001, 1000),
    "run lengths.bmp": lambda: hostile.rle_bmp(3000, 2001),
}


@pytest.mark.parametrize("name", SLOW)
def test_more_work_than_an_image_deserves(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(SLOW[name]())
    for read in (decode, read_mask):
        with pytest.raises(ImageError) as caught:
            read(path)
        assert caught.value.what.startswith(f"{path}: would take too long")
        assert caught.value.remedy


SEVERAL: dict[str, Callable[[], bytes]] = {
    "pages.tif": lambda: hostile.tiff(4, 4, pages=3000),
    "pages in a circle.tif": lambda: hostile.tiff(4, 4, pages=2, following=8 + 16),
    "frames.gif": lambda: hostile.gif(4, 4, 3000),
}


@pytest.mark.parametrize("name", SEVERAL)
def test_pages_are_counted_to_two(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / name
    path.write_bytes(SEVERAL[name]())
    read, reads = meter._Metered.read, []
    monkeypatch.setattr(meter._Metered, "read", lambda self, size=-1: reads.append(1) or read(self, size))
    with pytest.raises(ImageError, match="several frames"):
        decode(path)
    assert len(reads) < 300


def test_one_page_that_leads_to_itself_is_one(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(hostile.tiff(4, 4, following=8 + 16))
    assert decode(tmp_path / "a.tif").pixels.shape == (4, 4, 3)


@pytest.mark.parametrize(("width", "height"), [(MAX_SIDE + 1, 1), (1, MAX_SIDE + 1)])
def test_sides_are_bounded(width: int, height: int, tmp_path: Path) -> None:
    """Resizing 1 x 99,000,000 would take 100 GB."""
    (tmp_path / "a.png").write_bytes(hostile.png(width, height))
    with pytest.raises(ImageError, match="too large") as caught:
        decode(tmp_path / "a.png")
    assert str(MAX_SIDE) in caught.value.what


def test_a_long_strip_of_a_line_camera_is_read(tmp_path: Path) -> None:
    Image.fromarray(np.full((100_000, 2), 7, np.uint8)).save(tmp_path / "a.png")
    assert (decode(tmp_path / "a.png").pixels == 7).all()


@pytest.mark.parametrize("compression", [2, 3, 4, 32771, 32809, 34676])
def test_compressions_that_hide_damage_are_refused_silently(
    compression: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Libtiff makes up what it cannot read, and prints a line for each row past every handler."""
    (tmp_path / "a.tif").write_bytes(hostile.tiles(64, 64, 64, compression, b"\x5a" * 512))
    with pytest.raises(ImageError, match=rf"a\.tif: .*compression {compression}"):
        decode(tmp_path / "a.tif")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("form", [b"VP8 ", b"VP8L", b"VP8X"])
def test_a_large_webp_is_refused_before_pillow_makes_room_for_it(form: bytes, tmp_path: Path) -> None:
    body = {
        b"VP8 ": bytes(3) + b"\x9d\x01\x2a" + struct.pack("<HH", 12_000, 12_000),
        b"VP8L": b"\x2f" + struct.pack("<I", 11_999 | 11_999 << 14) + bytes(5),
        b"VP8X": bytes(4) + (11_999).to_bytes(3, "little") * 2,
    }[form]
    (tmp_path / "a.webp").write_bytes(b"RIFF" + struct.pack("<I", 99) + b"WEBP" + form + bytes(4) + body)
    with pytest.raises(ImageError, match="12000 x 12000"):
        decode(tmp_path / "a.webp")


def test_large_files_are_refused_by_their_size(tmp_path: Path) -> None:
    with (tmp_path / "a.png").open("wb") as file:
        file.write(hostile.png(4, 4))
        file.truncate((512 << 20) + 1)
    with pytest.raises(ImageError, match="536870913 bytes"):
        decode(tmp_path / "a.png")


def test_what_nobody_foresaw_stops_when_it_has_taken_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock of the thread, not of the wall: other work does not make an image slow."""
    (tmp_path / "a.png").write_bytes(hostile.slow_png(64, 64, 1 << 20))
    assert decode(tmp_path / "a.png").pixels.shape == (64, 64, 3)
    times = iter([0.0] * 5 + [9.0] * 1000)
    monkeypatch.setattr(meter.time, "thread_time", lambda: next(times))
    with pytest.raises(ImageError, match="would take too long") as caught:
        decode(tmp_path / "a.png")
    assert str(tmp_path / "a.png") in caught.value.what


def test_ordinary_images_of_the_largest_size_are_below_the_limits(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    check_scans(path, 10 * MAX_PIXELS, 100_000_000)  # progressive, at a byte a pixel
    check_scans(path, MAX_PIXELS, 0, arithmetic=True)
    path.write_bytes(_claiming(PROGRESSIVE, 10_000, 10_000))
    with path.open("rb") as file:
        jpeg.check(path, file, path.stat().st_size)


def test_thumbnails_are_no_scans(tmp_path: Path) -> None:
    """A thumbnail in a segment has markers of its own."""
    data = hostile.segments(BASELINE, 0xEB, b"\xff\xda\xff\xd9" * 15_000, 200)
    (tmp_path / "a.jpg").write_bytes(_claiming(data, 64, 64))
    np.testing.assert_array_equal(
        decode(tmp_path / "a.jpg").pixels, np.asarray(Image.open(io.BytesIO(BASELINE)))
    )


def test_ordinary_metadata_is_read(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "a maker"
    exif.get_ifd(0x8769)[0x829A] = 0.01
    pixels = np.random.default_rng(0).integers(0, 256, (8, 16, 3)).astype(np.uint8)
    for name in ("a.png", "a.tif", "a.webp"):
        Image.fromarray(pixels).save(tmp_path / name, exif=exif, lossless=True)
        np.testing.assert_array_equal(decode(tmp_path / name).pixels, np.rot90(pixels, -1))


def test_exif_of_no_sense_is_left_to_pillow(tmp_path: Path) -> None:
    for data in (b"", b"II", b"nonsense", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff"):
        image = Image.new("L", (1, 1))
        image.info["exif"] = data
        check_exif(tmp_path / "a.png", image)


def test_streams_that_unpack_slowly_are_bounded(tmp_path: Path) -> None:
    head = hostile.tiff(4, 4, {259: (3, 1, struct.pack("<HH", 8, 0))})
    with (tmp_path / "a.tif").open("wb") as file:
        file.write(head)
        file.truncate(160_000_001)
    with pytest.raises(ImageError, match="160000001 bytes"):
        decode(tmp_path / "a.tif")


def test_labels_are_bounded_too(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(hostile.png(4, 4, hostile.profiles(2)))
    with pytest.raises(ImageError, match="would take too long"):
        read_labels(tmp_path / "a.png")


def test_a_tag_that_is_there_twice_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(hostile.tiff_of([(274, 3, 1, 1), (274, 3, 1, 6)]))
    assert decode(tmp_path / "a.tif").pixels.shape == (4, 4, 3)
