"""Drift: images that look otherwise are named, nothing else changes, and old bundles still work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import fakes
import numpy as np
import pytest
import views
from builders import picture, said, segad
from bundles import Parts, sound_parts
from numpy.typing import NDArray
from PIL import Image
from small_runs import workplace, write
from trained_bundles import bad, bundle_of, good

from segad_core.base.formats import arrays_to_bytes
from segad_core.bundle.format.appearance import FILE, read_appearance
from segad_core.bundle.format.container import Container
from segad_core.bundle.format.tables import read_arrays
from segad_core.bundle.format.writing import write_bundle
from segad_core.bundle.runtime.bundle import Bundle
from segad_core.bundle.runtime.drift import WINDOW, Drift, DriftWatch
from segad_core.bundle.runtime.learning import learn
from segad_core.bundle.runtime.selftest import verify
from segad_core.errors import BundleError
from segad_core.images import decode
from segad_core.images.appearance import QUANTITIES, SIDE

FORMAT1 = Path(__file__).with_name("format1.zip")
Picture = NDArray[np.uint8]


def watched(bundle: Bundle, images: list[Picture]) -> tuple[DriftWatch, list[Drift]]:
    watch = DriftWatch(bundle)
    found = [watch.add(one) for one in bundle.inspect(images, explain=False)]
    return watch, [one for one in (*found, *watch.end()) if one]


def fresh(count: int, change: Callable[[Picture], Picture] = lambda pixels: pixels) -> list[Picture]:
    """Good pictures that no bundle has seen."""
    return [change(picture(5000 + n)) for n in range(count)]


def darker(pixels: Picture) -> Picture:
    return (pixels * 0.7).astype(np.uint8)


def test_pictures_like_those_before_are_not_reported() -> None:
    with Bundle.load(bundle_of("SegAD"), "cpu") as bundle:
        watch, found = watched(bundle, fresh(2 * WINDOW + 12))
    assert found == [] and watch.latest is None
    assert (watch.compared, watch.drifts) == (3, 0)


def test_a_drift_says_what_moved_how_far_and_since_when() -> None:
    images = [*fresh(36), *fresh(2 * WINDOW - 36, darker)]
    with Bundle.load(bundle_of("SegAD"), "cpu") as bundle:
        watch, found = watched(bundle, images)
        plain = bundle.predict(images, explain=False)
        assert [one.prediction for one in bundle.inspect(images, explain=False)] == plain
    assert len(found) == 1 and watch.latest is found[0]
    (drift,) = found
    assert (drift.first, drift.last, drift.watched) == (33, 64, 10)
    assert int(drift.since) == pytest.approx(36, abs=1)
    (brightness,) = [one for one in drift.moved if one.name == "brightness"]
    assert brightness.now == pytest.approx(0.7 * 109.5, abs=1)
    assert 108 < brightness.usual[0] < brightness.usual[1] < 111
    assert f"images 33 to 64, since {drift.since}: " in str(drift)
    assert "brightness is 76" in str(drift)


def test_a_drift_that_stays_keeps_its_beginning_and_one_that_comes_back_has_another() -> None:
    images = [*fresh(20), *fresh(76, darker), *fresh(WINDOW + 3), *fresh(29, darker)]
    with Bundle.load(bundle_of("SegAD"), "cpu") as bundle:
        watch, found = watched(bundle, images)
    assert [(one.first, one.since) for one in found] == [(33, "20"), (65, "20"), (129, "131")]
    assert (watch.compared, watch.drifts) == (5, 3)


def test_the_last_images_are_compared_from_ten_on() -> None:
    with Bundle.load(bundle_of("SegAD"), "cpu") as bundle:
        assert watched(bundle, fresh(9, darker))[0].compared == 0
        watch, found = watched(bundle, fresh(20, darker))
    assert [(one.first, one.last) for one in found] == [(1, 20)]
    assert watch.compared == 1


def test_images_without_a_score_are_left_out(tmp_path: Path) -> None:
    torn = tmp_path / "torn.png"
    torn.write_bytes(good(0).read_bytes()[:100])
    with Bundle.load(bundle_of("SegAD"), "cpu") as bundle:
        watch = DriftWatch(bundle)
        for one in bundle.inspect([torn, *fresh(9)]):
            watch.add(one)
        watch.end()
        assert watch.compared == 0
        for one in bundle.inspect(fresh(1)):
            watch.add(one)
        watch.end()
        assert watch.compared == 1


@pytest.mark.parametrize(("row", "features"), [("PatchCore", 0), ("DevNet", 0), ("All", 11)])
def test_all_kinds_of_rows_are_watched(row: str, features: int) -> None:
    with Bundle.load(bundle_of(row), "cpu") as bundle:
        _, found = watched(bundle, fresh(WINDOW, darker))
    assert found[0].watched == features + 5
    assert "brightness" in [one.name for one in found[0].moved]


def test_names_are_in_words() -> None:
    with Bundle.load(bundle_of("SegAD"), "cpu") as bundle:
        (view,) = DriftWatch(bundle)._views.values()
    assert [name for source in view.sources for name in source.names] == [
        *QUANTITIES,
        *("left, patchcore q99.5", "left, patchcore mean", "right, patchcore q99.5"),
        *("right, patchcore mean", "whole image, patchcore max", "score"),
    ]


def test_a_bundle_keeps_the_looks_of_its_good_calibration_images() -> None:
    with Bundle.load(bundle_of("SegAD"), "cpu") as bundle:
        looks, table = read_appearance(bundle.container), bundle.calibration()
    assert looks is not None
    names = [image.id for image in table.images if image.label == 0]
    expected = [decode(good(int(Path(name).stem))).pixels.mean() for name in names]
    np.testing.assert_allclose(looks.values[:, 0], expected, atol=1e-3)  # grey pictures
    assert looks.values.shape == (10, 4) and looks.profiles.shape == (1, 2, SIDE)
    assert [table.images[row].label for row in looks.rows] == [0] * 10
    assert np.abs(looks.values[:, 1] - 1).max() < 0.1  # noise


def test_a_bundle_without_looks_is_watched_by_its_features(tmp_path: Path) -> None:
    whole = Container(bundle_of("SegAD"))
    contents = {name: whole.member(name) for name in whole.manifest.files if name != FILE}
    write_bundle(tmp_path / "old", whole.manifest, contents)
    whole.close()
    with Bundle.load(tmp_path / "old", "cpu") as bundle:
        assert not verify(bundle).problems
        _, found = watched(bundle, [picture(6000 + n, True) for n in range(WINDOW)])  # all bad
    assert found and not set(QUANTITIES) & {one.name for one in found[0].moved}
    with Bundle.load(FORMAT1, "cpu") as bundle:  # it has four good calibration images
        watch, found = watched(bundle, fresh(12))
        assert (found, watch.compared) == ([], 0)


def test_a_taught_bundle_keeps_them(tmp_path: Path) -> None:
    with Bundle.load(bundle_of("SegAD"), "cpu") as bundle:
        before = bundle.container.read(FILE)
        learn(bundle, tmp_path / "new", bad=[bad(0)])
    with Bundle.load(tmp_path / "new", "cpu") as bundle:
        assert bundle.container.read(FILE) == before
        _, found = watched(bundle, fresh(WINDOW, darker))
    assert "brightness" in [one.name for one in found[0].moved]


def test_each_view_of_a_part_is_compared_with_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One camera of two: among all images, half would have moved, and too little be seen of it."""
    fakes.install(monkeypatch)
    views.views(tmp_path / "data", good=40)
    split = {"seeds": [0], "test": {"good": 20, "bad": 3}, "detectors": {"good": 8}}
    path = views.recipe(tmp_path, split=split)
    words = ("--category", "a", "--row", "SegAD", "--store", tmp_path / "store", "--device", "cpu")
    result = segad("fit", path, *words, "-o", tmp_path / "b")
    assert result.exit_code == 0, said(result)
    views.views(tmp_path / "lot", good=WINDOW, bad=0)
    images = sorted((tmp_path / "lot").rglob("*.png"))
    for image in images[20:]:
        if image.stem.endswith("B"):
            Image.fromarray(darker(decode(image).pixels)).save(image)
    with Bundle.load(tmp_path / "b", "cpu") as bundle:
        looks = read_appearance(bundle.container)
        assert looks is not None and looks.profiles.shape == (2, 2, SIDE) and len(looks.rows) == 40
        watch = DriftWatch(bundle)
        found = [drift for one in bundle.inspect(map(str, images)) if (drift := watch.add(one))]
        assert not watch.end() and watch.compared == 2
    (drift,) = found
    assert (drift.view, drift.first, drift.last) == ("B", 2, 2 * WINDOW)
    assert drift.since in {str(images[19]), str(images[21])} and drift.moved[0].name == "brightness"
    assert str(drift).startswith("view B, images 2 to 64, since ")


