"""Assertions that the suites share: two arrays agree, nothing was written to, an error has its kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from segad_core.errors import SegadError

Error = TypeVar("Error", bound=Exception)

ROUNDING = 1e-4
"""What an array may change by where sums are taken in another order, as a share of its largest value."""


def is_array(values: object, shape: tuple[int, ...], dtype: type[np.generic], what: str) -> None:
    """Asserts that a value is an array of a shape and a type without NaN or infinity; `what` gave it."""
    assert isinstance(values, np.ndarray), f"{what} gives a {type(values).__name__}, not a NumPy array"
    assert values.shape == shape, f"{what} gives an array of shape {values.shape}, not {shape}"
    assert values.dtype == dtype, f"{what} gives {values.dtype}, not {np.dtype(dtype)}"
    assert np.isfinite(values).all(), f"{what} gives values that are NaN or infinite"


def same(found: NDArray[Any], expected: NDArray[Any], what: str, room: float = 0.0) -> None:
    """Asserts that two arrays have one shape and differ by no more than a share of the largest value.

    Args:
        found: what the plugin gave now.
        expected: what it gave before.
        what: the beginning of the sentence that names the difference.
        room: the share; 0.0 for equal to the last bit.
    """
    assert found.shape == expected.shape, f"{what} has the shape {found.shape}, not {expected.shape}"
    if np.array_equal(found, expected):
        return
    off = float(np.abs(found.astype(np.float64) - expected.astype(np.float64)).max())
    most = room * float(np.abs(expected).max())
    assert room and off <= most, f"{what} is different: by up to {off:.3g}, where {most:.3g} is allowed"


@contextmanager
def unwritten(arrays: Mapping[str, NDArray[Any]], who: str) -> Iterator[None]:
    """Asserts that the block leaves arrays, given by name, as they are; `who` is at fault if it does not."""
    before = {name: array.copy() for name, array in arrays.items()}
    yield
    for name, array in arrays.items():
        assert np.array_equal(array, before[name]), f"{who} writes into {name}, which others use too"


@contextmanager
def refused(otherwise: str, kind: type[Error]) -> Iterator[list[Error]]:
    """Asserts that the block raises an error of a kind, and collects it.

    Args:
        otherwise: what is wrong where it raises none, or one of another kind.
        kind: the kind of error that the contract wants.
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
    """Asserts that the block raises nothing; `claim` says what should have worked."""
    try:
        yield
    except Exception as error:
        raise AssertionError(f"{claim}; it raises {type(error).__name__}: {error}") from error


def not_fitted(method: str) -> Any:
    """`refused` for a method that is called before there is anything to use."""
    return refused(f"{method} before fit() or restore() has to raise a SegadError", SegadError)
