"""JSON of others: what is sound is read as Python reads it, what is doubtful is refused."""

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segad_core.base.json_file import memory_of, parse_json, read_json

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


BOMBS = {
    "objects": b"{},",
    "lists": b"[],",
    "texts": b'"",',
    "short texts": b'"ab",',
    "deep objects": b'{"":',
    "deep lists": b"[",
    "keys": b'"a":1,',
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_what_would_take_too_much_memory_is_not_parsed(bomb: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json, "loads", lambda *_, **__: pytest.fail("it is parsed"))
    with pytest.raises(ValueError, match=r"of memory, more than the limit of 1\.0 GiB"):
        parse_json(b"[" + bomb * (48 * 2**20 // len(bomb)))


def test_one_wide_character_makes_a_text_four_times_as_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segad_core.base.json_file.MOST_MEMORY", 5000)
    assert parse_json(b'["' + b"a" * 2000 + b'"]')
    for character in (b"\xf0\x9f\x98\x80", rb"\ud83d\ude00"):
        with pytest.raises(ValueError, match="of memory, more than the limit"):
            parse_json(b'["' + character + b"a" * 2000 + b'"]')


VALUES: dict[str, Callable[[int], str]] = {
    "objects": lambda i: "{}",
    "lists": lambda i: "[]",
    "texts": lambda i: f'"{i:x}"',
    "wide texts": lambda i: f'"\U0001f600{i}"',
    "escaped texts": lambda i: rf'"\ud83d\ude00{i}"',
    "numbers": lambda i: f"{i}.5",
    "integers": lambda i: str(1000 + i),
    "huge integers": lambda i: str(10**40 + i),
    "objects of one": lambda i: f'{{"k{i}":{i}.5}}',
    "lists of one": lambda i: f"[{i}.5]",
    "lists of lists": lambda i: f"[[{i}.5]]",
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_memory_is_never_estimated_too_low(value: Callable[[int], str]) -> None:
    for count in (2800, 5600, 11000):  # the tables of dictionaries grow in steps
        whole = "[" + ",".join(map(value, range(count))) + "]"
        named = "{" + ",".join(f'"{i}":{value(i)}' for i in range(count)) + "}"
        for text in (whole, named):
            data = text.encode()
            tracemalloc.start()
            parse_json(data)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert peak <= memory_of(data) <= 12 * peak + 1e6


def test_a_file_is_read_no_further_than_is_sensible(tmp_path: Path) -> None:
    path = tmp_path / "some.json"
    path.write_bytes(b"[1, 2]")
    assert read_json(path, 6) == [1, 2]
    with pytest.raises(ValueError, match=r"it is larger than 4\.76837e-06 MiB"):
        read_json(path, 5)
    with pytest.raises(OSError, match="No such file"):
        read_json(tmp_path / "none.json", 6)
