"""All results as one Markdown text: the tables, how they were computed, and notes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import pandas as pd

from segad_core.base.clopper_pearson import FEW
from segad_core.base.text import markdown
from segad_core.evaluate.bootstrap import RESAMPLES
from segad_core.evaluate.comparison import comparison_text
from segad_core.evaluate.curve import learning_curves
from segad_core.evaluate.exact import bad_for_a_bound
from segad_core.evaluate.figures import Figures, last_amounts
from segad_core.evaluate.good_only import good_only_section
from segad_core.evaluate.table import METRICS, aligned, markdown_table, plain_cell, without_held_out
from segad_core.evaluate.unseen import held_out_table, held_out_types, unseen_table
from segad_core.recipe.published import Published


def results_text(
    title: str,
    figures: Sequence[Figures],
    *,
    published: Published | None = None,
    groups: Mapping[str, str] = MappingProxyType({}),
    notes: Sequence[str] = (),
    unreadable: int = 0,
    licence: str = "",
    of_parts: bool = False,
    budget: str = "",
) -> str:
    """The results: every table that has figures, each followed by what the figures mean.

    Args:
        title: the heading.
        figures: of the finished rows, in table order. Where several amounts of bad images are compared, all
            sections but the learning curves show the largest.
        published: figures to compare with.
        groups: what is known about the groups of each category.
        notes: sentences about the plugins and the data.
        unreadable: how many images could not be read.
        licence: of the data.
        of_parts: whether figures count parts instead of images.
        budget: the rule of the thresholds of tests without bad images.
    """

    unit = "part" if of_parts else "image"
    curves, figures = learning_curves(figures), last_amounts(figures)
    frame = without_held_out(figures)
    measured = [metric for metric in METRICS if frame.empty or frame[metric].notna().any()]
    parts = [f"# {markdown(title)}\n", *(markdown_table(figures, metric) for metric in measured)]
    counts = f"Test {unit}s: {'; '.join(_counts(frame))}.\n"
    parts.append(_basis(frame, unit) + (_PARTS * of_parts) + counts + _groups(groups))
    if section := good_only_section([f for f in figures if not f.held_out], budget, unit):
        parts.append(section)
    if curves:
        parts.append(f"## Learning curves\n\n{curves}\n{_CURVES.format(unit=unit)}")
    if (frame["n_doubtful"] * frame["doubtful_above"].notna()).any():
        parts.append(f"## Doubtful {unit}s\n\n{_doubtful_table(frame)}\n{_DOUBTFUL.format(unit=unit)}")
    if unreadable:
        plural = "s" * (unreadable > 1)
        parts.append(f"{unreadable} unreadable image{plural} excluded: see unreadable.csv.\n")
    if published is not None:
        parts.append(comparison_text(figures, published))
    parts += _unseen(figures, unit)
    if notes:
        parts.append("## Notes\n\n" + "".join(f"- {markdown(note)}\n" for note in notes))
    if licence:
        parts.append(f"Data: {markdown(licence)}\n")
    return "\n".join(parts)


def _basis(frame: pd.DataFrame, unit: str) -> str:
    seeds = [str(seed) for seed in frame["seed"].unique()]
    text = f"Per cent, over {len(seeds)} seed{'s' * (len(seeds) > 1)} ({', '.join(seeds)})"
    known = bool(frame["auroc_low"].notna().any())
    few = frame[["n_good", "n_bad"]].min(axis=1) < FEW
    perfect = frame["auroc"].isin((0.0, 1.0)) | (frame["n_bad"] < bad_for_a_bound())
    drawn = bool((frame["auroc_low"].notna() & ~few).any())
    exact = bool((frame["auroc_low"].notna() & (few | perfect)).any())
    if len(seeds) > 1:
        text += ", mean ± sample standard deviation (n - 1).\n"
        kind = "bootstrap " * bool(drawn)
        text += f"results.csv lists each seed, with 95% {kind}intervals over test {unit}s.\n" * known
    else:
        if known:
            kind, resamples = "bootstrap " * drawn, f"\n({RESAMPLES:,} resamples)" * drawn
            text += f", with the 95% {kind}interval over test {unit}s in brackets{resamples}"
        text += ".\n"
    if exact:
        bad = bad_for_a_bound()
        text += (
            f"Intervals of fewer than {FEW} good or bad test {unit}s, and of perfect figures, are not "
            "resampled,\n"
            f"but those of Newcombe (AUROC) and Clopper-Pearson (FPR, with fewer than {bad} bad ones):\n"
            "docs/metrics.md.\n"
        )
    if frame.empty or frame["auroc"].notna().any():
        text += (
            f"Cl. AUROC tells how well good and bad {unit}s are told apart: 50 is chance, 100 is perfect.\n"
        )
        text += "FPR@95TPR is computed as in the paper's official code; (ROC) is read off the ROC curve.\n"
    return text


def _groups(groups: Mapping[str, str]) -> str:
    """What was kept together: one line, or a line per category where they differ."""
    lines = [f"Groups: {text}." for text in dict.fromkeys(groups.values())]
    if len(lines) > 1:
        lines = [f"Groups of {markdown(category)}: {text}." for category, text in groups.items()]
    return "".join(f"{line}\n" for line in lines)


def _unseen(figures: Sequence[Figures], unit: str) -> list[str]:
    parts = []
    if table := unseen_table(figures):
        parts.append(f"## Seen and unseen defects\n\n{table}\n{(_SEEN + _MISSED).format(unit=unit)}")
    if table := held_out_table(figures):
        types = held_out_types(figures)
        said = (
            f"For each type, everything is trained again without it; its {unit}s are the unseen defects.\n"
            "Means over types, then over categories, then over seeds.\n"
            f"{_MISSED.format(unit=unit)}"
            f"A seen {unit} counts once per held-out type. results.csv lists each type.\n"
        )
        parts.append(f"## Held-out defect types ({types})\n\n{table}\n{said}")
    return parts


_PARTS = (
    "A part is judged by all its views; parts.csv lists each, and scores.csv the images that have a score\n"
    "of their own.\n"
)


_CURVES = (
    "Columns: how many bad {unit}s were learnt from, as the recipe says it. The test {unit}s are the same.\n"
    "Per cent, mean ± sample standard deviation over seeds. The other tables show the last column, or the\n"
    "last that a category has.\n"
)
_SEEN = (
    "Seen: of a type in the data set's training part, whether or not a row was trained on it.\n"
    "AUROC and FPR@95TPR compare the good {unit}s with the seen or the unseen defects only.\n"
)
_MISSED = (
    "Missed: below the threshold that catches 95% of the seen defects, in per cent and in {unit}s\n"
    "(totals, mean over seeds).\n"
)
_DOUBTFUL = (
    "Doubtful {unit}s are scored, but never trained on and not part of any other figure.\n"
    "Above: at or above the threshold that catches 95% of the bad {unit}s, mean over seeds.\n"
)


def _counts(frame: pd.DataFrame) -> list[str]:
    parts = []
    for category, figures in frame.groupby("category", sort=False):
        text = f"{markdown(str(category))} {_range(figures['n_good'])} good, {_range(figures['n_bad'])} bad"
        if figures["n_unseen"].any():
            text += f" ({_range(figures['n_unseen'])} of them unseen)"
        parts.append(text)
    return parts


def _range(values: pd.Series) -> str:
    low, high = int(values.min()), int(values.max())
    return str(low) if low == high else f"{low} to {high}"


def _doubtful_table(frame: pd.DataFrame) -> str:
    lines = [["row", "category", "doubtful", "above"]]
    doubtful = frame[(frame["n_doubtful"] > 0) & frame["doubtful_above"].notna()]
    for (row, category), figures in doubtful.groupby(["row", "category"], sort=False):
        share = 100 * float((figures["doubtful_above"] / figures["n_doubtful"]).mean())
        names = [plain_cell(str(row)), plain_cell(str(category))]
        lines.append([*names, _range(figures["n_doubtful"]), f"{share:.0f}%"])
    return aligned(lines, words=2)
