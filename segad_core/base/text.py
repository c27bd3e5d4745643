"""Text that can be written and shown: undecodable file names, control characters, sizes."""

from __future__ import annotations


def as_text(name: str) -> str:
    """Text with a file name in it that can be encoded: bytes that are not text become escapes."""
    return name.encode(errors="backslashreplace").decode()


def in_one_line(name: str) -> str:
    """The same in one printable line: control characters become escapes too."""
    return "".join(c if c.isprintable() else _escaped(ord(c)) for c in as_text(name))


def printable(text: str) -> str:
    """Text of several lines that a terminal shows and does not obey: control characters become escapes.

    Line ends stay; a name or a message from elsewhere has to pass `in_one_line` before it becomes part of a
    text, or it can pretend to be further lines.
    """
    return "\n".join(map(in_one_line, text.split("\n")))


def _escaped(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def size_words(size: float) -> str:
    """A number of bytes in a readable unit."""
    for unit, digits in (("B", 0), ("KiB", 0), ("MiB", 0), ("GiB", 1)):
        if size < 1024:
            return f"{size:.{digits}f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
