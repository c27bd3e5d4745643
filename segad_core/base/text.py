"""Text fit to be written and shown: file names that are not text, control characters, sizes."""

from __future__ import annotations


def as_text(name: str) -> str:
    """What holds the name of a file, fit to be written: bytes that are no text become escapes."""
    return name.encode(errors="backslashreplace").decode()


def in_one_line(name: str) -> str:
    """The same in one line: what no terminal should be sent becomes escapes too."""
    return "".join(c if c.isprintable() else _escaped(ord(c)) for c in as_text(name))


def _escaped(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def size_words(size: float) -> str:
    """Bytes as people say them."""
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"
