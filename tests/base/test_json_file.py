"""JSON of others: what is sound is read as Python reads it, what is doubtful is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segad_core.base.json_file import parse_json, read_json

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
)


@given(value=PLAIN, escaped=st.booleans(), mark=st.booleans())
def test_what_was_written_is_read(value: Any, escaped: bool, mark: bool) -> None:
    text = json.dumps(value, ensure_ascii=escaped)
    assert parse_json(text.encode("utf-8-sig" if mark else "utf-8")) == value


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b'{"a": 1, "b": {"a": 2}, "a": 1}', "the key 'a' is given twice"),
        (b'[{"x": {"a": 2, "a": 3}}]', "the key 'a' is given twice"),
        (b"[NaN]", "NaN is not a finite number"),
        (b"-Infinity", "-Infinity is not a finite number"),
        (b"[1e999]", "1e999 is not a finite number"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a": ' * 100_000, "nested too deeply"),
        (b"1" * 100_000, "digits"),
        (b'["\xff"]', "can't decode byte 0xff"),
        (b"\xff\xfe[\x00]\x00", "can't decode byte 0xff"),
        (b"[1, 2", "Expecting"),
        (b"[1] 2", "Extra data"),
        (b"", "Expecting value"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_what_is_doubtful_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_json(data)


def test_a_file_is_read_no_further_than_is_sensible(tmp_path: Path) -> None:
    path = tmp_path / "some.json"
    path.write_bytes(b"[1, 2]")
    assert read_json(path, 6) == [1, 2]
    with pytest.raises(ValueError, match=r"it is larger than 4\.76837e-06 MiB"):
        read_json(path, 5)
    with pytest.raises(OSError, match="No such file"):
        read_json(tmp_path / "none.json", 6)
