"""The self-test of bundles says when something is another here, and nothing otherwise."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bundles import Parts, sound_parts
from pydantic import ValidationError
from trained_bundles import ROWS, bundle_of

from segad_core.bundle.format.operating_point import calibration_table, operating_json
from segad_core.bundle.runtime.bundle import Bundle
from segad_core.bundle.runtime.selftest import Verification, verify
from segad_core.errors import BundleError
from segad_core.operate.operating_point import OperatingPoint, measure


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
    ("change", "words"),
    [
        ({"threshold": 1e300}, "the threshold 1e+300 is not the one that its rule 'catch 0.95' gives"),
        ({"threshold": -1e300}, "the threshold -1e+300 is not the one"),
        ({"caught": {"count": 0, "of": 0, "low": 0, "high": 1}}, "does not match the calibration table"),
        ({"lots": {"named": 3, "unnamed": 0}}, "does not match the calibration table"),
        ({"unseen": {"count": 0, "of": 0, "low": 0, "high": 1}}, "does not match the calibration table"),
    ],
    ids=str,
)
def test_an_operating_point_that_was_made_up(
    change: dict[str, Any], words: str, sound: Parts, tmp_path: Path
) -> None:
    """At the first, all would be OK, and the golden images among them."""
    parts = sound.copy()
    parts.files["operating.json"] = json.dumps(json.loads(parts.files["operating.json"]) | change).encode()
    assert any(words in problem for problem in verified(parts, tmp_path).problems)


def test_a_threshold_that_breaks_its_own_rule_is_refused_with_the_figures_that_belong_to_it(
    sound: Parts, tmp_path: Path
) -> None:
    """Rule `catch 0.95`, threshold 1e300, none of the bad parts caught: consistent, and wrong."""
    parts = sound.copy()
    with Bundle.load(parts.write(tmp_path, "folder"), "cpu") as bundle:
        table = calibration_table(bundle.container).table
        point = measure(table, bundle.operating_point.rule, 1e300)
    assert point.caught.count == 0 < point.caught.of
    parts.files["operating.json"] = operating_json(point)
    found = verified(parts, tmp_path)
    assert any("is not the one that its rule" in problem for problem in found.problems)


def test_an_operating_point_without_images_for_its_rule(sound: Parts, tmp_path: Path) -> None:
    parts = sound.copy()
    images = json.loads(parts.files["calibration.json"])
    for image in images:
        image["label"] = 0
    parts.files["calibration.json"] = json.dumps(images).encode()
    assert any("none of the calibration images is bad" in one for one in verified(parts, tmp_path).problems)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("threshold",), True),
        (("threshold",), "1"),
        (("caught", "count"), True),
        (("caught", "count"), 1.0),
        (("caught", "of"), "5"),
        (("rule", "catch"), "0.95"),
        (("rule", "catch"), True),
        (("lots", "named"), False),
        (("lots", "named"), "0"),
    ],
    ids=str,
)
def test_an_operating_point_has_the_types_that_it_should(
    place: tuple[str, ...], value: object, sound: Parts, tmp_path: Path
) -> None:
    parts = sound.copy()
    point = inner = json.loads(parts.files["operating.json"])
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    parts.files["operating.json"] = json.dumps(point).encode()
    with pytest.raises(BundleError, match=r"'operating\.json' is not a valid operating point"):
        verified(parts, tmp_path)
    with pytest.raises(ValidationError):
        OperatingPoint.model_validate(point)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("format",), True),
        (("format",), 1.0),
        (("format",), "1"),
        (("pipeline", "seed"), True),
        (("pipeline", "seed"), "0"),
        (("pipeline", "seed"), 0.0),
        (("pipeline", "batch_size"), True),
        (("pipeline", "size"), [True, 48]),
        (("pipeline", "white"), "255"),
        (("pipeline", "score"), 0),
        (("provenance", "learnt"), False),
        (("provenance", "learnt"), "0"),
    ],
    ids=str,
)
def test_a_manifest_has_the_types_that_it_should(
    place: tuple[str, ...], value: object, sound: Parts, tmp_path: Path
) -> None:
    parts = sound.copy()
    inner = parts.manifest
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    with pytest.raises(BundleError, match="the manifest is not valid"):
        Bundle.load(parts.write(tmp_path, "folder"), "cpu")


def other_label(parts: Parts) -> None:
    listed = golden(parts)
    listed[0]["label"] = 1 - listed[0]["label"]
    parts.files["golden.json"] = json.dumps(listed).encode()


def other_digest(parts: Parts) -> None:
    listed = golden(parts)
    listed[0]["digest"] = "0" * 64
    parts.files["golden.json"] = json.dumps(listed).encode()


def exchanged(parts: Parts) -> None:
    listed = golden(parts)
    listed[0]["digest"], listed[1]["digest"] = listed[1]["digest"], listed[0]["digest"]
    parts.files["golden.json"] = json.dumps(listed).encode()


def learnt(parts: Parts) -> None:
    parts.manifest["provenance"]["learnt"] = 7


def other_split(parts: Parts) -> None:
    parts.files["splits.json"] += b" "


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (other_label, "golden/0.png: has another label in the tables"),
        (other_digest, "golden/0.png: is not one of the calibration images"),
        (exchanged, "golden/0.png: is another image than"),
        (learnt, "says that 7 images were taught, but its tables have 0"),
        (other_split, "is not that of 'splits.json'"),
    ],
)
def test_what_a_bundle_claims_of_itself_is_checked(
    spoil: Callable[[Parts], None], words: str, sound: Parts, tmp_path: Path
) -> None:
    parts = sound.copy()
    spoil(parts)
    assert any(words in problem for problem in verified(parts, tmp_path).problems)


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
    assert found.problems[0].startswith(f"{listed[0]['file']}: is OK, but was NG")
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
