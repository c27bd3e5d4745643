"""Assertions that the suites share."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from segad_core.errors import SegadError

Error = TypeVar("Error", bound=Exception)

ROUNDING = 1e-4
"""Tolerance for sums in another order, as a fraction of the largest value."""


def is_array(values: object, shape: tuple[int, ...], dtype: type[np.generic], what: str) -> None:
    """Asserts that what `what` returned is a finite array of a shape and a type."""
    assert isinstance(values, np.ndarray), f"{what} returns a {type(values).__name__}, not a NumPy array"
    assert values.shape == shape, f"{what} returns an array of shape {values.shape}, not {shape}"
    assert values.dtype == dtype, f"{what} returns {values.dtype}, not {np.dtype(dtype)}"
    assert np.isfinite(values).all(), f"{what} returns NaN or infinity"


def same(found: NDArray[Any], expected: NDArray[Any], what: str, room: float = 0.0) -> None:
    """Asserts that two arrays have the same shape and agree within a tolerance.

    Args:
        found: what the plugin returned now.
        expected: what it returned before.
        what: the subject of the sentence that reports a difference.
        room: the tolerance as a fraction of the largest value; 0.0 for bit-identical.
    """
    assert found.shape == expected.shape, f"{what} has the shape {found.shape}, not {expected.shape}"
    if np.array_equal(found, expected):
        return
    assert np.isfinite(expected).all() and np.isfinite(found).all(), f"{what} has NaN or infinity"
    off = float(np.abs(found.astype(np.float64) - expected.astype(np.float64)).max())
    most = room * float(np.abs(expected).max())
    assert room and off <= most, f"{what} differs by up to {off:.3g}; {most:.3g} is allowed"


def is_sentences(values: object, what: str) -> None:
    """Asserts that `what` returned a sequence of non-empty strings."""
    assert isinstance(values, Sequence) and not isinstance(values, str), (
        f"{what} returns a {type(values).__name__}, not a sequence of strings"
    )
    for text in values:
        assert isinstance(text, str) and text.strip(), (
            f"{what} contains {text!r}, which is not a non-empty string"
        )


@contextmanager
def unwritten(arrays: Mapping[str, NDArray[Any]], who: str) -> Iterator[None]:
    """Asserts that the block, which calls `who`, does not write into named arrays, nor tries to."""
    before = {name: array.copy() for name, array in arrays.items()}
    try:
        yield
    except Exception as error:
        if not re.search("read-?only", str(error)):
            raise
        raise AssertionError(
            f"{who} writes into {' or '.join(arrays)}, which others share, or lets a library: "
            f"it is read-only, and a copy is needed ({error})"
        ) from error
    for name, array in arrays.items():
        assert np.array_equal(array, before[name]), f"{who} writes into {name}, which others share"


@contextmanager
def refused(otherwise: str, kind: type[Error]) -> Iterator[list[Error]]:
    """Asserts that the block raises an error of a kind, and collects it.

    Args:
        otherwise: the message if it raises no error, or one of another kind.
        kind: the kind that the contract requires.
    """
    caught: list[Error] = []
    try:
        yield caught
    except kind as error:
        caught.append(error)
    except Exception as error:
        raise AssertionError(
            f"{otherwise}; it raises {type(error).__name__} ({error}), not a {kind.__name__}"
        ) from error
    assert caught, otherwise


@contextmanager
def works(claim: str) -> Iterator[None]:
    """Asserts that the block raises nothing; `claim` states what should work."""
    try:
        yield
    except Exception as error:
        raise AssertionError(f"{claim}; it raises {type(error).__name__}: {error}") from error


def not_fitted(method: str) -> Any:
    """`refused` for a method that is called before the plugin is fitted."""
    return refused(f"{method} before fit() or restore() must raise a SegadError", SegadError)
