"""JSON from untrusted sources: duplicate keys and numbers that are not finite are rejected."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any


def read_json(path: Path, largest: int) -> Any:
    """The content of a JSON file of at most `largest` bytes.

    Raises:
        OSError: it cannot be read.
        ValueError: it is larger, or `parse_json` rejects it.
    """
    with path.open("rb") as file:
        data = file.read(largest + 1)
    if len(data) > largest:
        raise ValueError(f"it is larger than {largest / 2**20:g} MiB")
    return parse_json(data)


def parse_json(data: bytes) -> Any:
    """The value of JSON in UTF-8, with or without a byte order mark.

    Raises:
        ValueError: it is not JSON, is nested too deeply, gives a key twice (Python would silently keep the
            last), or has a number that is not finite.
    """
    try:
        return json.loads(
            data.decode("utf-8-sig"), object_pairs_hook=_unique, parse_constant=_finite, parse_float=_finite
        )
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


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
