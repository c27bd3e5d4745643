"""Draws of whole groups: none is divided, nothing is lost, numbers are near; single images are as ever."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold

from segad_core.contracts import Sample
from segad_core.errors import DataError
from segad_core.recipe.split_spec import ClassifierSplit, SplitSpec
from segad_core.split.draw import Split, make_split
from segad_core.split.folds import out_of_fold, stratified_folds
from segad_core.split.for_classifiers import draw_for_classifier
from segad_core.split.shuffle import draw_groups, take

Lots = list[tuple[int, int]]
"""How many good and bad images each group has."""

LOTS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 4)), min_size=6, max_size=30)
SEEDS = st.integers(0, 2**32 - 1)


def samples_of(lots: Lots, split: str | None = None) -> tuple[list[Sample], dict[str, int]]:
    samples, groups = [], {}
    for number, counts in enumerate(lots):
        for label, count in enumerate(counts):
            for i in range(count):
                name = f"{'bad' if label else 'good'}/{i}_{number:03}{split or ''}.png"
                samples.append(Sample(name, Path(name), label, split=split))  # type: ignore[arg-type]
                groups[name] = number
    return samples, groups


def spec(**parts: Any) -> SplitSpec:
    return SplitSpec.model_validate(parts)


def drawn(samples: list[Sample], groups: dict[str, int] | None, seed: int, **parts: Any) -> Split:
    return make_split(samples, spec(**parts), seed, "c", groups=groups)


def groups_in(
    images: tuple[str, ...] | list[str], groups: dict[str, int], label: int | None = None
) -> set[int]:
    return {groups[i] for i in images if label is None or i.startswith("bad/") == (label == 1)}


@settings(max_examples=80, deadline=None)
@given(lots=LOTS, share=st.tuples(st.floats(0.2, 0.6), st.floats(0.2, 0.6), st.floats(0.2, 0.8)), seed=SEEDS)
def test_no_group_is_divided_and_nothing_is_lost(lots: Lots, share: tuple[float, ...], seed: int) -> None:
    samples, groups = samples_of(lots)
    parts = {"test": {"good": share[0], "bad": share[1]}, "detectors": {"good": share[2]}}
    try:
        split = drawn(samples, groups, seed, **parts)
    except DataError:
        assume(False)
    used = (*split.detectors, *split.final, *split.test, *split.unused)
    assert sorted(used) == sorted(s.id for s in samples) and not split.unused
    assert not groups_in(split.test, groups) & groups_in(split.detectors + split.final, groups)
    assert not groups_in(split.detectors, groups) & groups_in(split.final, groups, label=0)
    assert not groups_in(split.detectors, groups, label=1)
    assert drawn(samples[::-1], groups, seed, **parts) == split


@settings(max_examples=40, deadline=None)
@given(lots=LOTS, share=st.floats(0.2, 0.8), seed=SEEDS)
def test_groups_without_bad_images_suffice_if_they_can(lots: Lots, share: float, seed: int) -> None:
    """A group is in both training parts only if the detectors would have too few images without it."""
    samples, groups = samples_of([*lots, (3, 0), (3, 1), (2, 2), (4, 0)], split="train")
    samples += [replace(samples[0], id=f"t{label}", label=label, split="test") for label in (0, 1)]  # type: ignore[arg-type]
    groups |= {"t0": 1000, "t1": 1001}
    split = drawn(samples, groups, seed, detectors={"good": share})
    both = groups_in(split.detectors, groups) & groups_in(split.final, groups)
    clean = groups_in([s.id for s in samples], groups) - {groups[s.id] for s in samples if s.label} - {1000}
    if both:  # then hardly a good image of a group without bad ones is the final classifier's
        largest = max(Counter(groups[s.id] for s in samples).values())
        assert sum(groups[i] in clean for i in split.final) <= largest


SPLITS: dict[str, dict[str, Any]] = {
    "drawn": {"test": {"good": 0.25, "bad": 0.5}},
    "counts": {"test": {"good": 5, "bad": 4}, "detectors": {"good": 6}, "final": {"good": 3}},
    "amount": {"test": {"good": 5, "bad": 4}, "final": {"bad": {"amount": 2}}},
    "listed": {"test": {"good": 5, "bad": 4}, "order": "listed"},
    "another seed": {"test": {"good": 5, "bad": 4}, "detectors": {"good": 0.4, "seed": 333}},
}
OFFICIAL: dict[str, dict[str, Any]] = {
    "official": {"detectors": {"good": 0.4}},
    "from test": {"final": {"bad": {"from": "test", "amount": 3}}},
    "all from test": {"final": {"good": 2, "bad": {"from": "test", "amount": 0.5}}},
}


@settings(max_examples=12, deadline=None)
@pytest.mark.parametrize("name", [*SPLITS, *OFFICIAL])
@given(seed=SEEDS)
def test_groups_of_one_image_are_drawn_as_images_are(name: str, seed: int) -> None:
    samples, _ = samples_of([(1, 0)] * 21 + [(0, 1)] * 13, split="train" if name in OFFICIAL else None)
    if name in OFFICIAL:
        samples += samples_of([(1, 0)] * 8 + [(0, 1)] * 9, split="test")[0]
    groups = {sample.id: i for i, sample in enumerate(samples)}
    parts = {**SPLITS, **OFFICIAL}[name]
    alone, plain = drawn(samples, groups, seed, **parts), drawn(samples, None, seed, **parts)
    assert alone == plain
    labels = {sample.id: sample.label for sample in samples}
    for given_ in (ClassifierSplit(), ClassifierSplit(good=3, bad=0.5)):
        assert draw_for_classifier(alone, labels, given_, seed, "", groups) == draw_for_classifier(
            plain, labels, given_, seed, ""
        )


@settings(max_examples=80, deadline=None)
@given(sizes=st.lists(st.integers(1, 9), min_size=2, max_size=40), share=st.floats(0.05, 0.95), seed=SEEDS)
def test_of_one_label_the_number_is_within_half_the_largest_group(
    sizes: list[int], share: float, seed: int
) -> None:
    samples, groups = samples_of([(size, 0) for size in sizes])
    ids = [s.id for s in samples]
    wanted = round(share * len(ids))
    [(held, rest)] = take([ids], [wanted], seed, groups)
    assert sorted([*held, *rest]) == sorted(ids)
    if 0 < wanted < len(ids):  # none of both sides is empty, which may cost more
        assert held and rest
        bound = max(sizes) / 2 if min(len(held), len(rest)) > max(sizes) else max(sizes)
        assert abs(len(held) - wanted) <= bound


@settings(max_examples=40, deadline=None)
@given(
    lots=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=3, max_size=9),
    share=st.tuples(st.floats(0.2, 0.8), st.floats(0.2, 0.8)),
    seed=SEEDS,
)
def test_no_group_more_or_less_is_nearer(lots: Lots, share: tuple[float, float], seed: int) -> None:
    lots = [lot for lot in lots if sum(lot)]
    totals = [sum(lot[label] for lot in lots) for label in (0, 1)]
    assume(min(totals) > 0)
    samples, groups = samples_of(lots)
    pools = [[s.id for s in samples if s.label == label] for label in (0, 1)]
    wanted = [round(part * total) for part, total in zip(share, totals, strict=True)]
    chosen = draw_groups(pools, wanted, seed, groups)
    taken = groups_in([*chosen], groups)
    assert all((groups[i] in taken) == (i in chosen) for pool in pools for i in pool)

    def cost(some: set[int]) -> float:
        counts = [sum(lots[g][label] for g in some) for label in (0, 1)]
        together = zip(counts, wanted, totals, strict=True)
        return sum(
            abs(n - w) / t + 100 * (w > 0 and n == 0) + 100 * (w < t and n == t) for n, w, t in together
        )

    here = cost(taken)
    assert all(cost(taken ^ {group}) >= here - 1e-9 for group in range(len(lots)))
    best = min(cost({g for g, bit in enumerate(bits) if bit}) for bits in product((0, 1), repeat=len(lots)))
    assert (here >= 100) == (best >= 100)  # no side lacks a label if that can be avoided


def test_lots_are_stratified() -> None:
    """Twelve like lots: a quarter of the good and half of the bad cannot both be had; a third of both can."""
    samples, groups = samples_of([(20, 4)] * 12)
    split = drawn(samples, groups, 0, test={"good": 1 / 3, "bad": 1 / 3})
    assert len(groups_in(split.test, groups)) == 4 and len(split.test) == 96


def test_each_side_has_bad_images_if_two_lots_have() -> None:
    samples, groups = samples_of([(10, 0)] * 8 + [(2, 6), (2, 6)])
    for seed in range(10):
        split = drawn(samples, groups, seed, test={"good": 0.3, "bad": 0.9})
        assert groups_in(split.test, groups, 1) == {*range(8, 10)} - groups_in(split.final, groups, 1)
        assert len(groups_in(split.test, groups, 1)) == 1


def test_seeds_differ() -> None:
    samples, groups = samples_of([(6, 2)] * 10)
    tests = {drawn(samples, groups, seed, test={"good": 0.3, "bad": 0.3}).test for seed in range(8)}
    assert len(tests) >= 7
    sizes: Counter[int] = Counter()
    mixed, groups = samples_of([(12, 0)] * 5 + [(2, 0)] * 5 + [(0, 3)] * 6)
    for seed in range(200):
        sizes.update(groups_in(drawn(mixed, groups, seed, test={"good": 0.4, "bad": 0.5}).test, groups, 0))
    large, small = (sum(sizes[g] for g in range(*ends)) / 1000 for ends in ((0, 5), (5, 10)))
    assert 0.25 < large < 0.55 and 0.25 < small < 0.65  # no size is always tested, none never


def test_bad_images_leave_the_test_with_their_groups() -> None:
    """A group goes whole: its good images are then out of use; groups of bad images alone go first."""
    train, _ = samples_of([(1, 0)] * 10, split="train")
    samples, groups = samples_of([(3, 2)] * 4 + [(0, 2)] * 3, split="test")
    everything = [*train, *samples]
    groups |= {s.id: 100 + i for i, s in enumerate(train)}
    for seed in range(6):
        split = drawn(everything, groups, seed, final={"bad": {"from": "test", "amount": 6}})
        assert groups_in([i for i in split.final if i.startswith("bad/")], groups) == {4, 5, 6}
        assert not split.unused and len(split.test) == 20
        split = drawn(everything, groups, seed, final={"bad": {"from": "test", "amount": 8}})
        learnt = groups_in([i for i in split.final if i.startswith("bad/")], groups)
        assert len(learnt) == 4 and learnt > {4, 5, 6}
        assert len(split.unused) == 3 and groups_in(split.unused, groups) < learnt
        assert not groups_in(split.test, groups) & learnt


def test_an_exact_number_leaves_the_test_if_groups_have_more() -> None:
    train, _ = samples_of([(1, 0)] * 6, split="train")
    samples, groups = samples_of([(2, 0)] * 2 + [(0, 4)] * 3, split="test")
    groups |= {s.id: 100 + i for i, s in enumerate(train)}
    split = drawn([*train, *samples], groups, 1, final={"bad": {"from": "test", "amount": 3}})
    assert len([i for i in split.final if i.startswith("bad/")]) == 3
    assert len(split.unused) == 1 and len(split.test) == 12


def test_a_classifier_learns_from_whole_groups() -> None:
    samples, groups = samples_of([(6, 2)] * 10)
    labels = {s.id: s.label for s in samples}
    split = drawn(samples, groups, 3, test={"good": 0.2, "bad": 0.2})
    learnt = draw_for_classifier(split, labels, ClassifierSplit(good=0.5, bad=0.5), 3, "g", groups)
    left = {*split.detectors, *split.final} - {*learnt}
    assert len(groups_in(learnt, groups)) == 4 and not groups_in(learnt, groups) & groups_in([*left], groups)


# ---- folds ----


@settings(max_examples=60, deadline=None)
@given(lots=LOTS, count=st.integers(2, 6), seed=SEEDS)
def test_folds_divide_no_group(lots: Lots, count: int, seed: int) -> None:
    samples, groups = samples_of(lots)
    labels = {s.id: int(s.label or 0) for s in samples}
    folds = stratified_folds(labels, count, seed, groups)
    assert sorted(i for fold in folds for i in fold) == sorted(labels)
    assert all(folds) and len(folds) <= count
    assert sum(len(groups_in([*fold], groups)) for fold in folds) == len({*groups.values()})
    assert stratified_folds(labels, count, seed, groups) == folds


def test_folds_are_as_even_as_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    for trial in range(10):
        lots = [
            (int(g), int(b)) for g, b in zip(rng.integers(1, 15, 25), rng.integers(0, 4, 25), strict=True)
        ]
        samples, groups = samples_of(lots)
        labels = {s.id: int(s.label or 0) for s in samples}
        y, g = np.array([*labels.values()]), np.array([groups[i] for i in labels])
        theirs = StratifiedGroupKFold(5, shuffle=True, random_state=trial).split(np.zeros((len(y), 1)), y, g)
        ids = np.array([*labels])
        both = [[frozenset(ids[left]) for _, left in theirs], stratified_folds(labels, 5, trial, groups)]
        spread = [
            sum(np.std([sum(labels[i] == label for i in fold) for fold in folds]) for label in (0, 1))
            for folds in both
        ]
        assert spread[1] <= spread[0] + 1.0


def test_folds_of_single_images_are_those_that_keys_were_made_of() -> None:
    labels = {f"{i}": int(i % 3 == 0) for i in range(12)}
    assert [sorted(fold, key=int) for fold in stratified_folds(labels, 3, 7)] == [
        ["3", "4", "7", "10"],
        ["0", "5", "8", "11"],
        ["1", "2", "6", "9"],
    ]


def test_a_fold_leaves_out_copies_and_images_of_the_same_group() -> None:
    trained = {"d1": 0, "d2": 0, "a": 0, "b": 1, "c": 1, "e": 0}
    scored = ["a", "b", "c", "e", "copy of a", "f"]
    pixels = {i: i for i in (*trained, *scored)} | {"copy of a": "a"}
    groups = {"d1": 0, "a": 0, "copy of a": 0, "b": 1, "d2": 2, "c": 3, "e": 4, "f": 3}
    alone = out_of_fold(trained, scored, pixels, 2, 0)
    assert all(("a" in fold) == ("copy of a" in fold) for fold in alone)
    assert not any({"d1", "f"} & fold for fold in alone)  # nothing to score, or not trained on
    for seed in range(5):
        folds = out_of_fold(trained, scored, pixels, 2, seed, groups)
        for fold in folds:
            assert ("a" in fold) == ("d1" in fold) == ("copy of a" in fold)
            assert ("c" in fold) == ("f" in fold)
        assert {i for fold in folds for i in fold} == {*trained, *scored} - {"d2"}
