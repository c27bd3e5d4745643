"""What the batch size changes: maps of one training, and whole trainings, at several batch sizes.

Solar cells of the package elpv-dataset at 128 x 128, EfficientNet-Lite0; few training steps, as only
differences matter. For each detector: the largest difference of a map from that at batch size 16, as a share
of the maps' range, where only the scoring differs, and where the training differs too; and the AUROCs.

    python benchmarks/batch_size.py
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segad_core.api import Detector, Run, Sample
from segad_core.evaluate import auroc
from segad_core.images import FileImageSet
from segad_core.images.image_set import Preprocessing
from segad_core.plugins.registry import Registry

TRAIN, TEST = 32, 16
SIZES = (1, 16)
PARAMS: dict[str, dict[str, Any]] = {
    "patchcore": {"coreset_ratio": 0.05},
    "fastflow": {"epochs": 1},
    "rd4ad": {"epochs": 1},
    "efficientad": {"iterations": 20, "teacher_iterations": 5, "input_size": [64, 64]},
}


def main() -> None:
    registry = Registry()
    dataset: Any = _build(registry, "datasets", "elpv")
    samples = dataset.samples("mono")
    good = [sample for sample in samples if sample.label == 0]
    bad = [sample for sample in samples if sample.label == 1]
    test, labels = [*good[-TEST:], *bad[:TEST]], np.repeat([0, 1], TEST)
    for name, params in PARAMS.items():
        trained = {size: _trained(registry, name, params, good[:TRAIN], size) for size in SIZES}
        reference = _maps(registry, trained[16], test, 16)
        spread = float(np.ptp(reference))
        for size in SIZES:
            scored = _maps(registry, trained[16], test, size)
            both = _maps(registry, trained[size], test, size)
            print(
                f"{name}, batch size {size}: "
                f"scored {np.abs(scored - reference).max() / spread:.1e}, AUROC {_area(labels, scored):.4f}; "
                f"trained and scored {np.abs(both - reference).max() / spread:.1e}, "
                f"AUROC {_area(labels, both):.4f}",
                flush=True,
            )


def _build(registry: Registry, kind: str, name: str, **params: Any) -> Any:
    component = registry.component(registry.find(kind, name))
    return component(component.Params.model_validate(params), "cpu")


def _images(registry: Registry, detector: Detector, samples: list[Sample], size: int) -> FileImageSet:
    encoder = _build(registry, "encoders", "efficientnet_lite0")
    return FileImageSet(
        samples, Preprocessing((128, 128), batch_size=size), encoder, tuple(detector.layers())
    )


def _trained(
    registry: Registry, name: str, params: dict[str, Any], samples: list[Sample], size: int
) -> Detector:
    detector: Detector = _build(registry, "detectors", name, **params)
    detector.fit(_images(registry, detector, samples, size), Run(np.random.SeedSequence(0)))
    return detector


def _maps(registry: Registry, detector: Detector, samples: list[Sample], size: int) -> NDArray[np.float32]:
    batches = _images(registry, detector, samples, size).batches()
    return np.concatenate([detector.anomaly_maps(batch) for batch in batches])


def _area(labels: NDArray[np.int64], maps: NDArray[np.float32]) -> float:
    return float(auroc(labels, maps.reshape(len(maps), -1).max(axis=1).astype(np.float64)))


if __name__ == "__main__":
    main()
