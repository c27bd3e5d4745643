"""`segad mask`: masks are started and never lost; previews show what a run would segment."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fakes
import numpy as np
import pytest
import tiny_sam
import yaml
from builders import data_set, kinds, picture, png16, said, segad
from PIL import Image
from segment_anything.modeling import ImageEncoderViT
from small_runs import write

from segad_core.base.locks import held
from segad_core.images import read_labels
from segad_core.images.overlay import enlarged, overlay
from segad_core.images.palette import PALETTE


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with 12 good and 7 bad images of 48 x 48."""
    fakes.install(monkeypatch)
    monkeypatch.chdir(tmp_path)
    data_set(tmp_path / "data")
    return tmp_path


IMAGE = "data/a/good/003.png"


ROWS = [
    {"name": "alone", "score": "spotty"},
    {"name": "own", "detectors": ["spotty"], "segmenter": "halves"},
    {"name": "common", "detectors": ["spotty"]},
]


def recipe_in(home: Path, **changes: Any) -> Path:
    """A recipe: of its rows one has no segmenter, one its own, one the recipe's."""
    return write(home, **{"rows": ROWS, **changes})


def refused(*words: str | Path, code: int = 2) -> str:
    result = segad("mask", *words)
    text = said(result)
    assert result.exit_code == code, text
    assert text.startswith("error: ") or "is a directory" in text, text
    return text.removeprefix("error: ")


def new(*words: str | Path) -> str:
    result = segad("mask", "new", *words)
    assert result.exit_code == 0, said(result)
    return said(result)


def preview(*words: str | Path) -> str:
    result = segad("mask", "preview", *words)
    assert result.exit_code == 0, said(result)
    return said(result)


# ---------------------------------------------------------------- new


def test_a_new_mask(home: Path) -> None:
    text = new("--image", IMAGE, "-o", "masks/part.png", "--segments", "background, body,holes")
    with Image.open("masks/part.png") as mask:
        assert mask.mode == "P"
        assert mask.getpalette() == PALETTE[:3].reshape(-1).tolist()
    np.testing.assert_array_equal(read_labels(home / "masks/part.png"), np.zeros((48, 48)))
    np.testing.assert_array_equal(np.asarray(Image.open("masks/part_image.png")), picture(3))
    swatch = np.asarray(Image.open("masks/part_colours.png").convert("RGB"))
    shown = [(swatch == colour).all(2).sum() for colour in PALETTE[:4]]
    assert shown[0] == shown[1] == shown[2] > 300
    assert not shown[3]
    assert "masks/part.png: 48 x 48 pixels (width x height), all background (label 0)" in text
    assert "segad mask preview" in text


def test_the_yaml_that_it_prints_is_what_a_recipe_takes(home: Path) -> None:
    text = new(
        "--image", IMAGE, "-o", "part.png", "--segments", "on,off,12"
    )  # words that YAML reads otherwise
    block = text[text.index("segmenter:") :].split("\n\n")[0]
    use = yaml.safe_load(block)["segmenter"]
    assert use == {"use": "static_mask", "params": {"mask": "part.png", "segments": ["on", "off", "12"]}}
    labels = np.zeros((48, 48), np.uint8)
    labels[10:20], labels[30:] = 1, 2
    Image.fromarray(PALETTE[labels]).save("part.png")  # drawn, and saved as RGB
    lines = preview(recipe_in(home, segmenter=use)).splitlines()
    assert [line.split() for line in lines if line.startswith("    ")] == [
        ["0", "on", "41.7%"],
        ["1", "off", "20.8%"],
        ["2", "12", "37.5%"],
    ]


