"""Plots of growth: time and memory of each contestant.

python -m benchmarks.speed.plots
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from statistics import median

from .tables import RESULTS, ROOT, Result, read

PICTURE = ROOT / "docs" / "pictures" / "growth.svg"
AXES = {  # subject: the setting along the axis, its title
    "growth_points": ("points", "coreset: points"),
    "growth_images": ("images", "scoring: images"),
    "growth_size": ("side", "statistics: side of a map"),
    "growth_segments": ("segments", "statistics: segments"),
}
COLOURS = {"segad": "#1f77b4", "segad, with checks": "#17a2a2"}
PEER = "#d95f02"


def digest(results: Sequence[Result]) -> str:
    """Of what is drawn; the picture holds it."""
    drawn = [lines(results, subject) for subject in AXES]
    return hashlib.sha256(json.dumps(drawn).encode()).hexdigest()


def lines(results: Sequence[Result], subject: str) -> dict[str, list[tuple[float, float, float | None]]]:
    """For each contestant: where on the axis, seconds of a call, bytes; with the fewest threads measured."""
    found = [one for one in results if one["subject"] == subject]
    fewest = min((one["settings"]["threads"] for one in found), default=0)
    drawn: dict[str, list[tuple[float, float, float | None]]] = {}
    for one in found:
        if one["settings"]["threads"] == fewest:
            at = one["settings"][AXES[subject][0]]
            for name, seconds in one["seconds"].items():
                point = (at, median(seconds["processor"]), one.get("memory", {}).get(name))
                drawn.setdefault(name, []).append(point)
    return {name: sorted(points) for name, points in drawn.items()}


def draw(results: Sequence[Result]) -> None:
    """Writes the picture."""
    import matplotlib
    import matplotlib.pyplot as plt

    matplotlib.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "segad", "font.size": 8}
    matplotlib.rcParams |= {
        "lines.markersize": 3,
        "lines.linewidth": 1.2,
        "axes.grid": True,
        "grid.alpha": 0.25,
    }
    matplotlib.rcParams |= {"axes.spines.top": False, "axes.spines.right": False}
    figure, axes = plt.subplots(2, len(AXES), figsize=(11, 4.6), layout="constrained", sharex="col")
    for (above, below), (subject, (_, title)) in zip(axes.T, AXES.items(), strict=True):
        for name, points in lines(results, subject).items():
            colour = {"color": COLOURS.get(name, PEER), "label": name}
            above.loglog(*zip(*[(at, seconds) for at, seconds, _ in points], strict=True), "o-", **colour)
            known = [(at, memory / 2**20) for at, _, memory in points if memory is not None]
            below.plot(*zip(*known, strict=True), "o-", **colour)
        below.set_ylim(bottom=0)
        below.set_xscale("log")
        below.set_xticks([at for at, *_ in points], [f"{at:,}" for at, *_ in points])
        below.minorticks_off()
        below.set_xlabel(title)
        above.minorticks_off()
        above.legend(frameon=False)
    axes[0, 0].set_ylabel("processor time of all, s")
    axes[1, 0].set_ylabel("memory while at it, MiB")
    figure.savefig(PICTURE, metadata={"Date": None, "Description": digest(results)})


if __name__ == "__main__":
    draw(read(RESULTS))
