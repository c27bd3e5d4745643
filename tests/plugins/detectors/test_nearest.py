"""The search in a memory bank finds what differences to all its vectors find."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from segad_plugins.detectors import nearest as searching
from segad_plugins.detectors.nearest import Bank, nearest, neighbourhood, squared_distances


def drawn(seed: int, points: int, vectors: int, offset: float, spread: float) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    both = offset + spread * torch.randn(points + vectors, 24, generator=generator)
    return both[:points], both[points:]


@pytest.mark.parametrize("tile", [(1024, 2048), (3, 5)])
@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 99), st.integers(1, 9), st.integers(1, 30), st.sampled_from([0, 9.0]), st.floats(0.1, 9)
)
def test_the_nearest_vector_and_its_distance(
    tile: tuple[int, int], seed: int, points: int, vectors: int, offset: float, spread: float
) -> None:
    x, bank = drawn(seed, points, vectors, offset, spread)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(searching, "_POINTS", tile[0])
        patch.setattr(searching, "_BANK", tile[1])
        squared, index = nearest(x, Bank.of(bank))
    exact = squared_distances(x.double(), bank.double())
    torch.testing.assert_close(squared.double(), exact.gather(1, index[:, None])[:, 0], rtol=1e-5, atol=1e-9)
    torch.testing.assert_close(squared.double(), exact.min(dim=1).values, rtol=1e-3, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 999), st.integers(2, 40), st.sampled_from([0, 30.0, 1000.0]), st.floats(0.01, 9))
def test_a_neighbourhood_is_that_of_the_differences(
    seed: int, vectors: int, offset: float, spread: float
) -> None:
    """Also where all lie together far from the origin, and the expanded form cannot tell them apart."""
    (point,), bank = drawn(seed, 1, vectors, offset, spread)
    bank[-1] = bank[0]  # a tie
    count = min(9, vectors)
    found = neighbourhood(point, Bank.of(bank), count)
    exact = squared_distances(point[None], bank)[0]
    assert len({*found.tolist()}) == count
    torch.testing.assert_close(exact[found], exact.topk(count, largest=False).values, rtol=0, atol=0)


def test_of_a_vector_of_the_bank_it_begins_with_itself() -> None:
    _, bank = drawn(3, 0, 50, 5.0, 1.0)
    assert [int(neighbourhood(vector, Bank.of(bank), 3)[0]) for vector in bank] == list(range(50))
