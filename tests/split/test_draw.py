"""Splits: the published draws, disjointness, and what is refused."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from published_trees import VISA
from sklearn.model_selection import train_test_split

from segad_core.contracts import Sample
from segad_core.errors import DataError, RecipeError
from segad_core.recipe.split_spec import SplitSpec
from segad_core.split.draw import make_split
from segad_core.split.shuffle import draw


def _samples(good: int, bad: int, doubtful: int = 0, split: str | None = None) -> list[Sample]:
    kinds = [("good", good, 0), ("bad", bad, 1), ("doubtful", doubtful, None)]
    return [
        Sample(f"{name}/{i:04}.png", Path(f"{name}/{i:04}.png"), label, split=split)
        for name, count, label in kinds
        for i in range(count)
    ]


def _spec(**parts: object) -> SplitSpec:
    return SplitSpec.model_validate(parts)


@pytest.mark.parametrize("seed", [333, 576, 725])
@pytest.mark.parametrize(("n", "held_out"), [(100, 90), (55, 6), (7, 3)])
def test_draw_is_that_of_scikit_learn(n: int, held_out: int, seed: int) -> None:
    ids = [f"{i:03}.JPG" for i in range(n)]
    rest, held = train_test_split(ids, test_size=held_out, random_state=seed)
    assert draw(ids, held_out, seed) == (sorted(held), sorted(rest))


def test_visa_moves_the_last_ten_of_the_permutation() -> None:
    """The VisA benchmark: 90 bad images stay in the test, the last 10 drawn train (paper 5.4)."""
    samples = [s for part in ("train", "test") for s in _samples(20, 0, split=part)]
    samples = [Sample(f"{s.split}/{s.id}", s.path, s.label, split=s.split) for s in samples]
    samples += _samples(0, 100, split="test")
    spec = _spec(
        detectors={"good": 0.9, "seed": 333}, final={"good": "rest", "bad": {"from": "test", "amount": 10}}
    )
    split = make_split(samples, spec, 576, "pcb1")
    permutation = np.random.RandomState(576).permutation(100)
    moved = {f"bad/{i:04}.png" for i in permutation[90:]}
    assert {i for i in split.final if i.startswith("bad/")} == moved
    assert len([i for i in split.test if i.startswith("bad/")]) == 90
    assert len(split.detectors) == 18


SEEDS = (333, 576, 725, 823, 831, 902, 226, 598, 874, 589)
"""As published for VisA."""

VISA_SPLIT = {
    "detectors": {"good": 0.9, "seed": 333},
    "final": {"good": "rest", "bad": {"from": "test", "amount": 10}},
}
SEGAD_GOODS = {
    **dict.fromkeys(("candle", "macaroni1", "macaroni2"), 90),
    **dict.fromkeys(("capsules",), 55),
    **dict.fromkeys(("cashew", "fryum", "pipe_fryum"), 45),
    **dict.fromkeys(("chewinggum",), 46),
    **dict.fromkeys(("pcb1", "pcb2", "pcb3", "pcb4"), 91),
}
"""The good images that SegAD learns from: a tenth of N, ceil(0.1 N)."""


def _visa(category: str) -> list[Sample]:
    """A category of VisA, neither sorted by name nor by part."""
    train, test = VISA[category]
    parts = [("test", "bad", 1, 100), ("train", "good", 0, train), ("test", "good", 0, test)]
    samples = [
        Sample(f"{part}/{word}/{i:04}.JPG", Path("x"), label, split=part)  # type: ignore[arg-type]
        for part, word, label, count in parts
        for i in range(count)
    ]
    return [samples[i] for i in np.random.default_rng(len(category)).permutation(len(samples))]


def _frame(samples: list[Sample], part: str, label: int, listed: bool = False) -> pd.DataFrame:
    """A table of the images, as the official code has one."""
    ids = [s.id for s in samples if s.split == part and s.label == label]
    return pd.DataFrame({"image": ids if listed else sorted(ids), "label": label})


@pytest.mark.parametrize("order", ["name", "listed"])
@pytest.mark.parametrize("category", VISA)
def test_visa_is_split_as_the_official_code_splits_it(category: str, order: str) -> None:
    """Test parts and bad training images of all ten seeds; good images once, those of EfficientAD."""
    samples = _visa(category)
    bad = _frame(samples, "test", 1, order == "listed")
    goods = _frame(samples, "train", 0, order == "listed")
    detectors, left = train_test_split(goods, test_size=0.1, random_state=333)
    assert len(left) == SEGAD_GOODS[category]
    for seed in SEEDS:
        train, test = train_test_split(bad, test_size=len(bad) - 10, random_state=seed)
        assert (len(train), len(test)) == (10, 90)
        split = make_split(samples, _spec(**VISA_SPLIT, order=order), seed, category)
        assert split.detectors == tuple(sorted(detectors["image"]))
        assert split.final == tuple(sorted([*left["image"], *train["image"]]))
        assert split.test == tuple(sorted([*_frame(samples, "test", 0)["image"], *test["image"]]))
        assert split.unused == split.doubtful == ()


@settings(max_examples=40, deadline=None)
@given(samples=st.permutations(_samples(11, 8)), seed=st.integers(0, 2**32 - 1))
def test_the_listed_order_is_what_is_shuffled(samples: list[Sample], seed: int) -> None:
    parts = {"test": {"good": 3, "bad": 2}, "detectors": {"good": 5}, "order": "listed"}
    split = make_split(samples, _spec(**parts), seed, "c")
    good, bad = ([s.id for s in samples if s.label == label] for label in (0, 1))
    left, test_good = train_test_split(good, test_size=3, random_state=seed)
    train_bad, test_bad = train_test_split(bad, test_size=2, random_state=seed)
    left.sort(key=good.index)  # what is not tested stands in the order of the list again
    detectors, final = train_test_split(left, test_size=len(left) - 5, random_state=seed)
    assert split.test == tuple(sorted([*test_good, *test_bad]))
    assert split.detectors == tuple(sorted(detectors))
    assert split.final == tuple(sorted([*final, *train_bad]))


def test_shares_round_as_scikit_learn_rounds() -> None:
    """542 good images, a tenth held out rounded up: 55, as for VisA's capsules."""
    samples = [*_samples(542, 0, split="train"), *_samples(0, 20, split="test")]
    samples.append(Sample("test/good.png", Path("x"), 0, split="test"))
    spec = _spec(detectors={"good": 0.9}, final={"bad": {"from": "test", "amount": 10}})
    split = make_split(samples, spec, 0, "capsules")
    assert len(split.detectors) == 542 - 55
    assert len([i for i in split.final if i.startswith("good/")]) == 55


