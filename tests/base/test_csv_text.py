"""Cells of CSV: text that looks like a formula is neutral, and can be read back exactly."""

from __future__ import annotations

import csv
import io
import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segad_core.base.csv_text import csv_text, neutral, original


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "'=1", "''-1"]
)
def test_what_runs_as_a_formula_is_written_behind_an_apostrophe(text: str) -> None:
    assert neutral(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "a", "a=b", "part-1.png", "'quoted'", "./-x.png", "1+1", " =1"])
def test_other_text_stays_as_it_is(text: str) -> None:
    assert neutral(text) == text


def test_a_cell_that_begins_at_a_semicolon_is_neutral_too() -> None:
    """Where the comma is the decimal sign, semicolons part cells, quoted or not."""
    assert neutral("part;=cmd|' /C calc'!A0") == "part;'=cmd|' /C calc'!A0"
    assert neutral("-1;'@a; -b") == "'-1;''@a; -b"


@given(st.text(st.sampled_from("'=+-@a\t;"), max_size=6))
def test_text_is_read_back_exactly(text: str) -> None:
    assert original(neutral(text)) == text
    assert not neutral(text).startswith(("=", "+", "-", "@", "\t"))
    assert not re.search(r";[=+@\t-]", neutral(text))


def test_numbers_are_numbers_and_none_is_empty() -> None:
    text = csv_text([("image", "score"), ("=cmd|' /C calc'!A0", -0.1), ("-5", None), ('a"b,c', 3)])
    assert list(csv.reader(io.StringIO(text))) == [
        ["image", "score"],
        ["'=cmd|' /C calc'!A0", "-0.1"],
        ["'-5", ""],
        ['a"b,c', "3"],
    ]


def test_a_number_keeps_its_digits() -> None:
    assert csv_text([(1e-7, 0.1 + 0.2, Decimal("0.5000"), Decimal("-0.1000"), 7)]) == (
        "1e-07,0.30000000000000004,0.5000,-0.1000,7\n"
    )
