"""`segad bundle show` and `verify`: what they say, and their exit codes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from builders import said, segad
from bundles import Parts, sound_parts
from imported import imported_after
from trained_bundles import ROWS, bundle_of


@pytest.fixture(scope="module")
def sound() -> Parts:
    return sound_parts()


@pytest.mark.parametrize("row", ROWS)
def test_show_prints_setup_and_threshold(row: str) -> None:
    text = said(result := segad("bundle", "show", bundle_of(row)))
    assert result.exit_code == 0
    assert f"row '{row}' of category 'a', seed 0" in text
    assert "48 x 48 pixels (width x height), batches of 4" in text
    assert ("left, right" in text) == (row not in ("PatchCore", "DevNet"))
    assert ("devnet: segad:devnet" in text) == (row in ("DevNet", "All"))
    assert "NG at or above" in text and "(catch 0.95)" in text and "catches 6 of 6 bad parts" in text
    assert "xgboost" in text and "segad:folder" in text
    assert "features, scores and looks are compared with those of the good calibration images (10)" in text


def test_show_says_where_a_drift_cannot_be_noticed(sound: Parts, tmp_path: Path) -> None:
    text = said(segad("bundle", "show", sound.write(tmp_path, "zip")))
    assert "good calibration images: 4; fewer than 10 are too few to notice it" in text


def test_show_as_json_is_the_manifest_and_more() -> None:
    found = json.loads(segad("bundle", "show", bundle_of("SegAD"), "--json").stdout)
    manifest = json.loads((bundle_of("SegAD") / "manifest.json").read_text())
    assert {name: found[name] for name in manifest} == manifest
    assert found["operating_point"]["rule"] == {"kind": "catch", "catch": 0.95}
    assert found["recipe"].startswith("segad: 1")


def test_show_builds_nothing() -> None:
    code, modules = imported_after("bundle", "show", bundle_of("All"))
    assert code == 0
    assert not modules & {"torch", "xgboost", "timm", "numba"}
    assert not any(module.startswith("segad_plugins") for module in modules)


def test_verify_accepts_a_sound_bundle(sound: Parts, tmp_path: Path) -> None:
    result = segad("bundle", "verify", sound.write(tmp_path, "zip"), "--device", "cpu")
    assert result.exit_code == 0
    lines = said(result).splitlines()
    assert lines[0].endswith(f": {len(sound.files)} files, all unchanged")
    assert [line.split()[-1] for line in lines[1:7]] == ["identical"] * 6
    assert lines[-1].startswith("Verified: ")


def test_a_missing_device_is_not_the_fault_of_the_bundle() -> None:
    if torch.cuda.is_available():
        assert segad("bundle", "verify", bundle_of("SegAD"), "--device", "cuda").exit_code == 0
        return
    result = segad("bundle", "verify", bundle_of("SegAD"), "--device", "cuda")
    assert said(result).startswith(
        "error: --device cuda: torch finds no GPU on this machine\n  Use --device cpu"
    )
    assert result.exit_code == 2


def test_verify_names_each_problem(sound: Parts, tmp_path: Path) -> None:
    parts = sound.copy()
    listed = json.loads(parts.files["golden.json"])
    listed[5]["score"] += 10
    parts.files["golden.json"] = json.dumps(listed).encode()
    place = parts.write(tmp_path, "folder")
    result = segad("bundle", "verify", place, "--device", "cpu")
    assert result.exit_code == 1
    assert "problem: golden scores differ by up to 10" in said(result) and "Verification failed" in said(
        result
    )
    found = json.loads(segad("bundle", "verify", place, "--device", "cpu", "--json").stdout)
    assert found["sound"] is False and np.isclose(found["largest"], 10)


@pytest.mark.parametrize("command", ["show", "verify"])
def test_one_byte_is_enough(command: str, tmp_path: Path) -> None:
    shutil.copytree(bundle_of("SegAD"), tmp_path / "it")
    place = tmp_path / "it" / "final" / "model.json"
    place.write_bytes(place.read_bytes().replace(b"1", b"2", 1))
    result = segad("bundle", command, tmp_path / "it")
    assert result.exit_code == 1
    assert "'final/model.json' has changed" in said(result)


@pytest.mark.parametrize("command", ["show", "verify"])
def test_a_missing_bundle_is_an_error(command: str, tmp_path: Path) -> None:
    result = segad("bundle", command, tmp_path / "gone")
    assert result.exit_code == 1
    assert "there is no such bundle" in said(result)
