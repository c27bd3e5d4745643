"""Folders, masks and plugins that do not fit a recipe: named, with the remedy, before anything is trained."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import fakes
import numpy as np
import pytest
from builders import data_set, encoded, kinds, picture, run_command, said, segad, workshop, write_recipe
from PIL import Image

ADD = "images, or remove the category from the recipe's categories."
MORE = "Change the recipe's split, or give the category more images."

SPLITS = {
    "no bad": (
        [],
        "bad",
        1,
        [
            "category 'a' has no bad image, and the row 'SegAD' learns from bad images",
            "  Until there are some, use rows that need none: a detector alone (score: DETECTOR), or SegAD "
            "without a classifier on generated defects (bad: {from: generated, use: [blur, rectangle]}). "
            "From the first bad images on, use final: blend.",
        ],
    ),
    "no good": ([], "good", 1, ["category 'a' has no good image", f"  Add good {ADD}"]),
    "too few for a count": (
        [("good: 4, bad: 3", "good: 400, bad: 3")],
        "",
        2,
        [
            "a: good images for the test: 400 are requested, and only 12 are available",
            "  Request fewer in the recipe's split, or a share.",
        ],
    ),
    "too few left for a count": (
        [("detectors: {good: 4}", "detectors: {good: 9}")],
        "",
        2,
        [
            "a: good images for detectors: 9 are requested, and only 8 are available",
            "  Request fewer in the recipe's split, or a share.",
        ],
    ),
    "too few for a share": (
        [("detectors: {good: 4}", "detectors: {good: 0.01}")],
        "",
        1,
        ["category 'a', seed 0: the split leaves no good image for the detectors", f"  {MORE}"],
    ),
    "none for the test": (
        [("good: 4, bad: 3", "good: 0, bad: 3")],
        "",
        1,
        ["category 'a', seed 0: the split leaves no good image for the test", f"  {MORE}"],
    ),
    "none for the final classifier": (
        [("detectors: {good: 4}", "detectors: {good: rest}")],
        "",
        1,
        [
            "category 'a', seed 0: the split leaves no good image for the final classifier",
            "  Change split.final.good, or what split.test.good and split.detectors.good take first, or give "
            "the category more good images.",
        ],
    ),
    "no official test part": (
        [("  test: {good: 4, bad: 3}\n", "")],
        "",
        2,
        [
            "the data set has no official test split for category 'a'",
            "  Say how many images to set aside, for example split: {test: {good: 0.25, bad: 0.5}}.",
        ],
    ),
}


@pytest.mark.parametrize("name", SPLITS)
def test_images_that_do_not_suffice(name: str, tmp_path: Path) -> None:
    changes, absent, code, expected = SPLITS[name]
    workshop(tmp_path)
    if absent:
        shutil.rmtree(tmp_path / "data" / "a" / absent)
    result = run_command(write_recipe(tmp_path, *changes))
    assert said(result).removeprefix("error: ").splitlines() == expected
    assert result.exit_code == code
    assert kinds(tmp_path / "store") == []


def test_a_folder_without_a_category(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path)
    (tmp_path / "data" / "goood").mkdir(parents=True)
    result = run_command(recipe)
    first, second, *layout = said(result).splitlines()
    assert first.startswith(f"error: data set folder: {tmp_path}/data contains no category")
    assert "'good' or 'bad'" in first
    assert second.startswith("  Expected layout")
    assert len(layout) == 4
    assert result.exit_code == 2


def test_a_part_without_good_images_is_not_passed_over(tmp_path: Path) -> None:
    data_set(tmp_path / "data" / "a", ("train", "test"))
    shutil.rmtree(tmp_path / "data" / "a" / "test" / "good")
    result = run_command(write_recipe(tmp_path, ("  test: {good: 4, bad: 3}\n", "")))
    expected = f"error: category 'a', seed 0: the split leaves no good image for the test\n  {MORE}\n"
    assert said(result) == expected


def test_a_folder_that_is_and_is_not_divided(tmp_path: Path) -> None:
    workshop(tmp_path)
    (tmp_path / "data" / "a" / "train" / "good").mkdir(parents=True)
    result = run_command(write_recipe(tmp_path))
    assert said(result) == (
        f"error: data set folder: {tmp_path}/data/a contains both 'good' or 'bad' and 'train/'\n"
        "  Move either all images or none into train/ and test/.\n"
    )
    assert result.exit_code == 1


def test_a_folder_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulated, because root may read everything."""
    recipe = workshop(tmp_path)
    listdir = os.listdir

    def forbidden(path="."):
        if Path(path).name == "bad":
            raise PermissionError(13, "Permission denied")
        return listdir(path)

    monkeypatch.setattr(os, "listdir", forbidden)
    result = run_command(recipe)
    assert said(result) == (
        f"error: the folder {tmp_path}/data/a/bad cannot be read (Permission denied)\n"
        "  Correct its permissions.\n"
    )
    assert result.exit_code == 1


