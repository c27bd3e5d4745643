"""The order in which a training takes its images, and its seeds: decided by a seed alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from segad_plugins.training import Batches, seeded

# ---- batches ----

COUNTS = st.integers(1, 40)
SEEDS = st.integers(0, 2**32 - 1)


def epoch_of(batches: Batches, epoch: int) -> list[list[int]]:
    return [batches[epoch * len(batches) + i].tolist() for i in range(len(batches))]


@given(SEEDS, COUNTS, st.integers(1, 50), st.integers(0, 5))
def test_an_epoch_takes_every_image_once(seed: int, count: int, size: int, epoch: int) -> None:
    steps = epoch_of(Batches(seed, count, size), epoch)
    assert len(steps) == math.ceil(count / size)
    assert [len(step) for step in steps[:-1]] == [size] * (len(steps) - 1)
    assert sorted(place for step in steps for place in step) == list(range(count))


@given(SEEDS, COUNTS, st.integers(1, 50), st.integers(0, 5))
def test_drop_last_leaves_out_what_fills_no_batch(seed: int, count: int, size: int, epoch: int) -> None:
    steps, whole = (
        epoch_of(Batches(seed, count, size, True), epoch),
        epoch_of(Batches(seed, count, size), epoch),
    )
    assert steps == whole[: max(1, count // size)]
    if count < size:
        assert sorted(steps[0]) == list(range(count))
    else:
        assert {len(step) for step in steps} == {size}


@given(SEEDS, COUNTS, st.integers(1, 9), st.lists(st.integers(0, 100), min_size=1, max_size=20))
def test_a_step_is_decided_by_seed_and_number_alone(
    seed: int, count: int, size: int, asked: list[int]
) -> None:
    first = {step: Batches(seed, count, size)[step].tolist() for step in sorted(asked)}
    again = Batches(seed, count, size)
    np.random.seed(1)  # noqa: NPY002 (whatever others do to it)
    assert {step: again[step].tolist() for step in reversed(asked)} == first


def test_seeds_and_epochs_have_orders_of_their_own() -> None:
    orders = {tuple(Batches(seed, 30, 30)[epoch].tolist()) for seed in range(5) for epoch in range(5)}
    assert len(orders) == 25
    firsts = [Batches(seed, 30, 30)[epoch][0] for seed in range(20) for epoch in range(20)]
    assert len(set(firsts)) == 30


# ---- seeds ----


def test_seeded_draws_depend_on_the_seed_alone() -> None:
    def draws(seed: int) -> list[float]:
        with seeded(seed):
            return [*torch.rand(3).tolist(), *torch.nn.Linear(3, 3).weight.flatten().tolist()]

    torch.manual_seed(5)
    first = draws(1)
    torch.rand(7)
    assert draws(1) == first
    assert draws(2) != first
    assert draws(2**32 - 1) == draws(2**32 - 1)


@pytest.mark.parametrize("fails", [False, True])
def test_seeded_leaves_the_outside_alone(fails: bool) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    try:
        with seeded(1):
            torch.rand(10)
            if fails:
                raise ValueError
    except ValueError:
        assert fails
    assert torch.equal(torch.get_rng_state(), before)
