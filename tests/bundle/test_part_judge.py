"""From inspections of images to verdicts on parts: worked out by hand, without a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segad_core.bundle.runtime import part_judge
from segad_core.bundle.runtime.part_judge import LATER, PartInspection, PartJudge
from segad_core.bundle.runtime.part_names import PartNames
from segad_core.bundle.runtime.prediction import Contribution, Inspection, Prediction
from segad_core.bundle.runtime.regions import DefectRegion
from segad_core.operate.image_table import Image, ImageTable
from segad_core.operate.parts import PartRule, by_part, without_parts
from segad_core.tools.results.lines import columns_of, line_of

THRESHOLD = 5.0


def rule(views: str = "AB", missing: str = "unknown") -> PartRule:
    return PartRule(
        pattern=r"(?P<serial>S\d)_(?P<view>[A-Z])",
        views=list(views),
        verdict="worst",
        missing=missing,  # type: ignore[arg-type]
    )


def seen(path: str, score: float | None, doubt: str = "") -> Inspection:
    reason = "torn" if score is None else "hot" * (score >= THRESHOLD)
    verdict = "UNKNOWN" if score is None or doubt else "NG" if reason else "OK"
    given = (Contribution("wires", "d", "mean", 1.0, 2.0),) if score is not None else ()
    return Inspection(Prediction(path, verdict, score, reason, given), doubt=doubt)


def judged(
    images: Sequence[Inspection], expected: dict[str, int] | None = None, **given: str
) -> list[PartInspection]:
    judge = PartJudge(rule(**given), THRESHOLD, expected)
    return [part for one in images for part in judge.take(one)] + list(judge.rest())


@pytest.mark.parametrize(
    ("scores", "given", "verdict", "score", "words"),
    [
        ({"A": 1.0, "B": 2.0}, {}, "OK", 2.0, ""),
        ({"A": 9.0, "B": 2.0}, {}, "NG", 9.0, "view A: hot"),
        ({"B": 9.0, "A": 2.0}, {}, "NG", 9.0, "view B: hot"),
        ({"A": 5.0, "B": 2.0}, {}, "NG", 5.0, "view A"),  # at the threshold
        ({"A": 1.0}, {}, "UNKNOWN", None, "view B is missing"),
        ({"C": 1.0}, {"views": "ABC"}, "UNKNOWN", None, "views A, B are missing"),
        ({"A": 9.0}, {}, "NG", 9.0, "view A: hot; view B is missing"),  # no other view could help
        ({"A": 1.0}, {"missing": "allow"}, "OK", 1.0, ""),
        ({"A": 1.0, "B": None}, {}, "UNKNOWN", None, "view B: torn"),
        ({"A": 9.0, "B": None}, {}, "NG", 9.0, "view A: hot; view B: torn"),
        ({"A": 1.0, "B": None}, {"missing": "allow"}, "UNKNOWN", None, "view B: torn"),  # it is there
        ({"A": None, "B": None}, {}, "UNKNOWN", None, "view A: torn; view B: torn"),
    ],
)
def test_the_worst_view_decides_and_nothing_else_makes_it_ok(
    scores: dict[str, float | None], given: dict[str, str], verdict: str, score: float | None, words: str
) -> None:
    (part,) = judged([seen(f"x/S1_{view}.png", one) for view, one in scores.items()], **given)
    found = part.prediction
    assert (found.image, found.verdict, found.score) == ("S1", verdict, score)
    assert found.reason.startswith(words) and bool(found.reason) == bool(words)
    if score is not None:
        worst = max(scores, key=lambda view: scores[view] or 0)
        assert [one.view for one in found.contributions] == [worst]
        assert str(found.contributions[0]) == f"view {worst}, wires, d mean, +2.00"


def test_a_doubtful_view_is_unknown_and_keeps_its_score() -> None:
    (part,) = judged([seen("S1_A.png", 1.0), seen("S1_B.png", 2.0, doubt="shifted")])
    assert (part.prediction.verdict, part.prediction.score) == ("UNKNOWN", 2.0)
    assert part.prediction.reason == "view B: shifted"
    (part,) = judged([seen("S1_A.png", 9.0), seen("S1_B.png", 2.0, doubt="shifted")])
    assert (part.prediction.verdict, part.prediction.reason) == ("NG", "view A: hot; view B: shifted")


def test_parts_end_as_soon_as_they_are_complete_and_the_others_at_the_end() -> None:
    images = [seen(f"{name}.png", 1.0) for name in ("S1_A", "S2_A", "S2_B", "S3_B", "S1_B")]
    judge, order = PartJudge(rule(), THRESHOLD), []
    for number, one in enumerate(images):
        order += [(number, part.prediction.image) for part in judge.take(one)]
    assert order == [(2, "S2"), (4, "S1")]
    assert [part.prediction.image for part in judge.rest()] == ["S3"]


def test_where_it_is_known_how_many_images_come_all_of_them_count() -> None:
    images = [seen("S1_A.png", 1.0), seen("S1_B.png", 2.0), seen("again/S1_A.png", 9.0)]
    (part,) = judged(images, {"S1": 3})
    assert part.prediction.verdict == "NG"
    assert part.prediction.reason == "again/S1_A.png: hot"  # there are two of view A
    assert [p.prediction.verdict for p in judged(images)] == ["OK"]


def test_a_part_whose_images_are_all_there_does_not_wait_for_the_end() -> None:
    judge = PartJudge(rule(), THRESHOLD, {"S1": 1, "S2": 2})
    (part,) = judge.take(seen("S1_A.png", 1.0))
    assert part.prediction.reason == "view B is missing"
    assert [*judge.take(seen("S2_B.png", 1.0))] == []
    assert [one.prediction.verdict for one in judge.take(seen("S2_A.png", 1.0))] == ["OK"]
    assert [*judge.rest()] == []


def test_views_without_names_are_those_that_come() -> None:
    judge = PartJudge(
        PartRule(pattern=r"(?P<serial>S\d)", views=[], verdict="worst", missing="unknown"), THRESHOLD
    )
    assert [*judge.take(seen("S1_left.png", 9.0)), *judge.take(seen("S1_right.png", 1.0))] == []
    (part,) = judge.rest()
    assert (part.prediction.verdict, part.prediction.reason) == ("NG", "S1_left.png: hot")


def piped(names: Sequence[str], views: str = "AB") -> tuple[list[tuple[int, str, str]], list[str], PartJudge]:
    """When each part was judged, and how; the images that came too late; and the judge."""
    late = list[str]()
    pattern = r"(?P<serial>S\d+)_(?P<view>[A-Z])" if views else r"(?P<serial>S\d+)"
    own = PartRule(pattern=pattern, views=list(views), verdict="worst", missing="unknown")
    judge = PartJudge(
        own, THRESHOLD, late=lambda one, serial: late.append(f"{serial} {one.prediction.image}")
    )
    found = [
        (number, part.prediction.image, part.prediction.verdict)
        for number, name in enumerate(names)
        for part in judge.take(seen(name, 1.0))
    ]
    return found, late, judge


@pytest.mark.parametrize(("views", "verdict"), [("AB", "UNKNOWN"), ("", "OK")])
def test_a_line_never_ends_so_a_part_is_judged_once_enough_others_have_begun(
    views: str, verdict: str
) -> None:
    found, late, judge = piped([f"S{i}_A" for i in range(LATER + 3)], views)
    assert found == [(LATER + i, f"S{i}", verdict) for i in range(3)] and not late
    assert [part.prediction.image for part in judge.rest()] == [f"S{i}" for i in range(3, LATER + 3)]


def test_where_it_is_known_what_comes_no_part_is_judged_too_early() -> None:
    names = [f"S{i}_A" for i in range(LATER + 3)]
    pattern = PartRule(
        pattern=r"(?P<serial>S\d+)_(?P<view>[A-Z])", views=["A", "B"], missing="unknown", verdict="worst"
    )
    judge = PartJudge(pattern, THRESHOLD, {f"S{i}": 2 for i in range(LATER + 3)})
    assert not [part for name in names for part in judge.take(seen(name, 1.0))]
    assert [part.prediction.verdict for part in judge.take(seen("S0_B", 1.0))] == ["OK"]


def test_an_image_after_the_verdict_makes_no_second_part() -> None:
    found, late, judge = piped(["S1_A", "S1_B", "S1_A", "S2_B"])
    assert (found, late) == ([(1, "S1", "OK")], ["S1 S1_A"])
    assert [part.prediction.image for part in judge.rest()] == ["S2"]


def test_memory_of_parts_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part_judge, "REMEMBERED", 2)
    pairs = [f"S{i}_{view}" for i in range(4) for view in "AB"]
    _, late, judge = piped([*pairs, "S3_A", "S2_A", "S1_A"])
    assert late == ["S3 S3_A", "S2 S2_A"]
    assert [part.prediction.image for part in judge.rest()] == ["S1"]


@pytest.mark.parametrize(("path", "word"), [("scan.png", "names no part"), ("S1_C.png", "knows A, B")])
def test_a_path_of_no_part_is_unknown_itself(path: str, word: str) -> None:
    strange, part = judged([seen(path, 1.0), seen("S1_A.png", 1.0), seen("S1_B.png", 1.0)])
    assert (strange.prediction.image, strange.prediction.verdict, strange.prediction.score) == (
        path,
        "UNKNOWN",
        None,
    )
    assert word in strange.prediction.reason
    assert part.prediction.verdict == "OK"


def test_paths_are_grouped_in_the_order_of_first_appearance() -> None:
    names = PartNames(rule())
    paths = ["b/S2_A.png", "S1_A.png", "x.png", "a/S2_B.png"]
    assert names.grouped(paths) == {
        "S2": ["b/S2_A.png", "a/S2_B.png"],
        "S1": ["S1_A.png"],
        "x.png": ["x.png"],
    }


def test_pictures_have_the_verdict_on_the_part_and_their_own_contributions() -> None:
    (part,) = judged([seen("S1_A.png", 9.0), seen("S1_B.png", 2.0)])
    pictures = list(part.pictures())
    assert [p.prediction.image for p in pictures] == ["S1_A.png", "S1_B.png"]
    assert [p.prediction.verdict for p in pictures] == ["NG", "NG"]
    assert [len(p.prediction.contributions) for p in pictures] == [1, 1]


LINES = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 1), st.integers(-9, 9)), min_size=1, max_size=20)


@given(LINES)
def test_a_table_of_parts_is_that_of_their_worst_images(lines: list[tuple[int, int, int]]) -> None:
    import numpy as np

    images = [
        Image(id=f"i{i}", digest=f"{i:064x}", label=label, serial=str(serial))
        for i, (serial, label, _) in enumerate(lines)
    ]
    scores = np.array([float(score) for _, _, score in lines])
    table = ImageTable(images, scores[:, None] * 2, scores)
    found = by_part(table)
    expected: dict[str, list[int]] = {}
    for serial, label, score in lines:
        own = expected.setdefault(str(serial), [0, -10])
        own[0], own[1] = max(own[0], label), max(own[1], score)
    assert {i.id: [i.label, int(s)] for i, s in zip(found.images, found.scores, strict=True)} == expected
    assert [i.id for i in found.images] == list(expected)
    assert (found.features[:, 0] == found.scores * 2).all() and found.unit == "part"
    assert by_part(found).images == found.images
    left = without_parts(table, images[:1])
    assert {i.serial for i in left.images} == set(expected) - {images[0].serial}


def test_a_part_has_the_regions_of_all_its_views_that_are_ng() -> None:
    where = DefectRegion("wires", "d", 1, 2, 3, 4, 12)

    def spotted(path: str, score: float) -> Inspection:
        one = seen(path, score)
        return replace(one, prediction=replace(one.prediction, regions=(where,)))

    (part,) = judged([spotted("S1_A.png", 6.0), seen("S1_B.png", 1.0), spotted("S1_C.png", 9.0)], views="ABC")
    assert part.prediction.regions == (replace(where, view="A"), replace(where, view="C"))
    assert str(part.prediction.regions[0]) == "view A, wires: 3 x 4 at x 1, y 2, 12 px"
    ok = line_of(seen("S2_A.png", 1.0).prediction, columns_of(True, False), "", as_text=False)
    assert ok["regions"] == []
    line = line_of(part.prediction, columns_of(True, False), "", as_text=False)
    assert [one["view"] for one in line["regions"]] == ["A", "C"]
