"""The one decoder: each mode gives the right values, or an error that names the file."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segad_core.base.decoding import Decoding
from segad_core.errors import ImageError
from segad_core.images import decode, resize

_RGB = np.random.default_rng(0).integers(0, 256, (6, 9, 3)).astype(np.uint8)
_GREY = _RGB[:, :, 0]


def _saved(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
def test_rgb_is_kept(tmp_path: Path, suffix: str) -> None:
    path = _saved(tmp_path / f"x.{suffix}", Image.fromarray(_RGB))
    np.testing.assert_array_equal(decode(path).pixels, _RGB)


def test_grey_is_repeated(tmp_path: Path) -> None:
    path = _saved(tmp_path / "x.png", Image.fromarray(_GREY))
    np.testing.assert_array_equal(decode(path).pixels, np.stack([_GREY] * 3, axis=2))


def test_one_bit_is_black_and_white(tmp_path: Path) -> None:
    path = _saved(tmp_path / "x.png", Image.fromarray(_GREY > 127))
    np.testing.assert_array_equal(decode(path).pixels[:, :, 1], np.where(_GREY > 127, 255, 0))


def test_palette_gives_its_colours(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 1], [1, 0]], np.uint8))
    image.putpalette([10, 20, 30, 200, 100, 50])
    pixels = decode(_saved(tmp_path / "x.png", image)).pixels
    assert pixels.tolist() == [[[10, 20, 30], [200, 100, 50]], [[200, 100, 50], [10, 20, 30]]]


def test_opaque_alpha_is_dropped(tmp_path: Path) -> None:
    image = Image.fromarray(np.dstack([_RGB, np.full((6, 9), 255, np.uint8)]))
    np.testing.assert_array_equal(decode(_saved(tmp_path / "x.png", image)).pixels, _RGB)


def test_transparency_is_refused(tmp_path: Path) -> None:
    image = Image.fromarray(np.dstack([_RGB, np.full((6, 9), 254, np.uint8)]))
    with pytest.raises(ImageError, match=r"x\.png: has transparent pixels"):
        decode(_saved(tmp_path / "x.png", image))


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its left side
    path = _saved(tmp_path / "x.tif", Image.fromarray(_RGB), exif=exif)
    np.testing.assert_array_equal(decode(path).pixels, np.rot90(_RGB, -1))


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_are_scaled_never_clipped(tmp_path: Path, suffix: str) -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    path = _saved(tmp_path / f"x.{suffix}", Image.fromarray(ramp))
    decoded = decode(path)
    assert decoded.scaled
    np.testing.assert_array_equal(decoded.pixels[:, :, 2], np.rint(ramp / 257).astype(np.uint8))
    assert not decode(_saved(tmp_path / "y.png", Image.fromarray(_GREY))).scaled


def test_sixteen_bits_with_a_white_of_their_own(tmp_path: Path) -> None:
    path = _saved(tmp_path / "x.png", Image.fromarray(np.array([[0, 2048, 4095]], np.uint16)))
    assert decode(path, Decoding(4095)).pixels[0, :, 0].tolist() == [0, 128, 255]
    with pytest.raises(ImageError, match=r"has the value 4095, above the recipe's white of 4094"):
        decode(path, Decoding(4094))


def test_floating_point_is_refused(tmp_path: Path) -> None:
    path = _saved(tmp_path / "x.tif", Image.fromarray(np.zeros((3, 3), np.float32)))
    with pytest.raises(ImageError, match=r"x\.tif: holds 'F' pixels"):
        decode(path)


def test_several_frames_are_refused(tmp_path: Path) -> None:
    frames = [Image.fromarray(_GREY), Image.fromarray(255 - _GREY)]
    path = _saved(tmp_path / "x.tif", frames[0], save_all=True, append_images=frames[1:])
    with pytest.raises(ImageError, match="several frames"):
        decode(path)


@pytest.mark.parametrize("share", [0.02, 0.2, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tif"])
def test_truncated_files_are_refused(tmp_path: Path, suffix: str, share: float) -> None:
    big = np.random.default_rng(1).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    path = _saved(tmp_path / f"x.{suffix}", Image.fromarray(big))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ImageError, match=rf"x\.{suffix}: (is damaged|is not an image)"):
        decode(path)


def test_flipped_bits_of_a_png_are_refused(tmp_path: Path) -> None:
    path = _saved(tmp_path / "x.png", Image.fromarray(_RGB))
    data = bytearray(path.read_bytes())
    start = data.index(b"IDAT") + 4
    for position in range(start, len(data) - 16, 7):
        broken = bytearray(data)
        broken[position] ^= 0x10
        path.write_bytes(broken)
        with pytest.raises(ImageError):
            decode(path)


def test_empty_absent_and_foreign_files(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("not a picture")
    for name, words in (
        ("empty.png", "is empty"),
        ("text.png", "is not an image"),
        ("no.png", "no such file"),
    ):
        with pytest.raises(ImageError, match=words) as caught:
            decode(tmp_path / name)
        assert name in caught.value.what
        assert caught.value.remedy


def test_a_bomb_is_refused_from_its_header(tmp_path: Path) -> None:
    path = _saved(tmp_path / "x.png", Image.new("1", (20_000, 20_000)))
    with pytest.raises(ImageError, match="too large to decode"):
        decode(path)


def test_resize_is_pils_antialiased_bilinear() -> None:
    wide = np.random.default_rng(2).integers(0, 256, (64, 96, 3)).astype(np.uint8)
    expected = np.asarray(Image.fromarray(wide).resize((24, 16), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(resize(wide, (16, 24)), expected)
    assert abs(float(resize(wide, (16, 24)).mean()) - float(wide.mean())) < 1  # antialiased: keeps the mean
    assert resize(wide, (64, 96)) is wide
