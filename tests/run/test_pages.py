"""Runs in which each page of a TIFF file is a view of its part."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import fakes
import pytest
import views
from builders import run_command, said, segad
from PIL import Image
from small_runs import prepared
from views import PAGES, recipe, serial, stack, stacked

from segad_core.errors import DataError, RecipeError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    fakes.install(monkeypatch)
    return tmp_path


def figures(home: Path) -> list[dict[str, str]]:
    with (home / "runs/tiny/latest/parts.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("verdict", ["worst", "together"])
def test_pages_are_judged_as_files_of_their_own_are(home: Path, verdict: str) -> None:
    """The same parts, drawn the same way, have the same scores; only views are called otherwise."""
    rows = views.ROWS[::-1] if verdict == "worst" else [views.ROWS[1]]
    views.views(home / "data")
    said(run_command(recipe(home, parts={"verdict": verdict}, rows=rows)))
    expected = figures(home)
    stacked(home / "data")
    result = run_command(recipe(home, **{**PAGES, "parts": {"verdict": verdict}}, rows=rows))
    assert result.exit_code == 0, said(result)
    for line in expected:
        line["view"] = {"A": "1", "B": "2"}.get(line["view"], line["view"])
    assert figures(home) == expected and len(expected) == 7 * len(rows)


def test_the_pages_of_a_part_stay_together(home: Path) -> None:
    views.views(home / "data", missing={"SN001_B", "SN013_B"})
    stacked(home / "data")
    for seed in range(3):
        found = prepared(recipe(home, **PAGES, split={**views.SPLIT, "seeds": [seed]}))
        (drawn,) = found.splits["a"].values()
        purposes = (drawn.test, drawn.final, drawn.detectors, drawn.unused)
        names = [{serial(image) for image in images} for images in purposes]
        assert sum(map(len, names)) == len(set.union(*names)) == 19
        assert names[3] == {"SN001", "SN013"} and {*drawn.unused} == {
            "good/SN001.tif#1",
            "bad/SN013.tif#1",
        }
    assert found.parts["a"] is not None and found.parts["a"].views == ("1", "2")


def test_views_are_in_the_order_of_pages(home: Path) -> None:
    """10 comes after 2; and a file's own view comes first."""
    views.views(home / "data", names="ABCDEFGHIJK")
    stacked(home / "data")
    found = prepared(recipe(home, **{**PAGES, "parts": {}}))
    assert found.parts["a"] is not None
    assert found.parts["a"].views == tuple(map(str, range(1, 12)))
    assert [s.view for s in found.parts["a"].by_serial["SN000"].images] == [*map(str, range(1, 12))]


