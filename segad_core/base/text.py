"""Text that can be written and shown: undecodable file names, control characters, sizes."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from segad_core.errors import as_text as as_text
from segad_core.errors import in_one_line as in_one_line


def printable(text: str) -> str:
    """Text of several lines in which control characters are escapes, so that a terminal only displays them.

    Line ends stay; a name or a message from elsewhere has to pass `in_one_line` before it becomes part of a
    text, or it can pretend to be further lines.
    """
    return "\n".join(map(in_one_line, text.split("\n")))


def reason(error: BaseException) -> str:
    """The class of an error and its message, in one printable line, however many lines the message has."""
    return in_one_line(f"{type(error).__name__}: {' '.join(str(error).split())}")


def markdown(text: str) -> str:
    """Text in one line that Markdown shows as it is: no HTML, no entities, no links and no images."""
    plain = in_one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return plain.replace("](", r"]\(")


class LineFormatter(logging.Formatter):
    """Formats a log record as one printable line; a traceback follows in lines of its own."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return in_one_line(super().formatMessage(record))

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def size_words(size: float) -> str:
    """A number of bytes in a readable unit."""
    for unit, digits in (("B", 0), ("KiB", 0), ("MiB", 0), ("GiB", 1)):
        if size < 1024:
            return f"{size:.{digits}f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def percent(share: float) -> str:
    """A share in percent, with more digits the closer it is to 0 or 1: `81.2%`, `0.14%`, `0%`.

    Only 0 is shown as 0, and only 1 as 100.
    """
    rest, digits = 100 * min(share, 1 - share), 1
    while rest < 10 ** (1 - digits) and digits < 4:
        digits += 1
    if 0 < rest < 0.00005:
        return "< 0.0001%" if share < 0.5 else "> 99.9999%"
    return f"{100 * share:.{digits}f}%" if 0 < share < 1 else f"{100 * share:.0f}%"


def listed(words: Iterable[str], most: int = 5, between: str = ", ") -> str:
    """Words in a row, the first of them if they are many: `a, b, c and 2 more`."""
    words = list(words)
    more = f"{between.rstrip(', ')} and {len(words) - most:,} more" if len(words) > most else ""
    return between.join(words[:most]) + more


def quoted(names: Iterable[str]) -> list[str]:
    """Names as they stand in a sentence: `'a.png'`."""
    return [f"'{in_one_line(name)}'" for name in names]


def many(count: int, noun: str) -> str:
    """A count with its noun: `1 image`, `2,000 images`."""
    return f"{count:,} {noun}{'s' * (count != 1)}"
