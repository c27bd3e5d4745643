"""The compiled statistics give what numpy and scipy give in float64, on friendly and hostile input."""

from fractions import Fraction

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from segad_plugins.features import kernels
from segad_plugins.features.kernels import (
    central_moments,
    excess_kurtosis,
    maxima,
    pieces,
    quantiles,
    skewness,
)

SIZES = (1, 2, 3, 511, 512, 513, 9_001, 40_000)
LEVELS = (0.0, 0.005, 0.25, 0.5, 0.9, 0.995, 1.0)

compiles = settings(deadline=None)  # the first example waits for the compiler


def grouped(*segments):
    """Segments joined the way the kernels want them."""
    offsets = np.concatenate([[0], np.cumsum([len(segment) for segment in segments])]).astype(np.int64)
    return np.concatenate(segments).astype(np.float32), offsets


def one(values):
    return grouped(np.asarray(values, np.float32))


def sample(kind, size, seed=0):
    rng = np.random.default_rng(seed)
    match kind:
        case "normal":
            values = rng.standard_normal(size)
        case "heavy":
            values = rng.standard_cauchy(size)
        case "lognormal":
            values = np.exp(3 * rng.standard_normal(size))
        case "tied":
            values = rng.integers(0, 4, size)
        case "zeros":
            values = np.maximum(rng.standard_normal(size) - 2, 0)
        case "nearly constant":
            values = np.where(rng.random(size) < 0.001, np.nextafter(np.float32(1), np.float32(2)), 1)
        case "offset":
            values = 1e4 + rng.standard_normal(size)
        case "sorted":
            values = np.sort(rng.standard_normal(size))
        case "reversed":
            values = -np.sort(rng.standard_normal(size))
        case "organ pipe":
            values = np.minimum(np.arange(size), np.arange(size)[::-1])
        case "every float":
            finite = np.finfo(np.float32).max
            bits = rng.integers(0, 2**32, size, dtype=np.uint32).view(np.float32)
            values = np.nan_to_num(bits, nan=-0.0, posinf=finite, neginf=-finite)
    return np.asarray(values, np.float32)


KINDS = (
    "normal",
    "heavy",
    "lognormal",
    "tied",
    "zeros",
    "nearly constant",
    "offset",
    "sorted",
    "reversed",
    "organ pipe",
    "every float",
)


@pytest.mark.parametrize("kind", KINDS)
def test_moments_match_scipy(kind):
    segments = [sample(kind, size, seed) for seed, size in enumerate(SIZES)]
    moments = central_moments(*grouped(*segments))
    skew, kurtosis = skewness(moments), excess_kurtosis(moments)
    for row, segment in enumerate(segments):
        exact = segment.astype(np.float64)
        np.testing.assert_allclose(moments[row, 0], exact.mean(), rtol=1e-12, atol=1e-12 * abs(exact).max())
        np.testing.assert_allclose(moments[row, 1], exact.var(), rtol=1e-10)
        if exact.var() == 0:
            assert skew[row] == 0 and kurtosis[row] == 0
        else:
            np.testing.assert_allclose(skew[row], scipy.stats.skew(exact), rtol=1e-9, atol=1e-9)
            np.testing.assert_allclose(kurtosis[row], scipy.stats.kurtosis(exact), rtol=1e-9, atol=1e-9)


