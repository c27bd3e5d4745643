"""The self-test of bundles says when something is another here, and nothing otherwise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from bundles import Parts, sound_parts
from trained_bundles import ROWS, bundle_of

from segad_core.bundle.runtime.bundle import Bundle
from segad_core.bundle.runtime.selftest import Verification, verify
from segad_core.errors import BundleError


@pytest.fixture(scope="module")
def sound() -> Parts:
    return sound_parts()


def verified(parts: Parts, home: Path) -> Verification:
    with Bundle.load(parts.write(home, "folder"), "cpu") as bundle:
        return verify(bundle)


@pytest.mark.parametrize("row", ROWS)
def test_a_bundle_is_sound_where_it_was_made(row: str) -> None:
    with Bundle.load(bundle_of(row), "cpu") as bundle:
        found = verify(bundle)
        assert not found.problems and found.largest == 0
        assert found.table == (None if row in ("PatchCore", "DevNet") else 0)
        assert found.files == len(bundle.manifest.files)
        assert [one.label for one in found.golden] == [0, 0, 0, 1, 1, 1]
        assert all(
            one.found == one.expected and one.now == one.was and not one.reason for one in found.golden
        )


@pytest.mark.parametrize(
    "change", [{"threshold": 1e300}, {"caught": {"count": 0, "of": 0, "low": 0, "high": 1}}]
)
def test_an_operating_point_that_was_made_up(change: dict[str, Any], sound: Parts, tmp_path: Path) -> None:
    """All would be OK, and the golden images among them, at this threshold and at the one that they had."""
    parts = sound.copy()
    parts.files["operating.json"] = json.dumps(json.loads(parts.files["operating.json"]) | change).encode()
    assert "the operating point does not match the threshold on the calibration table" in (
        verified(parts, tmp_path).problems
    )


def golden(parts: Parts) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads(parts.files["golden.json"])
    return listed


def test_another_score_is_told_when_it_is_more_than_rounding(sound: Parts, tmp_path: Path) -> None:
    scores = [one["score"] for one in golden(sound)]
    for share, problems in ((0.5, 0), (1.5, 1)):
        parts = sound.copy()
        listed = golden(parts)
        place = scores.index(max(scores))
        listed[place]["score"] -= share * 0.01 * (max(scores) - min(scores))
        parts.files["golden.json"] = json.dumps(listed).encode()
        (tmp_path / str(share)).mkdir()
        found = verified(parts, tmp_path / str(share))
        assert len(found.problems) == problems
        assert found.largest > 0 and (found.largest > found.tolerated) == (share > 1)
        assert not problems or found.problems[0].startswith("golden scores differ by up to ")


def test_another_verdict_is_told_however_small_the_difference(sound: Parts, tmp_path: Path) -> None:
    parts = sound.copy()
    point, listed = json.loads(parts.files["operating.json"]), golden(parts)
    point["threshold"] = listed[0]["score"] + 1e-12
    listed[0]["score"] += 2e-12
    parts.files |= {"golden.json": json.dumps(listed).encode(), "operating.json": json.dumps(point).encode()}
    found = verified(parts, tmp_path)
    (problem,) = found.problems
    assert problem.startswith(f"{listed[0]['file']}: is OK, but was NG")
    assert found.largest < found.tolerated


def test_a_golden_image_that_cannot_be_read_is_told(sound: Parts, tmp_path: Path) -> None:
    parts = sound.copy()
    name = golden(parts)[3]["file"]
    parts.files[name] = parts.files[name][:100]
    (problem,) = verified(parts, tmp_path).problems
    assert problem.startswith(f"{name}: is UNKNOWN, but was NG") and ": is damaged" in problem


def test_a_forest_that_is_not_the_tables_is_told(sound: Parts, tmp_path: Path) -> None:
    parts = sound.copy()
    text = parts.files["final/model.json"].decode()
    forest = json.loads(text)
    for tree in forest["learner"]["gradient_booster"]["model"]["trees"]:
        leaves = [i for i, child in enumerate(tree["left_children"]) if child == -1]
        for i in leaves:
            tree["split_conditions"][i] = tree["base_weights"][i] = -tree["split_conditions"][i]
    parts.files["final/model.json"] = json.dumps(forest).encode()
    found = verified(parts, tmp_path)
    assert found.table is not None and found.table > found.tolerated
    assert any("the calibration table differ by up to" in one for one in found.problems)


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("recipe.yaml", b"\xff", "'recipe.yaml' is not UTF-8 text"),
        ("splits.json", b"{", "'splits.json' is not valid JSON"),
        ("training.json", b"[]", "'training' has features"),
    ],
)
def test_what_predicting_does_not_need_is_read_too(
    sound: Parts, tmp_path: Path, name: str, data: bytes, words: str
) -> None:
    parts = sound.copy()
    parts.files[name] = data
    with pytest.raises(BundleError, match=words):
        verified(parts, tmp_path)
