"""Cross-fitted detectors against good images that are divided between detectors and final classifier.

    python benchmarks/cross_fitted.py elpv --category mono
    SEGAD_DATA=... python benchmarks/cross_fitted.py benchmarks/cross_fitted_folder.yaml --category NAME

For each number of good training images, three recipes on the same test images: half of the good images for
the detectors and half for the final classifier, then all of them for both, in 2, 5 and 10 folds. The final
classifier learns from 10 bad images, and from all. Mean ± sample standard deviation over seeds of the AUROC,
and the mean of FPR@95TPR in brackets. The runs are those of `segad run` with these settings, but images are
encoded once for all of them. SEGAD_DATA is the folder that holds CATEGORY/good and CATEGORY/bad.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from segad_core.evaluate import Figures
from segad_core.plugins import hooks
from segad_core.plugins.registry import Registry
from segad_core.recipe import load_recipe
from segad_core.run import engine
from segad_core.store.store import Store
from segad_plugins.encoders.efficientnet_lite0 import EfficientNetLite0

ROWS = "[{name: PatchCore, score: patchcore}, {name: PatchCore + SegAD, detectors: [patchcore]}]"


HEADER = """\
| good | | PatchCore | + SegAD, 10 bad | + SegAD, all bad | s |
| ---: | --- | ---: | ---: | ---: | ---: |"""


def remember() -> None:
    """Makes the encoder encode each image once in this process."""
    encode, known = EfficientNetLite0.encode, dict[bytes, dict[str, torch.Tensor]]()

    def remembered(
        self: EfficientNetLite0, pixels: NDArray[np.uint8], layers: Sequence[str]
    ) -> Mapping[str, torch.Tensor]:
        keys = [hashlib.blake2b(image.tobytes()).digest() for image in pixels]
        missing = [i for i, key in enumerate(keys) if key not in known]
        if missing:
            found = encode(self, pixels[missing], layers)
            for place, i in enumerate(missing):
                known[keys[i]] = {name: layer[place].clone() for name, layer in found.items()}
        return {name: torch.stack([known[key][name] for key in keys]) for name in layers}

    EfficientNetLite0.encode = remembered  # type: ignore[method-assign, assignment]


def settings(good: int | None, folds: Sequence[int]) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """`split.detectors` and `split.final` of each recipe; all good images if their number is None."""
    both: Any = "rest" if good is None else good
    detectors: Any = 0.5 if good is None else good // 2
    rest: Any = "rest" if good is None else good - good // 2
    found = {"divided": ({"good": detectors}, {"good": rest})}
    return found | {f"{count} folds": ({"good": both, "folds": count}, {}) for count in folds}


def overrides(detectors: dict[str, Any], final: dict[str, Any], seeds: int, category: str) -> list[str]:
    """The words of `--set`."""
    final = {**final, "bad": {"from": "train", "amount": [10, "rest"]}}
    words = [f"split.detectors={json.dumps(detectors)}", f"split.final={json.dumps(final)}"]
    words += [f"split.seeds={list(range(seeds))}", f"rows={ROWS}"]
    return words + ([f"categories=[{category}]"] if category else [])


def cell(figures: Sequence[Figures], row: str, amount: str) -> str:
    """AUROC (FPR@95TPR) in per cent, over seeds."""
    own = [f for f in figures if f.row == row and f.amount == amount]
    auroc, fpr = (100 * np.array([getattr(f, name) for f in own]) for name in ("auroc", "fpr95"))
    spread = f" ± {auroc.std(ddof=1):.1f}" if len(own) > 1 else ""
    return f"{auroc.mean():.1f}{spread} ({fpr.mean():.1f})"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("recipe")
    parser.add_argument("--category", default="")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--good", nargs="*", default=["30", "60", "120", "all"])
    parser.add_argument("--folds", type=int, nargs="*", default=[2, 5, 10])
    options = parser.parse_args()
    remember()
    registry, hook = Registry(), hooks.manager().hook
    print(HEADER)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for good in options.good:
            number = None if good == "all" else int(good)
            for what, (detectors, final) in settings(number, options.folds).items():
                begun = time.monotonic()
                words = overrides(detectors, final, options.seeds, options.category)
                recipe = load_recipe(options.recipe, registry, words)
                found = engine.run(recipe, Store(folder / "store"), folder / "runs", "cpu", hook).figures
                cells = [cell(found, "PatchCore", "rest")]
                cells += [cell(found, "PatchCore + SegAD", amount) for amount in ("10", "rest")]
                line = [good, what, *cells, f"{time.monotonic() - begun:.0f}"]
                print(f"| {' | '.join(line)} |", flush=True)


if __name__ == "__main__":
    main()
