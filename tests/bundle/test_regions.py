"""Boxes and areas: where maps pass what good parts show, in pixels of the image as it is on disk."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import builders
import numpy as np
import pytest
import views
from builders import fit_command, picture, said, segad
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from small_runs import workplace, write

from segad_core import predict_parts
from segad_core.bundle.format.regions import Limits
from segad_core.bundle.runtime.bundle import Bundle
from segad_core.bundle.runtime.regions import MOST, regions_of
from segad_core.contracts.frame import Box, Frame
from segad_core.errors import BundleError, RecipeError
from segad_core.images import resize
from segad_core.images.frames import frame_of
from segad_core.plugins.registry import Registry
from segad_core.recipe import load_recipe
from segad_core.scoring.framed import placed
from segad_core.scoring.highest import highest, limits_of
from segad_core.scoring.segments import SegmentOrder
from segad_core.tools.heat import heats

ROWS = [{"name": "SegAD", "detectors": ["spotty"]}, {"name": "Spotty", "score": "spotty"}]


# ---- limits ----


def test_the_highest_value_of_each_segment() -> None:
    labels = np.array([[0, 0, 2], [255, 2, 2]], np.uint8)
    order = SegmentOrder.of(labels, 3)
    found = highest(order.group(np.array([[1, -5, 7], [99, 8, 2]], np.float32)))
    assert found[0] == 1 and math.isnan(found[1]) and found[2] == 8


def test_a_share_of_the_good_images_passes_no_limit() -> None:
    table = np.array([[i, -i, np.nan] for i in range(1, 101)], float)
    limits = limits_of(table, 0.99)
    assert limits.tolist() == [100, -1, 100]  # a segment that none has, has the highest of the others
    assert (table[:, 0] <= limits_of(table, 0.9)[0]).mean() >= 0.9
    assert limits_of(table, 1.0)[0] == 100
    assert limits_of(table[:1], 0.99)[:2].tolist() == [1, -1]


# ---- boxes ----


def test_a_box_is_that_of_the_image_on_disk() -> None:
    frame = frame_of((200, 90), (100, 30), "stretch")
    assert frame.box_on_disk(Box(10, 5, 3, 4)) == (20, 15, 6, 12)
    assert frame.pixels_on_disk() == 6
    small = frame_of((10, 10), (30, 30), "stretch")
    assert small.box_on_disk(Box(4, 1, 1, 1)) == (1, 0, 1, 1)
    assert small.box_on_disk(Box(2, 2, 2, 2)) == (0, 0, 2, 2)


def test_padding_and_what_is_cropped_are_no_part_of_a_box() -> None:
    padded = Frame((10, 20), (40, 40), Box(0, 0, 10, 20), Box(10, 0, 20, 40))
    assert padded.box_on_disk(Box(0, 0, 40, 40)) == (0, 0, 10, 20)
    assert padded.box_on_disk(Box(12, 4, 2, 4)) == (1, 2, 1, 2)
    cropped = Frame((10, 30), (20, 20), Box(0, 10, 10, 10), Box(0, 0, 20, 20))
    assert cropped.box_on_disk(Box(0, 0, 4, 4)) == (0, 10, 2, 2)


@given(
    st.tuples(st.integers(1, 90), st.integers(1, 90)),
    st.tuples(st.integers(16, 64), st.integers(16, 64)),
    st.sampled_from(["stretch", "pad", "crop"]),
    st.integers(0, 2**32 - 1),
)
def test_a_box_covers_what_its_pixels_show(
    original: tuple[int, int], size: tuple[int, int], fit: Any, seed: int
) -> None:
    frame, rng = frame_of(original, size, fit), np.random.default_rng(seed)
    top, left = int(rng.integers(size[0])), int(rng.integers(size[1]))
    box = Box(top, left, int(rng.integers(1, size[0] - top + 1)), int(rng.integers(1, size[1] - left + 1)))
    found = frame.box_on_disk(box)
    assert found.height >= 1 and found.width >= 1
    assert found.top >= 0 and found.top + found.height <= original[0]
    assert found.left >= 0 and found.left + found.width <= original[1]
    numbers = np.arange(original[0] * original[1], dtype=np.int64).reshape(original)
    shown = placed(frame, numbers, -1)[box.slices()]
    inside = set(numbers[found.slices()].ravel().tolist())
    assert set(shown[shown >= 0].tolist()) <= inside


# ---- regions of maps ----


def limits(**own: dict[str, float]) -> Limits:
    return Limits(good=0.99, images=5, limits=own, scale=0.5)


def test_regions_by_hand() -> None:
    first, second = np.zeros((6, 8), np.float32), np.zeros((6, 8), np.float32)
    labels = np.zeros((6, 8), np.uint8)
    labels[:, 4:] = 1
    labels[5] = 255
    first[0, 3:6] = 3  # one pixel in the left segment, two in the right
    second[1, 6] = 9  # touches it at a corner
    first[3:5, 0] = 2.5
    first[2, 4] = 2  # not above its limit
    first[5] = 100  # in no segment
    own = limits(first={"left": 1.0, "right": 2.0}, second={"left": 1.0, "right": 1.0})
    frame = frame_of((12, 16), (6, 8), "stretch")
    found = regions_of({"first": first, "second": second}, labels, ["left", "right"], own, frame)
    assert [(r.segment, r.source, r.x, r.y, r.width, r.height, r.area, r.mm2) for r, _ in found] == [
        ("right", "first", 6, 0, 8, 4, 16, 4.0),
        ("left", "first", 0, 6, 2, 4, 8, 2.0),
    ]
    assert [box for _, box in found] == [(0, 3, 2, 4), (3, 0, 2, 1)]
    assert str(found[1][0]) == "left: 2 x 4 at x 0, y 6, 8 px = 2 mm2"


def test_the_largest_regions_are_kept() -> None:
    maps = np.zeros((64, 64), np.float32)
    maps[::4, ::4] = 1
    maps[0:2, 0:2] = 1
    found = regions_of(
        {"d": maps}, None, [], limits(d={"image": 0.5}), frame_of((64, 64), (64, 64), "stretch")
    )
    assert len(found) == MOST
    assert found[0][0].area == 4 and found[0][0].segment == "image"


# ---- bundles ----


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return workplace(tmp_path, monkeypatch)


def fitted(home: Path, row: str = "SegAD", out: str = "b", **changes: Any) -> Path:
    path = write(home, rows=ROWS, **changes)
    return builders.fitted(path, row, out)


def spot(number: int) -> tuple[int, int]:
    """Where `builders.picture` puts the bright spot of 8 x 8 pixels."""
    pixels = picture(number, True)[..., 0]
    y, x = np.argwhere(pixels == 250)[0]
    return int(x), int(y)


@pytest.mark.parametrize("row", ["SegAD", "Spotty"])
def test_a_bundle_finds_the_spot(home: Path, row: str) -> None:
    bundle = fitted(home, row, regions=True, image={"size": [48, 48], "scale": 0.25})
    stored = json.loads((bundle / "regions.json").read_text())
    assert f"above what 0.99 of {stored['images']} good images show" in segad("bundle", "show", bundle).output
    assert stored["good"] == 0.99 and stored["scale"] == 0.25
    assert stored["images"] == (12 if row == "SegAD" else 4)  # of 24: 4 are tested, 8 train the detector
    (limit,) = stored["limits"]["spotty"].values()
    assert limit == 129  # the brightest pixel of a good picture
    with Bundle.load(bundle, "cpu") as opened:
        for number in range(3):
            (found,) = opened.predict([home / "data" / "a" / "bad" / f"{number:03}.png"])
            x, y = spot(number)
            assert found.verdict == "NG"
            (region,) = found.regions
            assert (region.x, region.y, region.width, region.height) == (x, y, 8, 8)
            assert (region.area, region.mm2) == (64, 4.0)
            assert (region.segment, region.source) == ("whole" if row == "SegAD" else "image", "spotty")
        double = picture(0, True).repeat(2, axis=0).repeat(2, axis=1)
        (found,) = opened.predict([double])
        above = resize(double, (48, 48))[..., 0] > limit  # the filter blurs the edge of the spot
        rows, columns = np.flatnonzero(above.any(axis=1)), np.flatnonzero(above.any(axis=0))
        (region,) = found.regions
        assert (region.x, region.y) == (2 * columns[0], 2 * rows[0])
        assert (region.width, region.height) == (2 * len(columns), 2 * len(rows))
        assert region.area == 4 * above.sum() >= 256
        assert opened.predict([home / "data" / "a" / "good" / "000.png"])[0].regions == ()


def test_files_and_pictures_show_them_and_verdicts_stay(home: Path) -> None:
    plain, regions = fitted(home, out="plain"), fitted(home, out="regions", regions=True)
    assert not (plain / "regions.json").exists()
    for name, bundle in (("p", plain), ("r", regions)):
        for suffix in ("csv", "jsonl", "parquet"):
            result = segad("predict", bundle, home / "data", "-o", home / f"{name}.{suffix}")
            assert result.exit_code == 0, said(result)
    before, after = (list(csv.DictReader((home / f"{n}.csv").open())) for n in ("p", "r"))
    assert "regions" not in before[0]
    assert [[one[c] for c in ("image", "verdict", "score", "reason")] for one in before] == [
        [one[c] for c in ("image", "verdict", "score", "reason")] for one in after
    ]
    x, y = spot(0)
    listed = {Path(one["image"]).relative_to(home / "data").as_posix(): one for one in after}
    assert listed["a/bad/000.png"]["regions"] == f"whole: 8 x 8 at x {x}, y {y}, 64 px"
    assert listed["a/good/000.png"]["regions"] == ""
    lines = [json.loads(line) for line in (home / "r.jsonl").read_text().splitlines()]
    (found,) = next(line["regions"] for line in lines if line["image"].endswith("bad/000.png"))
    box = {"x": x, "y": y, "width": 8, "height": 8}
    assert found == {"segment": "whole", "source": "spotty", **box, "area": 64, "mm2": None}
    again = segad("predict", regions, home / "data", "-o", home / "r.csv", "--resume")
    assert again.exit_code == 0, said(again)
    assert list(csv.DictReader((home / "r.csv").open())) == after
    image = home / "data" / "a" / "bad" / "000.png"
    assert segad("predict", regions, image, "--overlays", home / "o").exit_code == 0
    shown = np.asarray(Image.open(next((home / "o").rglob("*.jpg")))).astype(int)
    red = (np.abs(shown - (200, 30, 40)).max(axis=-1) < 60)[-400:, :420]
    assert red.sum() > 4 * 64  # the sides of a box of 8 x 8 pixels, each enlarged 8 times


def test_heat_begins_where_boxes_do(home: Path) -> None:
    """What is coloured is what is above the limits: it fills the boxes, and nothing lies outside them."""
    with Bundle.load(fitted(home, regions=True), "cpu") as bundle:
        (found,) = bundle.inspect([home / "data" / "a" / "bad" / "000.png"])
        scale = heats(bundle)["spotty"]
        assert bundle.limits is not None and [*scale.low] == [*bundle.limits.limits["spotty"].values()]
    inside = np.zeros(found.maps["spotty"].shape, np.bool_)
    (box,) = found.boxes
    inside[box.slices()] = True
    np.testing.assert_array_equal(scale.strength(found.maps["spotty"], found.segments) > 0, inside)


def test_an_ng_without_a_region_says_so_and_stays_ng(home: Path) -> None:
    bundle = fitted(home, regions={"good": 1.0})
    changed = json.loads((bundle / "regions.json").read_text())
    with Bundle.load(bundle, "cpu") as opened:
        changed["limits"]["spotty"]["whole"] = 1000.0
        assert opened.limits is not None
        opened.limits = Limits.model_validate(changed)
        (found,) = opened.predict([home / "data" / "a" / "bad" / "000.png"])
        assert found.verdict == "NG" and found.regions == ()
        assert "no region above what good parts show" in found.reason
        opened.limits = Limits.model_construct(limits={}, good=1.0, images=1, scale=None)  # anything may fail
        (found,) = opened.predict([home / "data" / "a" / "bad" / "000.png"])
        assert found.verdict == "NG" and "no regions: KeyError" in found.reason


@pytest.mark.parametrize(
    "change",
    [
        {"limits": {"spotty": {"other": 1.0}}},
        {"limits": {"other": {"whole": 1.0}}},
        {"limits": {"spotty": {"whole": "1"}}},
        {"views": {"A": {"spotty": {"whole": 1.0}}}},
        {"good": 2.0},
        {"scale": 0.0},
        {"more": 1},
    ],
    ids=lambda change: next(iter(change)),
)
def test_limits_that_do_not_fit_are_refused(home: Path, change: dict[str, Any]) -> None:
    from bundles import Parts

    bundle = fitted(home, regions=True)
    files = {p.relative_to(bundle).as_posix(): p.read_bytes() for p in bundle.rglob("*") if p.is_file()}
    manifest = json.loads(files.pop("manifest.json"))
    del files["manifest.sha256"]
    files["regions.json"] = json.dumps({**json.loads(files["regions.json"]), **change}).encode()
    with pytest.raises(BundleError, match=r"regions\.json"):
        Bundle.load(Parts(manifest, files).write(home / "spoilt", "folder"), "cpu")


def test_recipes_say_what_is_wrong(home: Path) -> None:
    with pytest.raises(RecipeError, match="scale"):
        load_recipe(str(write(home, rows=ROWS, image={"size": [48, 48], "scale": 0.1})), Registry())
    for wrong in ({"good": 0.1}, {"best": 1}, "yes"):
        with pytest.raises(RecipeError, match="regions"):
            load_recipe(str(write(home, rows=ROWS, regions=wrong)), Registry())
    resolved = load_recipe(str(write(home, rows=ROWS, regions=True)), Registry()).resolved()
    assert "regions:\n  good: 0.99" in resolved
    plain = load_recipe(str(write(home, rows=ROWS)), Registry()).resolved()
    assert "regions" not in plain
    assert load_recipe(str(write(home, rows=ROWS, regions=False)), Registry()).resolved() == plain


def test_limits_are_computed_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fitted(home, out="first", regions=True)
    monkeypatch.setattr("segad_core.run.limits._scored", lambda *_: pytest.fail("scored again"))
    fitted(home, out="second", regions={"good": 0.9})
    monkeypatch.undo()


def test_cross_fitted_detectors_do_not_know_the_images(home: Path) -> None:
    """`known` says one more where it looks at an image that it was trained on."""
    split = {"seeds": [0], "test": {"good": 4, "bad": 3}, "detectors": {"folds": 2}}
    rows = [{"name": "SegAD", "detectors": ["known", "spotty"]}]
    path = write(
        home,
        rows=rows,
        split=split,
        regions={"good": 1.0},
        detectors={"known": "known", "spotty": {"use": "spotty", "params": {"wrong": "nowhere"}}},
    )
    builders.fitted(path)
    stored = json.loads((home / "b" / "regions.json").read_text())
    assert stored["images"] == 20
    assert stored["limits"]["known"]["whole"] == 100  # ten images in each fold, and none of them known


@pytest.mark.parametrize("verdict", ["worst", "together"])
def test_each_view_of_a_part_has_limits_of_its_own(home: Path, verdict: str) -> None:
    """View B is half as bright: a spot there is darker than what is normal in view A."""
    brightest = views.views(home / "parts", good=16)
    for image in brightest:
        path = home / "parts" / "a" / image
        if image.endswith("_B.png"):
            Image.fromarray(np.array(Image.open(path)) // 2).save(path)
            brightest[image] //= 2
    path = views.recipe(
        home,
        dataset={**views.DATASET, "params": {**views.DATASET["params"], "root": "parts"}},
        parts={"views": ["A", "B"], "verdict": verdict},
        regions={"good": 1.0},
    )
    builders.fitted(path)
    stored = json.loads((home / "b" / "regions.json").read_text())
    most = {view: own["spotty"]["whole"] for view, own in stored["views"].items()}
    good = {v: {n for i, n in brightest.items() if i.startswith("good") and f"_{v}" in i} for v in "AB"}
    assert [*most] == ["A", "B"] and all(most[view] in good[view] for view in most)
    assert most["B"] < 90 < 100 < most["A"] == stored["limits"]["spotty"]["whole"]
    assert "each view" in segad("bundle", "show", home / "b").output
    image = home / "parts" / "a" / "bad" / "SN017_B.png"
    assert most["B"] < brightest["bad/SN017_B.png"] < most["A"]
    maps = {"spotty": np.array(Image.open(image))[..., 0].astype(np.float32)}
    with Bundle.load(home / "b", "cpu") as opened:
        assert opened.limits is not None and opened.part_names is not None
        frame = frame_of((48, 48), (48, 48), "stretch")
        labels, segments = np.zeros((48, 48), np.uint8), ["whole"]
        found = {v: regions_of(maps, labels, segments, opened.limits, frame, v) for v in ("A", "B", "")}
        assert [len(one) for one in found.values()] == [0, 1, 0]
        if verdict == "together":  # where each image shows what passes its limits
            (seen,) = opened.inspect([image])
            assert seen.prediction.regions == (found["B"][0][0],)
            (part,) = predict_parts(opened, [image, image.with_name("SN017_A.png")])
            assert part.verdict == "NG" and [one.view for one in part.regions] == ["B"]
            (home / "parts.csv").write_text(f"path,serial,view\n{image},SN017,A\n")
            with Bundle.load(home / "b", "cpu", parts=home / "parts.csv") as listed:
                (renamed,) = listed.inspect([image])
            assert renamed.prediction.regions == ()


@pytest.mark.parametrize("fit", ["pad", "crop"])
def test_boxes_are_those_of_the_image_without_padding_and_with_what_is_cropped(home: Path, fit: str) -> None:
    size = [48, 96] if fit == "pad" else [24, 48]
    bundle = fitted(home, regions={"good": 1.0}, image={"size": size, "fit": fit})
    with Bundle.load(bundle, "cpu") as opened:
        for number in range(4):
            (found,) = opened.predict([home / "data" / "a" / "bad" / f"{number:03}.png"])
            x, y = spot(number)
            top, bottom = max(y, 0 if fit == "pad" else 12), min(y + 8, 48 if fit == "pad" else 36)
            if top < bottom:
                assert [(r.x, r.y, r.width, r.height) for r in found.regions] == [(x, top, 8, bottom - top)]
                assert found.regions[0].area == 8 * (bottom - top)
            else:
                assert found.regions == ()


def test_a_classifier_alone_has_no_regions_and_fit_says_so(home: Path) -> None:
    path = write(
        home,
        encoder="tinyencoder",
        classifiers={"probe": {"use": "linear_probe", "params": {"layers": ["layer1"]}}},
        rows=[{"name": "Probe", "score": "probe"}],
        regions=True,
    )
    result = fit_command(path, "Probe")
    assert result.exit_code == 0, said(result)
    assert not (home / "b" / "regions.json").exists()
    assert "row 'Probe' has no maps" in result.output