def test_moments_match_exact_arithmetic_far_from_zero():
    values = sample("offset", 301)
    exact = [Fraction(float(value)) for value in values]
    mean = sum(exact) / len(exact)
    wanted = [mean, *(sum((value - mean) ** power for value in exact) / len(exact) for power in (2, 3, 4))]
    np.testing.assert_allclose(central_moments(*one(values))[0], [float(each) for each in wanted], rtol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_order_statistics_are_exactly_numpys(kind):
    segments = [sample(kind, size, seed) for seed, size in enumerate(SIZES)]
    values, offsets = grouped(*segments)
    for q in LEVELS:
        wanted = [np.quantile(segment.astype(np.float64), q) for segment in segments]
        np.testing.assert_array_equal(quantiles(values, offsets, q), wanted)
    np.testing.assert_array_equal(maxima(values, offsets), [segment.max() for segment in segments])


@pytest.mark.parametrize("q", LEVELS)
@pytest.mark.parametrize("sampled", [-1.0, 1.0])
def test_a_misleading_sample_costs_time_not_exactness(sampled, q):
    """What the strided sample sees is all above, or all below, what it does not see."""
    stride = int(10_000 ** (1 / 3)) | 1
    values = sample("normal", 10_000)
    values[::stride] += np.float32(20 * sampled)
    assert quantiles(*one(values), q)[0] == np.quantile(values.astype(np.float64), q)


def test_the_misleading_sample_does_mislead():
    values = sample("normal", 10_000)
    values[:: int(10_000 ** (1 / 3)) | 1] += np.float32(20)
    keys, scratch = np.empty((2, values.size), np.int32)
    bits = values.view(np.int32)
    assert kernels._collect(bits, kernels._threshold(bits, 51, keys, scratch), keys) < 51


def test_a_fair_sample_leaves_few_candidates():
    bits = sample("normal", 40_000).view(np.int32)
    keys, scratch = np.empty((2, bits.size), np.int32)
    assert 201 <= kernels._collect(bits, kernels._threshold(bits, 201, keys, scratch), keys) < 1_000


def test_empty_segments_give_zeros_and_leave_the_others_alone():
    values, offsets = grouped([], [3.0, 5.0], [], [7.0], [])
    moments = central_moments(values, offsets)
    np.testing.assert_array_equal(moments[:, 0], [0, 4, 0, 7, 0])
    np.testing.assert_array_equal(moments[:, 1], [0, 1, 0, 0, 0])
    np.testing.assert_array_equal(quantiles(values, offsets, 0.75), [0, 4.5, 0, 7, 0])
    np.testing.assert_array_equal(maxima(values, offsets), [0, 5, 0, 7, 0])
    np.testing.assert_array_equal(skewness(moments), [0, 0, 0, 0, 0])
    np.testing.assert_array_equal(excess_kurtosis(moments), [0, -2, 0, 0, 0])


def test_no_segment_at_all():
    values, offsets = np.empty(0, np.float32), np.zeros(1, np.int64)
    assert central_moments(values, offsets).shape == (0, 4)
    assert quantiles(values, offsets, 0.5).shape == maxima(values, offsets).shape == (0,)


def test_shape_is_neutral_exactly_where_scipy_gives_nan():
    """A variance at the rounding error of the mean does not count as spread."""
    tiny = (np.finfo(np.float64).eps * 5.0) ** 2
    moments = np.array([[5.0, tiny, 1.0, 1.0], [5.0, 1.01 * tiny, 1.01 * tiny, 1.0], [0.0, 0.0, 0.0, 0.0]])
    with np.errstate(all="raise"):
        np.testing.assert_array_equal(skewness(moments) != 0, [False, True, False])
        np.testing.assert_array_equal(excess_kurtosis(moments) != 0, [False, True, False])


def test_all_negative_values_have_a_negative_maximum():
    np.testing.assert_array_equal(maxima(*one([-3.5, -0.25, -7.0])), [-0.25])


def test_read_only_values_are_accepted():
    values, offsets = one([1.0, 2.0, 4.0])
    values.flags.writeable = False
    assert quantiles(values, offsets, 0.5)[0] == 2.0
    assert maxima(values, offsets)[0] == 4.0
    assert central_moments(values, offsets)[0, 0] == pytest.approx(7 / 3)


def test_wrong_arguments_are_refused():
    values, offsets = one([1.0, 2.0])
    for q in (-0.1, 1.1, np.nan):
        with pytest.raises(ValueError, match="between 0 and 1"):
            quantiles(values, offsets, q)
    with pytest.raises(TypeError, match="float32"):
        maxima(values.astype(np.float64), offsets)


@compiles
@given(st.integers(1, 60), st.data())
def test_pieces_of_a_vector_stand_one_after_the_other(size, data):
    """Wherever a piece begins and ends: at the end of the vector, too, where nothing is beyond it."""
    flat = np.arange(size, dtype=np.float32)
    bounds = st.tuples(st.integers(0, size), st.integers(0, size)).map(sorted)
    chosen = data.draw(st.lists(bounds, max_size=12))
    runs = np.array([(a, b - a) for a, b in chosen], np.int64).reshape(-1, 2)
    expected = np.concatenate([flat[:0], *(flat[a:b] for a, b in chosen)])
    np.testing.assert_array_equal(pieces(flat, runs, expected.size), expected)


@pytest.mark.parametrize("size", [1, 7, 8, 9, 16, 17, 30])
def test_pieces_read_and_write_nothing_outside_the_vectors(size, monkeypatch):
    """Compiled code would not notice; Python does."""
    monkeypatch.setattr(kernels, "_copy", kernels._copy.py_func)
    flat = np.arange(size, dtype=np.float32)
    for cut in range(size + 1):
        for runs in ([(cut, size - cut), (0, cut)], [(0, size), (cut, size - cut)], [(0, cut), (0, cut)]):
            expected = np.concatenate([flat[start : start + length] for start, length in runs])
            found = pieces.py_func(flat, np.array(runs), expected.size)
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "run", [(-1, 2), (0, 10), (9, 1), (8, 2), (2**63 - 1, 1), (0, 2**63 - 1), (2, 4), (3, -1)]
)
def test_a_piece_outside_the_vector_is_refused(run):
    with pytest.raises(IndexError, match="piece"):
        pieces(np.zeros(9, np.float32), np.array([run]), 3)


