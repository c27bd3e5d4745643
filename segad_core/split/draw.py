"""Which image serves which purpose, for a category and a seed (paper sections 4.1 and 5.4)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from segad_core.contracts import Sample
from segad_core.errors import DataError, RecipeError
from segad_core.recipe.split_spec import SplitSpec
from segad_core.split.shuffle import count_of, draw, take

Purpose = Literal["detectors", "final", "test", "doubtful", "unused"]


class Fold(NamedTuple):
    """One repetition of a recipe.

    Attributes:
        seed: of its draws.
        held_out: the defect type held out of all training, if any.
        amount: of bad images to learn from, as the recipe says it, if the recipe compares several.
    """

    seed: int
    held_out: str = ""
    amount: str = ""

    def cells(self) -> tuple[int | str, ...]:
        """Its cells of a table; without the amount where the recipe compares none."""
        return tuple(self) if self.amount else self[:2]

    def __str__(self) -> str:
        without = f" without {self.held_out}" if self.held_out else ""
        return f"{self.seed}{without}" + (f", amount {self.amount}" if self.amount else "")


@dataclass(frozen=True)
class Split:
    """The purposes of the images of one category in one fold, by id, each list sorted.

    Attributes:
        detectors: good images that the detectors train on.
        final: good and bad images that the final classifier trains on.
        test: good and bad images that the metrics are computed on.
        doubtful: images that are scored and reported separately.
        unused: images that serve no purpose in this recipe.
        classifiers: good and bad images that each classifier trains on, by its name, taken from `detectors`
            and `final` (paper section 4.1), never from `test`.
        subset: the published subset of bad images in `final`, if any.
        detectors_seed: seeds the detectors' training; folds with the same seed and images share it.
        detector_folds: with cross-fitted detectors, the images of `final` in each of their folds, which
            detectors describe that train on the good images of the other folds; empty without. The good
            images of `final` are then those of `detectors`.
    """

    detectors: tuple[str, ...]
    final: tuple[str, ...]
    test: tuple[str, ...]
    doubtful: tuple[str, ...]
    unused: tuple[str, ...]
    classifiers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    subset: str = ""
    detectors_seed: int = 0
    detector_folds: tuple[tuple[str, ...], ...] = ()

    def trainings(self) -> tuple[tuple[str, ...], ...]:
        """The good images of each training of a detector: all of them, then those of each fold's."""
        return (self.detectors, *map(self.trained_on, range(len(self.detector_folds))))

    def trained_on(self, number: int) -> tuple[str, ...]:
        """The good images that the detectors of a fold train on."""
        left_out = {*self.detector_folds[number]}
        return tuple(image for image in self.detectors if image not in left_out)

    def purposes(self) -> dict[str, Purpose]:
        """The purpose of each image that serves one; that of images of cross-fitted detectors is `final`."""
        names: tuple[Purpose, ...] = ("detectors", "final", "test", "doubtful")
        return {image: name for name in names for image in getattr(self, name)}


def make_split(
    samples: Sequence[Sample],
    spec: SplitSpec,
    seed: int,
    category: str,
    *,
    held_out: str = "",
    amount: str = "",
    subset: Collection[str] | None = None,
    groups: Mapping[str, int] | None = None,
    detectors_train: bool = True,
) -> Split:
    """Draws the split of a category for a seed.

    The test images come first: the official ones, or as `test` says. Then come the detectors' good images,
    then the final classifier's good images from what is left; with cross-fitted detectors, they are the same.
    Its bad images come from the training part or, as in the paper's VisA benchmark, are moved over from the
    test part.

    No group is divided: none has images in both training and test, unless an official split has it so, and
    the good images of none are divided between detectors and final classifier. Bad training images are too
    few to leave out, so the final classifier learns from all of them; groups that have some give good images
    to the detectors only if the others do not suffice. A category may have no bad image at all: then
    whatever the spec says of them means none.

    Args:
        samples: of the category, in the order in which the data set lists them.
        spec: how to draw.
        seed: of the draws.
        category: for messages.
        held_out: a defect type that nothing learns from; defects that the data set itself calls unseen are
            then left out of the test.
        amount: which of the spec's amounts of bad images to learn from, if it has several. A smaller one's
            images are among a larger one's, and the test is the same for all.
        subset: ids of the bad training images to learn from; None for all.
        groups: the group of each good and bad image; None to draw single images.
        detectors_train: whether any detector learns from images.

    Raises:
        DataError: a purpose that needs images has none, or fewer than requested.
    """
    ordered = samples if spec.order == "listed" else sorted(samples, key=lambda sample: sample.id)
    good, bad, doubtful = ([s.id for s in ordered if s.label == label] for label in (0, 1, None))
    if not good:
        raise DataError(
            f"category '{category}' has no good image",
            "Add good images, or remove the category from the recipe's categories.",
        )
    train_good, test_good, train_bad, test_bad = _parts(samples, spec, seed, category, good, bad, groups)

    learnt_bad = train_bad if spec.final.bad.origin in ("train", "subsets") else []
    detectors, final_good = _good_to_learn(train_good, learnt_bad, spec, seed, category, groups)
    unseen = {s.id for s in samples if s.unseen or held_out in s.defects()}  # not to be learnt from
    origins = {"train": train_bad, "test": test_bad, "subsets": train_bad, "generated": []}
    pool = [i for i in origins[spec.final.bad.origin] if i not in unseen and (subset is None or i in subset)]
    final_bad: list[str] = []
    if bad:
        amounts, what = spec.final.bad.amounts(), f"{category}: bad images for the final classifier"
        count = count_of(amounts[amount or [*amounts][-1]], len(pool), what)
        if spec.final.bad.origin == "test":
            possible = [one for one in amounts.values() if not isinstance(one, int) or one <= len(pool)]
            most = count_of(possible[-1], len(pool), what)
            pool, test_good, test_bad = _from_test(pool, most, seed, test_good, test_bad, unseen, groups)
            count = min(count, len(pool))
        _, final_bad = draw(pool, len(pool) - count, seed)
    if held_out:  # the held-out type is then the only unseen one
        official = {s.id for s in samples if s.unseen}
        test_bad = [i for i in test_bad if i not in official]

    parts = {
        "detectors": detectors,
        "final": final_good + final_bad,
        "test": test_good + test_bad,
        "doubtful": doubtful,
    }
    used = {image for ids in parts.values() for image in ids}
    parts["unused"] = [i for i in (*good, *bad) if i not in used]
    split = Split(
        **{name: tuple(sorted(ids)) for name, ids in parts.items()},  # type: ignore[arg-type]
        detectors_seed=_detectors_seed(spec, seed) if detectors_train else 0,
    )
    labels = {sample.id: sample.label for sample in samples}
    tests_bad = bool(bad) and (spec.test is None or spec.test.bad != 0)
    context = f"category '{category}', seed {seed}"
    check_parts(split, labels, context, detectors_train=detectors_train, bad_in_test=tests_bad)
    return split


