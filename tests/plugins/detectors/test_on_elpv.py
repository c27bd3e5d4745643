"""Each detector, trained for a moment on real solar cells, ranks defective cells above good ones."""

import numpy as np
import pytest

from segad_core.contracts import Detector, Run, Sample
from segad_core.evaluate import auroc
from segad_core.images import FileImageSet
from segad_core.images.image_set import Preprocessing
from segad_plugins.datasets.elpv import Elpv
from segad_plugins.detectors.efficientad import EfficientAD
from segad_plugins.detectors.fastflow import FastFlow
from segad_plugins.detectors.patchcore import PatchCore
from segad_plugins.detectors.rd4ad import RD4AD
from segad_plugins.encoders.efficientnet_lite0 import EfficientNetLite0

_SIZE = (96, 96)
_TRAIN, _TEST = 40, 40  # good images to train on; good and bad ones, each, to test on

_ENCODER = EfficientNetLite0()
_DETECTORS: dict[str, tuple[Detector, float]] = {
    "patchcore": (PatchCore(), 0.8),
    "fastflow": (FastFlow(FastFlow.Params(epochs=5, batch=4, learning_rate=2e-3)), 0.7),
    "rd4ad": (RD4AD(RD4AD.Params(epochs=8, batch=8)), 0.7),
    "efficientad": (
        EfficientAD(
            EfficientAD.Params(
                size="small",
                input_size=(64, 64),
                iterations=20,
                learning_rate=3e-3,
                teacher_iterations=8,
                teacher_batch=4,
                teacher_learning_rate=1e-3,
            )
        ),
        0.7,
    ),
}
"""Settings of a few seconds, and the area under the curve that each seed has to reach."""


def _images(samples: list[Sample], detector: Detector) -> FileImageSet:
    return FileImageSet(samples, Preprocessing(_SIZE, batch_size=8), _ENCODER, detector.layers())


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", _DETECTORS)
def test_defective_cells_rank_above_good_ones(name: str, seed: int) -> None:
    detector, least = _DETECTORS[name]
    rng = np.random.default_rng(seed)
    cells = Elpv().samples("mono")
    good, bad = ([s for s in cells if s.label == label] for label in (0, 1))
    drawn = [good[i] for i in rng.permutation(len(good))[: _TRAIN + _TEST]]
    tested = drawn[_TRAIN:] + [bad[i] for i in rng.permutation(len(bad))[:_TEST]]
    detector.fit(_images(drawn[:_TRAIN], detector), Run(np.random.SeedSequence(seed)))
    scores = [
        detector.image_scores(batch, detector.anomaly_maps(batch))
        for batch in _images(tested, detector).batches()
    ]
    area = auroc(np.repeat([0, 1], _TEST), np.concatenate(scores))
    assert area >= least