COPIES = {
    "the same file": ("copy.png", lambda path: path.read_bytes(), "are the same file"),
    "packed anew": (
        "copy.png",
        lambda path: encoded(Image.open(path), "PNG", compress_level=0),
        "are the same pixels",
    ),
    "another format": ("copy.bmp", lambda path: encoded(Image.open(path), "BMP"), "are the same pixels"),
    "one channel": (
        "copy.png",
        lambda path: encoded(Image.open(path).convert("L"), "PNG"),
        "are the same pixels",
    ),
}


@pytest.mark.parametrize("name", COPIES)
@pytest.mark.parametrize("command", ["check", "run"])
def test_one_image_in_two_purposes(name: str, command: str, tmp_path: Path) -> None:
    """It is found however it is stored, both are named, and nothing has been trained."""
    copy, make, how = COPIES[name]
    home = tmp_path / "data" / "a"
    data_set(home, ("train", "test"))
    (home / "test" / "good" / copy).write_bytes(make(home / "train" / "good" / "003.png"))
    recipe = write_recipe(tmp_path, ("  test: {good: 4, bad: 3}\n", ""))
    result = (
        run_command(recipe) if command == "run" else segad("check", recipe, "--store", tmp_path / "store")
    )
    pattern = (
        "error: category 'a', seed 0: the same image serves two purposes that must be disjoint: "
        rf"'test/good/{copy}' \(test\) and 'train/good/003.png' \((detectors|final)\) {how}\n"
        r"  Leave one of each pair out, split: \{leave_out: \{CATEGORY: \[IMAGE\]\}\}, or put both into the "
        r"same part of the data set.\n"
    )
    assert re.fullmatch(pattern, said(result))
    assert result.exit_code == 1
    assert kinds(tmp_path / "store") == []


def test_every_pair_counts(tmp_path: Path) -> None:
    home = tmp_path / "data" / "a"
    data_set(home, ("train", "test"))
    for i in range(7):
        shutil.copy(home / "train" / "good" / f"00{i}.png", home / "test" / "good" / f"copy{i}.png")
    text = said(run_command(write_recipe(tmp_path, ("  test: {good: 4, bad: 3}\n", ""))))
    assert text.count("are the same file") == 5
    assert "; and 2 more\n" in text


MASKS = {
    "wrong size": (
        ["sky", "sea", "land"],
        "size: [48, 48]",
        "has 4 x 6 pixels, not 48 x 48",
        "Draw it at that size, or correct 'size' in the recipe.",
        2,
    ),
    "labels beyond the names": (
        ["sky", "sea"],
        "",
        "has the label 2, but only 2 segments have names (labels 0 to 1)",
        "Name every label in 'segments', or redraw the map in the colours that 'segad mask new' shows.",
        2,
    ),
    "a name without a pixel": (
        ["sky", "sea", "land", "ice", "fog"],
        "",
        "has no pixel of ice, fog",
        "Draw it, or remove the name from 'segments'.",
        2,
    ),
}


@pytest.mark.parametrize("name", MASKS)
def test_a_mask_that_does_not_fit(name: str, tmp_path: Path) -> None:
    names, size, what, remedy, code = MASKS[name]
    workshop(tmp_path)
    Image.fromarray(np.arange(24, dtype=np.uint8).reshape(4, 6) % 3).save(tmp_path / "mask.png")
    params = ", ".join(filter(None, ["mask: mask.png", f"segments: [{', '.join(names)}]", size]))
    recipe = write_recipe(tmp_path, ("whole_image", f"{{use: static_mask, params: {{{params}}}}}"))
    result = run_command(recipe)
    assert said(result) == f"error: mask {tmp_path}/mask.png: {what}\n  {remedy}\n"
    assert result.exit_code == code
    assert kinds(tmp_path / "store") == []


def _npz() -> bytes:
    import io

    buffer = io.BytesIO()
    np.savez(buffer, labels=np.zeros((4, 4), np.uint8))
    return buffer.getvalue()


