"""Bundles that judge pages of TIFF files as views of a part: made, read, taught, verified."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import fakes
import numpy as np
import pytest
import views
from builders import said, segad
from PIL import Image
from views import PAGES, fitted, recipe, stack, stacked

from segad_core import Bundle, Prediction, learn, predict_parts, verify
from segad_core.bundle.format.tables import read_golden
from segad_core.errors import ImageError

TOGETHER: dict[str, Any] = {
    **PAGES,
    "parts": {"views": [1, 2], "verdict": "together"},
    "rows": [views.ROWS[1]],
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    fakes.install(monkeypatch)
    return tmp_path


def stacks(home: Path, **changes: Any) -> Path:
    """A bundle of drawn parts, and the folder of their good files."""
    stacked(home / "data")
    return fitted(recipe(home, **{**PAGES, **changes}))


def scored(bundle: Path, *files: Path) -> list[Prediction]:
    with Bundle.load(bundle, "cpu") as opened:
        return predict_parts(opened, files)


def lines(path: Path) -> dict[str, dict[str, str]]:
    return {line["image"]: line for line in csv.DictReader(path.open())}


def test_scores_are_those_of_pages_saved_as_files(home: Path) -> None:
    drawn = views.views(home / "data")
    bundle, files = stacks(home), sorted((home / "data").rglob("*.tif"))
    with Bundle.load(bundle, "cpu") as opened:
        pipeline = opened.manifest.pipeline
        assert pipeline.page == "views" and pipeline.parts is not None and pipeline.parts.views == ["1", "2"]
        for found in predict_parts(opened, files):
            own = [value for image, value in drawn.items() if views.serial(image) == found.image]
            assert found.score == max(own)
            if found.verdict == "NG":
                assert found.reason.startswith(f"view {own.index(max(own)) + 1}: ")
        assert not verify(opened).problems
        golden = read_golden(opened.container)
        assert {one.page for one in golden} <= {1, 2} and len({one.name for one in golden}) == len(
            golden
        ) == 6
    assert "read with    page views" in said(segad("bundle", "show", bundle))
    checked = segad("bundle", "verify", bundle, "--device", "cpu")
    assert checked.exit_code == 0 and "golden/0.tif#" in said(checked)


def test_predict_writes_a_line_for_each_part_and_resumes(home: Path) -> None:
    views.views(home / "data")
    bundle, good = stacks(home), home / "data/a/good"
    whole = (good / "SN005.tif").read_bytes()
    (good / "SN005.tif").write_bytes(whole[: len(whole) * 3 // 4])
    out, words = home / "x.csv", ("-o", home / "x.csv", "--device", "cpu")
    result = segad("predict", bundle, good, *words, "--overlays", home / "seen")
    assert result.exit_code == 3 and "12 parts: 11 OK, 0 NG, 1 UNKNOWN" in said(result)
    assert lines(out)["SN005"]["reason"].startswith("view 2: is damaged")
    seen = sorted(path.name.rpartition("-")[0] for path in (home / "seen").rglob("*.jpg"))
    assert seen == sorted(f"SN{n:03}-{page}" for n in range(12) for page in (1, 2) if (n, page) != (5, 2))
    (good / "SN005.tif").write_bytes(whole)
    assert "12 parts: 12 OK" in said(segad("predict", bundle, good, *words, "--resume"))
    fresh = home / "y.csv"
    segad(
        "predict",
        bundle,
        "-",
        "-o",
        fresh,
        "--device",
        "cpu",
        piped="\n".join(map(str, sorted(good.iterdir()))),
    )
    assert fresh.read_bytes() == out.read_bytes()


def test_files_that_are_not_as_learnt(home: Path) -> None:
    """A page too few, a single image, a thumbnail, a damaged page, a page too many, nothing at all."""
    views.views(home / "data")
    bundle, good, line = stacks(home), home / "data/a/good", home / "line"
    line.mkdir()
    with Image.open(good / "SN000.tif") as image:
        first = image.copy()
        image.seek(1)
        second = image.copy()
    stack(line / "SN100.tif", [first])
    first.save(line / "SN101.png")
    stack(line / "SN102.tif", [first, second.resize((12, 12))])
    whole = (good / "SN000.tif").read_bytes()
    (line / "SN103.tif").write_bytes(whole[: len(whole) * 3 // 4])
    stack(line / "SN104.tif", [first, second, first.point(lambda _: 255)])
    stack(line / "stray.tif", [first, second])
    result = segad("predict", bundle, line, line / "SN105.tif", "-o", home / "x.jsonl", "--device", "cpu")
    found = [json.loads(text) for text in (home / "x.jsonl").read_text().splitlines()]
    reasons = {one["image"]: one["reason"] for one in found if one["verdict"] == "UNKNOWN"}
    assert reasons.pop("SN100") == reasons.pop("SN101") == "view 2 is missing"
    assert "has 12 x 12 pixels" in (small := reasons.pop("SN102")) and small.startswith("view 2: ")
    assert reasons.pop("SN103").startswith("view 2: is damaged")
    assert (
        "view 2 is missing" in (absent := reasons.pop("SN105")) and "view 1: there is no such file" in absent
    )
    assert reasons.keys() == {f"{line / 'stray.tif'}#{page}" for page in (1, 2)}
    assert [one["image"] for one in found if one["verdict"] != "UNKNOWN"] == ["SN104"]
    assert found[4]["score"] == scored(bundle, good / "SN000.tif")[0].score
    note = f"note: 1 file has pages that the bundle does not use: {line / 'SN104.tif'} (page 3)"
    assert said(result).count(note) == 1


def test_a_page_too_few_is_allowed_where_the_recipe_says_so(home: Path) -> None:
    drawn = views.views(home / "data", missing={"SN003_B"})
    bundle = stacks(home, parts={"views": [1, 2], "missing": "allow"})
    (found,) = scored(bundle, home / "data/a/good/SN003.tif")
    assert (found.verdict, found.score) == ("OK", drawn["good/SN003_A.png"])


def test_a_file_that_is_called_like_a_page(home: Path) -> None:
    """A file comes first; a name without a file is that of a page."""
    drawn = views.views(home / "data")
    bundle, good = stacks(home), home / "data/a/good"
    twin = good / "SN001.tif#2"
    (alone,) = scored(bundle, twin)
    assert (alone.image, alone.verdict, alone.reason) == ("SN001", "UNKNOWN", "view 1 is missing")
    twin.write_bytes((good / "SN002.tif").read_bytes())
    (found,) = scored(bundle, twin)
    assert found.score == max(drawn[f"good/SN002_{view}.png"] for view in "AB")


@pytest.mark.parametrize("together", [False, True])
def test_a_file_is_taught_as_its_pages(home: Path, together: bool) -> None:
    views.views(home / "data")
    bundle = stacks(home, **(TOGETHER if together else {}))
    with Bundle.load(bundle, "cpu") as opened:
        tested = sorted({image.serial for image in opened.calibration().images})
        bad = [name for name in tested if int(name[2:]) >= 12]
        result = learn(opened, home / "new.segad", bad=[home / f"data/a/bad/{bad[0]}.tif"])
    assert [(change.image, change.label) for change in result.taught] == [(bad[0], 1)]
    assert sorted(change.image for change in result.regression) == [n for n in tested if n != bad[0]]
    with Bundle.load(home / "new.segad", "cpu") as taught:
        assert not verify(taught).problems
        assert taught.manifest.provenance.learnt == (1 if together else 2)


def test_a_page_is_taught_alone(home: Path) -> None:
    """Of a bad part whose other pages show nothing."""
    views.views(home / "data")
    with Bundle.load(stacks(home), "cpu") as opened:
        result = learn(opened, home / "new.segad", bad=[f"{home}/data/a/bad/SN012.tif#1"])
        assert [change.image for change in result.taught] == ["SN012"]
        with pytest.raises(ImageError, match="has no page 3"):
            learn(opened, home / "not.segad", bad=[f"{home}/data/a/bad/SN012.tif#3"])
    with Bundle.load(home / "new.segad", "cpu") as taught:
        assert taught.manifest.provenance.learnt == 1


def test_pages_together(home: Path) -> None:
    """The scores of the run's parts; golden pages of a part share their file."""
    views.views(home / "data")
    bundle = stacks(home, **TOGETHER)
    with Bundle.load(bundle, "cpu") as opened:
        assert not verify(opened).problems
        golden = read_golden(opened.container)
        assert len({one.file for one in golden}) * 2 == len(golden)
        table = opened.calibration()
        expected = {i.serial: s for i, s in zip(table.images, table.scores.tolist(), strict=True)}
        files = [p for p in (home / "data").rglob("*.tif") if p.stem in expected]
        assert {one.image: one.score for one in predict_parts(opened, files)} == expected
    out = home / "x.csv"
    said(segad("predict", bundle, *files, "-o", out, "--overlays", home / "seen", "--device", "cpu"))
    assert lines(out).keys() == expected.keys()
    assert len(list((home / "seen").rglob("*.jpg"))) == 2 * len(files)


