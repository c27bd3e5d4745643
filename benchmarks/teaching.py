"""What teaching a few bad images changes on the images that nothing is trained on.

    python benchmarks/teaching.py RECIPE CATEGORY ROW --amount 20 [--store DIR] [--teach 1 3 10]

For each seed of the recipe: a bundle that learnt from `amount` bad images, a budget of 5 false rejects in
100, and lessons from bad images of the training part that it has not learnt from, the lowest scores first.
Prints, for each number of lessons, the verdicts won and lost on the test images, and the share lost in all.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from segad_core import Bundle, learn
from segad_core.plugins.registry import Registry
from segad_core.recipe import load_recipe


def segad(*words: object) -> None:
    """Runs a command of segad."""
    done = subprocess.run(
        [sys.executable, "-m", "segad_core.cli", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 3):
        sys.exit(done.stderr or done.stdout)


def lessons(bundle: Bundle, recipe: str, category: str) -> list[Path]:
    """Bad images of the training part that the bundle has not learnt from: the lowest scores first."""
    split = next(iter(json.loads(bundle.container.text("splits.json"))[category].values()))
    dataset, _ = load_recipe(recipe, Registry()).open_dataset()
    unused = set(split["unused"])
    paths = [sample.path for sample in dataset.samples(category) if sample.id in unused and sample.label == 1]
    scored = zip(bundle.predict(paths, explain=False), paths, strict=True)
    return [path for _, path in sorted(scored, key=lambda pair: (pair[0].score or 0.0, str(pair[1])))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("recipe")
    parser.add_argument("category")
    parser.add_argument("row")
    parser.add_argument("--amount", default="20")
    parser.add_argument("--store", default="store")
    parser.add_argument("--teach", nargs="+", type=int, default=[1, 3, 10])
    given = parser.parse_args()
    seeds = load_recipe(given.recipe, Registry()).skeleton.split.seeds
    common = ("--category", given.category, "--row", given.row, "--amount", given.amount)
    print("seed  taught  tested  won  lost  net share  catches before/after  of bad")
    for seed in seeds:
        with tempfile.TemporaryDirectory() as name:
            made = Path(name) / "made.segad"
            segad("fit", given.recipe, *common, "--seed", seed, "--store", given.store, "-o", made)
            segad("operate", made, "--false-rejects", "5/100")
            bundle = Bundle.load(made)
            candidates = lessons(bundle, given.recipe, given.category)
            for count in given.teach:
                if count > len(candidates):
                    continue
                out = made.with_name(f"{count}.segad")
                found = learn(bundle, out, bad=candidates[:count])
                flipped = [one for one in found.regression if one.flipped]
                won = sum(one.right for one in flipped)
                lost = len(flipped) - won
                share = (lost - won) / len(found.regression)
                bad = sum(one.label for one in found.regression)
                before, after = (
                    sum(getattr(one, when) == "NG" for one in found.regression if one.label)
                    for when in ("was", "now")
                )
                print(
                    f"{seed:4}  {count:6}  {len(found.regression):6}  {won:3}  {lost:4}  {share:9.1%}  "
                    f"{before:10} / {after:<6}  {bad:6}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
