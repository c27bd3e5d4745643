"""Images that cannot be read: each named with its reason, the run finishes with exit code 3."""

from __future__ import annotations

import csv
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from builders import (
    data_set,
    encoded,
    picture,
    png,
    png16,
    run_command,
    said,
    segad,
    workshop,
    write_recipe,
)
from PIL import Image

from segad_core.base.decoding import Decoding
from segad_core.errors import ImageError
from segad_core.images import decode

FRAMES = [Image.fromarray(picture(80 + i)) for i in range(3)]
ANIMATED = {"save_all": True, "append_images": FRAMES[1:]}
AGAIN = "Copy it again from its source, or remove it."
CONVERT = "Convert it to PNG, or remove it."
ONE = "Save the frame that counts as a single image."
PAGE = (
    f"{ONE} Or set image.page in the recipe: to the number of a page, from 1, or to 'views' if each page "
    "is a view of the part."
)
SMALLER = "Crop or shrink it, or remove it."


def _transparent() -> Image.Image:
    image = Image.fromarray(picture(81)).convert("RGBA")
    image.putpixel((3, 3), (10, 20, 30, 0))
    return image


def _empty_png(width: int, height: int) -> bytes:
    """A header that promises much, and almost no data."""
    return png(struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0), zlib.compress(bytes(1000)))


# name: content, what is wrong, remedy
UNREADABLE: dict[str, tuple[bytes, str, str]] = {
    "zero.png": (b"", "the file is empty", AGAIN),
    "text.png": (b"hello", "is not an image that can be read", CONVERT),
    "cut.png": (
        encoded(FRAMES[0], "PNG")[:1000],
        "is damaged or truncated (its end is missing)",
        AGAIN,
    ),
    "cut.jpg": (encoded(FRAMES[0], "JPEG")[:500], "is damaged or truncated (its end is missing)", AGAIN),
    "animated.webp": (encoded(FRAMES[0], "WEBP", **ANIMATED), "holds several frames", ONE),
    "animated gif.webp": (encoded(FRAMES[0], "GIF", **ANIMATED), "holds several frames", ONE),
    "animated.png": (encoded(FRAMES[0], "PNG", **ANIMATED), "holds several frames", ONE),
    "pages.tif": (encoded(FRAMES[0], "TIFF", **ANIMATED), "holds several frames", PAGE),
    "float.tif": (
        encoded(Image.fromarray(picture(79)[:, :, 0].astype(np.float32)), "TIFF"),
        "holds 'F' pixels, whose black and white levels are unknown",
        "Save it with 8 or 16 bits per channel.",
    ),
    "transparent.png": (
        encoded(_transparent(), "PNG"),
        "has transparent pixels, and what is behind them is unknown",
        "Save it without an alpha channel.",
    ),
    "bomb.png": (
        _empty_png(60_000, 60_000),
        "is too large to decode (more than 178956970 pixels; the limit is 100000000 pixels)",
        SMALLER,
    ),
    "large.png": (
        _empty_png(12_000, 10_000),
        "is too large to decode (12000 x 10000 pixels; the limit is 100000000 pixels)",
        SMALLER,
    ),
    "colours16.png": (
        png16(np.full((48, 48, 3), 300, np.uint16)),
        "has 16-bit colour channels, of which half the bits would be lost",
        "Save it with 8 bits per channel, or as a grey image of 16 bits.",
    ),
    "above white.png": (
        png16(np.full((48, 48), 5000, np.uint16)),
        "has the value 5000, above the recipe's white of 4095",
        "Raise image.white in the recipe.",
    ),
}


