"""Drift: images that look otherwise are named, nothing else changes, and old bundles still work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from builders import picture
from bundles import Parts, sound_parts
from numpy.typing import NDArray
from trained_bundles import bundle_of, good

from segad_core.base.formats import arrays_to_bytes
from segad_core.bundle.format.appearance import FILE, read_appearance
from segad_core.bundle.runtime.bundle import Bundle
from segad_core.bundle.runtime.drift import WINDOW, Drift, DriftWatch
from segad_core.errors import BundleError
from segad_core.images import decode
from segad_core.images.appearance import QUANTITIES, SIDE

FORMAT1 = Path(__file__).with_name("format1.zip")
Picture = NDArray[np.uint8]


def watched(bundle: Bundle, images: list[Picture]) -> tuple[DriftWatch, list[Drift]]:
    watch = DriftWatch(bundle)
    found = [watch.add(one) for one in bundle.inspect(images, explain=False)]
    return watch, [one for one in (*found, watch.end()) if one]


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
    assert watch.watched == 5 + 1 + 4  # features, score, looks


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
        watch, found = watched(bundle, fresh(WINDOW, darker))
    assert watch.watched == features + 5
    assert "brightness" in [one.name for one in found[0].moved]


def test_names_are_in_words() -> None:
    with Bundle.load(bundle_of("SegAD"), "cpu") as bundle:
        names = [name for source in DriftWatch(bundle)._sources for name in source.names]
    assert names == [
        *("left, patchcore q99.5", "left, patchcore mean", "right, patchcore q99.5"),
        *("right, patchcore mean", "whole image, patchcore max", "score", *QUANTITIES),
    ]


def test_a_bundle_keeps_the_looks_of_its_good_calibration_images() -> None:
    with Bundle.load(bundle_of("SegAD"), "cpu") as bundle:
        looks, table = read_appearance(bundle.container), bundle.calibration()
    assert looks is not None
    names = [image.id for image in table.images if image.label == 0]
    expected = [decode(good(int(Path(name).stem))).pixels.mean() for name in names]
    np.testing.assert_allclose(looks.values[:, 0], expected, atol=1e-3)  # grey pictures
    assert looks.values.shape == (10, 4) and looks.profiles.shape == (2, SIDE)
    assert np.abs(looks.values[:, 1] - 1).max() < 0.1  # noise


def test_a_bundle_without_looks_is_watched_by_its_features() -> None:
    with Bundle.load(FORMAT1, "cpu") as bundle:
        assert read_appearance(bundle.container) is None
        watch = DriftWatch(bundle)
        for one in bundle.inspect(fresh(12)):
            watch.add(one)
        watch.end()
        assert not set(QUANTITIES) & {name for source in watch._sources for name in source.names}


WRONG: dict[str, dict[str, NDArray[np.generic]]] = {
    "no values": {"profiles": np.zeros((2, SIDE))},
    "no profiles": {"values": np.zeros((5, 4))},
    "short profiles": {"profiles": np.zeros((2, 5)), "values": np.zeros((5, 4))},
    "other values": {"profiles": np.zeros((2, SIDE)), "values": np.zeros((5, 3))},
    "none": {"profiles": np.zeros((2, SIDE)), "values": np.zeros((0, 4))},
    "too many": {"profiles": np.zeros((2, SIDE)), "values": np.zeros((501, 4))},
    "single precision": {"profiles": np.zeros((2, SIDE), np.float32), "values": np.zeros((5, 4))},
    "more": {"profiles": np.zeros((2, SIDE)), "values": np.zeros((5, 4)), "x": np.zeros(1)},
    "not finite": {"profiles": np.zeros((2, SIDE)), "values": np.full((5, 4), np.nan)},
}


@pytest.mark.parametrize("name", WRONG)
def test_other_looks_are_refused(name: str, tmp_path: Path) -> None:
    parts: Parts = sound_parts()
    assert FILE in parts.files
    parts.files[FILE] = arrays_to_bytes(WRONG[name])
    with (
        Bundle.load(parts.write(tmp_path, "folder"), "cpu") as bundle,
        pytest.raises(BundleError, match=FILE),
    ):
        DriftWatch(bundle)
