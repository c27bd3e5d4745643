"""Bundles of format 1, as the first version wrote them, still load, verify, predict, operate and learn.

`format1.zip` was written by `segad fit` of commit 49e70a3, before the modules moved into rooms: a row with
PatchCore, a mask with two segments and a small forest, trained on synthetic images of 48 x 48 pixels.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import pytest
from builders import said, segad

from segad_core.bundle.format.container import Container
from segad_core.bundle.format.operating_point import read_operating_point
from segad_core.bundle.runtime.bundle import Bundle
from segad_core.bundle.runtime.learning import learn
from segad_core.bundle.runtime.selftest import TOLERANCE, verify

OLD = Path(__file__).with_name("format1.zip")


def test_it_verifies_predicts_the_same_and_learns(tmp_path: Path) -> None:
    with zipfile.ZipFile(OLD) as archive:
        archive.extractall(tmp_path)
    golden = json.loads((tmp_path / "golden.json").read_bytes())
    images, expected = [tmp_path / one["file"] for one in golden], [one["score"] for one in golden]
    with Bundle.load(OLD, "cpu") as bundle:
        assert bundle.manifest.format == 1
        assert not verify(bundle).problems
        found = bundle.predict(images)
        tolerance = TOLERANCE * (max(expected) - min(expected))
        assert [one.score for one in found] == pytest.approx(expected, abs=tolerance)
        assert [one.verdict for one in found] == ["NG" if one["label"] else "OK" for one in golden]
        assert all(len(one.contributions) == len(bundle.manifest.pipeline.names) for one in found)
        bad = next(image for image, one in zip(images, golden, strict=True) if one["label"])
        learn(bundle, tmp_path / "new", bad=[bad])
        files = set(bundle.manifest.files)
    with Bundle.load(tmp_path / "new", "cpu") as new:
        assert set(new.manifest.files) == files
        assert not verify(new).problems


@pytest.mark.parametrize("form", ["zip", "folder"])
def test_its_threshold_can_be_set(form: str, tmp_path: Path) -> None:
    place = tmp_path / f"old.{form}"
    if form == "zip":
        shutil.copy(OLD, place)
    else:
        with zipfile.ZipFile(OLD) as archive:
            archive.extractall(place)
    result = segad("operate", place, "--false-rejects", "0/1")
    assert result.exit_code == 0, said(result)
    container = Container(place)
    container.verify()
    assert read_operating_point(container).rule.kind == "false-rejects"
    container.close()
