"""The images that classifiers train on: some of those that detectors and final classifier learn from."""

from __future__ import annotations

from collections.abc import Mapping

from segad_core.errors import DataError
from segad_core.recipe.split_spec import ClassifierSplit
from segad_core.split.draw import Split
from segad_core.split.shuffle import count_of, take


def draw_for_classifier(
    split: Split,
    labels: Mapping[str, int | None],
    spec: ClassifierSplit,
    seed: int,
    what: str,
    groups: Mapping[str, int] | None = None,
) -> tuple[str, ...]:
    """The images that a classifier trains on, sorted.

    Args:
        split: of the category and the seed.
        labels: by image.
        spec: how many.
        seed: as in `make_split`.
        what: names the category, the seed and the classifier in messages.
        groups: as in `make_split`.

    Raises:
        DataError: there is no good or no bad image, or there are fewer than requested.
    """
    trained = sorted({*split.detectors, *split.final})
    pools = [[i for i in trained if labels[i] == label] for label in (0, 1)]
    given = ((pools[0], "good", spec.good), (pools[1], "bad", spec.bad))
    counts = [count_of(amount, len(pool), f"{what}: {word} images") for pool, word, amount in given]
    held_out = [len(pool) - count for pool, count in zip(pools, counts, strict=True)]
    chosen = [own for _, own in take(pools, held_out, seed, groups)]
    for own, (pool, word, _) in zip(chosen, given, strict=True):
        if not own:
            raise DataError(
                f"{what}: the split leaves no {word} image to learn from, out of {len(pool)} for training",
                f"Raise {word} in split.classifiers or in the classifier's own split, or give the category "
                f"more {word} images."
                if pool
                else f"Lower split.test.{word}, or give the category more {word} images.",
            )
    return tuple(sorted(i for own in chosen for i in own))