def test_a_mask_of_another_size(home: Path) -> None:
    new("--image", IMAGE, "-o", "part.png", "--size", "20x30")
    assert read_labels(home / "part.png").shape == (20, 30)
    shown = np.asarray(Image.open("part_image.png"))
    small = Image.fromarray(picture(3)).resize((30, 20), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(shown, np.asarray(small))


def test_an_image_of_16_bits(home: Path) -> None:
    (home / "deep.png").write_bytes(png16(np.full((4, 4), 2000, np.uint16)))
    new("--image", "deep.png", "-o", "part.png", "--white", "4000")
    assert np.unique(np.asarray(Image.open("part_image.png"))).tolist() == [128]


def test_an_image_as_a_camera_writes_it(home: Path) -> None:
    """A page, a mosaic and a window, as a recipe would say it."""
    pages = [Image.fromarray(np.full((4, 4), value, np.uint16)) for value in (9, 2000)]
    pages[0].save("pages.tif", save_all=True, append_images=pages[1:])
    words = ["--image", "pages.tif", "--page", "2", "--bayer", "RGGB", "--window"]
    new(*words, "1000", "3000", "-o", "part.png")
    assert np.unique(np.asarray(Image.open("part_image.png"))).tolist() == [128]
    assert "--window 3000 1000" in refused("new", *words, "3000", "1000")


def test_a_mask_is_named_after_its_image(home: Path) -> None:
    text = new("--image", IMAGE)
    assert sorted(path.name for path in home.glob("*.png")) == [
        *("003_mask.png", "003_mask_colours.png", "003_mask_image.png"),
    ]
    assert read_labels(home / "003_mask.png").shape == (48, 48)
    assert "mask: 003_mask.png" in text
    assert refused("new", "--image", IMAGE).startswith("003_mask.png: already exists\n")


@pytest.mark.parametrize("there", ["part.png", "part_image.png", "part_colours.png"])
def test_nothing_is_written_over_unasked(home: Path, there: str) -> None:
    (home / there).write_bytes(b"drawn")
    assert refused("new", "--image", IMAGE, "-o", "part.png").startswith(f"{there}: already exists\n")
    assert (home / there).read_bytes() == b"drawn"
    assert [p.name for p in home.glob("part*")] == [there]
    new("--image", IMAGE, "-o", "part.png", "--force")
    assert read_labels(home / "part.png").shape == (48, 48)
    assert (home / there).read_bytes() != b"drawn"


@pytest.mark.parametrize("name", ["part.png", "part_image.png"])
def test_the_image_itself_is_never_written_over(home: Path, name: str) -> None:
    Image.fromarray(picture(5)).save(name)
    text = refused("new", "--image", name, "-o", "./part.png", "--force")
    assert text.startswith(f"{name}: is the image itself and would be overwritten")
    np.testing.assert_array_equal(np.asarray(Image.open(name)), picture(5))


NO = {
    "names": (["--segments", "a,a"], "--segments a,a: two segments have the same name"),
    "name": (["--segments", "a, b c"], "--segments a, b c: 'b c' cannot name a segment"),
    "no names": (["--segments", ",,"], "--segments ,,: a name is empty"),
    "no name": (["--segments", "a,"], "--segments a,: a name is empty"),
    "many": (
        ["--segments", ",".join(f"s{i}" for i in range(256))],
        "--segments: a mask can have 255 segments, not 256",
    ),
    "size": (["--size", "20"], "--size 20: must be HxW\n  Give height and width"),
    "no size": (["--size", "0x20"], "--size 0x20: must be HxW"),
    "large": (["--size", "99999x99999"], "--size 99999x99999: exceeds the limit"),
    "jpeg": (["-o", "part.jpg"], "-o part.jpg: must be a PNG"),
    "folder": (
        ["-o", "data/a/good/000.png/part.png"],
        "data/a/good/000.png/part.png: cannot be written",
    ),
}


@pytest.mark.parametrize("what", NO)
def test_what_cannot_be_started(home: Path, what: str) -> None:
    words, begin = NO[what]
    assert refused("new", "--image", IMAGE, "-o", "part.png", *words).startswith(begin)
    assert not list(home.glob("part*"))


def test_an_image_that_is_none(home: Path) -> None:
    assert refused("new", "--image", "no.png", "-o", "part.png", code=1).startswith(
        "no.png: there is no such file"
    )
    (home / "no.png").write_bytes(b"nothing")
    assert refused("new", "--image", "no.png", "-o", "part.png", code=1).startswith("no.png: is not an image")


# ---------------------------------------------------------------- preview


def panel(path: Path, number: int, side: int = 384) -> np.ndarray:
    """A panel of a preview of square images: they are the first 384 lines below the captions."""
    pixels = np.asarray(Image.open(path))
    left = 12 + number * (side + 12)
    return pixels[28 : 28 + side, left : left + side]


def test_the_three_panels(home: Path) -> None:
    text = preview(recipe_in(home, segmenter="halves"), "-o", "out/p.png")
    images = [picture(i) for i in range(12)]
    mean = np.rint(np.mean(images, axis=0)).astype(np.uint8)
    labels = np.ones((48, 48), np.uint8)
    top = 10 + int(images[0][0, 0, 0]) % 5
    labels[:top] = 0
    large = enlarged(images[0], 8)
    for number, expected in enumerate([enlarged(mean, 8), large, overlay(large, enlarged(labels, 8))]):
        np.testing.assert_array_equal(panel(home / "out/p.png", number), expected)
    assert text.splitlines() == [
        "out/p.png",
        "segmenter halves (of the recipe), category a; mean of 12 of 12 good images",
        "sample good/000.png, shares of its pixels:",
        f"    0  top  {top / 0.48:6.1f}%",
        f"    1  low  {100 - top / 0.48:6.1f}%",
        "fit: 0.750 (0 to 1, by the segmenter's own measure)",
    ]


def test_the_same_bytes_each_time(home: Path) -> None:
    recipe = recipe_in(home, segmenter="halves")
    preview(recipe, "-o", "one.png")
    preview(recipe, "-o", "two.png")
    assert (home / "one.png").read_bytes() == (home / "two.png").read_bytes()


def test_another_sample_and_its_doubt(home: Path) -> None:
    text = preview(recipe_in(home, segmenter="halves"), "--image", "bad/000.png", "-o", "p.png")
    np.testing.assert_array_equal(panel(home / "p.png", 1), enlarged(picture(0, bad=True), 8))
    assert "sample bad/000.png" in text
    assert text.splitlines()[-1] == "doubtful: it is the spoilt one"


def test_whose_segmenter(home: Path) -> None:
    recipe = recipe_in(home, rows=ROWS)
    assert "segmenter whole_image (of the recipe)" in preview(recipe)
    assert "segmenter whole_image (of row 'common')" in preview(recipe, "--row", "common")
    assert "segmenter halves (of row 'own')" in preview(recipe, "--row", "own")
    assert refused("preview", recipe, "--row", "alone").startswith("row 'alone' has no segmenter\n")
    assert refused("preview", recipe, "--row", "ow").startswith(
        "recipe 'tiny' has no row 'ow' - did you mean 'own'? known: alone, own, common"
    )


def test_a_recipe_without_a_segmenter_of_its_own(home: Path) -> None:
    assert "segmenter halves (of row 'own')" in preview(recipe_in(home, segmenter=None, rows=ROWS[:2]))
    text = refused("preview", recipe_in(home, segmenter=None, rows=ROWS[:1]))
    assert text.startswith("recipe 'tiny' has no segmenter\n")


def test_which_category(home: Path) -> None:
    recipe = recipe_in(home)
    preview(recipe, "--category", "a")
    assert (home / "preview_tiny_a.png").is_file()  # its name where none is given
    data_set(home / "data", ["b"])
    assert refused("preview", recipe).startswith("recipe 'tiny' has 2 categories, and a preview shows one\n")
    assert "category b" in preview(recipe, "--category", "b")
    assert "has no category 'c'" in refused("preview", recipe, "--category", "c")


def test_the_training_part_is_averaged_and_not_too_much_of_it(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part, first, count in (("train", 0, 9), ("test", 20, 4)):
        (home / "parted/a" / part / "good").mkdir(parents=True)
        for i in range(count):
            Image.fromarray(picture(first + i)).save(home / f"parted/a/{part}/good/{i:03}.png")
    (home / "parted/a/test/bad").mkdir()
    Image.fromarray(picture(0, bad=True)).save(home / "parted/a/test/bad/000.png")
    recipe = recipe_in(home, dataset={"use": "folder", "params": {"root": "parted"}}, split={"seeds": [0]})
    assert "mean of 9 of 9 good images" in preview(recipe, "-o", "p.png")
    mean = np.mean([picture(i) for i in range(9)], axis=0)
    np.testing.assert_array_equal(panel(home / "p.png", 0), enlarged(np.rint(mean).astype(np.uint8), 8))
    monkeypatch.setattr("segad_core.tools.mean_image.MOST_IMAGES", 3)
    assert "mean of 3 of 9 good images" in preview(recipe, "-o", "p.png")
    mean = np.mean([picture(i) for i in (0, 3, 6)], axis=0)
    np.testing.assert_array_equal(panel(home / "p.png", 0), enlarged(np.rint(mean).astype(np.uint8), 8))


def test_images_that_cannot_be_read_are_left_out_and_named(home: Path) -> None:
    (home / "data/a/good/000.png").write_bytes(b"")
    result = segad("mask", "preview", recipe_in(home), "-o", "p.png")
    assert result.exit_code == 3
    assert "mean of 11 of 12 good images" in said(result)
    assert "sample good/001.png" in said(result)
    assert "not read: " in result.stderr
    assert "000.png: the file is empty" in result.stderr
    assert "000.png: the file is empty" in refused(
        "preview", recipe_in(home), "--image", "good/000.png", code=1
    )
    for path in (home / "data/a/good").iterdir():
        path.write_bytes(b"")
    assert refused("preview", recipe_in(home), code=1).startswith(
        "category 'a': none of the 12 good images can be read"
    )


def test_no_such_image(home: Path) -> None:
    text = refused("preview", recipe_in(home), "--image", "003.png")
    assert text.startswith("category 'a' has no image '003.png'\n")
    assert "bad/000.png" in text


def test_only_previews_are_written_over(home: Path) -> None:
    """Above all no mask: -o is easily mistaken for it."""
    new("--image", IMAGE, "-o", "part.png")
    before = (home / "part.png").read_bytes()
    assert refused("preview", recipe_in(home), "-o", "part.png").startswith(
        "part.png: already exists and is not a preview"
    )
    assert (home / "part.png").read_bytes() == before
    (home / "text.png").write_text("mine")
    assert "already exists and is not a preview" in refused("preview", recipe_in(home), "-o", "text.png")
    assert "must be a PNG" in refused("preview", recipe_in(home), "-o", "p.jpg")
    preview(recipe_in(home), "-o", "p.png")
    first = (home / "p.png").read_bytes()
    preview(recipe_in(home, segmenter="halves"), "-o", "p.png")
    assert (home / "p.png").read_bytes() != first


def mask_of(home: Path, labels: np.ndarray, **params: Any) -> Path:
    Image.fromarray(labels).save(home / "part.png")
    given = {"mask": "part.png", "segments": ["a", "b"], **params}
    return recipe_in(home, segmenter={"use": "static_mask", "params": given})


def test_an_undrawn_mask_and_one_of_another_shape(home: Path) -> None:
    text = refused("preview", mask_of(home, np.zeros((48, 48), np.uint8)))
    assert "part.png: has no pixel of b\n" in text
    assert "aspect ratio than images of 48 x 48" in refused(
        "preview", mask_of(home, np.eye(40, 50, dtype=np.uint8))
    )


def test_notes_of_the_segmenter(home: Path) -> None:
    text = preview(mask_of(home, np.eye(48, dtype=np.uint8), template=True))
    assert text.splitlines()[-1].startswith("note: mask part.png is a template, drawn without the images")
    assert "note:" not in preview(mask_of(home, np.eye(48, dtype=np.uint8)))


def test_a_segmenter_that_breaks_its_contract(home: Path) -> None:
    recipe = recipe_in(home, segmenter="stray")
    preview(recipe)
    assert "segmenter 'stray' (faulty 1.0), image 'bad/000.png': label 4 where only 0 to 0 have" in refused(
        "preview", recipe, "--image", "bad/000.png", code=1
    )


def test_a_value_is_set(home: Path) -> None:
    preview(recipe_in(home), "--set", "image.size=[100, 200]", "-o", "p.png")
    with Image.open("p.png") as image:  # 200 is enlarged to 400
        assert image.width == 3 * 400 + 4 * 12


def test_sam_segments_an_image_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_sam.register(monkeypatch)
    runs = tiny_sam.Calls(monkeypatch, ImageEncoderViT, "forward")
    params = {
        "model": tiny_sam.NAME,
        "checkpoint": str(tiny_sam.checkpoint(home)),
        "prompts": [{"points": [[20, 20]]}],
    }
    recipe = recipe_in(home, segmenter={"use": "sam", "params": params})
    first = preview(recipe, "--store", "own_store", "-o", "p.png")
    assert len(runs) == 1
    assert kinds(home / "own_store") == ["image artifact"]
    segmented = (home / "p.png").read_bytes()
    again = preview(recipe, "--store", "own_store", "-o", "p.png")
    assert again.splitlines() == first.splitlines()[-5:]  # but for the word on the device
    assert (home / "p.png").read_bytes() == segmented
    assert len(runs) == 1
    preview(recipe, "--store", "own_store", "-o", "p.png", "--image", "good/001.png")
    assert len(runs) == 2


KINDS: dict[str, Callable[[Path], object]] = {
    "link": lambda path: path.symlink_to("victim"),
    "dangling": lambda path: path.symlink_to("gone"),
    "pipe": os.mkfifo,
    "folder": Path.mkdir,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("there", ["part.png", "part_image.png", "part_colours.png"])
def test_nothing_is_written_through_what_is_no_file(home: Path, kind: str, there: str) -> None:
    """With --force, a link is replaced itself; anything else stays."""
    (home / "victim").write_text("precious")
    KINDS[kind](home / there)
    inode = (home / there).lstat().st_ino
    assert there in refused("new", "--image", IMAGE, "-o", "part.png")
    assert (home / there).lstat().st_ino == inode
    if kind in ("link", "dangling"):
        new("--image", IMAGE, "-o", "part.png", "--force")
        assert (home / there).is_file() and not (home / there).is_symlink()
    else:
        assert there in refused("new", "--image", IMAGE, "-o", "part.png", "--force")
        assert (home / there).lstat().st_ino == inode
    assert (home / "victim").read_text() == "precious" and not (home / "gone").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_a_preview_replaces_only_a_preview(home: Path, kind: str) -> None:
    recipe = recipe_in(home)
    preview(recipe, "-o", "p.png")
    (home / "p.png").rename(home / "victim")  # a link to a preview is no preview either
    KINDS[kind](home / "p.png")
    before, inode = (home / "victim").read_bytes(), (home / "p.png").lstat().st_ino
    assert "p.png" in refused("preview", recipe, "-o", "p.png")
    assert (home / "p.png").lstat().st_ino == inode
    assert (home / "victim").read_bytes() == before and not (home / "gone").exists()


def test_masks_and_previews_have_one_writer(home: Path) -> None:
    recipe = recipe_in(home)
    for name in ("part.png", "part_image.png", "part_colours.png", "p.png"):
        with held(home / name, ""):
            if name == "p.png":
                text = refused("preview", recipe, "-o", name, code=1)
            else:
                text = refused("new", "--image", IMAGE, "-o", "part.png", code=1)
        assert f"{name} is held by process {os.getpid()} " in text
    assert not list(home.glob("p*.png")) and not list(home.glob(".*"))