def _detectors_seed(spec: SplitSpec, seed: int) -> int:
    return seed if spec.detectors.seed is None else spec.detectors.seed


def _good_to_learn(
    good: Sequence[str],
    bad: Sequence[str],
    spec: SplitSpec,
    seed: int,
    category: str,
    groups: Mapping[str, int] | None,
) -> tuple[list[str], list[str]]:
    """The good images for the detectors and those for the final classifier, which learns from `bad`."""
    with_bad = {groups[i] for i in bad} if groups else set()
    without = {groups[i] for i in good} - with_bad if groups else set()
    count = count_of(spec.detectors.good, len(good), f"{category}: good images for detectors")
    [(left, detectors)] = take([good], [len(good) - count], _detectors_seed(spec, seed), groups, without)
    count = count_of(spec.final.good, len(left), f"{category}: good images for the final classifier")
    [(_, final)] = take([left], [len(left) - count], seed, groups, with_bad)
    return detectors, detectors if spec.detectors.folds else final


def _from_test(
    pool: list[str],
    count: int,
    seed: int,
    test_good: list[str],
    test_bad: list[str],
    unseen: Collection[str],
    groups: Mapping[str, int] | None,
) -> tuple[list[str], list[str], list[str]]:
    """The bad images to learn from, which leave the test, and the good and bad images that stay in it.

    Groups leave it as a whole. Those of which all images can be learnt from go first: the others take images
    out of use.

    Args:
        pool: the bad images that may be learnt from.
        count: how many of them leave the test; without groups, they are drawn from the whole pool later.
        seed: of the draw.
        test_good, test_bad: the test before.
        unseen: bad images that are not to be learnt from.
        groups: as in `make_split`.
    """
    if not groups:
        kept, _ = draw(pool, len(pool) - count, seed)
        return pool, test_good, [*kept, *(i for i in test_bad if i in unseen)]
    needed = {groups[i] for i in {*test_good, *test_bad}.difference(pool)}
    [(_, moved)] = take([pool], [len(pool) - count], seed, groups, {groups[i] for i in pool} - needed)
    gone = {groups[i] for i in moved}
    good, bad = ([i for i in ids if groups[i] not in gone] for ids in (test_good, test_bad))
    return moved, good, bad


def check_parts(
    split: Split,
    labels: Mapping[str, int | None],
    context: str,
    *,
    detectors_train: bool,
    bad_in_test: bool = True,
    remedy: str = "Change the recipe's split, or give the category more images.",
) -> None:
    """Checks that there are images to test on, and to train detectors on if any detector trains.

    A test without bad images is allowed where there are none, or where the recipe asks for it.

    Raises:
        DataError: an image that is needed is missing; the message says which.
    """
    needed = [("good", "test"), *[("bad", "test")] * bad_in_test]
    for word, purpose in [("good", "detectors")] * detectors_train + needed:
        if not any(labels[image] == (word == "bad") for image in getattr(split, purpose)):
            raise DataError(f"{context}: the split leaves no {word} image for the {purpose}", remedy)


def _parts(
    samples: Sequence[Sample],
    spec: SplitSpec,
    seed: int,
    category: str,
    good: list[str],
    bad: list[str],
    groups: Mapping[str, int] | None,
) -> tuple[list[str], list[str], list[str], list[str]]:
    """Good training images, good test images, bad training images and bad test images."""
    if spec.test is not None:
        n_good = count_of(spec.test.good, len(good), f"{category}: good images for the test", up=True)
        asked = spec.test.bad if bad else 0
        n_bad = count_of(asked, len(bad), f"{category}: bad images for the test", up=True)
        (test_good, train_good), (test_bad, train_bad) = take([good, bad], [n_good, n_bad], seed, groups)
        return train_good, test_good, train_bad, test_bad
    parts = {s.id: s.split for s in samples if s.label is not None}
    if None in parts.values():
        raise RecipeError(
            f"the data set has no official test split for category '{category}'",
            "Say how many images to set aside, for example split: {test: {good: 0.25, bad: 0.5}}.",
        )
    return (
        [i for i in good if parts[i] == "train"],
        [i for i in good if parts[i] == "test"],
        [i for i in bad if parts[i] == "train"],
        [i for i in bad if parts[i] == "test"],
    )
