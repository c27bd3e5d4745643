"""JSON that others may have written: what has two meanings, or none that is a number, is refused."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any


def read_json(path: Path, largest: int) -> Any:
    """What a JSON file holds; no more than `largest` bytes are read of it.

    Raises:
        OSError: it cannot be read.
        ValueError: it is larger, or `parse_json` refuses it.
    """
    with path.open("rb") as file:
        data = file.read(largest + 1)
    if len(data) > largest:
        raise ValueError(f"it has more than {largest / 2**20:g} MiB")
    return parse_json(data)


def parse_json(data: bytes) -> Any:
    """What JSON in UTF-8 means, with or without a byte order mark.

    Raises:
        ValueError: it is no JSON, too deep, gives a key twice (of which Python keeps the last without a
            word), or has a number that is not finite.
    """
    try:
        return json.loads(
            data.decode("utf-8-sig"), object_pairs_hook=_unique, parse_constant=_finite, parse_float=_finite
        )
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key '{key}' stands there twice")
        found[key] = value
    return found


def _finite(word: str) -> float:
    number = float(word)
    if not math.isfinite(number):
        raise ValueError(f"{word} is no finite number")
    return number
