"""Operating points: their description, lots, the file in a bundle, and files that are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from calibrated import bundle, digest, stored, table
from pydantic import ValidationError

from segad_core.base.digest import bytes_digest
from segad_core.bundle.format.container import Container
from segad_core.bundle.format.manifest import FileFacts
from segad_core.bundle.format.operating_point import (
    calibration_table,
    operating_json,
    read_operating_point,
    store_operating_point,
)
from segad_core.errors import BundleError
from segad_core.operate.binomial import proportion
from segad_core.operate.candidates import candidates
from segad_core.operate.description import certification, describe, warnings
from segad_core.operate.image_table import ImageTable
from segad_core.operate.operating_point import OperatingPoint, Rule, measure, operating_point

CATCH = Rule(kind="catch", catch=0.9)
REJECTS = Rule(kind="false-rejects", rejected=1, of=10)
COST = Rule(kind="cost", miss=500, reject=3)


def text(point: OperatingPoint) -> str:
    return "\n".join(describe(point))


def spread(good: int, bad: int, rejected: int = 0, missed: int = 0) -> ImageTable:
    """At a threshold of 0.5 so many are rejected and so many missed."""
    goods = [1.0] * rejected + [0.0] * (good - rejected)
    return table(goods, [0.0] * missed + [1.0] * (bad - missed))


def test_the_example_of_a_thousand_parts() -> None:
    point = measure(spread(1000, 1000, 2, 188), REJECTS, 0.5)
    assert "catches 812 of 1,000 bad parts (81.2%, 95% interval 78.6% to 83.6%)" in text(point)
    assert "rejects 2 of 1,000 good parts (0.20%, 95% interval 0.024% to 0.72%)" in text(point)


def test_seen_and_unseen_are_told_apart() -> None:
    tested = table([0.0] * 4, [1.0, 2.0, 3.0, 4.0], unseen=[0.5, 2.0, 3.0])
    point = measure(tested, CATCH, 1.5)
    assert (point.caught, point.seen, point.unseen) == (proportion(5, 7), proportion(3, 4), proportion(2, 3))
    assert "  seen defects: 3 of 4 bad parts (75.0%," in text(point)
    assert "  unseen defects: 2 of 3 bad parts (66.7%," in text(point)


def test_without_unseen_defects_nothing_is_said_of_them() -> None:
    point = measure(spread(5, 5), CATCH, 0.5)
    assert point.seen is point.unseen is None
    assert "seen defects" not in text(point)
    only = measure(table([0.0], unseen=[1.0]), CATCH, 0.5)
    assert (only.seen, only.unseen) == (None, proportion(1, 1))


def test_between_lots_by_hand() -> None:
    """One good part allowed of four: each lot is measured by what the other has."""
    tested = table([0, 1, 2, 3, 10, 11, 12, 13], [2.6, 20], lots=[*"aaaabbbb", *"ab"])
    point = operating_point(tested, Rule(kind="false-rejects", rejected=1, of=4))
    a, b = point.lots.measured
    assert point.threshold == 11.5  # two of eight
    assert (a.group, a.threshold, str(a.rejected), str(a.caught)) == ("a", 12.5, "0 of 4", "0 of 1")
    assert (b.group, b.threshold, str(b.rejected), str(b.caught)) == ("b", 2.3, "4 of 4", "1 of 1")
    assert (str(point.lots.rejected()), str(point.lots.caught())) == ("4 of 8", "1 of 2")
    assert "between lots: rejects 4 of 8 (50.0%), catches 1 of 2 (50.0%), with each of 2 lots" in text(point)
    assert "rejects 2 of 8 good parts" in text(point)
    assert text(point).index("lot b: rejects 4 of 4 (100%)") < text(point).index("lot a: rejects 0 of 4")


@pytest.mark.parametrize("rule", [CATCH, REJECTS, COST], ids=str)
def test_a_lot_has_no_say_in_the_threshold_it_is_measured_by(rule: Rule) -> None:
    rng = np.random.default_rng(3)
    lots = rng.choice(["", "a", "b", "c"], 60).tolist()
    tested = table(rng.normal(0, 1, 40).tolist(), rng.normal(1, 1, 20).tolist(), lots=lots)
    found = operating_point(tested, rule).lots
    assert (found.named, found.unnamed, found.without) == (3, lots.count(""), [])
    labels, share = tested.labels(), None
    if rule.kind == "cost":
        share, rule = 20 / 60, rule.model_copy(update={"bad": 20 / 60})
    for lot in found.measured:
        here = np.array(lots) == lot.group
        kept = np.flatnonzero(~here)
        others = ImageTable([tested.images[i] for i in kept], tested.features[kept], tested.scores[kept])
        assert lot.threshold == operating_point(others, rule).threshold
        ng = tested.scores[here] >= lot.threshold
        assert (lot.caught.count, lot.caught.of) == (ng[labels[here] == 1].sum(), (labels[here] == 1).sum())
        assert (lot.rejected.count, lot.rejected.of) == (
            ng[labels[here] == 0].sum(),
            (labels[here] == 0).sum(),
        )
    assert operating_point(tested, rule).bad == share


def test_a_cost_is_expected_over_the_same_share_of_bad_parts_for_all_lots() -> None:
    """Of b alone, with one bad image of eight, a miss would be cheap: the bad one at 2 would be let pass."""
    tested = table([0, 0, 0, 3, 3, 3, 3], [2] + [9] * 9, lots=["b"] * 8 + ["a"] * 9)
    b_alone = table([0, 0, 0, 3, 3, 3, 3], [2])
    rule = Rule(kind="cost", miss=2, reject=2)
    assert operating_point(b_alone, rule).threshold > 3
    assert operating_point(b_alone, rule.model_copy(update={"bad": 10 / 17})).threshold == 1
    (a,) = operating_point(tested, rule).lots.measured
    assert (a.group, a.threshold) == ("a", 1)


def test_a_lot_that_holds_all_bad_images_cannot_be_measured() -> None:
    point = operating_point(table([0, 1, 2], [3, 4], lots=["a", "b", "b", "a", "a"]), CATCH)
    assert (point.lots.without, [one.group for one in point.lots.measured]) == (["a"], ["b"])
    assert "not measured, because the other images give no threshold: a" in text(point)


def test_no_lots_and_one_lot_are_said() -> None:
    assert "the data names no lots" in text(operating_point(table([0], [1]), CATCH))
    one = operating_point(table([0], [1], lots=["a", "a"]), CATCH)
    assert one.lots.measured == []
    assert "share it" in text(one)


def test_of_many_lots_the_worst_are_named() -> None:
    lots = [f"lot{i}" for i in range(9)]
    point = operating_point(table([0.0] * 8 + [9.0], [1.0] * 9, lots=[*lots, *lots]), CATCH)
    assert sum(line.startswith("  lot ") for line in describe(point)) == 5
    assert "lot lot8: rejects 1 of 1" in text(point)
    assert "9 lots at the threshold that the others give; the 5 worst" in text(point)


def test_names_of_lots_do_not_reach_the_terminal_as_commands() -> None:
    """Those of images are refused as they are read; those in an operating point are told as escapes."""
    with pytest.raises(ValidationError, match="contains characters that cannot be printed"):
        table([0], lots=["a\x1b[2J"])
    point = operating_point(table([0, 0], [1, 1], lots=["a", "b", "a", "b"]), CATCH)
    evil = [lot.model_copy(update={"group": "a\x1b[2J"}) for lot in point.lots.measured]
    point = point.model_copy(update={"lots": point.lots.model_copy(update={"measured": evil})})
    assert "lot a\\x1b[2J: " in text(point)


def test_what_certifies_false_rejects() -> None:
    point = operating_point(spread(147, 44), Rule(kind="false-rejects", rejected=2, of=1000))
    assert "certifying 2/1000 with 95% confidence takes at least 1,497 good parts with none rejected" in text(
        point
    )
    assert "with 95% confidence, that at most 2.0% of good parts are rejected" in text(point)
    (warned,) = warnings(point)
    assert warned.startswith("147 good calibration images cannot show 2/1000, which takes 1,497: ")
    assert warned.endswith(
        "even with none rejected, they only show a rate of at most 2.0%"
    )  # 1 - 0.05^(1/147)


@pytest.mark.parametrize(
    ("bad", "shows"),  # 0.05^(1/n) of bad parts are caught, with 95% confidence, if all n are
    [(1, "it only shows a catch rate of at least 5.0%"), (2, "at least 22.4%"), (8, "at least 68.8%")],
)
def test_few_bad_images_show_a_low_catch_rate(bad: int, shows: str) -> None:
    found = warnings(operating_point(spread(60, bad), Rule(kind="catch", catch=0.95)))
    assert found[0].startswith(
        f"{bad} bad calibration image{'s' * (bad > 1)} cannot show a catch rate of 95%"
    )
    assert found[0].endswith(shows)


@pytest.mark.parametrize(("good", "bad", "said"), [(60, 1, 1), (60, 5, 1), (60, 6, 0), (0, 5, 0)])
def test_a_threshold_on_hardly_any_bad_image_is_better_set_on_good_ones(
    good: int, bad: int, said: int
) -> None:
    tested = spread(good, bad)
    for rule, told in ((Rule(kind="catch", catch=0.95), said), (COST, said), (REJECTS, 0)):
        found = warnings(measure(tested, rule, 0.5))
        assert sum("segad operate BUNDLE --false-rejects 5/100" in line for line in found) == told


def test_what_certifies_with_some_failed() -> None:
    point = measure(spread(200, 100, 3, 1), Rule(kind="false-rejects", rejected=1, of=20), 0.5)
    assert "at least 59 good parts with none rejected, or 153 with at most 3 rejected" in text(point)
    assert warnings(point) == []
    caught = measure(spread(200, 100, 3, 1), Rule(kind="catch", catch=0.95), 0.5)
    assert "59 bad parts with none missed, or 93 with at most 1 missed" in text(caught)


@pytest.mark.parametrize(
    "rule", [Rule(kind="catch", catch=1), Rule(kind="false-rejects", rejected=0, of=1)], ids=str
)
def test_all_and_none_cannot_be_certified(rule: Rule) -> None:
    point = operating_point(spread(30, 30), rule)
    assert certification(point) is None
    assert "no number of parts can certify that every" in text(point)


def test_a_cost_says_over_which_share_of_bad_parts() -> None:
    tested = spread(30, 30, missed=3)
    own, given = (operating_point(tested, COST.model_copy(update={"bad": bad})) for bad in (None, 0.01))
    assert (own.bad, given.bad) == (0.5, 0.01)
    assert "with 50.0% bad parts, as among the calibration images" in text(own)
    assert "with 1.0% bad parts, as given" in text(given)
    assert any("bad=0.01" in line for line in warnings(own))
    assert not any("bad=0.01" in line for line in warnings(given))
    assert given.cost == pytest.approx(0.01 * 500 * 3 / 30)
    assert own.cost == pytest.approx(0.5 * 3)  # a miss is dear: every part is NG


def test_warnings_of_few_images_and_of_thresholds_beyond_the_scores() -> None:
    few = warnings(operating_point(spread(30, 19), Rule(kind="catch", catch=0.5)))
    assert [line.split(":")[0] for line in few] == ["only 19 bad calibration images"] and "5.3%" in few[0]
    mixed = table([1.0] * 19 + [2.0], [1.0] * 20)
    above = warnings(operating_point(mixed, Rule(kind="false-rejects", rejected=0, of=1)))
    assert "above all calibration scores" in above[0]
    below = warnings(operating_point(mixed, Rule(kind="catch", catch=0.5)))
    assert "below all calibration scores" in below[0]
    good = warnings(operating_point(table([1.0] * 59 + [2.0]), Rule(kind="false-rejects", rejected=0, of=1)))
    assert good[0] == "the threshold is above the scores of all good calibration images"
    none = operating_point(table([], [1.0] * 19 + [2.0]), Rule(kind="catch", catch=0.5))
    assert "an unknown share of good parts" in text(none)
    assert any("no good calibration images" in line for line in warnings(none))


def test_candidates_are_the_best_trade_offs_and_the_usual_rules() -> None:
    tested = table([1, 2, 5, 6], [3, 4, 7, 8])
    found = candidates(tested, measure(tested, CATCH, 4.2))
    assert [(c.threshold, c.caught.count, c.rejected.count) for c in found] == [
        (2.5, 4, 2),
        (4.2, 2, 2),
        (6.5, 2, 0),
    ]
    assert [c.rules for c in found] == [
        ("catch 0.9", "catch 0.95", "catch 0.99"),
        ("now",),
        ("no false rejects", "false rejects 1/1000", "false rejects 1/100"),
    ]


def test_of_many_candidates_some_are_shown_and_the_rules_always() -> None:
    rng = np.random.default_rng(0)
    tested = table(
        rng.normal(0, 1, 3000).tolist(), rng.normal(1, 1, 900).tolist(), rng.normal(1, 1, 9).tolist()
    )
    point = operating_point(tested, COST)
    found = candidates(tested, point)
    assert len(found) <= 25
    assert {name for one in found for name in one.rules} == {
        "now",
        "catch 0.9",
        "catch 0.95",
        "catch 0.99",
        "no false rejects",
        "false rejects 1/1000",
        "false rejects 1/100",
    }
    labels = tested.labels()
    for one in found:
        ng = tested.scores >= one.threshold
        assert (one.caught.count, one.rejected.count) == (ng[labels == 1].sum(), ng[labels == 0].sum())
        assert one.unseen == proportion(int(ng[-9:].sum()), 9)
    thresholds = [one.threshold for one in found]
    assert thresholds == sorted(set(thresholds))


@pytest.mark.parametrize("tested", [table([1.0, 2.0]), table([], [1.0, 2.0]), table([1.0], [1.0])])
def test_candidates_of_one_kind_or_one_score(tested: ImageTable) -> None:
    found = candidates(tested, measure(tested, CATCH, 1.5))
    assert found[-1].threshold > 1
    assert any("now" in one.rules for one in found)


@pytest.mark.parametrize("rule", [CATCH, REJECTS, COST], ids=str)
def test_a_point_is_read_as_it_was_written(rule: Rule, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    lots = rng.choice(["a", "b"], 55).tolist()
    tested = table(
        rng.normal(0, 1, 30).tolist(), rng.normal(1, 1, 20).tolist(), rng.normal(1, 1, 5).tolist(), lots
    )
    place = bundle(tmp_path / "x", tested)
    point = operating_point(tested, rule)
    container = Container(place)
    assert store_operating_point(container, point)
    assert read_operating_point(Container(place)) == point
    assert stored(place)["threshold"] == point.threshold
    assert not store_operating_point(Container(place), point)


@pytest.mark.parametrize("name", ["x.segad", "x.zip"])
def test_storing_changes_nothing_else_and_gives_the_same_bytes(name: str, tmp_path: Path) -> None:
    tested = spread(30, 30, 5, 5)
    one, other = (bundle(tmp_path / folder / name, tested) for folder in ("one", "other"))
    before = Container(one)
    old = {file: before.read(file) for file in before.manifest.files}
    before.close()
    for place in (one, other):
        container = Container(place)
        store_operating_point(container, operating_point(tested, COST))
        container.close()
    after = Container(one)
    after.verify()
    assert {file: after.read(file) for file in after.manifest.files if file != "operating.json"} == {
        file: data for file, data in old.items() if file != "operating.json"
    }
    assert after.read("operating.json") != old["operating.json"]
    assert [p.name for p in one.parent.iterdir()] == [name]
    files = [sorted(p for p in place.rglob("*") if p.is_file()) or [place] for place in (one, other)]
    assert [p.read_bytes() for p in files[0]] == [p.read_bytes() for p in files[1]]


def test_a_bundle_that_was_tampered_with_is_not_blessed(tmp_path: Path) -> None:
    tested = spread(30, 30)
    place = bundle(tmp_path / "x", tested)
    (place / "detectors" / "a.safetensors").write_bytes(b"another")
    store_operating_point(Container(place), operating_point(tested, COST))  # does not read it
    with pytest.raises(BundleError, match=r"a\.safetensors' has changed"):
        Container(place).verify()
    (place / "detectors" / "a.safetensors").write_bytes(b"of another size")
    with pytest.raises(BundleError, match=r"a\.safetensors' has changed"):
        store_operating_point(Container(place), operating_point(tested, CATCH))
    assert stored(place)["rule"]["kind"] == "cost"


def test_images_that_were_taught_since_are_left_out(tmp_path: Path) -> None:
    tested = table([0.0, 1.0, 2.0], [3.0, 4.0])
    learnt = ImageTable(tested.images[:1], tested.features[:1], tested.scores[:1])
    assert learnt.images[0].digest == digest(0)
    found = calibration_table(Container(bundle(tmp_path / "x", tested, learnt)))
    assert found.learnt == 1
    assert found.table.scores.tolist() == [1, 2, 3, 4]
    assert [one.id for one in found.table.images] == ["1.png", "2.png", "3.png", "4.png"]


GOOD: dict[str, Any] = json.loads(operating_json(operating_point(spread(5, 5), COST)))
DAMAGES: dict[str, Any] = {
    "no JSON": b"{",
    "no object": b"[]",
    "empty": b"",
    "no text": b"\xff\xfe",
    "too deep": b"[" * 100_000,
    "a threshold that is not a number": {**GOOD, "threshold": float("nan")},
    "an infinite threshold": {**GOOD, "threshold": float("inf")},
    "a threshold in words": {**GOOD, "threshold": "0.5"},
    "no threshold": {key: value for key, value in GOOD.items() if key != "threshold"},
    "a key too many": {**GOOD, "code": "import os"},
    "a key twice": json.dumps(GOOD).replace("{", '{"threshold": 1.0, ', 1).encode(),
    "an unknown rule": {**GOOD, "rule": {"kind": "exec"}},
    "half a rule": {**GOOD, "rule": {"kind": "cost", "miss": 3}},
    "more caught than there are": {**GOOD, "caught": {"count": 6, "of": 5, "low": 0, "high": 1}},
    "an interval upside down": {**GOOD, "caught": {"count": 5, "of": 5, "low": 0.5, "high": 0.1}},
}


@pytest.mark.parametrize("name", DAMAGES)
def test_what_is_no_operating_point_is_refused(name: str, tmp_path: Path) -> None:
    """Of a bundle whose digests agree: whoever made it may mean harm."""
    place = bundle(tmp_path / "x", spread(5, 5))
    damage = DAMAGES[name]
    data = damage if isinstance(damage, bytes) else json.dumps(damage).encode()
    container = Container(place)
    (place / "operating.json").write_bytes(data)
    facts = FileFacts(sha256=bytes_digest(data), size=len(data))
    container.manifest.files["operating.json"] = facts
    with pytest.raises(BundleError, match=r"'operating\.json' is not"):
        read_operating_point(container)
