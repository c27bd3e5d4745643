"""Warnings of sizes that do not suit: told by `check` and `run` with counts, names and the remedy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import small_runs
from builders import segad
from PIL import Image

ROWS = [{"name": "A", "score": "spotty"}]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return small_runs.workplace(tmp_path, monkeypatch)


def resize(path: Path, height: int, width: int) -> None:
    rng = np.random.default_rng([int(path.stem), path.parent.name == "bad"])
    Image.fromarray(rng.integers(0, 255, (height, width, 3), np.uint8)).save(path)


def warned(home: Path, caplog: pytest.LogCaptureFixture, **changes: object) -> list[str]:
    small_runs.prepared(small_runs.write(home, rows=ROWS, **changes))
    return [r.getMessage() for r in caplog.records if r.levelname == "WARNING" and "pixels" in r.getMessage()]


def test_nothing_is_said_of_sizes_that_suit(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert warned(home, caplog, image={"size": [48, 60]}) == []


def test_a_squeeze_is_told_with_the_size_that_fits(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    for path in (home / "data").rglob("*.png"):
        resize(path, 20, 500)
    assert warned(home, caplog, image={"size": [256, 256]}) == [
        "category 'a': 37 of 37 images are squeezed by image.size [256, 256], those of 500 x 20 pixels "
        "(width x height) 25 to 1: [64, 1600] would keep the ratio, and so do image.fit pad and crop"
    ]


def test_a_squeeze_that_the_size_undoes_is_none(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    for path in (home / "data").rglob("*.png"):
        resize(path, 20, 500)
    assert warned(home, caplog, image={"size": [16, 400]}) == []


def test_images_of_another_shape_are_counted_and_named(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name, size in {"good/000": (48, 58), "good/001": (96, 116), "bad/002": (58, 48)}.items():
        resize(home / "data" / "a" / f"{name}.png", *size)
    assert warned(home, caplog) == [
        "category 'a': 3 of 37 images are of another shape than 48 x 48 pixels (width x height): 58 x 48 (2: "
        "'good/000.png', 'good/001.png'), 48 x 58 (1: 'bad/002.png'); leave out with split.leave_out what is "
        "not the same view"
    ]


def test_many_shapes_are_summed_up(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    for i, path in enumerate(sorted((home / "data").rglob("*.png"))):
        resize(path, 50, 50 + i % 10)
    (sentence,) = warned(home, caplog)
    assert "the 37 images have 10 shapes, from 50 x 50 to 59 x 50 pixels" in sentence


def test_a_thumbnail_among_photographs_is_named(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    resize(home / "data" / "a" / "good" / "007.png", 12, 12)
    assert warned(home, caplog) == [
        "category 'a': 1 of 37 images is blurred, as image.size [48, 48] enlarges them up to 4 times, unlike "
        "most: 'good/007.png' with 12 x 12 pixels"
    ]


def test_check_says_it(home: Path) -> None:
    resize(home / "data" / "a" / "good" / "000.png", 20, 48)
    recipe = small_runs.write(home, rows=ROWS)
    result = segad("check", recipe, "--store", home / "store")
    assert result.exit_code == 0
    assert "another shape than 48 x 48 pixels" in result.output and "'good/000.png'" in result.output


def test_sides_may_be_long_but_not_both(home: Path) -> None:
    small_runs.prepared(small_runs.write(home, rows=ROWS, image={"size": [512, 8192]}))
    result = segad("check", small_runs.write(home, rows=ROWS, image={"size": [16384, 16384]}))
    assert result.exit_code == 2 and "268435456 pixels" in result.output