def test_what_is_ignored_counts_neither_in_the_bundle_nor_in_new_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When it did, the grey of half of the picture hid the light of the rest."""
    workplace(tmp_path, monkeypatch)
    mask = np.zeros((48, 48), np.uint8)
    mask[:, :24] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    split = {"seeds": [0], "test": {"good": 12, "bad": 3}, "detectors": {"good": 8}}
    rows = [{"name": "alone", "score": "spotty"}]
    path = write(tmp_path, split=split, rows=rows, ignore="mask.png")
    with Bundle.load(views.fitted(path, "alone"), "cpu") as bundle:
        looks, table = read_appearance(bundle.container), bundle.calibration()
        assert looks is not None and looks.inspected
        files = [tmp_path / "data/a" / table.images[row].id for row in looks.rows]
        expected = [decode(file).pixels[:, 24:].mean() for file in files]
        np.testing.assert_allclose(looks.values[:, 0], expected, atol=1e-3)
        pictures = [decode(file).pixels for file in files] * 2
        elsewhere = [np.concatenate([one[:, :24] // 2, one[:, 24:]], axis=1) for one in pictures]
        assert not watched(bundle, elsewhere)[1]
        found = watched(bundle, [darker(one) for one in pictures])[1]
        assert "brightness" in [one.name for one in found[0].moved]
        brightness = next(one for one in found[0].moved if one.name == "brightness")
        assert brightness.now == pytest.approx(0.7 * np.median(expected), abs=1)
        contents = {name: bundle.container.member(name) for name in bundle.manifest.files}
        values = read_arrays(bundle.container, FILE)
        contents[FILE] = arrays_to_bytes({k: v for k, v in values.items() if k != "inspected"})
        write_bundle(tmp_path / "before", bundle.manifest, contents)
    with Bundle.load(tmp_path / "before", "cpu") as bundle:  # whose values have what is grey, too
        (view,) = DriftWatch(bundle)._views.values()
        assert not view.inspected and not verify(bundle).problems


SOUND: dict[str, NDArray[np.generic]] = {
    "profiles": np.zeros((1, 2, SIDE)),
    "values": np.zeros((3, 4)),
    "rows": np.array([0, 2, 3]),
}
WRONG: dict[str, dict[str, NDArray[np.generic]]] = {
    "no values": {name: SOUND[name] for name in ("profiles", "rows")},
    "more": {**SOUND, "x": np.zeros(1)},
    "short profiles": {**SOUND, "profiles": np.zeros((1, 2, 5))},
    "another view": {**SOUND, "profiles": np.zeros((2, 2, SIDE))},
    "single precision": {**SOUND, "profiles": np.zeros((1, 2, SIDE), np.float32)},
    "other values": {**SOUND, "values": np.zeros((3, 3))},
    "values of fewer": {**SOUND, "values": np.zeros((2, 4))},
    "not finite": {**SOUND, "values": np.full((3, 4), np.nan)},
    "rows that are none": {**SOUND, "rows": np.array([0, 2, 999])},
    "rows from behind": {**SOUND, "rows": np.array([-1, 2, 3])},
    "rows twice": {**SOUND, "rows": np.array([0, 0, 3])},
    "rows in a table": {**SOUND, "rows": np.array([[0, 2, 3]])},
    "a flag of many": {**SOUND, "inspected": np.ones(2, np.uint8)},
    "a flag that is not set": {**SOUND, "inspected": np.zeros(1, np.uint8)},
    "a flag of another type": {**SOUND, "inspected": np.ones(1, np.int64)},
    "no rows": {"profiles": SOUND["profiles"], "values": np.zeros((0, 4)), "rows": np.zeros(0, np.int64)},
}


@pytest.mark.parametrize("name", ["sound", *WRONG])
def test_other_looks_are_refused(name: str, tmp_path: Path) -> None:
    parts: Parts = sound_parts()
    assert FILE in parts.files
    parts.files[FILE] = arrays_to_bytes(WRONG.get(name, SOUND))
    container = Container(parts.write(tmp_path, "folder"))
    if name == "sound":
        assert read_appearance(container) is not None
    else:
        with pytest.raises(BundleError, match=FILE):
            read_appearance(container)
    container.close()
