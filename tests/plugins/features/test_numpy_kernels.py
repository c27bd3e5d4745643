"""NumPy's statistics of segments against the compiled ones, on friendly and hostile input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from segad_plugins.features import by_segment, kernels, numpy_kernels

SIZES = (0, 1, 2, 3, 0, 511, 513, 4_000)


def drawn(kind: str) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Segments of several sizes, and their offsets."""
    rng, size = np.random.default_rng(0), sum(SIZES)
    values: Any = {
        "normal": rng.standard_normal(size),
        "heavy": rng.standard_cauchy(size),
        "tied": rng.integers(0, 4, size),
        "constant": np.full(size, 0.1),
        "offset": 1e4 + rng.standard_normal(size),
        "skewed": np.exp(3 * rng.standard_normal(size)),
        "negative": -1e30 * rng.random(size),
        "large": 3e38 * rng.choice([-1.0, 1.0], size),
    }[kind]
    return values.astype(np.float32), np.concatenate([[0], np.cumsum(SIZES)])


KINDS = ("normal", "heavy", "tied", "constant", "offset", "skewed", "negative", "large")


@pytest.mark.parametrize("kind", KINDS)
def test_moments_are_those_of_the_compiled_kernels(kind: str) -> None:
    """Within 1e-9 of the spread: sums are added in another order."""
    values, offsets = drawn(kind)
    expected, found = kernels.central_moments(values, offsets), numpy_kernels.central_moments(values, offsets)
    scales = np.sqrt(expected[:, 1:2]) ** np.arange(5)
    np.testing.assert_allclose(found[:, 0], expected[:, 0], rtol=1e-9, atol=0)
    for power in (2, 3, 4):
        difference = np.abs(found[:, power - 1] - expected[:, power - 1])
        assert (difference <= 1e-9 * np.maximum(scales[:, power], np.abs(expected[:, power - 1]))).all()
    for name in ("skewness", "excess_kurtosis"):
        np.testing.assert_allclose(
            getattr(numpy_kernels, name)(found), getattr(kernels, name)(expected), rtol=1e-9, atol=1e-9
        )
        with np.errstate(all="raise"):
            assert (getattr(numpy_kernels, name)(expected)[[0, 1, 4]] == 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_quantiles_and_maxima_are_the_same_bits(kind: str) -> None:
    values, offsets = drawn(kind)
    values.flags.writeable = False
    np.testing.assert_array_equal(numpy_kernels.maxima(values, offsets), kernels.maxima(values, offsets))
    for q in (0.0, 0.005, 0.25, 0.5, 0.9, 0.995, 1.0):
        np.testing.assert_array_equal(
            numpy_kernels.quantiles(values, offsets, q), kernels.quantiles(values, offsets, q)
        )


finite = arrays(
    np.float32, st.integers(1, 40), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)
)


@settings(deadline=None)
@given(finite, st.floats(0, 1))
def test_any_quantile_of_any_values_is_the_same(values: NDArray[np.float32], q: float) -> None:
    offsets = np.array([0, values.size])
    found = numpy_kernels.quantiles(values, offsets, q)
    np.testing.assert_array_equal(found, kernels.quantiles(values, offsets, q))


@settings(deadline=None)
@given(st.integers(1, 60), st.data())
def test_pieces_of_a_vector_stand_one_after_the_other(size: int, data: st.DataObject) -> None:
    flat = np.arange(size, dtype=np.float32)
    bounds = st.tuples(st.integers(0, size), st.integers(0, size)).map(sorted)
    chosen = data.draw(st.lists(bounds, max_size=12))
    runs = np.array([(a, b - a) for a, b in chosen], np.int64).reshape(-1, 2)
    expected = np.concatenate([flat[:0], *(flat[a:b] for a, b in chosen)])
    found = numpy_kernels.pieces(flat, runs, expected.size)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "run", [(-1, 2), (0, 10), (9, 1), (8, 2), (2**63 - 1, 1), (0, 2**63 - 1), (2, 4), (3, -1)]
)
def test_a_piece_outside_the_vector_is_refused(run: tuple[int, int]) -> None:
    with pytest.raises(IndexError, match="piece"):
        numpy_kernels.pieces(np.zeros(9, np.float32), np.array([run]), 3)


def test_wrong_arguments_are_refused() -> None:
    values, offsets = np.ones(2, np.float32), np.array([0, 2])
    for q in (-0.1, 1.1, np.nan):
        with pytest.raises(ValueError, match="between 0 and 1"):
            numpy_kernels.quantiles(values, offsets, q)
    with pytest.raises(TypeError, match="float32"):
        numpy_kernels.maxima(values.astype(np.float64), offsets)


def test_no_segment_at_all() -> None:
    values, offsets = np.empty(0, np.float32), np.zeros(1, np.int64)
    assert numpy_kernels.central_moments(values, offsets).shape == (0, 4)
    assert numpy_kernels.quantiles(values, offsets, 0.5).shape == (0,)


def test_the_compiled_ones_are_used_where_numba_is_installed() -> None:
    for name in by_segment.__all__:
        assert getattr(by_segment, name) is getattr(kernels, name)
        assert callable(getattr(numpy_kernels, name))
