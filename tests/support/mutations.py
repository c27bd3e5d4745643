"""Small damages to bytes, the same for the same seed."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

_NUMBERS = (b"0", b"-1", b"1e999", b"-1e999", b"NaN", b"Infinity", b"1e-400", b"true", b"null", b"[]", b"{}")
_LARGE = (b"255", b"256", b"65535", b"65536", b"2147483647", b"-2147483648", b"4294967296", b"9" * 30)
_BYTES = (0, 1, 0x7F, 0x80, 0xFF)
_LONGEST = 1 << 17


def mutated(data: bytes, others: Sequence[bytes], tokens: Sequence[bytes], rng: random.Random) -> bytes:
    """One to six damages: flipped, deleted, repeated, exchanged and inserted bytes, other numbers.

    Args:
        data: a sound input.
        others: inputs to take pieces from.
        tokens: words that mean something to whoever reads the input.
        rng: decides everything.
    """
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        data = rng.choice(_DAMAGES)(data, others, tokens, rng)[:_LONGEST]
    return data


def _flipped(data: bytes, others: Sequence[bytes], tokens: Sequence[bytes], rng: random.Random) -> bytes:
    place = rng.randrange(len(data) + 1)
    return (
        data[:place]
        + bytes(byte ^ 1 << rng.randrange(8) for byte in data[place : place + 1])
        + data[place + 1 :]
    )


def _overwritten(data: bytes, others: Sequence[bytes], tokens: Sequence[bytes], rng: random.Random) -> bytes:
    place, count = rng.randrange(len(data) + 1), rng.choice((1, 2, 4, 8))
    return data[:place] + bytes([rng.choice(_BYTES)]) * count + data[place + count :]


def _shortened(data: bytes, others: Sequence[bytes], tokens: Sequence[bytes], rng: random.Random) -> bytes:
    first, last = _span(data, rng)
    return data[:first] + data[last:]


def _cut(data: bytes, others: Sequence[bytes], tokens: Sequence[bytes], rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _repeated(data: bytes, others: Sequence[bytes], tokens: Sequence[bytes], rng: random.Random) -> bytes:
    first, last = _span(data, rng)
    return data[:first] + data[first:last] * rng.choice((2, 3, 50)) + data[last:]


def _spliced(data: bytes, others: Sequence[bytes], tokens: Sequence[bytes], rng: random.Random) -> bytes:
    other = rng.choice(others)
    first, last = _span(other, rng)
    place, end = _span(data, rng)
    return data[:place] + other[first:last] + data[rng.choice((place, end)) :]


def _inserted(data: bytes, others: Sequence[bytes], tokens: Sequence[bytes], rng: random.Random) -> bytes:
    place, end = _span(data, rng)
    return (
        data[:place]
        + rng.choice((*tokens, b"\0", b"\n", b"\xff\xfe", b"\x1b]0;x\x07"))
        + data[rng.choice((place, min(end, place + 8))) :]
    )


def _renumbered(data: bytes, others: Sequence[bytes], tokens: Sequence[bytes], rng: random.Random) -> bytes:
    found = list(re.finditer(rb"-?\d+(\.\d+)?", data))
    if not found:
        return _flipped(data, others, tokens, rng)
    match = rng.choice(found)
    return data[: match.start()] + rng.choice((*_NUMBERS, *_LARGE, *tokens)) + data[match.end() :]


_DAMAGES = (_flipped, _overwritten, _shortened, _cut, _repeated, _spliced, _inserted, _renumbered)


def _span(data: bytes, rng: random.Random) -> tuple[int, int]:
    """A piece of the data, mostly a short one."""
    first = rng.randrange(len(data) + 1)
    return first, min(len(data), first + rng.choice((1, 2, 8, 40, 400)))