def test_a_run_finishes_without_the_images_that_cannot_be_read(tmp_path: Path) -> None:
    workshop(tmp_path)
    good = tmp_path / "data" / "a" / "good"
    for name, (content, _, _) in UNREADABLE.items():
        (good / name).write_bytes(content)
    os.mkfifo(good / "pipe.png")
    (good / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (good / "loop.png").symlink_to(good / "loop.png")
    expected = {name: (what, remedy) for name, (_, what, remedy) in UNREADABLE.items()}
    expected["pipe.png"] = ("is not a file", "Remove it, or correct the path.")
    expected["gone.png"] = ("there is no such file", "Restore it, or correct the path.")
    expected["loop.png"] = (
        "cannot be read (Too many levels of symbolic links)",
        "Correct the path or its permissions.",
    )

    recipe = write_recipe(tmp_path, ("size: [48, 48]", "size: [48, 48], white: 4095"))
    for result in (run_command(recipe), segad("check", recipe, "--store", tmp_path / "store")):
        text = said(result)
        assert result.exit_code == 3, text
        assert f"category 'a': {len(expected)} images cannot be read and are excluded (the first: " in text
        listed = text[text.index("not read: ") :]
        assert listed == "".join(
            f"not read: {good / name}: {expected[name][0]}\n  {expected[name][1]}\n"
            for name in sorted(expected)
        )

    folder = tmp_path / "runs" / "tiny" / "latest"
    lines = list(csv.reader((folder / "unreadable.csv").read_text().splitlines()))
    assert lines[0] == ["category", "image", "reason"]
    assert lines[1:] == [
        ["a", f"good/{name}", f"{good / name}: {expected[name][0]}"] for name in sorted(expected)
    ]
    table = (folder / "table.md").read_text()
    assert f"\n{len(expected)} unreadable images excluded: see unreadable.csv.\n" in table
    assert "cannot be read and are excluded" in (folder / "run.log").read_text()
    scores = (folder / "scores.csv").read_text()
    assert not any(name in scores for name in expected)
    assert "nan" not in scores


def test_nothing_changes_for_the_others(tmp_path: Path) -> None:
    """A picture that cannot be read is as good as not there."""
    recipe = workshop(tmp_path)
    assert run_command(recipe, runs=tmp_path / "without").exit_code == 0
    (tmp_path / "data" / "a" / "good" / "zero.png").write_bytes(b"")
    assert run_command(recipe, runs=tmp_path / "with", store=tmp_path / "other").exit_code == 3
    without, with_ = (tmp_path / name / "tiny" / "latest" / "scores.csv" for name in ("without", "with"))
    assert without.read_bytes() == with_.read_bytes()


def test_a_mended_image_takes_part_again(tmp_path: Path) -> None:
    recipe = workshop(tmp_path)
    path = tmp_path / "data" / "a" / "bad" / "000.png"
    content = path.read_bytes()
    path.write_bytes(b"")
    assert run_command(recipe).exit_code == 3
    assert (tmp_path / "runs" / "tiny" / "latest" / "unreadable.csv").exists()
    path.write_bytes(content)
    assert run_command(recipe).exit_code == 0
    assert not (tmp_path / "runs" / "tiny" / "latest" / "unreadable.csv").exists()


def test_no_readable_image_of_a_label(tmp_path: Path) -> None:
    recipe = workshop(tmp_path)
    bad = tmp_path / "data" / "a" / "bad"
    for path in bad.iterdir():
        path.write_bytes(b"")
    result = run_command(recipe)
    text = said(result)
    first = "category 'a': 7 images cannot be read and are excluded (the first: "
    assert f"warning: {first}{bad}/000.png: the file is empty. {AGAIN})\n" in text
    assert "images cannot be read and are excluded (7 of 7 bad); the first: " in text
    assert "category 'a' has no bad image, and the row 'SegAD' learns from bad images\n" in text
    assert result.exit_code == 1


def test_images_that_are_damaged_alike_are_named_apart(tmp_path: Path) -> None:
    recipe = workshop(tmp_path)
    good = tmp_path / "data" / "a" / "good"
    for name in ("one.png", "two.png"):
        (good / name).write_bytes(b"not an image")
    text = said(segad("check", recipe, "--store", tmp_path / "store"))
    for name in ("one.png", "two.png"):
        assert f"not read: {good / name}: is not an image that can be read\n" in text


def test_grey_of_16_bits_is_scaled_and_said(tmp_path: Path) -> None:
    workshop(tmp_path)
    wide = (picture(500)[:, :, 0].astype(np.uint16) * 16).clip(0, 4095)
    wide[0, 0] = 0
    (tmp_path / "data" / "a" / "good" / "wide.png").write_bytes(png16(wide))
    result = run_command(write_recipe(tmp_path, ("size: [48, 48]", "size: [48, 48], white: 4095")))
    warning = (
        "category 'a': 1 image of 16 bits (the first: 'good/wide.png') scaled to 8 bits with 4095 as white; "
        f"the highest value found is {wide.max()}; if white has another value in these images, set "
        "image.white in the recipe"
    )
    assert f"warning: {warning}\n" in said(result)
    assert warning in (tmp_path / "runs" / "tiny" / "latest" / "run.log").read_text()
    assert result.exit_code == 0

    checked = segad("check", write_recipe(tmp_path, ("size: [48, 48]", "size: [48, 48], window: [0, 255]")))
    found = f"scaled to 8 bits with the recipe's window; the highest value found is {wide.max()}"
    assert f"{found}, and all above 255 is saturated" in said(checked)
    assert "image.white" not in checked.output  # which a window excludes
    within = ("size: [48, 48]", f"size: [48, 48], window: [0, {wide.max()}]")
    assert f"{found}\n" in said(segad("check", write_recipe(tmp_path, within)))

    decoded = decode(tmp_path / "data" / "a" / "good" / "wide.png", Decoding(4095))
    assert decoded.scaled
    np.testing.assert_array_equal(decoded.pixels[:, :, 0], np.rint(wide * (255 / 4095)))


def test_an_image_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulated, because root may read everything."""
    recipe = workshop(tmp_path)
    path = tmp_path / "data" / "a" / "good" / "005.png"
    opened = Path.open

    def forbidden(self: Path, *args, **kwargs):
        if self == path:
            raise PermissionError(13, "Permission denied")
        return opened(self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", forbidden)
    result = run_command(recipe)
    sentence = f"not read: {path}: may not be read\n  Correct its permissions.\n"
    assert said(result).endswith(sentence)
    assert result.exit_code == 3
    with pytest.raises(ImageError, match="may not be read"):
        decode(path)


def test_an_image_that_changes_during_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was sound when the run was planned: the run stops, and says which one."""
    import segad_core.run.engine

    recipe = workshop(tmp_path)
    path = tmp_path / "data" / "a" / "bad" / "000.png"
    prepare = segad_core.run.engine.prepare

    def then_break(*args):
        prepared = prepare(*args)
        path.write_bytes(b"")
        return prepared

    monkeypatch.setattr(segad_core.run.engine, "prepare", then_break)
    result = run_command(recipe)
    assert f"error: {path}: the file is empty\n  {AGAIN}\n" in said(result)
    assert result.exit_code == 1


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    """Linux lets file names hold any bytes; they take part, and no output fails over them."""
    workshop(tmp_path)
    bad = tmp_path / "data" / "a" / "bad"
    for path in sorted(bad.iterdir()):
        path.rename(Path(os.fsdecode(os.fsencode(bad) + b"/\xff," + path.name.encode())))
    broken = Path(os.fsdecode(os.fsencode(bad) + b"/\xfe.png"))
    broken.write_bytes(b"")
    result = run_command(write_recipe(tmp_path))
    said(result)
    assert result.exit_code == 3
    folder = tmp_path / "runs" / "tiny" / "latest"
    lines = list(csv.reader((folder / "scores.csv").read_text(encoding="utf-8").splitlines()))
    assert sum(line[4].startswith("bad/\\udcff,") for line in lines) == 6  # three in each of two rows
    assert "\\udcfe.png: the file is empty" in (folder / "run.log").read_text(encoding="utf-8")


@pytest.mark.parametrize("form", ["PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF"])
def test_damage_is_refused_or_harmless_and_never_a_crash(form: str, tmp_path: Path) -> None:
    """Whatever is cut off or changed: an ImageError or an image of three channels."""
    whole = encoded(FRAMES[0], form)
    path = tmp_path / "image"
    path.write_bytes(whole)
    pixels = decode(path).pixels
    rng = np.random.default_rng(5)
    for cut in sorted({*rng.integers(0, len(whole), 60).tolist(), 0, len(whole) - 1}):
        path.write_bytes(whole[:cut])
        try:
            np.testing.assert_array_equal(decode(path).pixels, pixels)
        except ImageError as error:
            assert error.remedy and str(path) in error.what
    for place in rng.integers(0, min(len(whole), 400), 120):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        try:
            assert decode(path).pixels.shape[2] == 3
        except ImageError as error:
            assert error.remedy and str(path) in error.what


def test_a_data_set_reached_through_a_loop_of_links(tmp_path: Path) -> None:
    data_set(tmp_path / "data")
    (tmp_path / "data" / "a" / "good" / "again").symlink_to(tmp_path / "data" / "a" / "good")
    assert run_command(write_recipe(tmp_path)).exit_code == 0


@pytest.mark.parametrize(
    ("label", "image", "words"),
    [
        ("*", "{page: 2, size: ", ["11 of 11 images", "4 of 4 bad", "has no page 2", "image.page"]),
        ("*", "{bayer: RGGB, size: ", ["11 of 11 images", "image.bayer"]),
        ("bad", "", ["4 of 11 images", "(4 of 4 bad)", "several frames", "image.page"]),
        ("good", "", ["7 of 11 images", "(7 of 7 good)", "several frames", "image.page"]),
    ],
)
def test_unreadable_images_are_named_as_the_cause_where_too_few_are_left(
    tmp_path: Path, label: str, image: str, words: list[str]
) -> None:
    workshop(tmp_path, good=7, bad=4)
    if not image:
        for path in [*tmp_path.glob(f"data/a/{label}/*.png")]:
            FRAMES[0].save(path.with_suffix(".tif"), save_all=True, append_images=FRAMES[1:])
            path.unlink()
    recipe = write_recipe(tmp_path, *[("image: {size: ", f"image: {image}")] * bool(image))
    result = segad("check", recipe, "--store", tmp_path / "store")
    assert result.exit_code == 1
    error = said(result)[said(result).index("error: ") :]
    for fact in (*words, "cannot be read"):
        assert fact in error


def test_few_unreadable_images_are_not_blamed(tmp_path: Path) -> None:
    workshop(tmp_path, good=7, bad=4)
    (tmp_path / "data/a/good/000.png").write_bytes(b"nothing")
    recipe = write_recipe(tmp_path, ("good: 4, bad: 3", "good: 40, bad: 3"))
    text = said(segad("check", recipe, "--store", tmp_path / "store"))
    assert "1 image cannot be read" in text
    assert "cannot be read" not in text[text.index("error: ") :]
