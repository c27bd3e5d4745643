"""A bundle reads images as its recipe does: page, mosaic and window; and says when they are nearly black."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import picture, said, segad, workshop, write_recipe
from PIL import Image
from pydantic import ValidationError

from segad_core.base.decoding import Decoding
from segad_core.bundle.format.manifest import Pipeline
from segad_core.bundle.runtime.bundle import Bundle
from segad_core.bundle.runtime.levels import Levels
from segad_core.images import decode

PIPELINE: dict[str, Any] = {
    "category": "a",
    "row": "r",
    "seed": 0,
    "size": (16, 16),
    "white": 4095,
    "batch_size": 1,
}


def test_without_new_settings_a_manifest_is_what_it_was() -> None:
    pipeline = Pipeline(**PIPELINE)
    assert not {"window", "bayer", "page"} & set(pipeline.model_dump())
    assert pipeline.decoding == Decoding(4095)
    assert '"page"' not in pipeline.model_dump_json()


def test_settings_are_kept() -> None:
    given = {"window": (3, 900), "bayer": "GRBG", "page": 2}
    again = Pipeline.model_validate_json(Pipeline(**PIPELINE, **given).model_dump_json())
    assert again.decoding == Decoding(4095, (3, 900), "GRBG", 2) and not again.by_page
    views = Pipeline.model_validate_json(Pipeline(**PIPELINE, page="views").model_dump_json())
    assert views.decoding == Decoding(4095, page="views") and views.by_page


@pytest.mark.parametrize(
    "wrong",
    [
        {"window": (9, 9)},
        {"window": (0, 65536)},
        {"bayer": "RGBG"},
        {"page": 0},
        {"page": 1001},
        {"page": "all"},
    ],
    ids=str,
)
def test_hostile_settings(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Pipeline(**PIPELINE, **wrong)


def test_a_dark_image_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    levels = Levels(Decoding())
    with caplog.at_level(logging.WARNING):
        for name, highest in (("a.png", None), ("b.png", 60000), ("c.png", 1000), ("d.png", 900)):
            levels.see(Path(name), highest)
    (told,) = [record.getMessage() for record in caplog.records]
    assert told.startswith("c.png: ")
    assert "image.white: 1023" in told


def test_from_recipe_to_verdict(tmp_path: Path) -> None:
    """Raw images of 12 bits on the second page of TIFF files: run, fit and predict read the same pixels."""
    workshop(tmp_path)
    rng = np.random.default_rng(0)
    for path in sorted((tmp_path / "data").rglob("*.png")):
        raw = (np.asarray(Image.open(path))[..., 0].astype(np.uint16) << 4) + 15
        pages = [Image.fromarray(rng.integers(0, 4096, (5, 5)).astype(np.uint16)), Image.fromarray(raw)]
        pages[0].save(path.with_suffix(".tif"), save_all=True, append_images=pages[1:])
        path.unlink()
    recipe = write_recipe(
        tmp_path, ("size: [48, 48]", "size: [48, 48], page: 2, bayer: RGGB, window: [16, 4095]")
    )
    places = ("--store", tmp_path / "store", "--device", "cpu")
    said(segad("run", recipe, "--runs", tmp_path / "runs", *places))
    bundle = tmp_path / "b.segad"
    said(segad("fit", recipe, "--category", "a", "--row", "SegAD", "-o", bundle, *places))
    scores = {}
    for line in (tmp_path / "runs/tiny/latest/scores.csv").read_text().splitlines()[1:]:
        _, _, _, row, image, *_, score = line.split(",")
        scores[row, image] = float(score)
    tested = [image for row, image in scores if row == "SegAD"]
    with Bundle.load(bundle, "cpu") as opened:
        pixels = [
            decode(tmp_path / "data/a" / name, Decoding(window=(16, 4095), bayer="RGGB", page=2))
            for name in tested
        ]
        found = opened.predict([tmp_path / "data/a" / name for name in tested])
        assert [one.score for one in opened.predict([p.pixels for p in pixels])] == [
            one.score for one in found
        ]
        one_page = tmp_path / "one.tif"
        Image.fromarray(picture(3)[..., 0]).save(one_page)
        (unknown,) = opened.predict([one_page])
    assert [one.score for one in found] == pytest.approx([scores["SegAD", name] for name in tested], abs=1e-6)
    assert unknown.verdict == "UNKNOWN"
    assert "no page 2" in unknown.reason
    assert segad("bundle", "verify", bundle).exit_code == 0
    assert "window [16, 4095], bayer RGGB, page 2" in said(segad("bundle", "show", bundle))
