"""Processor time of the paper's forest by NumPy, as segad evaluates it, and by XGBoost, in turns.

OMP_NUM_THREADS=1 python benchmarks/forest_time.py
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import xgboost
from numpy.typing import NDArray

from segad_core.api import Run
from segad_plugins.final_classifiers.brf import BoostedRandomForest
from segad_plugins.final_classifiers.forest_check import checked_forest

ROUNDS = 40


def main() -> None:
    """Trains a forest of 2,000 trees on random numbers, compares results, and prints medians."""
    rng = np.random.default_rng(0)
    labels = (rng.random(700) < 0.3).astype(np.int64)
    features = rng.normal(size=(700, 40)) + labels[:, None] * 0.3 * rng.normal(size=40)
    forest = BoostedRandomForest()
    forest.fit(features, [f"f{i}" for i in range(40)], labels, Run(np.random.SeedSequence(0)))
    model = forest.state()["model.json"].tobytes()
    nodes = forest._fitted().forest.leaf.size
    print(f"{len(model) / 2**20:.1f} MiB of JSON, {nodes:,} nodes")

    def theirs(rows: NDArray[np.float64], **how: bool) -> NDArray[np.float32]:
        found: NDArray[np.float32] = booster.predict(xgboost.DMatrix(rows), **how)
        return found

    def restored() -> None:
        BoostedRandomForest().restore({"model.json": np.frombuffer(model, np.uint8)})

    def loaded() -> xgboost.Booster:
        found = xgboost.Booster({"nthread": 1})
        found.load_model(checked_forest(model))
        return found

    booster = loaded()
    parts, others = forest.contributions(features), theirs(features, pred_contribs=True)
    assert np.array_equal(forest.margins(features), theirs(features, output_margin=True))
    print(f"contributions differ by {np.abs(parts - others).max() / np.ptp(others):.1e} of their span")
    compare("loading", restored, loaded, 10)
    for count in (1, 8):
        rows = features[:count]
        compare(
            f"scores, {count}",
            lambda rows=rows: forest.margins(rows),
            lambda rows=rows: theirs(rows, output_margin=True),
        )
        compare(
            f"reasons, {count}",
            lambda rows=rows: forest.contributions(rows),
            lambda rows=rows: theirs(rows, pred_contribs=True),
        )


def compare(what: str, ours: Callable[[], object], xgb: Callable[[], object], rounds: int = ROUNDS) -> None:
    """Prints the medians of two ways that take turns, in ms."""
    times: list[list[float]] = [[], []]
    for _ in range(rounds):
        for way, found in zip((ours, xgb), times, strict=True):
            start = time.process_time()
            way()
            found.append(1e3 * (time.process_time() - start))
    numpy, xgboosts = (float(np.median(found)) for found in times)
    print(f"{what:12} NumPy {numpy:8.2f} ms  XGBoost {xgboosts:8.2f} ms  {xgboosts / numpy:5.2f} times")


if __name__ == "__main__":
    main()