def test_kernels_release_the_gil():
    for kernel in (central_moments, maxima, pieces, quantiles, skewness, excess_kurtosis):
        assert kernel.targetoptions["nogil"]


any_float = st.floats(width=32, allow_nan=False, allow_infinity=False)
finite = arrays(np.float32, st.integers(1, 40), elements=any_float)
levels = st.floats(0, 1)


@compiles
@given(finite, levels)
def test_any_quantile_of_any_values_is_numpys(values, q):
    assert quantiles(*one(values), q)[0] == np.quantile(values.astype(np.float64), q)


@compiles
@given(st.sampled_from(KINDS), st.integers(1, 3_000), levels, st.integers(0, 2**32 - 1))
def test_a_permutation_changes_no_quantile(kind, size, q, seed):
    values = sample(kind, size, seed)
    shuffled = np.random.default_rng(seed).permutation(values)
    assert quantiles(*one(values), q) == quantiles(*one(shuffled), q)
    assert maxima(*one(values)) == maxima(*one(shuffled))


# Small multiples of 1/8: shifting them by an integer is exact in float32.
eighths = arrays(np.float32, st.integers(1, 200), elements=st.integers(-800, 800).map(lambda n: n / 8))


@compiles
@given(eighths, st.integers(-4_000, 4_000), levels)
def test_a_shift_moves_location_and_leaves_the_rest(values, shift, q):
    before, after = central_moments(*one(values))[0], central_moments(*one(values + np.float32(shift)))[0]
    assert after[0] - before[0] == pytest.approx(shift, abs=1e-9)
    assert after[1:] == pytest.approx(before[1:], rel=1e-9, abs=1e-7)
    moved = quantiles(*one(values + np.float32(shift)), q)[0]
    assert moved - quantiles(*one(values), q)[0] == pytest.approx(shift, abs=1e-9)


@compiles
@given(eighths, st.floats(2**-6, 100, width=32))
def test_a_positive_scale_leaves_skewness_and_kurtosis(values, scale):
    before, after = central_moments(*one(values)), central_moments(*one(values * np.float32(scale)))
    np.testing.assert_allclose(skewness(after), skewness(before), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(excess_kurtosis(after), excess_kurtosis(before), rtol=1e-3, atol=1e-3)


@compiles
@given(eighths, st.integers(-40, 40))
def test_a_power_of_two_scales_without_any_error(values, exponent):
    before, after = central_moments(*one(values)), central_moments(*one(np.ldexp(values, exponent)))
    np.testing.assert_array_equal(after, before * 2.0 ** (exponent * np.arange(1, 5)))
