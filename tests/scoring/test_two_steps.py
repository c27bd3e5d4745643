"""A scoring pass in two steps: the second needs nothing of the encoder, and asks no detector again."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import numpy as np
import pytest
from fakes import Averaged, Bright
from numpy.typing import NDArray

from segad_core.contracts import ImageBatch, Sample
from segad_core.scoring.batch import NamedDetector, ReadBatch, ScoringPass
from segad_core.scoring.statistics import MapStatistics
from segad_plugins.features.moments import Mean


class Reader(Bright):
    """Reads features, and has a score of its own from them."""

    def anomaly_maps(self, batch: ImageBatch) -> NDArray[np.float32]:
        assert batch.features()
        return super().anomaly_maps(batch)

    def image_scores(self, batch: ImageBatch, maps: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.asarray(batch.features()["layer"]).sum(axis=(1, 2, 3), dtype=np.float64)


def read() -> tuple[ScoringPass, ReadBatch, weakref.ref[NDArray[np.float32]]]:
    layers: list[weakref.ref[NDArray[np.float32]]] = []

    def encode(pixels: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        layer = np.ones((len(pixels), 3, 2, 2), np.float32)
        layers.append(weakref.ref(layer))
        return {"layer": layer}

    pixels = np.zeros((2, 8, 6, 3), np.uint8)
    pixels[:, 0, 0] = [[30, 0, 0], [60, 0, 0]]
    samples = [Sample(name, Path(name), None) for name in "ab"]
    scoring = ScoringPass(
        {"d": NamedDetector("d", Reader())},
        [MapStatistics("d", "d", None, []), MapStatistics("d", "d", None, [Mean()])],
    )
    found = scoring.read(ImageBatch(samples, pixels, encode, looks=True))
    (layer,) = layers  # encoded once
    return scoring, found, layer


def test_what_the_encoder_gave_is_released_before_statistics_are_computed() -> None:
    scoring, found, layer = read()
    gc.collect()
    assert layer() is None
    own, means = scoring.computed(found).values
    assert own.tolist() == [[12.0], [12.0]]
    assert means.tolist() == [[pytest.approx(2 * 30 / 48)], [pytest.approx(2 * 60 / 48)]]


def test_the_second_step_asks_no_detector(monkeypatch: pytest.MonkeyPatch) -> None:
    scoring, found, _ = read()
    for method in ("anomaly_maps", "image_scores"):
        monkeypatch.setattr(Reader, method, Averaged.fit)
    assert len(scoring.computed(found).values) == 2
