"""What a setup reaches: its figures in one category under one seed, and all of them as a frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What one row reaches in one category under one seed. Rates lie between 0 and 1.

    Attributes:
        held_out: the type of defect from which nothing learnt; empty for the setup itself.
        auroc, auroc_low, auroc_high: and its 95 % bootstrap interval over images; means of rows have none.
        fpr95, fpr95_low, fpr95_high: as the paper's official code computes it, and its interval.
        fpr95_roc: as the ROC curve has it.
        n_good, n_bad: test images.
        n_unseen: how many of the bad have a defect of a type that nothing learnt from.
        n_doubtful: doubtful images.
        doubtful_above: how many of the doubtful lie at or above the threshold that catches 95 % of the bad.
        auroc_seen, fpr95_seen: of the good against the bad that are not unseen; this and what follows is
            None where all bad images are seen, or all unseen.
        auroc_unseen, fpr95_unseen: of the good against the unseen.
        missed_seen, missed_unseen: how many lie below the threshold that catches 95 % of the seen: the one
            that would be set by someone who knows only those.
    """

    category: str
    seed: int
    row: str
    held_out: str = ""
    auroc: float
    auroc_low: float | None = None
    auroc_high: float | None = None
    fpr95: float
    fpr95_low: float | None = None
    fpr95_high: float | None = None
    fpr95_roc: float | None = None
    n_good: int
    n_bad: int
    n_unseen: int = 0
    n_doubtful: int
    doubtful_above: float
    auroc_seen: float | None = None
    auroc_unseen: float | None = None
    fpr95_seen: float | None = None
    fpr95_unseen: float | None = None
    missed_seen: float | None = None
    missed_unseen: float | None = None


_INTERVALS = ("auroc_low", "auroc_high", "fpr95_low", "fpr95_high")
_COUNTED = ("doubtful_above", "missed_seen", "missed_unseen")
_RATES = (
    *("auroc", "fpr95", "fpr95_roc"),
    *("auroc_seen", "auroc_unseen", "fpr95_seen", "fpr95_unseen"),
)


def results_frame(figures: Sequence[Figures]) -> pd.DataFrame:
    """One line per category, seed, type of defect held out, and row; what there is not is missing."""
    frame = pd.DataFrame([vars(f) for f in figures], columns=list(Figures.__dataclass_fields__))
    for column in (*_RATES, *_INTERVALS):
        frame[column] = frame[column].astype("float64")
    for column in _COUNTED:  # whole numbers but for means of rows
        frame[column] = frame[column].astype("float64").convert_dtypes()
    return frame


def with_means(
    figures: Sequence[Figures], means: Mapping[str, Sequence[str]], order: Sequence[str]
) -> list[Figures]:
    """Adds the rows that are means of other rows, and brings all into the recipe's order.

    Args:
        figures: of the rows that were measured, in any order of rows.
        means: the rows that each such row is the mean of.
        order: the recipe's rows.

    Returns:
        Line by line, for each category, seed and type held out (in the order in which they first appear) the
        rows in the recipe's order. A mean is there where all its members are; it has the means of their
        rates and of what was counted at a threshold, no intervals, and the sizes that its members share.
    """
    groups: dict[tuple[str, int, str], dict[str, Figures]] = {}
    for one in figures:
        groups.setdefault((one.category, one.seed, one.held_out), {})[one.row] = one
    place = {name: i for i, name in enumerate(order)}
    for own in groups.values():
        for name, members in means.items():
            if all(member in own for member in members):
                own[name] = _mean(name, [own[member] for member in members])
    return [
        own[row] for own in groups.values() for row in sorted(own, key=lambda r: place.get(r, len(place)))
    ]


def _mean(name: str, members: Sequence[Figures]) -> Figures:
    means: dict[str, float | None] = dict.fromkeys(_INTERVALS)
    for field in (*_RATES, *_COUNTED):
        values = [getattr(member, field) for member in members]
        means[field] = None if None in values else fmean(values)
    return replace(members[0], row=name, **means)  # type: ignore[arg-type]
