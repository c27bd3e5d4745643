"""Compares segmenters: PatchCore and SegAD with one segment, drawn masks, `foreground` and `clusters`.

    python benchmarks/segmenters.py HOME [--folder NAME=FOLDER ...]

Runs the recipe `elpv` with a row for each segmenter, and the same rows on folders of images (as the data set
`folder` reads them), one after the other. Store and runs go to HOME; the tables are printed at the end.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

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


if __name__ == "__main__":
    main()
