"""Compares segmenters: PatchCore and SegAD with one segment, drawn masks, `foreground` and `clusters`.

    python benchmarks/segmenters.py HOME [--folder NAME=FOLDER ...]

Runs the recipe `elpv` with a row for each segmenter, and the same rows on folders of images (as the data set
`folder` reads them), one after the other. Store and runs go to HOME. Prints the tables, then the AUROC of
five-fold cross-validation on the final classifier's training images, which no test image enters.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from sklearn.model_selection import StratifiedKFold

from segad_core.contracts import Run
from segad_core.evaluate import auroc
from segad_core.plugins.registry import Registry
from segad_core.recipe import load_recipe
from segad_core.run.prepare import prepare
from segad_core.run.rows import feature_table, training_table
from segad_core.store.store import Store

RECIPES = Path(__file__).resolve().parent.parent / "recipes"
SEGMENTERS: dict[str, Any] = {
    "one segment": "whole_image",
    "foreground": "foreground",
    "clusters": "clusters",
    "clusters, stable": {"use": "clusters", "params": {"k": "stable"}},
    "clusters, still": {"use": "clusters", "params": {"still": True}},
    "clusters, k = 12": {"use": "clusters", "params": {"k": 12}},
}


def elpv() -> dict[str, Any]:
    """The recipe `elpv` with a row for each segmenter, and one with the drawn masks."""
    recipe: dict[str, Any] = yaml.safe_load((RECIPES / "elpv.yaml").read_text(encoding="utf-8"))
    for params in recipe["segmenter"]["per_category"].values():
        params["mask"] = str(RECIPES / params["mask"])
    recipe["detectors"] = {"patchcore": {"use": "patchcore", "params": {"coreset_ratio": 0.01}}}
    recipe.pop("classifiers", None)
    recipe["final"] = "brf"
    recipe["rows"] = [*rows(), {"name": "drawn masks", "detectors": ["patchcore"]}]
    return recipe


def folder(place: Path) -> dict[str, Any]:
    """The same without masks, on a folder of images."""
    recipe = elpv()
    recipe |= {"title": place.name, "dataset": {"use": "folder", "params": {"root": str(place.resolve())}}}
    del recipe["segmenter"]
    recipe["rows"] = rows()
    return recipe


def rows() -> list[dict[str, Any]]:
    """PatchCore alone, and SegAD with each segmenter."""
    segad = [{"name": n, "detectors": ["patchcore"], "segmenter": s} for n, s in SEGMENTERS.items()]
    return [{"name": "PatchCore", "score": "patchcore"}, *segad]


def folds(recipe: Path, store: Store) -> dict[tuple[str, str], list[float]]:
    """The AUROC of five-fold cross-validation on the training images, by category and row, for each seed."""
    found: dict[tuple[str, str], list[float]] = {}
    for plan in prepare(load_recipe(str(recipe), Registry()), store).plans:
        for task in (task for task in plan.rows() if task.row.final):
            features, labels = training_table(task, store)
            names = feature_table(task, task.table, store)[1]
            scores, seed = np.empty(len(labels)), task.seed
            for train, test in StratifiedKFold(5, shuffle=True, random_state=seed).split(features, labels):
                final = task.row.final.build(task.category, "cpu")
                final.fit(features[train], names, labels[train], Run(np.random.SeedSequence(seed)))
                scores[test] = final.margins(features[test])
            found.setdefault((plan.category, task.row.name), []).append(auroc(labels, scores))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("home", type=Path)
    parser.add_argument("--folder", action="append", default=[], metavar="NAME=FOLDER")
    given = parser.parse_args()
    given.home.mkdir(parents=True, exist_ok=True)
    recipes = {"elpv": elpv()}
    for word in given.folder:
        name, _, place = word.partition("=")
        recipes[name] = folder(Path(place))
    for name, recipe in recipes.items():
        path = given.home / f"{name}_segmenters.yaml"
        path.write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
        words = [
            "run",
            path,
            "--store",
            given.home / "store",
            "--runs",
            given.home / "runs",
            "--device",
            "cpu",
        ]
        subprocess.run([sys.executable, "-m", "segad_core.cli", *map(str, words)], check=True)
    for table in sorted(given.home.glob("runs/*/latest/table.md")):
        print(table.read_text(encoding="utf-8"))
    for name in recipes:
        path = given.home / f"{name}_segmenters.yaml"
        for (category, row), areas in folds(path, Store(given.home / "store")).items():
            percent = 100 * np.array(areas)
            print(f"{category}, {row}: {percent.mean():.1f} ± {percent.std(ddof=1):.1f} on training folds")


if __name__ == "__main__":
    main()
