"""What is found in a data set: each fault as itself and alone, and nothing where there is none."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import encoded, picture
from described import Described, describe, mask_image, save, sound
from PIL import Image

from segad_core.base.decoding import Decoding
from segad_core.store.store import Store
from segad_core.tools.dataset_check import CategoryCheck, check_category
from segad_core.tools.findings import HEADINGS

Facts = dict[str, Any]
Found = list[tuple[str, str, tuple[str, ...]]]


def look(root: Path, description: Facts | None = None, category: str = "a") -> CategoryCheck:
    if description is not None:
        describe(root, description)
    return check_category(Described(Described.Params(root=root)), category, Store(root / "store"))


def found(checked: CategoryCheck) -> Found:
    return [(finding.kind, finding.text, finding.images) for finding in checked.findings]


def entry(description: Facts, image: str) -> Facts:
    """The description of one image of category a."""
    sample: Facts = next(s for s in description["a"]["samples"] if s["id"] == f"a/{image}")
    return sample


def test_a_sound_data_set(tmp_path: Path) -> None:
    sound(tmp_path)
    assert look(tmp_path) == CategoryCheck(
        "a",
        images={"test bad": 2, "test good": 2, "train bad": 2, "train good": 2},
        published={"train good": 2, "train bad": 2, "test good": 2, "test bad": 2},
        defects={"crack": 2, "dent": 4},
        subsets={"first": 2},
        sizes={"48 x 48": 8},
    )


def add(description: Facts, image: str, **facts: object) -> None:
    """One image more, published with the others."""
    sample = {"id": f"a/{image}", "split": "train", "label": 0, **facts}
    description["a"]["samples"].append(sample)
    part = f"{sample['split']} {('good', 'bad')[sample['label']]}"
    description["a"]["published"][part] += 1


def _fewer(root: Path, a: Facts) -> Found:
    a["a"]["published"] |= {"train good": 2000, "test bad, unseen": 165, "test bad": 1}
    differences = (
        "train good: 2 instead of 2000",
        "test bad: 2 instead of 1",
        "test bad, unseen: 0 instead of 165",
    )
    return [("counts", text, ()) for text in differences]


def _unpublished_part(root: Path, a: Facts) -> Found:
    del a["a"]["published"]["train bad"]
    return [("counts", "train bad: 2 instead of 0", ())]


def _no_image(root: Path, a: Facts) -> Found:
    a["a"] = {"samples": [], "published": {}, "subsets": {}}
    return [("unlisted", "the category has no images", ())]


def _unlisted(root: Path, a: Facts) -> Found:
    a["a"]["error"] = "split.csv is not there"
    return [("unlisted", "split.csv is not there. Mend it.", ())]


def _id_twice(root: Path, a: Facts) -> Found:
    add(a, "good/1.png", path=str(root / "a/other.png"))
    save(root / "a/other.png", Image.fromarray(picture(7)))
    return [("ids", f"'a/good/1.png': {root / 'a/good/1.png'}, {root / 'a/other.png'}", ("a/good/1.png",))]


def _unreadable(root: Path, a: Facts) -> Found:
    (root / "a/good/0.png").write_bytes(encoded(Image.fromarray(picture(0)), "PNG")[:900])
    (root / "a/bad/3.png").unlink()
    lost = f"{root / 'a/bad/3.png'}: there is no such file"
    cut = f"{root / 'a/good/0.png'}: is damaged or truncated (its end is missing)"
    return [("unreadable", lost, ("a/bad/3.png",)), ("unreadable", cut, ("a/good/0.png",))]


def _leak_of_bytes(root: Path, a: Facts) -> Found:
    shutil.copy(root / "a/good/0.png", root / "a/good/3.png")
    text = "identical files: 'a/good/0.png' (train good), 'a/good/3.png' (test good)"
    return [("leaks", text, ("a/good/0.png", "a/good/3.png"))]


def _leak_of_pixels(root: Path, a: Facts) -> Found:
    Image.fromarray(picture(0)).save(root / "a/good/3.png", compress_level=0)
    text = "identical pixels: 'a/good/0.png' (train good), 'a/good/3.png' (test good)"
    return [("leaks", text, ("a/good/0.png", "a/good/3.png"))]


def _labels(root: Path, a: Facts) -> Found:
    shutil.copy(root / "a/good/0.png", root / "a/bad/1.png")
    text = "identical files: 'a/bad/1.png' (train bad), 'a/good/0.png' (train good)"
    return [("labels", text, ("a/bad/1.png", "a/good/0.png"))]


def _labels_and_leak(root: Path, a: Facts) -> Found:
    """Told under both headings, as it is both."""
    shutil.copy(root / "a/good/0.png", root / "a/bad/2.png")
    text = "identical files: 'a/bad/2.png' (test bad), 'a/good/0.png' (train good)"
    images = ("a/bad/2.png", "a/good/0.png")
    return [("labels", text, images), ("leaks", text, images)]


def _within_a_part(root: Path, a: Facts) -> Found:
    shutil.copy(root / "a/good/0.png", root / "a/good/1.png")
    text = "identical files: 'a/good/0.png' (train good), 'a/good/1.png' (train good)"
    return [("repeated", text, ("a/good/0.png", "a/good/1.png"))]


def _many_alike(root: Path, a: Facts) -> Found:
    """A sentence stays short, and the images are all there."""
    for i in range(4, 10):
        shutil.copy(root / "a/good/0.png", root / f"a/good/{i}.png")
        add(a, f"good/{i}.png")
    images = tuple(f"a/good/{i}.png" for i in (0, 4, 5, 6, 7, 8, 9))
    named = ", ".join(f"'{image}' (train good)" for image in images[:5])
    return [("repeated", f"identical files: {named} and 2 more", images)]


def _mask_absent(root: Path, a: Facts) -> Found:
    (root / "a/masks/2.png").unlink()
    return [("mask_absent", f"'a/bad/2.png': {root / 'a/masks/2.png'}", ("a/bad/2.png",))]


def _mask_is_a_pipe(root: Path, a: Facts) -> Found:
    """It would be waited for without end."""
    found = _mask_absent(root, a)
    os.mkfifo(root / "a/masks/2.png")
    return found


def _mask_of_colours(root: Path, a: Facts) -> Found:
    Image.fromarray(picture(5) + np.array([0, 1, 0], np.uint8)).save(root / "a/masks/0.png")
    return [("mask_unreadable", f"{root / 'a/masks/0.png'}: holds colours, not a mask", ("a/bad/0.png",))]


def _mask_of_another_size(root: Path, a: Facts) -> Found:
    save(root / "a/masks/0.png", mask_image().resize((24, 48), Image.Resampling.NEAREST))
    mask = Image.open(root / "a/masks/0.png")
    assert np.asarray(mask).any()
    text = f"'a/bad/0.png': {root / 'a/masks/0.png'} has 24 x 48 pixels, the image has 48 x 48"
    return [("mask_size", text, ("a/bad/0.png",))]


def _mask_empty(root: Path, a: Facts) -> Found:
    save(root / "a/masks/2.png", mask_image(0).convert("RGB"))
    return [("mask_empty", f"'a/bad/2.png': {root / 'a/masks/2.png'}", ("a/bad/2.png",))]


def _good_image_with_a_mask(root: Path, a: Facts) -> Found:
    entry(a, "good/2.png")["mask"] = "a/masks/good.png"
    entry(a, "good/3.png")["mask"] = "a/masks/empty.png"
    save(root / "a/masks/good.png", mask_image(1))
    save(root / "a/masks/empty.png", mask_image(0))
    return [("mask_good", f"'a/good/2.png': {root / 'a/masks/good.png'}", ("a/good/2.png",))]


def _without_masks(root: Path, a: Facts) -> Found:
    for image in ("bad/0.png", "bad/1.png", "bad/3.png"):
        entry(a, image)["mask"] = None
    test = ("unmasked", "test bad: 1 of 2: 'a/bad/3.png'", ("a/bad/3.png",))
    train = "train bad: 2 of 2: 'a/bad/0.png', 'a/bad/1.png'"
    return [test, ("unmasked", train, ("a/bad/0.png", "a/bad/1.png"))]


def _no_mask_at_all(root: Path, a: Facts) -> Found:
    for i in range(4):
        entry(a, f"bad/{i}.png")["mask"] = None
    return []


def _subset(root: Path, a: Facts) -> Found:
    unseen = entry(a, "bad/1.png")
    unseen["unseen"] = True
    a["a"]["published"] |= {"train bad": 1, "train bad, unseen": 1}
    wrong = ["a/bad/9.png", "a/good/0.png", "a/bad/2.png", "a/bad/1.png"]
    a["a"]["subsets"] = {"k": [*wrong, "a/bad/0.png", "a/bad/0.png"], "empty": []}
    said = [
        "does not exist",
        "is train good, not a bad training image",
        "is test bad, not a bad training image",
        "is train bad, unseen, not a bad training image",
        "is listed 2 times",
    ]
    return [
        ("subsets", f"'k': '{image}' {text}", (image,))
        for image, text in zip([*wrong, "a/bad/0.png"], said, strict=True)
    ]


def _subsets_unlisted(root: Path, a: Facts) -> Found:
    a["a"]["subsets"] = "low_shot.json is not valid JSON"
    return [("subsets", "low_shot.json is not valid JSON. Mend it.", ())]


def _levels(root: Path, a: Facts) -> Found:
    Image.fromarray(np.full((48, 48), 1000, np.uint16)).save(root / "a/good/1.png")
    text = "1 of 8 (the first: 'a/good/1.png'): the highest value found is 1000, as in images of 10 bits, so "
    text += "they are nearly black with 65535 as white: set image.white: 1023 in the recipe"
    return [("levels", text, ("a/good/1.png",))]


def _unread(root: Path, a: Facts) -> Found:
    a["a"]["unread"] = ["NG: 30 images not read"]
    return [("unread", "NG: 30 images not read", ())]


def _contradictions(root: Path, a: Facts) -> Found:
    a["a"]["contradictions"] = [
        "list.csv:2: says good of a/bad/0.png",
        "list.csv:3: says bad of a/good/0.png",
    ]
    return [("contradictions", text, ()) for text in a["a"]["contradictions"]]


def _another_shape(root: Path, a: Facts) -> Found:
    save(root / "a/good/0.png", Image.fromarray(picture(9)[:40]))
    save(root / "a/good/3.png", Image.fromarray(picture(8)[:, :40]))
    wide, high = ("shapes", "48 x 40: 'a/good/0.png'", ("a/good/0.png",)), ("a/good/3.png",)
    return [wide, ("shapes", "40 x 48: 'a/good/3.png'", high)]


def _as_parts(a: Facts, names: dict[str, str]) -> None:
    """Serial and view of images; the others are parts of their own, with all views that there are."""
    for one in a["a"]["samples"]:
        if given := names.get(one["id"].removeprefix("a/")):
            one["serial"], _, one["view"] = given.partition(" ")


def _missing_views(root: Path, a: Facts) -> Found:
    names = {"good/0.png": "S1 A", "good/1.png": "S1 B", "good/2.png": "S2 B", "bad/0.png": "S3 A"}
    _as_parts(a, {**names, "good/3.png": "S3 A", "bad/1.png": "S3 B"})
    text = (
        "1 of 3 parts lacks a view (A, B): S2 (A). Add the images, or leave these parts out; "
        "'parts: {missing: allow}' in a recipe judges them by their other views"
    )
    return [("views", text, ("a/good/2.png",))]


def _fewer_images_than_usual(root: Path, a: Facts) -> Found:
    names = {
        "good/0.png": "S1",
        "good/1.png": "S1",
        "good/2.png": "S2",
        "good/3.png": "S2",
        "bad/0.png": "S3",
    }
    _as_parts(a, names)
    text = (
        "1 of 3 parts lacks an image (2 are usual): S3 (has 1). Add the images, or leave these parts out; "
        "as views have no names, a recipe judges them by the images that are there"
    )
    return [("views", text, ("a/bad/0.png",))]


def _an_unreadable_view(root: Path, a: Facts) -> Found:
    _as_parts(a, {"good/0.png": "S1 A", "good/1.png": "S1 B", "bad/0.png": "S2 A", "bad/1.png": "S2 B"})
    (root / "a/bad/1.png").write_bytes(b"torn")
    text = "1 of 2 parts lacks a view (A, B): S2 (B). Add the images, or leave these parts out; "
    text += "'parts: {missing: allow}' in a recipe judges them by their other views"
    unreadable = f"{root / 'a/bad/1.png'}: is not an image that can be read"
    return [("unreadable", unreadable, ("a/bad/1.png",)), ("views", text, ("a/bad/0.png",))]


FAULTS: list[Callable[[Path, Facts], Found]] = [
    _fewer,
    _unpublished_part,
    _no_image,
    _unlisted,
    _id_twice,
    _unreadable,
    _leak_of_bytes,
    _leak_of_pixels,
    _labels,
    _labels_and_leak,
    _within_a_part,
    _many_alike,
    _mask_absent,
    _mask_is_a_pipe,
    _mask_of_colours,
    _mask_of_another_size,
    _mask_empty,
    _good_image_with_a_mask,
    _without_masks,
    _no_mask_at_all,
    _subset,
    _subsets_unlisted,
    _contradictions,
    _another_shape,
    _missing_views,
    _fewer_images_than_usual,
    _an_unreadable_view,
    _unread,
    _levels,
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__.strip("_"))
def test_each_fault_is_found_and_nothing_else(fault: Callable[[Path, Facts], Found], tmp_path: Path) -> None:
    description = sound(tmp_path)
    expected = fault(tmp_path, description)
    assert found(look(tmp_path, description)) == expected


def test_each_kind_of_finding_is_tried(tmp_path: Path) -> None:
    kinds = set()
    for i, fault in enumerate(FAULTS):
        root = tmp_path / str(i)
        kinds |= {kind for kind, *_ in fault(root, sound(root))}
    assert kinds == set(HEADINGS) - {
        "absent",
        "alike",
        "window",
    }  # which sound images do not show


@pytest.mark.parametrize(
    "names",
    [
        {},
        {"good/0.png": "S1 A", "good/1.png": "S1 B", "bad/0.png": "S2 A", "bad/1.png": "S2 B"},
        {"good/0.png": "S1", "good/1.png": "S2"},
        {"good/0.png": "S1", "good/1.png": "S2", "good/2.png": "S2"},  # nothing is usual
        {"good/0.png": "S1", "good/1.png": "S1", "good/2.png": "S1", "good/3.png": "S2", "bad/0.png": "S3"},
    ],
)
def test_parts_that_lack_nothing_are_no_finding(names: dict[str, str], tmp_path: Path) -> None:
    description = sound(tmp_path)
    _as_parts(description, names)
    assert not found(look(tmp_path, description))


def test_findings_are_sorted_by_kind(tmp_path: Path) -> None:
    description = sound(tmp_path)
    for fault in (_without_masks, _within_a_part, _mask_absent, _fewer):
        fault(tmp_path, description)
    kinds = [finding.kind for finding in look(tmp_path, description).findings]
    assert list(dict.fromkeys(kinds)) == ["counts", "mask_absent", "repeated", "unmasked"]


def test_only_two_kinds_are_no_problems(tmp_path: Path) -> None:
    description = sound(tmp_path)
    _without_masks(tmp_path, description)
    _within_a_part(tmp_path, description)
    notes = look(tmp_path, description).findings
    assert [(n.kind, n.is_problem) for n in notes] == [("repeated", False)] + 2 * [("unmasked", False)]
    description["a"]["error"] = ""
    assert [f.is_problem for f in look(tmp_path, description).findings] == [True]


def test_a_mask_of_an_image_that_cannot_be_read_has_no_wrong_size(tmp_path: Path) -> None:
    sound(tmp_path)
    (tmp_path / "a/bad/0.png").write_bytes(b"")
    save(tmp_path / "a/masks/0.png", mask_image(side=20))
    assert [finding.kind for finding in look(tmp_path).findings] == ["unreadable"]


def test_progress_tells_of_images_and_masks(tmp_path: Path) -> None:
    sound(tmp_path)
    told = []
    dataset = Described(Described.Params(root=tmp_path))
    for _ in range(2):  # images are remembered by their bytes; masks are read again
        check_category(dataset, "a", Store(tmp_path / "store"), lambda *step: told.append(step))
    masks = [("masks read", i, 4) for i in range(1, 5)]
    assert told == [("images examined", i, 8) for i in range(1, 9)] + masks + masks


@pytest.mark.parametrize("divided", [True, False])
def test_near_identical_images(tmp_path: Path, divided: bool) -> None:
    """A note on groups of them; where there is an official test, on those in both training and test."""
    samples, copies = [], {"a/good/20.jpg": 3, "a/good/21.jpg": 3, "a/good/22.jpg": 5, "a/good/04b.jpg": 4}
    for i in range(20):
        samples.append({"id": f"a/good/{i:02}.png", "label": 0, "split": "train"})
        save(tmp_path / f"a/good/{i:02}.png", Image.fromarray(picture(i)))
    for name, original in copies.items():
        samples.append({"id": name, "label": 0, "split": "test" if "2" in name else "train"})
        Image.fromarray(picture(original)).save(tmp_path / name, quality=97 - int(name[-5] == "1"))
    if not divided:
        samples = [{**sample, "split": None} for sample in samples]
    description = {"a": {"samples": samples, "published": {}, "subsets": {}}}
    checked = look(tmp_path, description)
    assert {kind for kind, _, _ in found(checked)} == {"alike"} and not checked.findings[0].is_problem
    groups = {images: text for _, text, images in found(checked)}
    expected = {("a/good/03.png", "a/good/20.jpg", "a/good/21.jpg"), ("a/good/05.png", "a/good/22.jpg")}
    near = ("a/good/04.png", "a/good/04b.jpg")
    assert groups.keys() == expected | (set() if divided else {near})
    assert all("mean difference" in text and "of 255" in text for text in groups.values())
    if not divided:
        assert [images for images, text in groups.items() if "consecutive" in text] == [near]


def test_the_remedy_of_pages_is_told_once_with_its_option(tmp_path: Path) -> None:
    frames = [Image.fromarray(picture(n)) for n in (1, 2)]
    description = sound(tmp_path)
    for name in ("0", "1"):
        path = tmp_path / f"a/good/{name}.png"
        frames[0].save(path, "TIFF", save_all=True, append_images=frames[1:])
    first, second = look(tmp_path, description).findings[:2]
    assert "--image page=1, or --image page=views" in first.text and "--image" not in second.text


def test_what_a_window_cuts_off_is_a_note(tmp_path: Path) -> None:
    describe(tmp_path, sound(tmp_path))
    given = Described(Described.Params(root=tmp_path)), "a", Store(tmp_path / "store")
    checked = check_category(*given, decoding=Decoding(window=(0, 100)))
    (found,) = (one for one in checked.findings if one.kind == "window")
    assert not found.is_problem
    assert "[0, 100]" in found.text and "at or above 100" in found.text
    assert check_category(*given, decoding=Decoding(window=(0, 255))).findings == []
