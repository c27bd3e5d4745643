"""Text from elsewhere, made fit for a line, for a log and for Markdown."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segad_core.base.text import (
    LineFormatter,
    in_one_line,
    listed,
    markdown,
    percent,
    printable,
    quoted,
    reason,
)
from segad_core.errors import RecipeError, SegadError, UsageError

EVIL = "x\x1b]0;pwn\x07\n\r\x9b\u202e\u2028\udcff|<b>"


@given(st.text())
def test_one_line_is_one_printable_line(text: str) -> None:
    assert in_one_line(text).isprintable()
    assert printable(text).split("\n") == [in_one_line(line) for line in text.split("\n")]
    assert in_one_line(in_one_line(text)) == in_one_line(text)


def test_sound_text_stays_as_it_is() -> None:
    text = "Prüfung 検査 ± 5 µm \\x1b"
    assert in_one_line(text) == printable(text) == markdown(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<img src=x onerror=alert(1)>", "&lt;img src=x onerror=alert(1)&gt;"),
        ("&lt;b&gt;", "&amp;lt;b&amp;gt;"),
        ("![pixel](https://example.org/1.png)", r"![pixel]\(https://example.org/1.png)"),
        ("two\n# lines", r"two\x0a# lines"),
    ],
)
def test_markdown_runs_nothing(text: str, expected: str) -> None:
    assert markdown(text) == expected


def test_an_error_is_a_line_for_each_problem_and_one_for_the_remedy() -> None:
    assert str(SegadError("a\nerror: b", "c\r\nd")) == "a\\x0aerror: b\n  c\\x0d\n  | d"
    assert str(RecipeError(["a\x1b", "b"], "c")) == "a\\x1b\nb\n  c"
    assert UsageError(["a", "b"]).what == "a\nb"
    assert RecipeError(["a", "b."], "C.").sentence() == "a; b. C."


def test_a_reason_is_one_line_whatever_the_message() -> None:
    assert reason(ValueError("a\n  b\x1b")) == "ValueError: a b\\x1b"
    assert reason(SegadError(EVIL)).isprintable()


def test_rates_in_words() -> None:
    words = {0: "0%", 1: "100%", 0.812: "81.2%", 0.002: "0.20%", 0.00024: "0.024%", 0.9996: "99.960%"}
    words |= {1e-6: "0.0001%", 4e-7: "< 0.0001%", 1 - 4e-7: "> 99.9999%"}
    assert {share: percent(share) for share in words} == words


def test_many_words_are_cut_off_with_their_number() -> None:
    assert listed([]) == ""
    assert listed(quoted("abcde")) == "'a', 'b', 'c', 'd', 'e'"
    assert listed({"a": 1, "b": 2}) == listed(iter("ab")) == "a, b"
    assert listed("abcdefg") == "a, b, c, d, e and 2 more"
    assert listed(quoted(["a\n", "b", "c"]), 2, between="; ") == "'a\\x0a'; 'b'; and 1 more"


def test_a_log_record_is_one_line_and_its_traceback_follows() -> None:
    formatter = LineFormatter("%(levelname)s %(message)s")
    record = logging.makeLogRecord({"levelname": "INFO", "msg": "a %s", "args": (EVIL,)})
    assert (
        formatter.format(record).startswith("INFO a x\\x1b]0;pwn") and formatter.format(record).isprintable()
    )
    try:
        raise ValueError(EVIL)
    except ValueError as error:
        record.exc_info = (ValueError, error, error.__traceback__)
    assert all(line.isprintable() for line in formatter.format(record).split("\n"))