@pytest.mark.parametrize(("n", "share"), [(313, 0.5), (921, 0.25), (588, 0.25), (100, 0.07)])
def test_a_test_share_is_that_of_scikit_learn(n: int, share: float) -> None:
    samples = _samples(n, 9)
    split = make_split(samples, _spec(test={"good": share, "bad": 2}), 5, "c")
    _, held = train_test_split(sorted(s.id for s in samples if not s.label), test_size=share, random_state=5)
    assert sorted(i for i in split.test if i.startswith("good/")) == sorted(held)


def test_unseen_defects_train_nothing() -> None:
    samples = _samples(20, 20)
    unseen = {s.id for s in samples if s.label and s.id < "bad/0010"}
    samples = [Sample(s.id, s.path, s.label, unseen=s.id in unseen) for s in samples]
    official = [Sample(s.id, s.path, s.label, split="test", unseen=s.unseen) for s in samples if s.label]
    goods = [s for s in samples if not s.label]
    official += [
        Sample(s.id, s.path, s.label, split="test" if i < 5 else "train") for i, s in enumerate(goods)
    ]
    moved = _spec(final={"bad": {"from": "test", "amount": 4}})
    for split in (
        make_split(samples, _spec(test={"good": 4, "bad": 5}), 0, "c"),
        make_split(official, moved, 0, "c"),
    ):
        assert not unseen.intersection(split.final)
        assert not unseen.intersection(split.detectors)
    assert unseen <= set(make_split(official, moved, 0, "c").test)


