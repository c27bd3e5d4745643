"""Parts: the images of one serial as one unit, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest

from segad_core.base.notes import Notes
from segad_core.contracts import Sample
from segad_core.errors import DataError, RecipeError
from segad_core.images import Facts, Inventory
from segad_core.recipe.parts_spec import PartsSpec
from segad_core.split.parts import Parts, find_parts, note_uncounted, with_views


def sample(name: str, label: Literal[0, 1] | None = 0, **changes: Any) -> Sample:
    """`1A` is view A of part 1."""
    given = {"serial": name[:1], "view": name[1:2], **changes}
    return Sample(name, Path(name), label, **given)


def parts_of(samples: list[Sample], lost: str = "", official: bool = False, **spec: Any) -> Parts:
    wanted = PartsSpec(**spec)
    kept, views = with_views(wanted, "nuts", samples, notes := Notes())
    readable = [s for s in kept if s.id not in lost.split()]
    inventory = Inventory(readable, {s.id: Facts(s.id, s.id, scaled=False, size=(8, 8)) for s in readable})
    found = find_parts(wanted, "nuts", kept, views, inventory, official, notes)
    told = filter(None, (found.lacking(), found.divided_by_lots(), found.with_views_again(), found.mixed()))
    expected = [f"category 'nuts': {one}" for one in told]
    assert [one for one in notes.sentences if "leaves out" not in one] == expected
    return found


def test_a_part_is_bad_if_any_image_is_and_then_doubtful_if_any_is() -> None:
    parts = parts_of(
        [
            *(sample("1A"), sample("1B", 1, defect="dent"), sample("1C", None)),
            *(sample("2A"), sample("2B", None, defect="stain"), sample("2C")),
            *(sample("3A"), sample("3B"), sample("3C")),
            *(
                sample("4A", 1, defect="dent, scratch", unseen=True),
                sample("4B", 1, defect="burr"),
                sample("4C"),
            ),
        ]
    )
    found = {serial: part.sample for serial, part in parts.by_serial.items()}
    assert {serial: s.label for serial, s in found.items()} == {"1": 1, "2": None, "3": 0, "4": 1}
    assert [s.defect for s in found.values()] == ["dent", "stain", "", "dent,scratch,burr"]
    assert [s.unseen for s in found.values()] == [False, False, False, True]
    assert parts.views == ("A", "B", "C")
    assert parts.mixed() == "2 of 2 bad parts have good images, too, and count as bad: 1, 4"
    assert str(parts) == "4 (1 good, 2 bad, 1 doubtful), views A, B, C"
    assert [s.label for s in parts.labelled(list(parts.by_serial["1"].images))] == [1, 1, 1]


def test_a_part_is_not_good_if_its_bad_image_cannot_be_read() -> None:
    samples = [sample("1A"), sample("1B", 1, defect="dent"), sample("2A"), sample("2B", None)]
    samples += [sample("3A"), sample("3B"), sample("4A", 1), sample("4B", 1)]
    found = parts_of(samples, lost="1B 2B 3B 4B", missing="allow").by_serial
    assert [part.sample.label for part in found.values()] == [None, None, 0, 1]
    assert [[image.id for image in part.images] for part in found.values()] == [
        ["1A"],
        ["2A"],
        ["3A"],
        ["4A"],
    ]


@pytest.mark.parametrize(("missing", "judged"), [("unknown", ["1"]), ("allow", ["1", "2", "3"])])
def test_a_part_lacks_the_views_that_are_not_there_or_cannot_be_read(missing: str, judged: list[str]) -> None:
    samples = [sample("1A"), sample("1B"), sample("2A"), sample("3A"), sample("3B")]
    parts = parts_of(samples, lost="3A", missing=missing)
    assert {s: p.missing for s, p in parts.by_serial.items()} == {"1": (), "2": ("B",), "3": ("A",)}
    assert [part.sample.id for part in parts.judged()] == judged
    assert parts.lacking().startswith("2 of 3 parts lack a view")
    assert parts.lacking().endswith("2 (B), 3 (A)")


def test_views_that_most_parts_lack_are_named_with_the_remedy() -> None:
    samples = [sample(f"{number}{view}") for number in range(1, 6) for view in "AB"]
    parts = parts_of([*samples, sample("1C")])
    assert len(parts.judged()) == 1
    assert "few have C" in parts.lacking()
    assert parts.lacking().endswith("parts.views: [A, B]")
    assert "few have" not in parts_of([*samples, *(sample(f"{n}C") for n in (1, 2, 3))]).lacking()


def test_a_view_that_the_recipe_does_not_list_is_left_out_with_a_count() -> None:
    samples = [sample(name) for name in ("1A", "1B", "1C", "2A", "2B")]
    parts = parts_of(samples, views=["B", "A"])
    assert parts.views == ("B", "A")
    assert [[s.id for s in part.images] for part in parts.by_serial.values()] == [["1B", "1A"], ["2B", "2A"]]
    notes = Notes()
    with_views(PartsSpec(views=["B", "A"]), "nuts", samples, notes)
    assert notes.sentences == ["category 'nuts': parts.views leaves out the images of other views: C (1)"]


def test_without_views_nothing_can_be_missing() -> None:
    parts = parts_of([sample("1"), sample("1 ", serial="1", view=""), sample("2")])
    assert (parts.views, parts.lacking()) == ((), "")
    assert "not named" in str(parts)


@pytest.mark.parametrize(
    ("samples", "spec", "words"),
    [
        ([sample("1A"), sample("x", serial="", view="A")], {}, ["1 of 2", "'x'", "serial"]),
        ([sample("1A"), sample("1")], {}, ["1 of 2", "'1'", "no view"]),
        ([sample("1"), sample("2")], {"views": ["A"]}, ["names no views"]),
        ([sample("1"), sample("2")], {"verdict": "together"}, ["names no views"]),
        ([sample("1A"), sample("2B")], {"views": ["A", "D", "E"]}, ["'D', 'E'", "A, B"]),
    ],
)
def test_data_that_names_no_parts_or_other_ones(samples: list[Sample], spec: Any, words: list[str]) -> None:
    with pytest.raises(RecipeError) as caught:
        parts_of(samples, **spec)
    assert all(word in f"{caught.value.what} {caught.value.remedy}" for word in words)


def test_a_part_that_the_official_split_divides_is_refused() -> None:
    samples = [sample("1A", split="train"), sample("1B", split="test"), sample("2A", split="test")]
    with pytest.raises(DataError) as caught:
        parts_of(samples, official=True, missing="allow")
    assert "1 of 2 parts" in caught.value.what and "'1'" in caught.value.what
    parts = parts_of(samples, missing="allow")  # drawn anew
    assert [part.sample.split for part in parts.by_serial.values()] == [None, "test"]


def test_two_images_of_a_view_are_no_vector() -> None:
    samples = [sample("1A"), sample("1A2", view="A"), sample("1B")]
    assert len(parts_of(samples).by_serial["1"].images) == 3
    with pytest.raises(DataError) as caught:
        parts_of(samples, verdict="together")
    assert "'1A', '1A2'" in caught.value.what and "view 'A'" in caught.value.what


def test_images_of_one_part_that_count_as_several_are_named() -> None:
    notes = Notes()
    note_uncounted("nuts", [sample("1A"), sample("2A"), sample("x", serial="")], notes)
    assert not notes.sentences
    note_uncounted("nuts", [sample("1A"), sample("2A"), sample("2B"), sample("3A")], notes)
    assert "1 of 3 parts" in notes.sentences[0] and "'2'" in notes.sentences[0]


def test_serials_that_may_be_of_several_parts_are_told() -> None:
    again = [sample(f"3{view}x", view=view) for view in "AAB"]
    again = [replace(one, id=f"3{i}") for i, one in enumerate(again)]
    lots = [
        sample("1A", group="x"),
        sample("1B", group="y"),
        sample("2A", group="x"),
        sample("2B", group="x"),
    ]
    found = parts_of([*lots, *again])
    assert found.divided_by_lots().startswith("1 of 3 serials, ")
    assert found.divided_by_lots().endswith(": 1 (lots x, y)")
    assert found.with_views_again().startswith("1 of 3 serials, ")
    assert found.with_views_again().endswith(": 3 (A: 2 images)")
    assert not found.mixed()
    assert not (plain := parts_of(lots[2:])).divided_by_lots() and not plain.with_views_again()
