"""What an encoder is worth on ELPV: PatchCore and the linear probe alone, with splits and seeds of `elpv`.

Each image is encoded once for all seeds. Prints AUROC and FPR@95TPR in per cent, mean ± standard deviation
over the seeds, and the processor time of one image in batches of 8.

    OMP_NUM_THREADS=1 python benchmarks/encoders.py efficientnet_lite2 260
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segad_core.api import ImageBatch, Run, Sample
from segad_core.base.digest import digest_of
from segad_core.evaluate import auroc, fpr_at_tpr
from segad_core.images import FileImageSet
from segad_core.images.image_set import Preprocessing
from segad_core.plugins.registry import Registry
from segad_core.recipe import load_recipe
from segad_core.run.prepare import prepare
from segad_core.store.store import Store

SEEDS = [0, 1, 2]
LAYERS = ("layer0", "layer1", "layer2", "layer3")
PATCHES = ("layer2", "layer3")


class Encoded:
    """Images whose features are known: as much of an `ImageSet` as PatchCore reads."""

    def __init__(
        self, samples: Sequence[Sample], features: dict[str, NDArray[np.float32]], size: int
    ) -> None:
        self.samples, self.size, self._features = samples, size, features

    def __len__(self) -> int:
        return len(self.samples)

    def features(self) -> dict[str, NDArray[np.float32]]:
        return self._features

    def batches(self) -> Any:
        for start in range(0, len(self), 16):
            part = {name: layer[start : start + 16] for name, layer in self._features.items()}
            group = self.samples[start : start + 16]
            pixels = np.empty((len(group), self.size, self.size, 3), np.uint8)  # only its shape is read
            yield ImageBatch(group, pixels, lambda _, part=part: part)


def main(encoder: str, size: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        changes = [f"encoder={encoder}", f"image.size=[{size}, {size}]", f"split.seeds={SEEDS}"]
        recipe = load_recipe("elpv", Registry(third_parties=False), changes)
        prepared = prepare(recipe, Store(Path(folder)))
    for category, splits in prepared.splits.items():
        wanted = sorted({i for s in splits.values() for i in (*s.detectors, *s.final, *s.test)})
        known = prepared.samples[category]
        features, vectors = _encoded(recipe, [known[i] for i in wanted], size)
        line = {image: n for n, image in enumerate(wanted)}
        found: dict[str, list[tuple[float, float]]] = {"PatchCore": [], "probe": []}
        for fold, split in splits.items():
            test = [line[i] for i in split.test]
            labels = np.array([known[i].label for i in split.test])
            train = [line[i] for i in (*split.detectors, *split.final)]

            def chosen(lines: list[int], known: Any = known, wanted: Any = wanted, f: Any = features) -> Any:
                return Encoded([known[wanted[n]] for n in lines], {k: v[lines] for k, v in f.items()}, size)

            detector = _build("detectors", "patchcore")
            detector.fit(chosen([line[i] for i in split.detectors]), _run(fold.seed, category, "patchcore"))
            scores = [
                detector.image_scores(b, np.empty((len(b), 1, 1), np.float32)) for b in chosen(test).batches()
            ]
            found["PatchCore"].append(_figures(labels, np.concatenate(scores)))
            probe = _build("classifiers", "linear_probe")
            truth = np.array([known[wanted[n]].label for n in train])
            probe.learn(
                {k: v[train] for k, v in vectors.items()}, truth, _run(fold.seed, category, "linear_probe")
            )
            judged = probe.judge({k: v[test] for k, v in vectors.items()})
            found["probe"].append(_figures(labels, np.asarray(judged).reshape(len(test), -1)[:, 0]))
        for name, values in found.items():
            (area, fpr), (area_sd, fpr_sd) = np.mean(values, axis=0), np.std(values, axis=0, ddof=1)
            print(
                f"{encoder} {size} {category} {name}: AUROC {area:.1f} ± {area_sd:.1f}, "
                f"FPR@95TPR {fpr:.1f} ± {fpr_sd:.1f}, {len(labels)} test images, {len(SEEDS)} seeds",
                flush=True,
            )
    _times(recipe, list(known.values())[:8], size, detector, probe)


def _build(kind: str, name: str) -> Any:
    registry = Registry(third_parties=False)
    component = registry.component(registry.find(kind, name))
    return component(component.Params(), "cpu")


def _run(seed: int, category: str, name: str) -> Run:
    """With the seed that a run has for this training."""
    return Run(np.random.SeedSequence((seed, int(digest_of([category, f"segad:{name}"])[:16], 16))))


def _encoded(
    recipe: Any, samples: list[Sample], size: int
) -> tuple[dict[str, NDArray[np.float32]], dict[str, NDArray[np.float32]]]:
    """The layers that PatchCore reads, and the probe's vectors, of each image."""
    probe, features, vectors = _build("classifiers", "linear_probe"), [], []
    images = FileImageSet(samples, Preprocessing((size, size), batch_size=8), recipe.encoder.build(), LAYERS)
    for batch in images.batches():
        vectors.append(probe.vectors(batch))
        features.append({name: np.asarray(batch.features()[name]) for name in PATCHES})
    return tuple(
        {k: np.concatenate([p[k] for p in parts]) for k in parts[0]} for parts in (features, vectors)
    )


def _figures(labels: NDArray[np.int64], scores: NDArray[np.float64]) -> tuple[float, float]:
    return 100 * auroc(labels, scores), 100 * fpr_at_tpr(labels, scores)


def _times(recipe: Any, samples: list[Sample], size: int, detector: Any, probe: Any) -> None:
    """Processor time of the parts of a prediction, the least of several passes."""
    encoder = recipe.encoder.build()
    images = FileImageSet(samples, Preprocessing((size, size), batch_size=8), encoder, LAYERS)
    (batch,) = list(images.batches())
    batch.features()
    print(
        f"encoder, to {PATCHES[-1]}: {_least(lambda: encoder.encode(batch.pixels, LAYERS)):.1f} ms per image"
    )

    def patchcore() -> None:
        fresh = ImageBatch(batch.samples, batch.pixels, lambda _: batch.features())
        detector.image_scores(fresh, detector.anomaly_maps(fresh))

    print(f"PatchCore: {_least(patchcore):.1f} ms per image")
    print(f"probe: {_least(lambda: probe.scores(batch)):.2f} ms per image", flush=True)


def _least(work: Callable[[], object]) -> float:
    times = []
    for _ in range(20):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times) * 1000 / 8


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
