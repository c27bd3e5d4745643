"""Drawn masks come back as they were drawn, whatever a program saved them as; or are refused by place."""

import importlib.resources
import io
import re
from pathlib import Path

import numpy as np
import pytest
from builders import png16
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageDraw

from segad_core.errors import ImageError
from segad_core.images import read_labels, write_labels
from segad_core.images.palette import PALETTE

LABELS = np.zeros((20, 30), np.uint8)  # four segments
LABELS[3:12, 4:20], LABELS[8:17, 15:28], LABELS[0, 0] = 1, 2, 3


def coloured(labels: np.ndarray) -> Image.Image:
    return Image.fromarray(PALETTE[labels])


def indexed(labels: np.ndarray, palette: np.ndarray, **options: object) -> Image.Image:
    image = Image.fromarray(labels)
    image.putpalette(palette.astype(np.uint8).tobytes())
    return image


def resorted(labels: np.ndarray, order: list[int]) -> Image.Image:
    """The indexed image after its palette was put into another order."""
    place = np.argsort(order).astype(np.uint8)
    return indexed(place[labels], PALETTE[order])


def with_alpha(labels: np.ndarray, alpha: int = 255) -> Image.Image:
    return Image.fromarray(np.dstack([PALETTE[labels], np.full(labels.shape, alpha, np.uint8)]))


def adaptive(labels: np.ndarray) -> Image.Image:
    return coloured(labels).convert("P", palette=Image.Palette.ADAPTIVE, colors=8)


FORMS = {
    "indexed": lambda labels: indexed(labels, PALETTE),
    "indexed, sorted anew": lambda labels: resorted(labels, [2, 3, 1, 0]),
    "indexed, unused colours among them": lambda labels: resorted(labels, [9, 2, 30, 3, 1, 0, 8, 7, 6, 5, 4]),
    "quantized": lambda labels: coloured(labels).quantize(8),
    "adaptive palette": adaptive,
    "RGB": coloured,
    "RGBA": with_alpha,
    "grey": Image.fromarray,
    "grey with alpha": lambda labels: Image.fromarray(labels).convert("LA"),
    "grey as RGB": lambda labels: Image.fromarray(labels).convert("RGB"),
    "grey with a palette": lambda labels: indexed(
        np.array([2, 0, 3, 1], np.uint8)[labels], np.array([1, 3, 0, 2])[:, None].repeat(3, 1)
    ),
}


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "gif"])
@pytest.mark.parametrize("form", FORMS)
def test_what_programs_save(tmp_path: Path, form: str, suffix: str) -> None:
    image = FORMS[form](LABELS)
    path = tmp_path / f"mask.{suffix}"
    if "A" in image.mode and suffix in ("bmp", "gif"):
        image = image.convert("RGB")
    image.save(path)
    np.testing.assert_array_equal(read_labels(path), LABELS)
    assert read_labels(path).dtype == np.uint8


@pytest.mark.parametrize(("bits", "colours"), [(2, 4), (4, 9), (8, 40)])
@pytest.mark.parametrize("optimize", [False, True])
def test_small_palettes(tmp_path: Path, bits: int, colours: int, optimize: bool) -> None:
    path = tmp_path / "mask.png"
    resorted(LABELS, [*range(4, colours), 3, 1, 0, 2]).save(path, optimize=optimize)
    assert path.read_bytes()[24] == bits
    np.testing.assert_array_equal(read_labels(path), LABELS)


def test_one_bit(tmp_path: Path) -> None:
    Image.fromarray(LABELS > 0).save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_labels(tmp_path / "mask.png"), LABELS > 0)


@pytest.mark.parametrize("kind", ["mono", "poly"])
def test_masks_with_a_palette_of_their_own_are_read_by_index(kind: str) -> None:
    path = Path(str(importlib.resources.files("segad_recipes") / f"masks/elpv_{kind}.png"))
    with Image.open(path) as image:
        assert image.mode == "P"
        np.testing.assert_array_equal(read_labels(path), np.asarray(image))


