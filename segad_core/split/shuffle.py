"""Draws from pools of images: single images, or whole groups where groups are kept together."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from segad_core.errors import AmountError
from segad_core.recipe.split_spec import Amount

_EMPTY = 10.0
"""The cost of a side without any image of a label, above that of any difference in numbers."""


def count_of(amount: Amount, available: int, what: str, up: bool = False) -> int:
    """How many images an amount means; shares are rounded up for a test and down for training.

    This is scikit-learn's rule, except that a decimal share is exact: 0.29 of 100 is 29, not 28 as in floats.
    """
    if amount == "rest":
        return available
    if isinstance(amount, float):
        return math.ceil(amount * available) if up else math.floor(round(amount * available, 9))
    if int(amount) > available:
        raise AmountError(
            f"{what}: {amount} are requested, and only {available} are available",
            "Request fewer in the recipe's split, or a share.",
        )
    return int(amount)


def draw(ids: Sequence[str], held_out: int, seed: int) -> tuple[list[str], list[str]]:
    """Splits ids into those held out and the rest, as scikit-learn's `train_test_split` does.

    Published protocols are defined by NumPy's legacy generator, so the permutation uses it: its first
    `held_out` ids are the test part of `train_test_split(ids, test_size=held_out, random_state=seed)`, the
    others its training part.

    Returns:
        The held-out ids and the others, each in the order given.
    """
    chosen = set(np.random.RandomState(seed).permutation(len(ids))[:held_out].tolist())
    held = [one for i, one in enumerate(ids) if i in chosen]
    return held, [one for i, one in enumerate(ids) if i not in chosen]


def take(
    pools: Sequence[Sequence[str]],
    held_out: Sequence[int],
    seed: int,
    groups: Mapping[str, int] | None,
    later: Collection[int] = (),
) -> list[tuple[list[str], list[str]]]:
    """For each pool, the ids held out and the others, each in the order given.

    Without groups, as `draw` does for each pool. With the group of each id, as near to that as whole groups
    allow; `later` are held out only if the others do not suffice.
    """
    if groups is None:
        return [draw(ids, count, seed) for ids, count in zip(pools, held_out, strict=True)]
    chosen = draw_groups(pools, held_out, seed, groups, later)
    return [([i for i in ids if i in chosen], [i for i in ids if i not in chosen]) for ids in pools]


def draw_groups(
    pools: Sequence[Sequence[str]],
    held_out: Sequence[int],
    seed: int,
    groups: Mapping[str, int],
    later: Collection[int] = (),
) -> set[str]:
    """The images that are held out: whole groups, drawn in random order.

    A group is held out if that brings the numbers nearer to those asked for: the sum over pools of the
    difference as a share of the pool. Of both sides, none is left without images of a pool if that can be
    avoided. Images that are each a group of their own are drawn as `draw` draws them.

    Args:
        pools: images by label, say; a group may have images in several.
        held_out: how many of each pool to hold out.
        seed: of the order.
        groups: the group of each image.
        later: groups that are held out only if the others do not suffice.
    """
    ranks: dict[int, tuple[float, int]] = {}
    members: dict[int, NDArray[np.int64]] = {}
    for number, pool in enumerate(pools):
        places = np.empty(len(pool), np.int64)
        places[np.random.RandomState(seed).permutation(len(pool))] = np.arange(len(pool))
        for image, place in zip(pool, places.tolist(), strict=True):
            group = groups[image]
            # by its first image, so that large groups come no sooner than small ones
            ranks.setdefault(group, (place / len(pool), number))
            members.setdefault(group, np.zeros(len(pools), np.int64))[number] += 1
    order = sorted(ranks, key=lambda group: ranks[group])
    wanted, sizes = np.array(held_out), np.array([len(pool) for pool in pools])
    held: set[int] = set()
    for some in ([g for g in order if g not in later], [g for g in order if g in later]):
        start = sum((members[g] for g in held), np.zeros(len(pools), np.int64))
        taken = _nearest([members[g] for g in some], wanted, sizes, start)
        held |= {group for group, chosen in zip(some, taken, strict=True) if chosen}
    return {image for pool in pools for image in pool if groups[image] in held}


def _nearest(
    members: Sequence[NDArray[np.int64]],
    wanted: NDArray[np.int64],
    sizes: NDArray[np.int64],
    numbers: NDArray[np.int64],
) -> list[bool]:
    """Which groups to take: each in turn is taken, or given back, if that is nearer, until none is."""
    taken = [False] * len(members)
    cost, changed = _cost(numbers, wanted, sizes), True
    while changed:
        changed = False
        for i, own in enumerate(members):
            after = numbers - own if taken[i] else numbers + own
            if (new := _cost(after, wanted, sizes)) < cost - 1e-9:
                taken[i], numbers, cost, changed = not taken[i], after, new, True
    return taken


def _cost(numbers: NDArray[np.int64], wanted: NDArray[np.int64], sizes: NDArray[np.int64]) -> float:
    difference = float((np.abs(numbers - wanted) / np.maximum(sizes, 1)).sum())
    empty = ((wanted > 0) & (numbers == 0)) | ((wanted < sizes) & (numbers == sizes))
    return difference + _EMPTY * int(empty.sum())
