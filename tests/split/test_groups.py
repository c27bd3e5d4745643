"""Groups: what stays together under each setting of `split.group`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from segad_core.base.notes import Notes
from segad_core.contracts import Sample
from segad_core.errors import RecipeError
from segad_core.images import Facts, Inventory
from segad_core.recipe.split_spec import Group, SplitSpec
from segad_core.split.draw import Split
from segad_core.split.groups import Groups, find_groups, report_divided

PARTS = {"a": ("1", "x"), "b": ("1", ""), "c": ("2", "x"), "d": ("2", ""), "e": ("", "y"), "f": ("", "")}
"""Lot and serial of each image: part x was seen in two lots."""


def inventory(parts: Mapping[str, tuple[str, str]], copies: Mapping[str, str] | None = None) -> Inventory:
    samples = [Sample(i, Path(i), 0, group=lot, serial=serial) for i, (lot, serial) in parts.items()]
    shown = {i: (copies or {}).get(i, i) for i in parts}
    return Inventory(samples, {i: Facts(i, shown[i], scaled=False, size=(8, 8)) for i in parts})


def found(wanted: Group, of: Inventory) -> Groups | None:
    return find_groups(wanted, "nuts", of, Notes())


def together(groups: Groups | None) -> set[str]:
    assert groups is not None
    parts: dict[int, str] = {}
    for image, number in groups.of.items():
        parts[number] = parts.get(number, "") + image
    return set(parts.values())


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (None, {"abcd", "e", "f"}),  # lots 1 and 2 share a part
        (True, {"abcd", "e", "f"}),
        ("lot", {"abcd", "e", "f"}),
        ("serial", {"ac", "b", "d", "e", "f"}),
    ],
)
def test_what_stays_together(wanted: Group, expected: set[str]) -> None:
    assert together(found(wanted, inventory(PARTS))) == expected
    assert found(False, inventory(PARTS)) is None


def test_exact_copies_stay_together_where_anything_does() -> None:
    assert together(found("serial", inventory(PARTS, copies={"f": "d"}))) == {"ac", "b", "df", "e"}


def test_without_names_nothing_stays_together() -> None:
    nameless = inventory({"a": ("", ""), "b": ("", "")}, copies={"b": "a"})
    assert found(None, nameless) is None
    for wanted, words in ((True, "neither lots nor serials"), ("lot", "no lot"), ("serial", "no serial")):
        with pytest.raises(RecipeError, match=f"{words} in category 'nuts'") as caught:
            found(wanted, nameless)  # type: ignore[arg-type]
        assert "split.group: false" in caught.value.remedy


def test_lots_are_wanted_and_only_serials_named() -> None:
    with pytest.raises(RecipeError, match="no lot"):
        found("lot", inventory({"a": ("", "x"), "b": ("", "x")}))
    with pytest.raises(RecipeError, match="no serial"):
        found("serial", inventory({"a": ("1", ""), "b": ("2", "")}))


def test_doubtful_images_connect_nothing() -> None:
    samples = [
        Sample("a", Path("a"), 0, group="1"),
        Sample("b", Path("b"), 1, group="2"),
        Sample("c", Path("c"), None, group="1", serial="x"),
        Sample("d", Path("d"), None, group="2", serial="x"),
    ]
    facts = {s.id: Facts(s.id, s.id, scaled=False, size=(8, 8)) for s in samples}
    assert together(found(None, Inventory(samples, facts))) == {"a", "b"}


def test_one_lot_for_all_images_is_told_and_keeps_nothing_together() -> None:
    one, notes = inventory({"a": ("7", ""), "b": ("7", "")}), Notes()
    assert find_groups(None, "nuts", one, notes) is None
    assert len(notes.sentences) == 1 and "category 'nuts'" in notes.sentences[0]
    assert together(found(True, one)) == {"ab"}


def test_numbers_and_words() -> None:
    groups = found(True, inventory(PARTS))
    assert groups is not None
    assert groups.numbers(["f", "c", "e", "a", "f"]) == (0, 1, 2, 1, 0)
    assert (groups.lots, groups.serials, groups.unnamed) == (2, 2, 1)
    assert groups.name(groups.of["e"]) == "serial 'y'"
    assert groups.name(groups.of["a"]) == "lot '1' and 2 more"
    assert str(groups) == "2 lots and 2 parts by serial number, kept together; 1 image has no group"
    serials = found("serial", inventory(PARTS))
    assert str(serials) == "2 parts by serial number, kept together; 3 images have no group"


@pytest.mark.parametrize("wanted", [True, False, "lot", "serial", None])
def test_the_recipe_takes_it(wanted: Group) -> None:
    assert SplitSpec.model_validate({"group": wanted}).group == wanted


@pytest.mark.parametrize("wanted", ["lots", 1, "yes"])
def test_the_recipe_takes_nothing_else(wanted: object) -> None:
    with pytest.raises(ValueError, match="group"):
        SplitSpec.model_validate({"group": wanted})


def split_of(detectors: str = "", final: str = "", test: str = "", unused: str = "") -> Split:
    return Split(tuple(detectors), tuple(final), tuple(test), (), tuple(unused))


def test_groups_that_serve_two_purposes_are_told() -> None:
    lots = {"a": ("1", ""), "b": ("1", ""), "c": ("2", ""), "d": ("2", ""), "e": ("3", ""), "f": ("3", "")}
    groups = found("lot", inventory(lots))
    assert groups is not None

    def told(*splits: Split, from_test: bool = False) -> list[str]:
        notes = Notes()
        report_divided("nuts", groups, splits, from_test, notes)
        return notes.sentences

    assert told(split_of("ab", "cd", "ef")) == []
    (leak,) = told(split_of("a", "cd", "bef"), split_of("ab", "c", "def"))
    assert "category 'nuts': 2 groups" in leak and "training and test" in leak and "lot '1'" in leak
    (leak,) = told(split_of("", "abc", "def"))
    assert "1 group has" in leak and "lot '2'" in leak
    (shared,) = told(split_of("ac", "bd", "ef"))
    assert "2 groups" in shared and "detectors and the final classifier" in shared
    assert told(split_of("ab", "c", "ef", unused="d")) == []
    (left,) = told(split_of("ab", "c", "ef", unused="d"), from_test=True)
    assert "1 image is not tested" in left


def test_parts_stay_together_where_one_lot_holds_all() -> None:
    """Before, nothing was kept together then, and each part stood in training and test."""
    parts = {"a": ("1", "x"), "b": ("1", "x"), "c": ("1", "y"), "d": ("1", "y")}
    notes = Notes()
    groups = find_groups(None, "nuts", inventory(parts), notes)
    assert together(groups) == {"ab", "cd"}
    assert groups is not None and (groups.lots, groups.serials) == (0, 2)
    assert "only parts" in notes.sentences[0]
    assert found("lot", inventory(parts)) is not None  # as asked
