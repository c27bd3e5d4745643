"""Cost of statistics and forest relative to a detector, and time needed to teach a bundle.

    python benchmarks/bundle.py

Uses a bundle of the recipe `elpv` (mono, six segments) with PatchCore on Wide ResNet-50-2. Its weights are
random, which costs as much as published ones. The parts of a prediction are timed within the pipeline.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

BATCHES = 10
LESSONS = 10
VAD = (2000, 117)
"""Number of images and features for the final classifier of VAD's high-shot setup."""


def main() -> None:
    """Prints shares and seconds."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        bundle = _bundle(home)
        _predictions(bundle)
        _lessons(bundle, home)
    _forest()


def _bundle(home: Path) -> Path:
    import torchvision
    from safetensors.torch import save_file

    from segad_core.cli import main as segad

    save_file(torchvision.models.wide_resnet50_2().state_dict(), home / "wrn.safetensors")
    encoder = f"encoder={{use: torchvision, params: {{file: {home / 'wrn.safetensors'}}}}}"
    ratio = "detectors.patchcore.params.coreset_ratio=0.01"
    words = ["--category", "mono", "--row", "PatchCore + SegAD", "--store", str(home / "store")]
    try:
        segad(["fit", "elpv", *words, "--set", encoder, "--set", ratio, "-o", str(home / "it")])
    except SystemExit as end:
        if end.code:
            raise
    return home / "it"


def _predictions(path: Path) -> None:
    from segad_core.bundle.format.tables import read_golden
    from segad_core.bundle.runtime.bundle import Bundle
    from segad_core.scoring import batch
    from segad_core.scoring.statistics import MapStatistics

    seconds: dict[str, float] = defaultdict(float)

    def timed(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            begun = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                seconds[part] += time.perf_counter() - begun

        return wrapped

    with Bundle.load(path, "cpu") as bundle:
        golden = [bundle.container.file(one.file) for one in read_golden(bundle.container)]
        images = (golden * bundle.manifest.pipeline.batch_size)[: bundle.manifest.pipeline.batch_size]
        bundle.predict(images)
        final: Any = bundle.pipeline.segad.final  # type: ignore[union-attr]
        final.margins = timed("forest: score", final.margins)
        final.contributions = timed("forest: reasons", final.contributions)
        MapStatistics.compute = timed("statistics", MapStatistics.compute)  # type: ignore[method-assign]
        batch.checked_maps = timed("encoder and detector", batch.checked_maps)
        begun = time.perf_counter()
        bundle.predict(images * BATCHES)
        whole, count = time.perf_counter() - begun, BATCHES * len(images)
    print(f"prediction of {count} images of 256 x 256, {count / whole:.2f} images/s")
    for what, spent in seconds.items():
        print(f"  {what}: {1000 * spent / count:.2f} ms per image, {100 * spent / whole:.2f} %")
    extra = sum(spent for what, spent in seconds.items() if what != "encoder and detector")
    print(f"  statistics and forest: {100 * extra / whole:.2f} % of the prediction")


def _lessons(path: Path, home: Path) -> None:
    from segad_core.bundle.runtime.bundle import Bundle
    from segad_core.bundle.runtime.learning import learn
    from segad_core.plugins.registry import Registry
    from segad_core.recipe import load_recipe

    with Bundle.load(path, "cpu") as bundle:
        recipe = load_recipe("elpv", Registry(third_parties=False), [])
        paths = {sample.id: sample.path for sample in recipe.dataset.build().samples("mono")}
        lessons = [paths[one.id] for one in bundle.calibration().images if one.label][:LESSONS]
        inspect, scoring = bundle.inspect, [0.0]

        def timed(*args: Any, **kwargs: Any) -> Any:
            begun = time.perf_counter()
            found = list(inspect(*args, **kwargs))
            scoring[0] = time.perf_counter() - begun
            return found

        bundle.inspect = timed  # type: ignore[method-assign]
        begun = time.perf_counter()
        learn(bundle, home / "new", bad=lessons)
        whole = time.perf_counter() - begun
    print(f"learn, {LESSONS} images: {whole - scoring[0]:.2f} s, plus {scoring[0]:.2f} s to score the images")


def _forest() -> None:
    from segad_core.api import Run
    from segad_plugins.final_classifiers.brf import BoostedRandomForest

    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=VAD), rng.integers(0, 2, VAD[0])
    forest = BoostedRandomForest()
    begun = time.perf_counter()
    forest.fit(features, [str(i) for i in range(VAD[1])], labels, Run(np.random.SeedSequence(0)))
    print(
        f"forest of {VAD[0]} images with {VAD[1]} features: {time.perf_counter() - begun:.2f} s", flush=True
    )


if __name__ == "__main__":
    sys.exit(main())