def test_files_with_views_of_their_own(home: Path) -> None:
    """Two cameras, each with two exposures in a file."""
    views.views(home / "data")
    for path in sorted((home / "data").rglob("*.png")):
        image = Image.open(path)
        stack(path.with_suffix(".tif"), [image, image.point(lambda v: v // 2)])
        path.unlink()
    found = prepared(recipe(home, image=PAGES["image"], parts={}))
    assert found.parts["a"] is not None and found.parts["a"].views == ("A#1", "A#2", "B#1", "B#2")


def test_pages_are_views_only_of_parts(home: Path) -> None:
    views.views(home / "data")
    stacked(home / "data")
    with pytest.raises(RecipeError) as caught:
        prepared(recipe(home, **{**PAGES, "parts": None}))
    assert "image.page" in str(caught.value) and "'parts'" in str(caught.value)
    with pytest.raises(RecipeError) as caught:
        prepared(recipe(home, **{**PAGES, "dataset": {"use": "folder", "params": {"root": "data"}}}))
    assert "38 of 38 images have no serial" in caught.value.what and "?P<serial>" in caught.value.remedy


@pytest.mark.parametrize("shown", [None, [1, 2]])
def test_other_numbers_of_pages_are_told(home: Path, shown: list[int] | None) -> None:
    """One file has a page more, one is a single image."""
    views.views(home / "data", missing={"SN003_B"})
    Image.open(home / "data/a/good/SN001_A.png").save(home / "data/a/good/SN001_C.png")
    stacked(home / "data")
    parts = {"views": shown} if shown else {}
    text = said(segad("check", recipe(home, **{**PAGES, "parts": parts}), "--store", home / "store"))
    if shown:
        assert "leaves out the images of other views: 3 (1)" in text
        assert "1 of 19 parts lacks a view (UNKNOWN, so not used): SN003 (2)" in text
    else:
        assert "18 of 19 parts lack a view" in text and "SN000 (3)" in text


def test_a_part_with_a_damaged_page_lacks_that_view(home: Path) -> None:
    views.views(home / "data")
    stacked(home / "data")
    path = home / "data/a/good/SN002.tif"
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])
    result = run_command(recipe(home, **PAGES))
    assert result.exit_code == 3
    assert f"{path}#2: is damaged" in said(result) and "SN002 (2)" in said(result)


@pytest.mark.parametrize("image", ["good/SN001.tif", "good/SN001.tif#2"])
def test_files_and_pages_can_be_left_out(home: Path, image: str) -> None:
    views.views(home / "data")
    stacked(home / "data")
    found = prepared(recipe(home, **PAGES, split={**views.SPLIT, "leave_out": {"a": [image]}}))
    assert found.parts["a"] is not None
    gone = {"good/SN001.tif#1", "good/SN001.tif#2"} if image.endswith(".tif") else {image}
    ids = {
        f"{label}/SN{n:03}.tif#{p}" for n in range(19) for p in (1, 2) for label in (("good", "bad")[n > 11],)
    }
    assert found.samples["a"].keys() == ids - gone
    (drawn,) = found.splits["a"].values()
    assert gone <= {*drawn.unused}
    with pytest.raises(RecipeError, match=r"no image 'good/SN001\.tif#3'"):
        prepared(recipe(home, **PAGES, split={**views.SPLIT, "leave_out": {"a": ["good/SN001.tif#3"]}}))


def test_equal_pages_of_a_part_are_no_leak(home: Path) -> None:
    """Nor are they called duplicates; between parts they are."""
    views.views(home / "data")
    for view in "AB":
        image = home / f"data/a/good/SN000_{view}.png"
        image.write_bytes((home / "data/a/good/SN000_A.png").read_bytes())
    stacked(home / "data")
    said(run_command(recipe(home, **PAGES)))
    words = ("--root", home / "data", "--store", home / "store", "--image", "page=views")
    text = said(segad("datasets", "check", "folder", *words))
    assert "38 images, 0 problems, 0 notes" in text
    copy = home / "data/a/good/SN001.tif"
    copy.write_bytes((home / "data/a/good/SN000.tif").read_bytes())
    text = said(segad("datasets", "check", "folder", *words))
    assert "SN000.tif#1' (good)" in text and "SN001.tif#2' (good)" in text


@pytest.mark.parametrize("part", ["SN000", "SN001"])
def test_pages_that_are_nearly_equal_are_no_duplicates_within_a_part(home: Path, part: str) -> None:
    """Exposures of one view; of two parts, they are told."""
    views.views(home / "data")
    image = Image.open(home / "data/a/good/SN000_A.png")
    image.point(lambda value: value + 1).save(home / f"data/a/good/{part}_B.png")
    stacked(home / "data")
    words = ("--root", home / "data", "--store", home / "store", "--image", "page=views")
    text = said(segad("datasets", "check", "folder", *words))
    assert ("near-identical" in text) == (part == "SN001")


def test_a_smaller_page_is_told(home: Path) -> None:
    """As some programs add a thumbnail."""
    views.views(home / "data")
    for path in sorted((home / "data").rglob("*_B.png")):
        Image.open(path).resize((12, 16)).save(path)
    stacked(home / "data")
    text = said(segad("check", recipe(home, **PAGES), "--store", home / "store"))
    assert "12 x 16" in text


def test_maps_have_a_file_for_each_page(home: Path) -> None:
    views.views(home / "data")
    stacked(home / "data")
    path = recipe(home, **PAGES)
    run_command(path)
    result = segad("maps", path, "-o", home / "maps", "--store", home / "store", "--device", "cpu")
    assert result.exit_code == 0, said(result)
    (drawn,) = prepared(path).splits["a"].values()
    written = [
        p.relative_to(home / "maps/a/spotty/seed_0").as_posix() for p in (home / "maps").rglob("*.npy")
    ]
    assert sorted(written) == sorted(image.replace(".tif", "") + ".npy" for image in drawn.test)


def test_doubts_name_pages(home: Path) -> None:
    views.views(home / "data")
    stacked(home / "data")
    words = ("-o", home / "d.html", "--store", home / "store", "--device", "cpu")
    result = segad("datasets", "doubts", recipe(home, **PAGES), *words)
    assert result.exit_code == 0, said(result)
    with (home / "d.csv").open(newline="") as file:
        lines: list[dict[str, Any]] = list(csv.DictReader(file))
    assert len(lines) == 38 - 4 and {line["image"][-2:] for line in lines} == {"#1", "#2"}
    assert (home / "d.html").read_text().count("data:image/jpeg") > 0


def test_a_list_labels_pages(home: Path) -> None:
    """A part is bad if a page is, and its other pages are learnt as good ones."""
    views.views(home / "data", names="ABC")
    stacked(home / "data")
    lines = ["path,label,page,serial"]
    for n in range(19):
        spot = n % 3 if n >= 12 else None
        path = next((home / "data").rglob(f"SN{n:03}.tif")).relative_to(home)
        lines += [f"{path},{'bad' if page == spot else 'good'},{page + 1},SN{n:03}" for page in range(3)]
    (home / "list.csv").write_text("\n".join(lines))
    dataset = {"use": "table", "params": {"file": "list.csv", "page": "page"}}
    found = prepared(recipe(home, **{**PAGES, "dataset": dataset, "parts": {"views": [1, 2]}}))
    parts = found.parts["list"]
    assert parts is not None and len(parts.by_serial) == 19
    for name, part in parts.by_serial.items():
        n = int(name[2:])
        assert [s.label for s in part.images] == [int(n >= 12 and n % 3 == page) for page in range(2)]
        assert part.sample.label == int(n >= 12 and n % 3 < 2)
    with pytest.raises(DataError, match="lists pages of files: 57"):
        prepared(recipe(home, dataset=dataset, parts=None))
