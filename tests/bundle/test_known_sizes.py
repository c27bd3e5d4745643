"""Images of another shape or size than those that a bundle was made from are UNKNOWN, not OK or NG."""

from __future__ import annotations

import json
from pathlib import Path

import light_bundle
import numpy as np
import pytest
import small_runs
from builders import data_set, said, segad
from numpy.typing import NDArray
from PIL import Image

from segad_core.bundle.format.container import MANIFEST
from segad_core.bundle.format.manifest import Pipeline
from segad_core.bundle.runtime.bundle import Bundle
from segad_core.bundle.runtime.sizes import check_content
from segad_core.errors import ImageError

SPLIT = {"seeds": [0], "test": {"good": 3, "bad": 2}, "detectors": {"good": 3}}


def grey(height: int, width: int) -> NDArray[np.uint8]:
    pixels = np.full((height, width, 3), 100, np.uint8)
    pixels[::2, ::2] = 101  # no camera takes an image of a single colour
    return pixels


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Path:
    light_bundle.install(monkeypatch)
    return light_bundle.made()


def test_a_bundle_records_the_sizes_that_it_learnt_from(home: Path) -> None:
    manifest = json.loads((home / "b" / MANIFEST).read_text())
    shape = {"narrowest": [48, 48], "widest": [48, 48], "usual": [48, 48], "images": 13}
    assert manifest["pipeline"]["sizes"] == {"smallest": [48, 48], "shapes": [shape]}
    assert "images of 48 x 48 (13)" in said(segad("bundle", "show", home / "b"))


def test_another_shape_and_a_thumbnail_are_unknown(home: Path) -> None:
    with Bundle.load(home / "b", "cpu") as bundle:
        sound, large, wide, thumbnail = bundle.predict(
            [grey(48, 48), grey(96, 96), grey(48, 96), grey(24, 24)]
        )
    assert sound.score is not None and large.score == sound.score
    for one, words in ((wide, "has 96 x 48 pixels"), (thumbnail, "has 24 x 24 pixels")):
        assert (one.verdict, one.score) == ("UNKNOWN", None)
        assert words in one.reason and "48 x 48" in one.reason
    assert thumbnail.reason.endswith("at least 39 x 39 pixels.")


def test_files_are_refused_alike_and_told_at_the_end(home: Path, tmp_path: Path) -> None:
    Image.fromarray(grey(48, 20)).save(tmp_path / "narrow.png")
    result = segad("predict", home / "b", tmp_path / "narrow.png", "--device", "cpu")
    assert result.exit_code == 3
    assert (
        "UNKNOWN" in result.output and "has 20 x 48 pixels (width x height), another shape" in result.output
    )


def test_a_set_of_many_sizes_works_within_their_range(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    light_bundle.install(monkeypatch)
    data_set(tmp_path / "data", good=10, bad=6)
    for i, path in enumerate(sorted((tmp_path / "data").rglob("*.png"))):
        image = Image.open(path)
        image.crop((0, 0, 48, 33 + i)).save(path)  # from 33 x 48 to 48 x 48
    recipe = small_runs.write(tmp_path, split=SPLIT, rows=[{"name": "A", "score": "spotty"}])
    words = ("--category", "a", "--row", "A", "--device", "cpu", "--store", tmp_path / "store")
    assert segad("fit", recipe, *words, "-o", tmp_path / "b").exit_code == 0
    with Bundle.load(tmp_path / "b", "cpu") as bundle:
        found = bundle.predict([grey(48, 48), grey(40, 48), grey(80, 96), grey(48, 100), grey(20, 24)])
    assert [one.score is not None for one in found] == [True, True, True, False, False]
    assert "48 x 48 to 48 x 33" in found[3].reason


def test_a_bundle_that_knows_no_sizes_takes_all(home: Path) -> None:
    """Those made before there were sizes; and they are written as before."""
    with Bundle.load(home / "b", "cpu") as bundle:
        plain = bundle.manifest.pipeline.model_dump(mode="json")
        del plain["sizes"]
        old = Pipeline.model_validate_json(json.dumps(plain))
        assert old.sizes is None and "sizes" not in old.model_dump(mode="json")
        object.__setattr__(bundle.container, "manifest", bundle.manifest.model_copy(update={"pipeline": old}))
        assert bundle.predict([grey(24, 96)])[0].score is not None


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (128, 128, 128), (10, 200, 30)])
def test_one_colour_and_nothing_else_is_no_image_of_a_part(colour: tuple[int, int, int]) -> None:
    pixels = np.full((70, 90, 3), colour, np.uint8)
    with pytest.raises(ImageError, match=r"one colour \(" + ", ".join(map(str, colour))):
        check_content(pixels)
    pixels[33, 47, 1] ^= 1  # noise of a single pixel
    check_content(pixels)


def test_a_blank_frame_is_unknown(home: Path, tmp_path: Path) -> None:
    blank = tmp_path / "blank.png"
    Image.new("RGB", (48, 48), (128, 128, 128)).save(blank)
    with Bundle.load(home / "b", "cpu") as bundle:
        (found,) = bundle.predict([blank])
    assert (found.verdict, found.score) == ("UNKNOWN", None)
    assert "one colour" in found.reason