@settings(max_examples=60, deadline=None)
@given(
    good=st.integers(8, 60),
    bad=st.integers(4, 40),
    doubtful=st.integers(0, 9),
    test_good=st.floats(0.2, 0.5),
    test_bad=st.floats(0.3, 0.7),
    share=st.floats(0.3, 0.8),
    seed=st.integers(0, 2**31),
)
def test_purposes_are_disjoint_and_complete(
    good: int, bad: int, doubtful: int, test_good: float, test_bad: float, share: float, seed: int
) -> None:
    samples = _samples(good, bad, doubtful)
    spec = _spec(test={"good": test_good, "bad": test_bad}, detectors={"good": share})
    split = make_split(samples, spec, seed, "c")
    parts = [split.detectors, split.final, split.test, split.doubtful, split.unused]
    assert sorted(i for part in parts for i in part) == sorted(s.id for s in samples)
    assert all(i.startswith("good/") for i in split.detectors)
    assert set(split.doubtful) == {s.id for s in samples if s.label is None}
    assert make_split(list(reversed(samples)), spec, seed, "c") == split


def test_counts_and_unused() -> None:
    spec = _spec(test={"good": 10, "bad": 5}, detectors={"good": 7}, final={"good": 3, "bad": {"amount": 4}})
    split = make_split(_samples(30, 20), spec, 1, "c")
    assert len(split.detectors) == 7
    assert len(split.final) == 7
    assert len(split.test) == 15
    assert len(split.unused) == 30 + 20 - 7 - 7 - 15


def test_one_detector_seed_keeps_the_training_images_where_the_test_part_is_official() -> None:
    samples = [*_samples(30, 12, split="train"), Sample("t", Path("t"), 0, split="test")]
    samples.append(Sample("u", Path("u"), 1, split="test"))
    spec = _spec(detectors={"good": 0.5, "seed": 333})
    assert make_split(samples, spec, 1, "c").detectors == make_split(samples, spec, 2, "c").detectors
    spec = _spec(detectors={"good": 0.5})
    assert make_split(samples, spec, 1, "c").detectors != make_split(samples, spec, 2, "c").detectors


@pytest.mark.parametrize("bad", [0, 0.5, 3, "rest"])
@pytest.mark.parametrize("origin", ["train", "test"])
def test_without_bad_images_their_amounts_mean_none(bad: object, origin: str) -> None:
    spec = _spec(test={"good": 3, "bad": bad}, final={"bad": {"from": origin, "amount": 2}})
    split = make_split(_samples(9, 0), spec, 0, "c")
    same = make_split(_samples(9, 6), _spec(test={"good": 3, "bad": 2}), 0, "c")
    good = {s.id for s in _samples(9, 0)}
    assert split.test == tuple(i for i in same.test if i in good) and len(split.test) == 3
    assert (split.detectors, split.unused) == (same.detectors, ())
    assert split.final == tuple(i for i in same.final if i in good)


def test_a_test_without_bad_images_has_to_be_asked_for() -> None:
    split = make_split(_samples(9, 5), _spec(test={"good": 2, "bad": 0}), 0, "c")
    bad = {s.id for s in _samples(9, 5) if s.label == 1}
    assert len(split.test) == 2 and not bad.intersection(split.test)
    assert bad <= {*split.final}


TESTED = Sample("t", Path("t"), 0, split="test")


@pytest.mark.parametrize(
    ("samples", "parts", "error", "words"),
    [
        (_samples(0, 9), {"test": {"good": 0, "bad": 2}}, DataError, "category 'c' has no good image"),
        (_samples(9, 9), {}, RecipeError, "no official test .* for category 'c'"),
        (_samples(9, 9), {"test": {"good": 10, "bad": 2}}, DataError, "10 .* 9 "),
        (_samples(9, 9), {"test": {"good": "rest", "bad": 2}}, DataError, "no good image for the detectors"),
        (_samples(9, 9, split="train"), {}, DataError, "no good image for the test"),
        ([*_samples(9, 9, split="train"), TESTED], {}, DataError, "no bad image for the test"),
    ],
)
def test_what_cannot_be_split_is_named(
    samples: list[Sample], parts: dict[str, object], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        make_split(samples, _spec(**parts), 0, "c")
