"""Thresholds from good parts alone: false rejects and catches on parts that did not set them.

    python benchmarks/good_only.py runs/good_only/latest/scores.csv

Of the good test images of each seed and row, `n` set the threshold (drawn 200 times); the others and all bad
ones measure it.
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd

from segad_core.operate.thresholds import Rule, choose, curve

DRAWS = 200
NUMBERS = (20, 60, 120)
RULES = [Rule(kind="false-rejects", rejected=a, of=b) for a, b in ((0, 1), (1, 100), (5, 100), (10, 100))]


def main(path: str) -> None:
    """Prints a line for each row, number of good images and rule: mean over draws and seeds, 5% and 95%."""
    scores = pd.read_csv(path)
    print(f"{'row':<36}{'n':>5}  {'rule':<22}{'false rejects':>22}{'caught':>22}")
    for row, own in scores.groupby("row", sort=False):
        for number in NUMBERS:
            for rule in RULES:
                found = np.array(
                    [one for _, part in own.groupby("seed") for one in measured(part, number, rule)]
                )
                cells = [
                    f"{v.mean():.1f} ({np.quantile(v, 0.05):.1f} to {np.quantile(v, 0.95):.1f})"
                    for v in 100 * found.T
                ]
                print(f"{row:<36}{number:>5}  {rule!s:<22}{cells[0]:>22}{cells[1]:>22}")


def measured(part: pd.DataFrame, number: int, rule: Rule) -> list[tuple[float, float]]:
    """False rejects and catches of thresholds that `number` good images set, for each draw."""
    good, bad = (part.loc[part["label"] == label, "score"].to_numpy() for label in (0, 1))
    found = []
    for draw in range(DRAWS):
        order = np.random.default_rng(draw).permutation(len(good))
        levels = curve(good[order[:number]], np.zeros(number, np.int64))
        threshold = levels.thresholds[choose(levels, rule)]
        found.append(((good[order[number:]] >= threshold).mean(), (bad >= threshold).mean()))
    return found


if __name__ == "__main__":
    main(sys.argv[1])
