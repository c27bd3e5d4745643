"""Predictions as lines of a file: CSV or JSON."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any, Protocol

from segad_core.base.csv_text import BOM, csv_text, original
from segad_core.base.text import in_one_line
from segad_core.bundle.runtime.prediction import Contribution, Prediction
from segad_core.bundle.runtime.regions import DefectRegion

COLUMNS = ("image", "verdict", "score", "reason", "bundle")
_MOST_CONTRIBUTIONS = 10
"""How many contributions are listed as text."""

_LIKE_AN_ESCAPE = re.compile(r"\\(?=x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8})")
"""A backslash in a name that reads as if it stood for another character."""

_SEMICOLON = r"\x3b"
"""Stands for a semicolon in a name among several; no name has this, as it reads as an escape."""

_MARK = BOM.encode()

Line = dict[str, Any]


def columns_of(regions: bool, explain: bool, parts: bool = False) -> tuple[str, ...]:
    """The columns of a file: with regions, contributions, and the images of parts, or without."""
    optional = {"regions": regions, "contributions": explain, "images": parts}
    return (*COLUMNS, *(name for name, there in optional.items() if there))


class Form(Protocol):
    """How lines are encoded.

    Attributes:
        header: the bytes that a file begins with.
        start: the bytes that every line begins with.
    """

    @property
    def header(self) -> bytes: ...

    @property
    def start(self) -> bytes: ...

    def of(self, file: io.FileIO) -> Form:
        """The form that a file has: with a byte order mark if it begins with one."""

    def encode(self, line: Line) -> bytes:
        """A line, with its line end."""

    def decode(self, raw: bytes) -> Any:
        """The same line again.

        Raises:
            ValueError: it is not a line of this form.
        """


class JsonLines:
    """A JSON object per line."""

    header = b""
    start = b'{"image": "'

    def of(self, file: io.FileIO) -> Form:
        return self

    def encode(self, line: Line) -> bytes:
        return (json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n").encode()

    def decode(self, raw: bytes) -> Any:
        return json.loads(raw)


class CsvLines:
    """CSV with a header; an absent score is empty, and text that looks like a formula is neutral."""

    start = b""

    def __init__(self, columns: Sequence[str], bom: bool = False) -> None:
        self.columns, self.header = columns, (BOM * bom + csv_text([columns])).encode()

    def of(self, file: io.FileIO) -> Form:
        file.seek(0)
        begin = file.read(len(_MARK))
        return CsvLines(self.columns, begin == _MARK) if len(begin) == len(_MARK) else self

    def encode(self, line: Line) -> bytes:
        return csv_text([[line[column] for column in self.columns]]).encode()

    def decode(self, raw: bytes) -> Line:
        csv.field_size_limit(max(csv.field_size_limit(), len(raw)))  # a part may have thousands of images
        try:
            (values,) = csv.reader([raw.decode().removesuffix("\n")], strict=True)
        except csv.Error as error:
            raise ValueError(str(error)) from error
        line: Line = dict(zip(self.columns, map(original, values), strict=True))
        return {**line, "score": float(line["score"]) if line["score"] else None}


def line_of(prediction: Prediction, columns: Sequence[str], bundle: str, as_text: bool) -> Line:
    """A prediction as plain data.

    Args:
        prediction: what to write.
        columns: of the file, as `columns_of` gives them.
        bundle: the beginning of the bundle's digest.
        as_text: whether regions, contributions and images are text, as tables need them, or lists.
    """
    line: Line = {
        "image": image_name(prediction.image),
        "verdict": prediction.verdict,
        "score": prediction.score,
        "reason": in_one_line(prediction.reason),
        "bundle": bundle,
    }
    if "regions" in columns:
        found = prediction.regions
        line["regions"] = "; ".join(map(str, found)) if as_text else [_plain(one) for one in found]
    if "contributions" in columns:
        given = prediction.contributions
        line["contributions"] = (
            "; ".join(map(str, largest(given))) if as_text else [_plain(one) for one in given]
        )
    if "images" in columns:
        names = [image_name(one) for one in prediction.images]
        line["images"] = "; ".join(one.replace(";", _SEMICOLON) for one in names) if as_text else names
    return line


def images_in(line: Line) -> list[str]:
    """The names of the images that a part's row rests on."""
    found = line["images"]
    if isinstance(found, str):
        return [one.replace(_SEMICOLON, ";") for one in found.split("; ")] if found else []
    return list(found)


def _plain(found: Contribution | DefectRegion) -> Line:
    """A contribution or a region as plain data; it has a view only where parts are judged."""
    plain = asdict(found)
    return plain if found.view else {key: value for key, value in plain.items() if key != "view"}


def image_name(image: str) -> str:
    """The name of an image in one printable line, different for every image.

    Where a backslash can be part of a name, one that would read as an escape is escaped itself.
    """
    return in_one_line(image if os.sep == "\\" else _LIKE_AN_ESCAPE.sub(r"\\x5c", image))


def largest(contributions: Iterable[Contribution]) -> list[Contribution]:
    """The largest contributions in either direction, largest first."""
    return sorted(contributions, key=lambda one: -abs(one.amount))[:_MOST_CONTRIBUTIONS]
