"""What cameras write: pages, raw mosaics, 10 and 12 bits in 16, fixed windows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from segad_core.base.decoding import Bayer, Decoding
from segad_core.contracts import Sample
from segad_core.errors import ImageError
from segad_core.images import decode, take_inventory
from segad_core.images.bayer import demosaiced
from segad_core.images.image_set import Preprocessing
from segad_core.images.levels import unused
from segad_core.run.keys import plain_preprocessing
from segad_core.store.records import Records
from segad_core.store.store import Store

PATTERNS: tuple[Bayer, ...] = ("RGGB", "BGGR", "GRBG", "GBRG")
PAGES = [np.full((6, 8), value, np.uint8) for value in (10, 20, 30)]


def saved(path: Path, values: NDArray[np.generic], **options: object) -> Path:
    Image.fromarray(values).save(path, **options)
    return path


def pages(path: Path, values: list[NDArray[np.uint8]] = PAGES, **options: object) -> Path:
    first, *more = map(Image.fromarray, values)
    first.save(path, save_all=True, append_images=more, **options)
    return path


def grey(path: Path, **decoding: object) -> list[list[int]]:
    found: list[list[int]] = decode(path, Decoding(**decoding)).pixels[:, :, 0].tolist()  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize("options", [{}, {"compression": "tiff_lzw"}, {"big_tiff": True}], ids=str)
@pytest.mark.parametrize("page", [1, 2, 3])
def test_a_page_is_chosen(tmp_path: Path, page: int, options: dict[str, object]) -> None:
    path = pages(tmp_path / "a.tif", **options)
    np.testing.assert_array_equal(decode(path, Decoding(page=page)).pixels[..., 0], PAGES[page - 1])


def test_pages_of_other_sizes(tmp_path: Path) -> None:
    path = pages(tmp_path / "a.tif", [PAGES[0], np.arange(35, dtype=np.uint8).reshape(5, 7)])
    assert decode(path, Decoding(page=2)).pixels.shape == (5, 7, 3)


def test_a_page_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"a\.tif: has no page 4"):
        decode(pages(tmp_path / "a.tif"), Decoding(page=4))
    with pytest.raises(ImageError, match=r"b\.png: has no page 2"):
        decode(saved(tmp_path / "b.png", PAGES[0]), Decoding(page=2))
    assert grey(saved(tmp_path / "b.png", PAGES[0]), page=1) == PAGES[0].tolist()
    assert grey(saved(tmp_path / "b.tif", PAGES[0]), page=1) == PAGES[0].tolist()


def test_several_pages_have_to_be_chosen_from(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="holds several frames") as caught:
        decode(pages(tmp_path / "a.tif"))
    assert "image.page" in caught.value.remedy
    with pytest.raises(ImageError, match="holds several frames"):  # an animation is no set of pages
        decode(pages(tmp_path / "a.gif"), Decoding(page=1))


def test_a_page_is_checked_before_it_is_decoded(tmp_path: Path) -> None:
    """The limits hold for the page that is read, and the chain of pages has an end."""
    path = pages(tmp_path / "a.tif")
    data = bytearray(path.read_bytes())
    starts = [int.from_bytes(data[4:8], "little")]
    for _ in range(2):
        count = int.from_bytes(data[starts[-1] : starts[-1] + 2], "little")
        place = starts[-1] + 2 + 12 * count
        starts.append(int.from_bytes(data[place : place + 4], "little"))
    for tag in range(int.from_bytes(data[starts[1] : starts[1] + 2], "little")):
        entry = starts[1] + 2 + 12 * tag
        if int.from_bytes(data[entry : entry + 2], "little") == 259:  # compression: 4, as of fax machines
            data[entry + 8 : entry + 10] = (4).to_bytes(2, "little")
    path.write_bytes(data)
    assert grey(path, page=1) == PAGES[0].tolist()
    with pytest.raises(ImageError, match="compression 4"):
        decode(path, Decoding(page=2))
    looped = bytearray(pages(tmp_path / "b.tif").read_bytes())
    looped[place : place + 4] = starts[0].to_bytes(4, "little")  # the second page is followed by the first
    (tmp_path / "b.tif").write_bytes(looped)
    with pytest.raises(ImageError, match="has no page 3"):
        decode(tmp_path / "b.tif", Decoding(page=3))


def test_a_mosaic_by_hand(tmp_path: Path) -> None:
    """RGGB of 4 x 4; beyond the border, the image is its own mirror."""
    raw = np.array([[10, 20, 30, 40], [50, 60, 70, 80], [90, 100, 110, 120], [130, 140, 150, 160]], np.uint8)
    pixels = decode(saved(tmp_path / "a.png", raw), Decoding(bayer="RGGB")).pixels
    assert pixels[1, 1].tolist() == [60, 60, 60]  # R of 10 30 90 110; G of 20 50 70 100; its own B
    assert pixels[1, 2].tolist() == [70, 70, 70]  # G; R of 30 110; B of 60 80
    assert pixels[2, 1].tolist() == [100, 100, 100]  # G; R of 90 110; B of 60 140
    assert pixels[2, 2].tolist() == [110, 110, 110]  # R; G of 70 100 120 150; B of 60 80 140 160
    assert pixels[0, 0].tolist() == [10, 35, 60]  # R; G of 20 20 50 50; B of 60 alone
    assert pixels[0, 3].tolist() == [30, 40, 80]  # G; R of 30 30; B of 80 80
    assert pixels[3, 0].tolist() == [90, 130, 140]  # G; R of 90 90; B of 140 140
    assert pixels[3, 3].tolist() == [110, 135, 160]  # B; R of 110; G of 120 120 150 150


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("size", [(2, 2), (7, 9), (600, 2100)])
def test_mosaics_as_a_filter_gives_them(pattern: Bayer, size: tuple[int, int]) -> None:
    """Each colour alone, zero elsewhere, under scipy's bilinear kernel with mirrored borders."""
    raw = np.random.default_rng(7).integers(0, 65536, size).astype(np.uint16)
    pixels = np.concatenate([band for _, band in demosaiced(raw, pattern)])
    rows, columns = np.indices(size)
    place = 2 * (rows % 2) + columns % 2
    for channel, colour in enumerate("RGB"):
        known = np.isin(place, [i for i, name in enumerate(pattern) if name == colour])
        kernel = [[0, 1, 0], [1, 4, 1], [0, 1, 0]] if colour == "G" else [[1, 2, 1], [2, 4, 2], [1, 2, 1]]
        filtered = ndimage.convolve(
            np.where(known, raw, 0).astype(float), np.array(kernel) / 4, mode="mirror"
        )
        np.testing.assert_array_equal(pixels[..., channel], np.floor(filtered + 0.5))


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_flat_colour_is_kept(tmp_path: Path, pattern: Bayer) -> None:
    colours = {"R": 4000, "G": 2000, "B": 100}
    raw = np.empty((10, 12), np.uint16)
    for place, name in enumerate(pattern):
        raw[place // 2 :: 2, place % 2 :: 2] = colours[name]
    decoded = decode(saved(tmp_path / "a.tif", raw), Decoding(4000, bayer=pattern))
    assert np.unique(decoded.pixels.reshape(-1, 3), axis=0).tolist() == [[255, 128, 6]]
    assert decoded.highest == 4000


def test_colour_images_are_no_mosaics(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"a\.png: holds 8 x 6 'RGB' pixels"):
        decode(saved(tmp_path / "a.png", np.zeros((6, 8, 3), np.uint8)), Decoding(bayer="RGGB"))


def test_a_window_on_8_bits(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", np.array([[0, 100, 101, 150, 199, 200, 255]], np.uint8))
    assert grey(path, window=(100, 200)) == [[0, 0, 3, 128, 252, 255, 255]]
    assert grey(path, window=(0, 255)) == [[0, 100, 101, 150, 199, 200, 255]]
    colour = saved(tmp_path / "b.png", np.array([[[100, 150, 200]]], np.uint8))
    assert decode(colour, Decoding(window=(100, 200))).pixels.tolist() == [[[0, 128, 255]]]


def test_a_window_on_16_bits(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.tif", np.array([[0, 1000, 1500, 2000, 60000]], np.uint16))
    assert grey(path, window=(1000, 2000)) == [[0, 0, 128, 255, 255]]
    assert decode(path, Decoding(window=(1000, 2000))).highest == 60000


def test_a_window_that_shows_nothing(tmp_path: Path) -> None:
    dark = saved(tmp_path / "a.tif", np.array([[5, 900]], np.uint16))
    with pytest.raises(ImageError, match=r"a\.tif: has values from 5 to 900, all outside"):
        decode(dark, Decoding(window=(900, 2000)))
    bright = saved(tmp_path / "b.png", np.array([[200, 250]], np.uint8))
    with pytest.raises(ImageError, match=r"b\.png: has values from 200 to 250, all outside"):
        decode(bright, Decoding(window=(10, 200)))
    with pytest.raises(ImageError, match=r"b\.png: is an image of 8 bits"):
        decode(bright, Decoding(window=(100, 2000)))


def test_the_highest_value_is_known(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", np.array([[3, 1023]], np.uint16))
    assert decode(path).highest == 1023
    assert decode(saved(tmp_path / "b.png", PAGES[0])).highest is None


@pytest.mark.parametrize(
    ("highest", "white", "suggested"),
    [
        (1023, 65535, "white: 1023"),
        (1000, 65535, "white: 1023"),
        (1024, 65535, "white: 4095"),
        (4095, 65535, "white: 4095"),
        (16383, 65535, "white: 16383"),
        (16384, 65535, ""),
        (1023, 4095, "white: 1023"),
        (1024, 4095, ""),
        (255, 65535, "white: 255"),
    ],
)
def test_a_white_that_nothing_comes_near(highest: int, white: int, suggested: str) -> None:
    told = unused(highest, Decoding(white))
    assert (f"value found is {highest}" in told) == bool(suggested)
    assert suggested in told
    assert unused(highest, Decoding(white, (0, 100))) == ""


def test_the_inventory_knows_the_highest_value(tmp_path: Path) -> None:
    sample = Sample("a", saved(tmp_path / "a.png", np.array([[3, 1023]], np.uint16)), 0)
    store = Store(tmp_path / "store")
    first = take_inventory([sample], Decoding(), store).facts
    assert first["a"].highest == 1023
    assert take_inventory([sample], Decoding(), store).facts == first
    records = Records(store, "images-4-white-65535")
    records.add({digest: one[:4] for digest, one in records.read().items()})  # as earlier versions kept it
    assert take_inventory([sample], Decoding(), store).facts == first


def test_what_was_kept_is_still_found() -> None:
    """Keys and names without the new settings are what they were; with one of them, they differ."""
    assert Decoding(4095).key() == 4095
    assert Decoding().name() == "white-65535"
    assert plain_preprocessing(Preprocessing((1, 2))) == {
        "size": [1, 2],
        "resize": "pil_bilinear",
        "white": 65535,
        "batch_size": 16,
    }
    assert (Decoding().in_words(), Decoding(4095, page=2).in_words()) == ("", "white 4095, page 2")
    others = [Decoding(window=(1, 2)), Decoding(window=(1, 3)), Decoding(bayer="RGGB"), Decoding(page=2)]
    assert len({str(one.key()) for one in others} | {one.name() for one in others}) == 8
    keys = {str(plain_preprocessing(Preprocessing((1, 2), one))) for one in [Decoding(), *others]}
    assert len(keys) == 5


def test_libtiff_does_not_speak_of_a_file_of_its_own(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """It writes to standard error itself, and calls every image `tempfile.tif`."""
    noise = np.random.default_rng(0).integers(0, 256, (40, 50)).astype(np.uint8)
    path = saved(tmp_path / "part.tif", noise, compression="tiff_lzw")
    data = bytearray(path.read_bytes())
    start = data.index(b"\x80", 8)  # an LZW stream begins with it; the codes that follow are not known yet
    data[start + 1 : start + 40] = b"\xff" * 39
    path.write_bytes(data)
    with pytest.raises(ImageError, match=r"part\.tif: is damaged"):
        decode(path)
    assert capfd.readouterr() == ("", "")
