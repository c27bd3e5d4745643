"""Pooling a layer: in float64, from the compiled pass, from NumPy and from torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from segad_plugins.classifiers import pooling, pooling_kernel, pooling_numpy
from segad_plugins.classifiers.pooling import Statistic, pool, pooled_by_torch

CPU = torch.device("cpu")
ALL: tuple[Statistic, ...] = ("mean", "max", "std")


@pytest.fixture(params=[pooling_kernel, pooling_numpy], ids=["compiled", "numpy"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pooling, "pooled", request.param.pooled)


def test_the_compiled_pass_is_used_where_numba_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert pooling.pooled is pooling_kernel.pooled


def plainly(layer: np.ndarray) -> np.ndarray:
    """(N, 3, C) of a layer (N, C, H, W), in float64."""
    flat = layer.astype(np.float64).reshape(*layer.shape[:2], -1)
    return np.stack([flat.mean(-1), flat.max(-1), flat.std(-1)], axis=1)


def some(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(3, 2, shape).astype(np.float32)


@pytest.mark.parametrize("shape", [(2, 5, 7, 4), (1, 3, 1, 9), (3, 1, 8, 1), (2, 40, 33, 17)])
@pytest.mark.parametrize("channels_last", [False, True])
def test_pooled_values_are_those_of_numpy(shape: tuple[int, ...], channels_last: bool) -> None:
    array, layer = some(*shape), torch.from_numpy(some(*shape))
    given = layer.contiguous(memory_format=torch.channels_last) if channels_last else layer
    expected = plainly(array)
    np.testing.assert_allclose(pool(given, ALL, CPU), expected.reshape(shape[0], -1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(pool(array, ALL, CPU), expected.reshape(shape[0], -1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(pooled_by_torch(given, CPU), expected, rtol=1e-5, atol=1e-6)
    assert pool(given, ALL).dtype == np.float32
    array.flags.writeable = False
    np.testing.assert_array_equal(pool(array, ALL), pool(layer, ALL))


def test_statistics_come_in_the_order_in_which_they_are_wanted() -> None:
    expected = plainly(some(2, 5, 7, 4))
    found = pool(some(2, 5, 7, 4), ("std", "mean"), CPU)
    np.testing.assert_allclose(found, expected[:, [2, 0]].reshape(2, 10), rtol=1e-5)


def test_a_layer_of_one_pixel_has_no_spread() -> None:
    assert pool(np.full((1, 2, 1, 1), 3, np.float32), ALL, CPU).tolist() == [[3, 3, 3, 3, 0, 0]]


def test_a_small_spread_about_a_large_mean_is_kept() -> None:
    """Of 1000, where squares would have lost it; an outlier in the corner changes nothing of that."""
    layer = (1000 + some(1, 2, 60, 50) / 100).astype(np.float32)
    np.testing.assert_allclose(pool(layer, ("std",), CPU)[0], plainly(layer)[0, 2], rtol=1e-3)
    assert pool(np.full((1, 1, 60, 50), 1000.1, np.float32), ("std",), CPU)[0, 0] < 1e-4
    layer[:, :, 0, 0] = 0
    np.testing.assert_allclose(pool(layer, ALL, CPU)[0], plainly(layer)[0].reshape(-1), rtol=1e-5)


@pytest.mark.parametrize("statistic", ALL)
@pytest.mark.parametrize("place", [0, 11, 34])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_not_hidden(statistic: Statistic, place: int, value: float) -> None:
    layer = some(1, 1, 5, 7)
    layer.reshape(-1)[place] = value
    hidden = statistic == "max" and value == -np.inf  # the largest of the others
    assert np.isfinite(pool(layer, (statistic,), CPU)).all() == hidden


def test_an_image_is_pooled_by_itself() -> None:
    layer = some(4, 6, 9, 8)
    together = pool(layer, ALL, CPU)
    for i in range(4):
        np.testing.assert_array_equal(pool(layer[i : i + 1], ALL, CPU)[0], together[i])