def test_greys_that_are_no_labels_are_read_by_index(tmp_path: Path) -> None:
    for greys in ([40, 90, 140, 190], [1, 2, 3, 4], [255, 254, 1, 0]):
        indexed(LABELS, np.array(greys)[:, None].repeat(3, 1)).save(tmp_path / "mask.png")
        np.testing.assert_array_equal(read_labels(tmp_path / "mask.png"), LABELS)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_labels(tmp_path / "mask.png", LABELS, 4)
    np.testing.assert_array_equal(read_labels(tmp_path / "mask.png"), LABELS)
    with Image.open(tmp_path / "mask.png") as image:
        assert image.mode == "P"
        assert image.getpalette() == PALETTE[:4].reshape(-1).tolist()
        np.testing.assert_array_equal(np.asarray(image), LABELS)  # also for who reads indices
        np.testing.assert_array_equal(np.asarray(image.convert("RGB")), PALETTE[LABELS])


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_random_maps_survive(tmp_path: Path, data: st.DataObject) -> None:
    labels = data.draw(arrays(np.uint8, data.draw(st.tuples(st.integers(1, 7), st.integers(1, 7)))))
    form = data.draw(st.sampled_from(["RGB", "RGBA", "indexed", "sorted anew", "adaptive"]))
    if form == "sorted anew":
        image = resorted(labels, data.draw(st.permutations(range(256))))
    elif form == "adaptive":
        image = coloured(labels).convert("P", palette=Image.Palette.ADAPTIVE, colors=256)
    else:
        image = FORMS[form](labels)
    image.save(tmp_path / "mask.png", optimize=data.draw(st.booleans()))
    np.testing.assert_array_equal(read_labels(tmp_path / "mask.png"), labels)


def refusal(path: Path) -> str:
    with pytest.raises(ImageError) as error:
        read_labels(path)
    assert str(error.value).startswith(f"{path}: ")
    return str(error.value).removeprefix(f"{path}: ")


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_soft_edges_are_refused_with_their_place(tmp_path: Path, mode: str) -> None:
    large = coloured(np.zeros((40, 60), np.uint8))
    ImageDraw.Draw(large).ellipse((10, 6, 50, 30), fill=tuple(PALETTE[1].tolist()))
    soft = large.resize((15, 10), Image.Resampling.BOX)
    soft.convert(mode, palette=Image.Palette.ADAPTIVE).save(tmp_path / "mask.png")
    pixels = np.asarray(soft)
    wrong = (pixels != PALETTE[0]).any(2) & (pixels != PALETTE[1]).any(2)
    y, x = np.argwhere(wrong)[0]
    said = refusal(tmp_path / "mask.png")
    r, g, b = pixels[y, x]
    assert said.startswith(
        f"{wrong.sum()} of 150 pixels have an unknown colour, the first one #{r:02x}{g:02x}{b:02x} "
        f"at x {x}, y {y}\n"
    )
    assert "hard pencil" in said
    assert "segad mask new" in said


def test_one_pixel_one_step_off(tmp_path: Path) -> None:
    pixels = PALETTE[LABELS].copy()
    pixels[4, 7, 2] += 1
    Image.fromarray(pixels).save(tmp_path / "mask.png")
    assert refusal(tmp_path / "mask.png").startswith("1 of 600 pixels have an unknown colour, the")
    assert "at x 7, y 4\n" in refusal(tmp_path / "mask.png")


def test_grey_between_colours(tmp_path: Path) -> None:
    pixels = PALETTE[LABELS].copy()
    pixels[0, 1] = 0
    Image.fromarray(pixels).save(tmp_path / "mask.png")
    assert "#000000 at x 1, y 0" in refusal(tmp_path / "mask.png")


