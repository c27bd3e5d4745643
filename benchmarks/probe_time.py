"""What the linear probe adds to the time of a prediction with one detector.

EfficientNet-Lite0 at 256 x 256 on solar cells of the package elpv-dataset; PatchCore with a memory bank as
large as that of half of the good cells at its default of 1 %; the four statistics of the paper, of the whole
image. A batch is decoded and encoded once; the detector makes its maps and statistics, the probe (default
layers, and a score per layer) its scores. Predictions with and without the probe take turns, and which comes
first alternates. The probe is also timed by itself. Processor time is what counts on a machine that is busy
with other work.

    OMP_NUM_THREADS=1 python benchmarks/probe_time.py [LAYER ...]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segad_core.api import ImageBatch, Run
from segad_core.base.parallel import compute_threads
from segad_core.contracts.optional import layers_read
from segad_core.images import FileImageSet
from segad_core.images.image_set import Preprocessing
from segad_core.plugins.registry import Registry
from segad_core.scoring.batch import NamedDetector, ScoringPass
from segad_core.scoring.segmentation import NamedSegmenter
from segad_core.scoring.statistics import MapStatistics

Seconds = NDArray[np.float64]

ROUNDS = 40
TRAIN = 40  # of each label, for the probe
BANK = 3010


def main() -> None:
    registry = Registry()

    def build(kind: str, name: str, **params: Any) -> Any:
        component = registry.component(registry.find(kind, name))
        return component(component.Params.model_validate(params), "cpu")

    encoder = build("encoders", "efficientnet_lite0")
    detector, probe = (
        build("detectors", "patchcore"),
        build("classifiers", "linear_probe", per_layer=True, layers=sys.argv[1:] or None),
    )
    layers = {
        "without": layers_read(detector, encoder),
        "with": tuple(dict.fromkeys([*layers_read(detector, encoder), *layers_read(probe, encoder)])),
    }
    samples = build("datasets", "elpv").samples("mono")
    good, bad = ([s for s in samples if s.label == label][:TRAIN] for label in (0, 1))
    how, seed = Preprocessing((256, 256), batch_size=8), np.random.SeedSequence(0)
    bank = np.random.default_rng(0).normal(size=(BANK, 40 + 112)).astype(np.float32)
    detector.restore({"version": np.array(1), "bank": bank})
    features = [build("features", name) for name in ("q995", "skew", "kurtosis", "mean")]
    segmenter = NamedSegmenter(build("segmenters", "whole_image"), "whole_image")
    scoring = ScoringPass(
        {"patchcore": NamedDetector("patchcore", detector)},
        [MapStatistics("patchcore", "patchcore", segmenter, features)],
    )
    labels = np.repeat([0, 1], [len(good), len(bad)])
    images = FileImageSet([*good, *bad], how, encoder, layers["with"])
    probe.fit(images, labels, Run(seed))
    print(f"{compute_threads()} threads, {ROUNDS} rounds, medians in ms")
    for size in (1, 8):

        def decoded(which: str, size: int = size) -> ImageBatch:
            return FileImageSet(good[:size], how, encoder, layers[which]).pick(range(size))

        def predict(which: str, decoded: Callable[[str], ImageBatch] = decoded) -> Seconds:
            start = now()
            shown = decoded(which)
            scoring.score(shown)
            if which == "with":
                probe.scores(shown)
            return now() - start

        times: dict[str, list[Seconds]] = {"without": [], "with": [], "alone": []}
        for number in range(-3, ROUNDS):
            order = ("without", "with") if number % 2 else ("with", "without")
            found = {which: predict(which) for which in order}
            shown = decoded("with")
            shown.features()
            start = now()
            probe.scores(shown)
            found["alone"] = now() - start
            if number >= 0:  # the first rounds warm up
                for which, seconds in found.items():
                    times[which].append(1000 * seconds)
        for kind, clock in enumerate(("wall", "processor")):
            column = {which: np.array(taken)[:, kind] for which, taken in times.items()}
            without, both, alone = (np.median(column[which]) for which in ("without", "with", "alone"))
            more = np.median(column["with"] - column["without"])
            print(
                f"batch of {size}, {clock} time: detector {without:.2f}, with probe {both:.2f} "
                f"({100 * more / without:+.1f} %); probe by itself {alone:.2f} "
                f"({100 * alone / without:.1f} %)",
                flush=True,
            )


def now() -> Seconds:
    """Wall time and processor time."""
    return np.array([time.perf_counter(), time.process_time()])


if __name__ == "__main__":
    main()
