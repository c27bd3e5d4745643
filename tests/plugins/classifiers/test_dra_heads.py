"""DRA's four heads and their losses against plain references, and what each learns from."""

from __future__ import annotations

from typing import Any

import numpy as np
import plain_supervised as plain
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from trainings import in_float64

from segad_plugins.classifiers.deviation import normal_draws
from segad_plugins.classifiers.dra import dra_loss
from segad_plugins.classifiers.dra_batches import BAD, GOOD, PSEUDO
from segad_plugins.classifiers.heads import CompositeHead, DRANetwork, HolisticHead, TopHead

C = 6


def shaken(module: nn.Module, seed: int = 0) -> nn.Module:
    """With weights and statistics far enough from where they begin for each to matter; float64."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in module.state_dict().items():
            if value.is_floating_point():
                value += (0.1 if name.endswith("var") else 0.5) * torch.rand(value.shape, generator=generator)
    return module.double()


def arrays(module: nn.Module) -> dict[str, Any]:
    return {name: value.numpy().copy() for name, value in module.state_dict().items()}


def features(count: int, seed: int, height: int = 5, width: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, (count, C, height, width))


def given_to(module: nn.Module, *values: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return module(*(torch.from_numpy(v) for v in values)).numpy()


def test_holistic_head_equals_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    in_float64(monkeypatch)
    head, x = shaken(HolisticHead(C)), features(7, 1)
    assert head.layers[0].out_features == 256
    np.testing.assert_allclose(given_to(head, x), plain.holistic(x, arrays(head)), rtol=1e-9)


def test_holistic_head_gives_absolute_values() -> None:
    head = HolisticHead(C)
    head.layers[2].weight.data.zero_()
    head.layers[2].bias.data.fill_(-3)
    assert given_to(head, features(2, 1).astype(np.float32)).tolist() == [3, 3]


@pytest.mark.parametrize(("share", "count"), [(0.1, 3), (0.02, 1), (0.5, 15)])
def test_seen_and_pseudo_head_equal_the_reference(
    share: float, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_float64(monkeypatch)
    head, x = shaken(TopHead(C, share)), features(7, 2)
    np.testing.assert_allclose(given_to(head, x), plain.top(x, arrays(head), count), rtol=1e-9)


@pytest.mark.parametrize("training", [True, False])
def test_composite_head_equals_the_reference(training: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    in_float64(monkeypatch)
    head, x, references = shaken(CompositeHead(C, 0.1)).train(training), features(7, 3), features(4, 4)
    weights = arrays(head)
    expected = plain.composite(x, references, weights, 3, training)
    found = given_to(head, x, references.mean(axis=0, keepdims=True))
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("training", [True, False])
def test_heads_on_both_scales_are_averaged(training: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first images are the references; the trunk gives back what it is given."""
    in_float64(monkeypatch)
    network = shaken(DRANetwork(nn.Identity(), C, 0.1, 2, references=3)).train(training)
    x, weights = features(8, 5, 10, 12), arrays(network)
    half = x[:, :, ::2, ::2]
    scales = [
        plain.four_heads(values[3:], values[:3], weights, count, training)
        for values, count in ((x, 12), (half, 3))
    ]
    if not training:
        np.testing.assert_allclose(given_to(network, x), np.mean(scales, axis=0), rtol=1e-9)
        return
    torch.testing.assert_close(network(torch.from_numpy(x)).detach().numpy(), np.mean(scales, axis=0))
    assert int(network.composite.differences[1].num_batches_tracked) == 2


# ---- losses ----


@settings(deadline=None, max_examples=30)
@given(st.lists(st.sampled_from([GOOD, BAD, PSEUDO]), min_size=1, max_size=9), st.integers(0, 999))
def test_loss_equals_the_reference(kinds: list[int], seed: int) -> None:
    kinds = [GOOD, *kinds]
    scores = np.random.default_rng(seed).uniform(-3, 9, (4, len(kinds)))
    draws = normal_draws(seed, 0, 20, 4)
    found = dra_loss(torch.from_numpy(scores), torch.tensor(kinds), draws, 5)
    assert float(found) == pytest.approx(sum(plain.dra_deviations(scores, kinds, draws, 5)), rel=1e-5)


KINDS = (GOOD, BAD, PSEUDO)
WANTED = {  # what each head is to give for good, bad and pseudo-anomalous images: far, near, or anything
    "holistic": ("far", "near", "near"),
    "seen": ("near", "far", None),
    "pseudo": ("near", None, "far"),
    "composite": ("near", "far", "far"),
}


@pytest.mark.parametrize(("head", "name"), list(enumerate(WANTED)))
@pytest.mark.parametrize("kind", KINDS)
def test_targets_of_each_head(head: int, name: str, kind: int) -> None:
    """The gradient of a score of 1 pulls it to 0, or beyond the margin, or does not exist."""
    scores = torch.ones(4, 3, requires_grad=True)
    draws = np.tile([-1.0, 1.0, 0.0], (4, 1))  # mean 0, deviation 1
    dra_loss(scores, torch.tensor(KINDS), draws, 5).backward()
    used = sum(target is not None for target in WANTED[name])
    expected = {"near": 1 / used, "far": -1 / used, None: 0}[WANTED[name][kind]]
    assert float(scores.grad[head, kind]) == pytest.approx(expected)


def test_each_head_has_draws_of_its_own() -> None:
    scores, kinds = torch.zeros(4, 1), torch.tensor([GOOD])
    draws = np.tile([-1.0, 1.0, 0.0], (4, 1))
    base = float(dra_loss(scores, kinds, draws, 5))
    assert base == pytest.approx(5)  # the holistic head alone is wrong
    for head, change in enumerate((2, 2, 2, 2)):
        moved = draws.copy()
        moved[head] += change
        expected = base + change  # the mean moves away from the score, and the margin with it
        assert float(dra_loss(scores, kinds, moved, 5)) == pytest.approx(expected)
