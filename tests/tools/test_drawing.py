"""Pictures of predictions: a fixed scale, places that do not collide, and what is drawn."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO

import numpy as np
import pytest
from builders import segad
from PIL import Image
from trained_bundles import bad, bundle_of, good, run_scores

from segad_core.bundle.runtime.bundle import Bundle
from segad_core.bundle.runtime.prediction import Contribution, Inspection, Prediction
from segad_core.errors import StoreError
from segad_core.tools import drawing, heat
from segad_core.tools.drawing import Overlays, draw, picture_path, write_picture
from segad_core.tools.heat import Heat, heats


@pytest.fixture(scope="module")
def bundle() -> Iterator[Bundle]:
    with Bundle.load(bundle_of("Two"), "cpu") as opened:
        yield opened


def inspection(verdict: str = "NG", source: str = "") -> Inspection:
    """A grey image; each map is hot in a quarter of its own."""
    maps = {alias: np.zeros((48, 48), np.float32) for alias in ("patchcore", "smooth")}
    maps["patchcore"][:24, :24] = 5
    maps["smooth"][24:, 24:] = 9
    given = (Contribution("left", source, "mean", 1.0, 2.0),) if source else ()
    prediction = Prediction("lot/a.png", verdict, 1.5, "left, a mean, +2.00", given)  # type: ignore[arg-type]
    segments = np.zeros((48, 48), np.uint8)
    segments[:, 24:] = 1
    return Inspection(prediction, np.full((48, 48, 3), 90, np.uint8), maps, segments)


SCALES = {"patchcore": Heat((1.0, 1.0), (5.0, 5.0)), "smooth": Heat((1.0, 1.0), (101.0, 101.0))}


def test_the_scale_is_that_of_the_calibration_images(bundle: Bundle) -> None:
    """Worked out from the maps themselves: the table has the quantile of 99.5 % of each segment."""
    paths = list(run_scores("Two"))
    labels = np.array([path.parent.name == "bad" for path in paths])
    inspected = list(bundle.inspect(paths, explain=False))
    for alias, found in heats(bundle).items():
        for n, segment in enumerate(bundle.manifest.pipeline.segments):
            column = bundle.pipeline.names.index(f"{segment}.{alias}.q995")
            peaks = np.array([one.features[column] for one in inspected])  # type: ignore[index]
            inside = [one.maps[alias][one.segments == n] for one in inspected]
            np.testing.assert_allclose(peaks, [np.quantile(own, 0.995) for own in inside], rtol=1e-4)
            goods, bads = peaks[~labels], peaks[labels]
            low = np.quantile(goods, 0.95)
            least = low + max(low - np.median(goods), 0.05 * abs(low))
            assert found.low[n] == pytest.approx(low)
            assert found.high[n] == pytest.approx(max(least, np.quantile(bads, 0.75)))


def test_good_parts_do_not_glow(bundle: Bundle) -> None:
    scales = heats(bundle)
    paths = [path for path in run_scores("Two") if path.parent.name == "good"]
    for alias in scales:
        shares = [
            (scales[alias].strength(one.maps[alias], one.segments) > 0).mean()
            for one in bundle.inspect(paths)
        ]
        assert sum(share > 0.01 for share in shares) <= 0.1 * len(paths)


def test_a_detector_alone_is_scaled_by_the_golden_images() -> None:
    with Bundle.load(bundle_of("PatchCore"), "cpu") as alone:
        (scale,) = heats(alone).values()
        strengths = [
            scale.excess(one.maps["patchcore"], None).max()
            for one in alone.inspect([good(0), bad(0), bad(1)])
        ]
    assert 0 < scale.low[0] < scale.high[0]
    assert strengths[0] < max(strengths[1:])


def test_the_scale_of_a_detector_alone_does_not_depend_on_the_threshold(tmp_path: Path) -> None:
    shutil.copytree(bundle_of("PatchCore"), tmp_path / "x")
    assert segad("operate", tmp_path / "x", "--catch", "0.5").exit_code == 0
    with Bundle.load(bundle_of("PatchCore"), "cpu") as one, Bundle.load(tmp_path / "x", "cpu") as other:
        assert one.operating_point.threshold != other.operating_point.threshold
        assert heats(one) == heats(other)


def test_strength_is_linear_and_bounded() -> None:
    values = np.array([-9, 1, 2, 5, 50], np.float32)
    np.testing.assert_allclose(Heat((1.0,), (5.0,)).strength(values, None), [0, 0, 0.25, 1, 1])


def test_heat_is_that_of_the_segment_and_of_none_where_nothing_is_known() -> None:
    """Of the same value: half way, none, none in a segment that is off, none where nothing is inspected."""
    scale = Heat((1.0, 4.0, np.inf), (5.0, 8.0, np.inf))
    labels = np.array([[0, 1, 2, 255]], np.uint8)
    np.testing.assert_allclose(scale.strength(np.full((1, 4), 3, np.float32), labels), [[0.5, 0, 0, 0]])


def test_heat_begins_at_the_limits_of_regions() -> None:
    peaks, labels = np.array([[1.0, 2.0], [3.0, 4.0], [9.0, 2.5]]), np.array([0, 0, 1])
    found = heat._heat(peaks, labels, [5.0, 7.0])
    assert found.low == (5.0, 7.0)
    assert found.high == (9.0, pytest.approx(7.0 + 7.0 - 3.0))


def test_a_segment_without_features_has_no_heat() -> None:
    found = heat._heat(np.array([[1.0, np.nan], [2.0, np.nan]]), np.array([0, 1]))
    assert np.isfinite(found.low[0]) and found.low[1] == np.inf


@pytest.mark.parametrize("labels", [[0, 0, 0], [1, 1, 1], [0, 1, 1]])
def test_a_scale_always_has_a_width(labels: list[int]) -> None:
    found = heat._heat(np.zeros((3, 1)), np.array(labels))
    assert found.low < found.high


def panels(picture: Image.Image) -> tuple[np.ndarray, np.ndarray]:
    """The two panels of a picture of an image of 48 x 48, which are eight times as large."""
    array = np.asarray(picture).astype(int)
    rows = np.flatnonzero((array[:, 12 : 12 + 384] == 90).all(axis=(1, 2)))
    top = int(rows[0])
    return array[top : top + 384, 12:396], array[top : top + 384, 408:792]


@pytest.mark.parametrize(
    ("source", "hot", "why"),
    [
        ("smooth", (slice(220, 380), slice(220, 380)), "it drove the score, though its map is low"),
        ("", (slice(30, 180), slice(30, 180)), "it is the highest in its scale"),
        ("devnet", (slice(30, 180), slice(30, 180)), "a classifier has no map"),
    ],
)
def test_the_map_that_is_shown(bundle: Bundle, source: str, hot: tuple[slice, slice], why: str) -> None:
    picture = draw(inspection(source=source), bundle, SCALES)
    assert picture is not None
    plain, heated = panels(picture)
    assert (plain == 90).all()
    assert (heated[hot][..., 0] > heated[hot][..., 2] + 30).all(), why
    grey = np.abs(heated - 90).max(axis=2) == 0
    assert grey[4:180, 200:380].all() and grey[200:380, 4:180].all()
    assert not grey[:, 184:200].all()  # the border of the segments


def test_what_is_ignored_stays_grey(bundle: Bundle) -> None:
    ignored = np.zeros((48, 48), np.bool_)
    ignored[:12, :12] = True
    picture = draw(replace(inspection(), ignored=ignored), bundle, SCALES)
    assert picture is not None
    _, heated = panels(picture)
    grey = np.abs(heated - 90).max(axis=2) == 0
    assert grey[:80, :80].all() and not grey[120:180, 120:180].any()


def _ring(picture: Image.Image | None) -> tuple[float, float] | None:
    """The middle of the white ring in the right panel, in pixels of the map."""
    assert picture is not None
    rows, columns = np.nonzero((panels(picture)[1] > 215).all(axis=2))
    return (rows.mean() / 8, columns.mean() / 8) if len(rows) else None


def test_a_ring_is_where_the_reason_says(bundle: Bundle) -> None:
    """At the highest value of the map, or of the segment that the first reason names; only of an NG."""
    given = inspection(source="patchcore")
    given.maps["patchcore"][30, 40], given.maps["patchcore"][10, 12] = 9, 8
    (left,) = given.prediction.contributions
    whole = replace(left, segment="image", peak="right")
    for reasons, place in (((left,), (10.5, 12.5)), ((whole, left), (30.5, 40.5)), ((), (30.5, 40.5))):
        told = replace(given, prediction=replace(given.prediction, contributions=reasons))
        assert _ring(draw(told, bundle, SCALES)) == pytest.approx(place, abs=0.2)
    ok = replace(given, prediction=replace(given.prediction, verdict="OK"))
    assert _ring(draw(ok, bundle, SCALES)) is None
    assert _ring(draw(replace(given, heading="NG (view B)"), bundle, SCALES)) is None


@pytest.mark.parametrize("verdict", ["OK", "NG", "UNKNOWN"])
def test_the_verdict_has_its_colour(bundle: Bundle, verdict: str) -> None:
    picture = draw(inspection(verdict), bundle, SCALES)
    assert picture is not None
    assert picture.getpixel((picture.width - 3, 3)) == drawing._COLOURS[verdict]


def test_long_reasons_are_wrapped_whole(bundle: Bundle) -> None:
    words = " ".join(f"word{i}" for i in range(60))
    lines = drawing._wrapped(words, 600, most=99)
    assert " ".join(lines) == words
    assert all(drawing._font(16).getlength(line) <= 576 for line in lines)
    path = "x" * 5000
    assert "".join(drawing._wrapped(path, 600, most=999)) == path
    assert len(drawing._wrapped(path, 600)) == 4


def test_a_classifier_alone_has_one_panel() -> None:
    with Bundle.load(bundle_of("DevNet"), "cpu") as alone:
        (found,) = alone.inspect([bad(0)])
        picture = draw(found, alone, heats(alone))
    assert picture is not None
    assert picture.width == 480


def test_what_cannot_be_read_has_no_picture(bundle: Bundle, tmp_path: Path) -> None:
    overlays = Overlays(bundle, tmp_path / "pictures")
    for found in bundle.inspect([tmp_path / "gone.png", bad(0)]):
        overlays.write(found)
    (written,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert written == picture_path(tmp_path / "pictures", str(bad(0)))
    assert np.asarray(Image.open(written)).shape[2] == 3


def test_places_do_not_collide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = [
        "a.png",
        "a.jpg",
        "x/a.png",
        "y/a.png",
        "y/x/a.png",
        "../a.png",
        "/a.png",
        "größe/ä.png",
        "größe/ö.png",
        "\udcff.png",
        "\udcfe.png",
        "long" * 60 + "1.png",
        "long" * 60 + "2.png",
        "..../...png",
        "a\nb.png",
    ]
    places = [picture_path(Path("out"), name) for name in names]
    assert len(set(places)) == len(names)
    assert {str(place).lower() for place in places} == {str(place) for place in places}
    for place in places:
        assert place.parts[0] == "out" and len(place.parts) == 3 and ".." not in place.parts
        assert max(map(len, place.parts)) < 120 and str(place).isascii()
    assert picture_path(Path("out"), str(tmp_path / "a.png")) == places[0]


def test_a_folder_that_cannot_be_written(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    overlays = Overlays(bundle, tmp_path / "file")
    with pytest.raises(StoreError, match="cannot be written"):
        overlays.write(inspection())


PICTURE = Image.new("RGB", (8, 8))


@pytest.mark.parametrize("target", ["victim", "gone"])
@pytest.mark.parametrize("name", [".0-ab.jpg.part", "0-ab.jpg"])
def test_a_planted_link_is_not_followed(tmp_path: Path, name: str, target: str) -> None:
    """Neither that with the temporary name of earlier versions nor one in the place of a picture."""
    (tmp_path / "victim").write_text("precious")
    folder = tmp_path / "pictures" / "lot"
    folder.mkdir(parents=True)
    (folder / name).symlink_to(tmp_path / target)
    for _ in range(2):
        write_picture(PICTURE, folder / "0-ab.jpg")
        assert (tmp_path / "victim").read_text() == "precious" and not (tmp_path / "gone").exists()
        with Image.open(folder / "0-ab.jpg") as opened:
            assert opened.size == (8, 8)
        assert not (folder / "0-ab.jpg").is_symlink()
    assert {path.name for path in folder.iterdir()} == {name, "0-ab.jpg"}


def test_a_link_in_the_place_of_a_folder_of_pictures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "lot").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="symbolic link"):
        write_picture(PICTURE, tmp_path / "pictures" / "lot" / "0.jpg")
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize("make", [lambda path: path.write_text("precious"), Path.mkdir, os.mkfifo])
def test_only_pictures_are_replaced(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "0.jpg")
    before = (tmp_path / "0.jpg").lstat()
    with pytest.raises(StoreError, match=re.escape(str(tmp_path / "0.jpg"))):
        write_picture(PICTURE, tmp_path / "0.jpg")
    assert (tmp_path / "0.jpg").lstat() == before


def test_a_picture_that_cannot_be_written_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_picture(PICTURE, tmp_path / "0.jpg")
    before = (tmp_path / "0.jpg").read_bytes()

    def full(picture: Image.Image, file: IO[bytes], *_: object, **__: object) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(StoreError, match="No space left"):
        write_picture(PICTURE, tmp_path / "0.jpg")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [before]