@pytest.mark.parametrize("kind", ["jpg", "webp"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_lossy_formats_are_refused_even_if_nothing_was_lost(tmp_path: Path, kind: str, mode: str) -> None:
    Image.fromarray(np.zeros((8, 8), np.uint8)).convert(mode).save(tmp_path / f"mask.{kind}")
    said = refusal(tmp_path / f"mask.{kind}")
    assert re.match(r"is a (JPEG|WEBP), whose lossy compression changes pixels\n", said)
    assert "Export a PNG" in said


def test_a_jpeg_that_became_a_png_is_refused_by_colour(tmp_path: Path) -> None:
    lossy = io.BytesIO()
    coloured(LABELS).save(lossy, "jpeg", quality=95)
    Image.open(lossy).save(tmp_path / "mask.png")
    assert "pixels have an unknown colour" in refusal(tmp_path / "mask.png")


@pytest.mark.parametrize("alpha", [0, 254])
def test_transparent_pixels(tmp_path: Path, alpha: int) -> None:
    pixels = np.array(with_alpha(LABELS))
    pixels[2, 5:7, 3] = alpha
    Image.fromarray(pixels).save(tmp_path / "mask.png")
    said = refusal(tmp_path / "mask.png")
    assert said.startswith("2 of 600 pixels are transparent, the first one at x 5, y 2\n")
    assert "without an alpha channel" in said


def test_transparent_palettes_and_greys(tmp_path: Path) -> None:
    for image in (indexed(LABELS, PALETTE), Image.fromarray(LABELS)):
        image.save(tmp_path / "mask.png", transparency=3)
        assert refusal(tmp_path / "mask.png").startswith(
            "1 of 600 pixels are transparent, the first one at x 0"
        )
        image.save(tmp_path / "mask.png", transparency=77)  # a colour that no pixel has
        np.testing.assert_array_equal(read_labels(tmp_path / "mask.png"), LABELS)


def test_more_than_8_bits(tmp_path: Path) -> None:
    (tmp_path / "grey.png").write_bytes(png16(LABELS.astype(np.uint16)))
    assert refusal(tmp_path / "grey.png").startswith("holds 'I;16' pixels")
    (tmp_path / "rgb.png").write_bytes(png16(PALETTE[LABELS].astype(np.uint16) * 257))
    assert refusal(tmp_path / "rgb.png").startswith("has 16-bit colour channels")
    Image.fromarray(LABELS.astype(np.float32)).save(tmp_path / "float.tif")
    assert refusal(tmp_path / "float.tif").startswith("holds 'F' pixels")


def test_a_mask_on_its_side_is_read_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its left side
    coloured(LABELS).save(tmp_path / "mask.png", exif=exif)
    np.testing.assert_array_equal(read_labels(tmp_path / "mask.png"), np.rot90(LABELS, -1))


def test_arrays(tmp_path: Path) -> None:
    path = tmp_path / "mask.npy"
    np.save(path, LABELS.astype(np.int32))
    np.testing.assert_array_equal(read_labels(path), LABELS)
    for wrong, words in (
        (
            LABELS.astype(np.float64),
            "holds values of type float64, not integers or unsigned or true and false",
        ),
        (np.stack([LABELS] * 2), "has the shape (2, 20, 30), not height x width"),
        (LABELS.astype(np.int16) - 1, "has labels outside 0 to 255"),
        (LABELS.astype(np.int16) + 255, "has labels outside 0 to 255"),
    ):
        np.save(path, wrong)
        assert refusal(path).startswith(words)
    np.save(path, np.array([[{}]]), allow_pickle=True)
    assert refusal(path).startswith("holds Python objects, not integers")


def test_an_array_has_no_more_than_its_header_promises_and_no_less(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told from the header: nothing is made ready for 80 MB that are not there."""
    monkeypatch.setattr(np, "fromfile", None)
    path = tmp_path / "mask.npy"
    with path.open("wb") as file:
        promise = {"shape": (10_000, 10_000), "fortran_order": False, "descr": "|u1"}
        np.lib.format.write_array_header_1_0(file, promise)
    assert refusal(path).startswith("has 0 bytes of values where its header promises 100000000: it is trunc")
    np.save(path, LABELS)
    path.write_bytes(path.read_bytes() + b"x")
    assert refusal(path).startswith("has 601 bytes of values where its header promises 600: it is followed")


def test_no_image(tmp_path: Path) -> None:
    (tmp_path / "mask.png").write_bytes(b"none")
    assert refusal(tmp_path / "mask.png").startswith("is not an image that can be read")
