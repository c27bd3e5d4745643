"""The figures of a row in one category under one seed, and all of them as a frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import pandas as pd

from segad_core.base.csv_text import neutral


@dataclass(frozen=True, kw_only=True)
class Figures:
    """The figures of one row in one category under one seed. Rates lie between 0 and 1.

    Attributes:
        held_out: the defect type that was held out of training; empty for the setup itself.
        amount: of bad images learnt from, as the recipe says it; empty unless it compares several.
        auroc, auroc_low, auroc_high: with its 95% interval over images; means of rows have none. None if the
            test has no bad image, or all images have the same score.
        fpr95, fpr95_low, fpr95_high: as the paper's official code computes it, with its interval.
        fpr95_roc: read off the ROC curve.
        n_good, n_bad: test images.
        n_unseen: how many of the bad images have a defect type that nothing was trained on.
        n_doubtful: doubtful images.
        doubtful_above: how many doubtful images lie at or above the threshold that catches 95% of the bad;
            None where there is no such threshold.
        auroc_seen, fpr95_seen: good images against bad images of seen types. This and the following fields
            are None if all bad images are seen, or all unseen.
        auroc_unseen, fpr95_unseen: good images against bad images of unseen types.
        missed_seen, missed_unseen: how many lie below the threshold that catches 95% of the seen: the one
            that would be set if only those were known.
        good_median, good_q95, good_highest: of the scores of good images, if the test has no bad one, as the
            following.
        threshold: the one that a budget of false rejects gives on these images.
        rejected, rejected_low, rejected_high: good images at or above it, and the exact 95% interval for the
            share of all good parts.
    """

    category: str
    seed: int
    row: str
    held_out: str = ""
    amount: str = ""
    auroc: float | None
    auroc_low: float | None = None
    auroc_high: float | None = None
    fpr95: float | None
    fpr95_low: float | None = None
    fpr95_high: float | None = None
    fpr95_roc: float | None = None
    n_good: int
    n_bad: int
    n_unseen: int = 0
    n_doubtful: int
    doubtful_above: float | None
    auroc_seen: float | None = None
    auroc_unseen: float | None = None
    fpr95_seen: float | None = None
    fpr95_unseen: float | None = None
    missed_seen: float | None = None
    missed_unseen: float | None = None
    good_median: float | None = None
    good_q95: float | None = None
    good_highest: float | None = None
    threshold: float | None = None
    rejected: int | None = None
    rejected_low: float | None = None
    rejected_high: float | None = None


_INTERVALS = ("auroc_low", "auroc_high", "fpr95_low", "fpr95_high")
_COUNTED = ("doubtful_above", "missed_seen", "missed_unseen")
_GOOD_ONLY = (
    *("good_median", "good_q95", "good_highest"),
    *("threshold", "rejected", "rejected_low", "rejected_high"),
)
_RATES = (
    *("auroc", "fpr95", "fpr95_roc"),
    *("auroc_seen", "auroc_unseen", "fpr95_seen", "fpr95_unseen"),
)


def results_frame(figures: Sequence[Figures]) -> pd.DataFrame:
    """One line per category, seed, held-out defect type, amount and row; absent values are missing values.

    Amounts have a column only where several are compared, and what good images tell only where a test has no
    others.
    """
    left_out = {"amount"} if not _several(figures) else set()
    if all(one.threshold is None for one in figures):
        left_out |= {*_GOOD_ONLY}
    columns = [name for name in Figures.__dataclass_fields__ if name not in left_out]
    frame = pd.DataFrame([vars(f) for f in figures], columns=columns)
    for column in (*_RATES, *_INTERVALS):
        frame[column] = frame[column].astype("float64")
    for column in _COUNTED:  # whole numbers, except in means of rows
        frame[column] = frame[column].astype("float64").convert_dtypes()
    return frame


def _several(figures: Sequence[Figures]) -> bool:
    return any(one.amount for one in figures)


def last_amounts(figures: Sequence[Figures]) -> list[Figures]:
    """The figures with the largest amount of bad images that each category, seed and held-out type has."""
    last = {(one.category, one.seed, one.held_out): one.amount for one in figures}
    return [one for one in figures if one.amount == last[one.category, one.seed, one.held_out]]


def results_csv(figures: Sequence[Figures]) -> str:
    """The same as CSV, in which no name of a category, a row or a defect type runs as a formula."""
    frame = results_frame(figures)
    texts = {name: frame[name].map(neutral) for name in ("category", "row", "held_out")}
    return frame.assign(**texts).to_csv(index=False)


def with_means(
    figures: Sequence[Figures], means: Mapping[str, Sequence[str]], order: Sequence[str]
) -> list[Figures]:
    """Adds the rows that are means of other rows, and puts all rows in the recipe's order.

    Args:
        figures: of the measured rows, in any order.
        means: the members of each mean row.
        order: the recipe's rows.

    Returns:
        For each category, seed, held-out type and amount, in order of first appearance, the rows in the
        recipe's order. A mean is present if all its members are. It has the means of their rates and of their
        counts at a threshold, no intervals, and the image counts that the members share.
    """
    groups: dict[tuple[str, int, str, str], dict[str, Figures]] = {}
    for one in figures:
        groups.setdefault((one.category, one.seed, one.held_out, one.amount), {})[one.row] = one
    place = {name: i for i, name in enumerate(order)}
    for rows in groups.values():
        for name, members in means.items():
            if all(member in rows for member in members):
                rows[name] = _mean(name, [rows[member] for member in members])
    return [
        rows[row] for rows in groups.values() for row in sorted(rows, key=lambda r: place.get(r, len(place)))
    ]


def _mean(name: str, members: Sequence[Figures]) -> Figures:
    means: dict[str, float | None] = dict.fromkeys((*_INTERVALS, *_GOOD_ONLY))
    for field in (*_RATES, *_COUNTED):
        values = [getattr(member, field) for member in members]
        means[field] = None if None in values else fmean(values)
    return replace(members[0], row=name, **means)  # type: ignore[arg-type]