def test_a_list_names_files(home: Path) -> None:
    """Their pages are the views, so the list needs none."""
    views.views(home / "data")
    bundle, good = stacks(home), home / "data/a/good"
    (home / "line").mkdir()
    (home / "line/0.tif").write_bytes((good / "SN000.tif").read_bytes())
    listed = home / "line/parts.csv"
    listed.write_text("path,serial\n0.tif,part 7\n")
    said(segad("predict", bundle, home / "line", "--parts", listed, "-o", home / "x.csv", "--device", "cpu"))
    assert list(lines(home / "x.csv")) == ["part 7"] and lines(home / "x.csv")["part 7"]["verdict"] == "OK"


def test_the_pattern_finds_the_view_of_a_file(home: Path) -> None:
    views.views(home / "data")
    for path in sorted((home / "data").rglob("*.png")):
        image = Image.open(path)
        stack(path.with_suffix(".tif"), [image, image.point(lambda v: v // 2)])
        path.unlink()
    bundle = fitted(recipe(home, image=PAGES["image"], parts={}))
    found = scored(bundle, *sorted((home / "data").rglob("*.tif")))
    assert len(found) == 19 and all(one.score is not None for one in found)
    (lacking,) = scored(bundle, home / "data/a/good/SN001_B.tif")
    assert lacking.reason == "views A#1, A#2 are missing"


def test_what_features_see_at_full_size_is_the_page(home: Path) -> None:
    views.views(home / "data")
    bundle, path = stacks(home), home / "data/a/good/SN000.tif"
    with Bundle.load(bundle, "cpu") as opened:
        found = list(opened.inspect([f"{path}#{page}" for page in (1, 2)]))
    with Image.open(path) as image:
        for page, one in enumerate(found):
            image.seek(page)
            assert one.pixels is not None
            np.testing.assert_array_equal(one.pixels, np.asarray(image))
