"""JSON from untrusted sources: duplicate keys and numbers that are not finite are rejected."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from segad_core.base.resources import guarded
from segad_core.base.text import size_words

MOST_MEMORY = 1 << 30
"""Limit on the memory that a value may take, estimated before anything is parsed."""
_COSTS = {b"{": 112, b"[": 104, b":": 170, b'"': 32, b",": 44}
"""Bytes of memory at most for each of these: objects of CPython and what parsing them takes for a moment.

A comma stands for a number and its place in a list, a colon for an entry of a dictionary and its key.
"""


def read_json(path: Path, largest: int) -> Any:
    """The content of a JSON file of at most `largest` bytes.

    Raises:
        ResourceError: the machine failed while it was read.
        OSError: it cannot be read for another reason.
        ValueError: it is larger, or `parse_json` rejects it.
    """
    with guarded(f"reading {path}"), path.open("rb") as file:
        data = file.read(largest + 1)
    if len(data) > largest:
        raise ValueError(f"it is larger than {largest / 2**20:g} MiB")
    return parse_json(data)


def parse_json(data: bytes) -> Any:
    """The value of JSON in UTF-8, with or without a byte order mark.

    Raises:
        ValueError: it is not JSON, is nested too deeply, would take more than `MOST_MEMORY`, gives a key
            twice (Python would silently keep the last), or has a number that is not finite.
    """
    if (memory := memory_of(data)) > MOST_MEMORY:
        raise ValueError(
            f"it would take up to {size_words(memory)} of memory, more than the limit of "
            f"{size_words(MOST_MEMORY)}"
        )
    try:
        return json.loads(
            data.decode("utf-8-sig"), object_pairs_hook=_unique, parse_constant=_finite, parse_float=_finite
        )
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def memory_of(data: bytes) -> int:
    """How many bytes the value of JSON may take in memory, while it is parsed and afterwards."""
    wide = 1 if data.isascii() else 4  # of a text, the widest character decides
    strings = 4 if b"\\u" in data else wide
    return len(data) * (wide + strings) + sum(data.count(sign) * cost for sign, cost in _COSTS.items())


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique: dict[str, Any] = {}
    for key, value in pairs:
        if key in unique:
            raise ValueError(f"the key '{key}' is given twice")
        unique[key] = value
    return unique


def _finite(word: str) -> float:
    number = float(word)
    if not math.isfinite(number):
        raise ValueError(f"{word} is not a finite number")
    return number