FRAMES = [Image.fromarray(picture(i)) for i in range(2)]
LABEL_FILES = {
    "colours": (
        "m.png",
        encoded(Image.fromarray(picture(1) // np.array([1, 2, 3], np.uint8)), "PNG"),
        "2304 of 2304 pixels have an unknown colour, the first one #...",
    ),
    "text": ("m.png", b"hello", "is not an image that can be read..."),
    "truncated": (
        "m.png",
        encoded(Image.fromarray(picture(1)[..., 0]), "PNG")[:500],
        "is damaged or truncated (...",
    ),
    "archive": ("m.npy", _npz(), "cannot be read as an npy array (the magic string..."),
    "empty": ("m.npy", b"", "cannot be read as an npy array (EOF..."),
    "animation": (
        "m.gif",
        encoded(FRAMES[0].convert("P"), "GIF", save_all=True, append_images=[FRAMES[1].convert("P")]),
        "holds several frames",
    ),
}


@pytest.mark.parametrize("name", LABEL_FILES)
def test_a_mask_that_is_none(name: str, tmp_path: Path) -> None:
    file, content, what = LABEL_FILES[name]
    workshop(tmp_path)
    (tmp_path / file).write_bytes(content)
    use = f"{{use: static_mask, params: {{mask: {file}, segments: [sky]}}}}"
    result = run_command(write_recipe(tmp_path, ("whole_image", use)))
    first, remedy = said(result).splitlines()
    assert first.startswith(f"error: {tmp_path}/{file}: {what.removesuffix('...')}")
    assert remedy.startswith(("  Save ", "  Draw ", "  Convert ", "  Copy "))
    assert result.exit_code == 1
    assert kinds(tmp_path / "store") == []


def test_a_category_without_parameters(tmp_path: Path) -> None:
    workshop(tmp_path, ("a", "b"))
    Image.new("L", (9, 9)).save(tmp_path / "mask.png")
    use = "{use: static_mask, per_category: {a: {mask: mask.png, segments: [all]}}}"
    result = run_command(write_recipe(tmp_path, ("whole_image", use)))
    assert said(result) == (
        "error: 'static_mask' has no parameters for 'b', only for a\n"
        "  Add 'b' to its per_category, or remove the category from the recipe.\n"
    )
    assert result.exit_code == 2


def test_one_id_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fakes.install(monkeypatch)
    workshop(tmp_path)
    result = run_command(write_recipe(tmp_path, ("{use: folder, params: {root: data}}", "twice")))
    assert said(result) == (
        "error: category 'a': the data set lists the image 'good/1.png' twice\n"
        "  The ids of a category must be unique: report this to the authors of the data set.\n"
    )
    assert result.exit_code == 1


def test_a_gpu_that_is_not_there(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is one")
    result = run_command(workshop(tmp_path), "--device", "cuda")
    assert said(result).endswith(
        "error: --device cuda: torch finds no GPU on this machine\n"
        "  Use --device cpu, or install a driver and a torch build that support the GPU.\n"
    )
    assert result.exit_code == 2


LOOK = "  Check the image. If it looks fine, report this to the plugin's authors."
MAPS = "detector 'spotty' (faulty 1.0): anomaly_maps() returned"

# what a plugin does wrong: the change to the tiny recipe, the sentence, the line after it
BREACHES = {
    "nan map": "detector 'spotty' (faulty 1.0): the anomaly map is not finite for image 'bad/000.png'",
    "infinite map": "detector 'spotty' (faulty 1.0): the anomaly map is not finite for image 'bad/000.png'",
    "nan score": "detector 'spotty' (faulty 1.0): the image score is not finite for image 'bad/000.png'",
    "shape": f"{MAPS} float32 (4, 47, 48) instead of float32 (4, 48, 48)",
    "type": f"{MAPS} float64 (4, 48, 48) instead of float32 (4, 48, 48)",
    "fit": "a, seed 0: fit: detector 'spotty' (faulty 1.0): fit: ZeroDivisionError: division by zero",
    "feature": "feature 'endless' (faulty 1.0): 'whole.spotty.endless' is not finite for image 'bad/000.png'",
    "classifier": "a, seed 0: SegAD: the score that final classifier 'unsure' (faulty 1.0) gave image ...",
    "segmenter": "segmenter 'stray' (faulty 1.0), image 'bad/000.png': label 4 where only 0 to 0 have names",
}


@pytest.mark.parametrize("wrong", BREACHES)
def test_plugins_that_break_their_contract(
    wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not finite stops where it arises, by the names of the image and the plugin."""
    fakes.install(monkeypatch)
    workshop(tmp_path)
    place = wrong if wrong not in ("feature", "classifier", "segmenter") else "nowhere"
    changes = [
        (
            "{use: patchcore, params: {coreset_ratio: 0.1, blur_sigma: 1}}",
            f"{{use: spotty, params: {{wrong: {place}}}}}",
        ),
        ("patchcore", "spotty"),
    ]
    if wrong == "feature":
        changes.append(("[mean, max]", "[mean, endless]"))
    if wrong == "classifier":
        changes.append(("{use: brf, params: {n_estimators: 2, num_parallel_tree: 5}}", "unsure"))
    if wrong == "segmenter":
        changes.append(("whole_image", "stray"))
    result = run_command(write_recipe(tmp_path, *changes))
    text = said(result)
    lines = text[text.index("error: ") :].splitlines()
    assert lines[0].startswith(f"error: {BREACHES[wrong].removesuffix('...')}")
    if "finite for image" in lines[0]:
        assert lines[1] == LOOK
    assert result.exit_code == 1
    log = (tmp_path / "runs" / "tiny" / "latest" / "run.log").read_text()
    assert f"ERROR segad: the run stopped: {lines[0].removeprefix('error: ')}" in log
    assert not (tmp_path / "runs" / "tiny" / "latest" / "table.md").exists()


def test_debug_shows_where_it_came_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fakes.install(monkeypatch)
    workshop(tmp_path)
    use = "{use: spotty, params: {wrong: fit}}"
    recipe = write_recipe(tmp_path, ("{use: patchcore, params: {coreset_ratio: 0.1, blur_sigma: 1}}", use))
    result = run_command(recipe, "--debug")
    assert "| ZeroDivisionError: division by zero\n" in result.stderr and result.exit_code == 1
    assert "in fit\n" in result.stderr and "\nerror: a, seed 0: fit: " in result.stderr
