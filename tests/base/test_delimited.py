"""Tables of text: whatever spreadsheets write is read alike, and faults name their line."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segad_core.base.delimited import SEPARATORS, parse_delimited

VALUES = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=5)


@given(
    rows=st.lists(st.tuples(VALUES, VALUES), max_size=4),
    separator=st.sampled_from(SEPARATORS),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    end=st.sampled_from(["\n", "\r\n"]),
    told=st.booleans(),
)
def test_all_forms_give_the_same_rows(
    rows: list[tuple[str, str]], separator: str, encoding: str, end: str, told: bool
) -> None:
    text = io.StringIO()
    csv.writer(text, delimiter=separator, lineterminator=end).writerows([("Path", "label"), *rows, ("", "")])
    data = (f"sep={separator}{end}" * told + text.getvalue()).encode(encoding)
    columns, found = parse_delimited(data, "path")
    assert columns == ["Path", "label"]
    assert found == [
        (number, {"Path": one, "label": other}) for number, (one, other) in enumerate(rows, start=2 + told)
    ]


def test_the_needed_column_decides_between_separators() -> None:
    """Other names may hold more of another separator."""
    assert parse_delimited(b"path;a,b,c,d\n1;2\n", "PATH") == (
        ["path", "a,b,c,d"],
        [(2, {"path": "1", "a,b,c,d": "2"})],
    )


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"a,b\n1,2\n1,2,3\n", "line 3 has 3 values, and there are 2 columns"),
        (b"sep=,\na,b\n1\n", "line 3 has 1 values, and there are 2 columns"),
        (b'sep=,\na,b\n1,"2\n', "line 3"),
        (b"a,b,a\n", "two columns are called 'a'"),
        (b"a,b\n\0,1\n", "NUL"),
        ("ä,b\n".encode("cp1252"), "utf-8"),
    ],
)
def test_faults_name_their_line(data: bytes, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        parse_delimited(data, "a")
