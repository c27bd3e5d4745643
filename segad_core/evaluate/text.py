"""All results as one text in Markdown: tables, what they rest on, and what a reader has to know."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from segad_core.evaluate.bootstrap import RESAMPLES
from segad_core.evaluate.comparison import comparison_text
from segad_core.evaluate.figures import Figures
from segad_core.evaluate.table import METRICS, aligned, itself, markdown_table, plain_cell
from segad_core.evaluate.unseen import held_out_table, held_out_types, unseen_table
from segad_core.recipe.published import Published


def results_text(
    title: str,
    figures: Sequence[Figures],
    *,
    published: Published | None = None,
    notes: Sequence[str] = (),
    unreadable: int = 0,
    licence: str = "",
) -> str:
    """The results: every table that there is something for, and below each what its figures mean.

    Args:
        figures: of the finished rows, in the order in which tables show them.
        published: figures to show beside the measured ones.
        notes: sentences about what was used.
        unreadable: images that took no part.
        licence: of the data.
    """
    frame = itself(figures)
    parts = [f"# {title}\n", *(markdown_table(figures, metric) for metric in METRICS)]
    parts.append(_rests_on(frame))
    if frame["n_doubtful"].any():
        parts.append(
            "Doubtful images (scored, never trained on, in none of the figures above), and how many of\n"
            "them lie at or above the threshold that catches 95 % of the bad, mean over seeds:\n\n"
            + _apart_table(frame)
        )
    if unreadable:
        plural = "s" * (unreadable > 1)
        parts.append(f"{unreadable} image{plural} could not be read and took no part: see unreadable.csv.\n")
    if published is not None:
        parts.append(comparison_text(figures, published))
    parts += _unseen(figures)
    if notes:
        parts.append("## Notes\n\n" + "".join(f"- {note}\n" for note in notes))
    if licence:
        parts.append(f"Data: {licence}\n")
    return "\n".join(parts)


def _rests_on(frame: pd.DataFrame) -> str:
    seeds = [str(seed) for seed in frame["seed"].unique()]
    text = f"Per cent, over {len(seeds)} seed{'s' * (len(seeds) > 1)} ({', '.join(seeds)})"
    known = bool(frame["auroc_low"].notna().any())
    if len(seeds) > 1:
        text += ", mean ± sample standard deviation (n - 1).\n"
        text += "results.csv has each seed's, with 95 % bootstrap intervals over test images.\n" * known
    else:
        text += (
            f"; in brackets the 95 % bootstrap interval over test images\n({RESAMPLES:,} resamples)" * known
        )
        text += ".\n"
    text += "FPR@95TPR is computed as in the paper's official code, (ROC) read off the ROC curve.\n"
    return text + "Test images: " + "; ".join(_counts(frame)) + ".\n"


def _unseen(figures: Sequence[Figures]) -> list[str]:
    parts = []
    if table := unseen_table(figures):
        parts.append(f"## Seen and unseen defects\n\n{table}\n{_SEEN}{_MISSED}")
    if table := held_out_table(figures):
        types = held_out_types(figures)
        parts.append(
            f"## Defects held out in turn ({types} type{'s' * (types > 1)})\n\n{table}\n"
            "Each type of defect is the unseen one of a run in which nothing learnt from it.\n"
            "Means over types, then over categories, then over seeds.\n"
            f"{_MISSED}A seen image counts once for each run. Each type's figures are in results.csv.\n"
        )
    return parts


_SEEN = (
    "Seen: of types that the data set's training part has, whether or not a row learnt from them.\n"
    "Good images against one kind alone.\n"
)
_MISSED = (
    "Missed: below the threshold that catches 95 % of the seen, in per cent, and how many of how many\n"
    "(totals, mean over seeds).\n"
)


def _counts(frame: pd.DataFrame) -> list[str]:
    parts = []
    for category, own in frame.groupby("category", sort=False):
        text = f"{category} {_range(own['n_good'])} good, {_range(own['n_bad'])} bad"
        if own["n_unseen"].any():
            text += f" ({_range(own['n_unseen'])} of them unseen)"
        parts.append(text)
    return parts


def _range(values: pd.Series) -> str:
    low, high = int(values.min()), int(values.max())
    return str(low) if low == high else f"{low} to {high}"


def _apart_table(frame: pd.DataFrame) -> str:
    lines = [["row", "category", "doubtful", "above"]]
    for (row, category), own in frame[frame["n_doubtful"] > 0].groupby(["row", "category"], sort=False):
        share = 100 * float((own["doubtful_above"] / own["n_doubtful"]).mean())
        lines.append([plain_cell(str(row)), str(category), _range(own["n_doubtful"]), f"{share:.0f} %"])
    return aligned(lines, words=2)
