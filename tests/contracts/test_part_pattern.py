"""Patterns find the part in a path, wherever the images lie."""

import pytest

from segad_core.contracts import PartName, PartPattern

PATTERN = PartPattern(r"(?P<serial>[A-Z]+\d+)_(?P<view>[A-Z])")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("SN1_A.png", ("SN1", "A", "")),
        ("/old/XX9_Z/lot7/SN1_A.png", ("SN1", "A", "")),  # a folder above is no part
        ("C:\\old\\XX9_Z\\SN1_A.png", ("SN1", "A", "")),
        ("SN1_A/0001.png", ("SN1", "A", "")),
        ("SN1.png", None),
    ],
)
def test_the_shortest_end_of_a_path_counts(path: str, expected: tuple[str, str, str] | None) -> None:
    assert PATTERN.find_at_end(path) == (expected and PartName(*expected))


def test_the_whole_path_is_searched_from_its_start() -> None:
    assert PATTERN.find("XX9_Z/SN1_A.png") == PartName("XX9", "Z", "")


def test_a_lot_may_be_missing_and_a_view_may_not() -> None:
    pattern = PartPattern(r"((?P<lot>L\d)/)?(?P<serial>SN\d+)(_(?P<view>[A-Z]))?")
    assert pattern.find("SN1_A.png") == PartName("SN1", "A", "")
    assert pattern.find("L2/SN1_A.png") == PartName("SN1", "A", "L2")
    assert pattern.find("L2/SN1.png") is None
    assert PartPattern(r"(?P<serial>SN\d+)").find("SN1.png") == PartName("SN1", "", "")


def test_a_group_that_nothing_reads_is_a_slip_except_in_a_bundle() -> None:
    text = r"(?P<serial>SN\d+)_(?P<vieww>[A-Z])"
    with pytest.raises(ValueError, match=r"'vieww'.*serial, view, lot"):
        PartPattern(text)
    assert PartPattern(text, lenient=True).find("SN1_A.png") == PartName("SN1", "", "")
    assert PartPattern(r"(?P<serial>SN\d+)_([A-Z])").find("SN1_A.png") == PartName("SN1", "", "")


@pytest.mark.parametrize("text", ["SN", "(?P<view>A)", "(?P<serial>"])
def test_a_pattern_without_a_serial_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"serial|regular expression"):
        PartPattern(text)
