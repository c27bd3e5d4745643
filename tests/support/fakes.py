"""Plugins that break their contracts, each at one place, and how a test brings them in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from segad_core.contracts import (
    Dataset,
    Detector,
    FinalClassifier,
    ImageBatch,
    ImageSet,
    Parameters,
    Run,
    Sample,
    ScalarFeature,
    Segmenter,
)
from segad_core.registry import Provider, Registry

SPOILT = "bad/000.png"
"""The image at which the plugins here go wrong."""

PLUGINS = {
    "datasets": ["Twice"],
    "detectors": ["Spotty"],
    "segmenters": ["Stray"],
    "features": ["Endless"],
    "final_classifiers": ["Unsure"],
}


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts the plugins of this module, by their names in lower case, beside those that are installed."""
    own = [
        Provider(kind, name.lower(), "faulty", "1.0", f"fakes:{name}")
        for kind, names in PLUGINS.items()
        for name in names
    ]
    installed = Registry.providers

    def providers(self: Registry, kind: str | None = None) -> list[Provider]:
        return installed(self, kind) + [p for p in own if kind in (None, p.kind)]

    monkeypatch.setattr(Registry, "providers", providers)


class Twice(Dataset):
    """The same id twice."""

    def categories(self) -> Sequence[str]:
        return ("a",)

    def samples(self, category: str) -> Sequence[Sample]:
        return [Sample("good/1.png", Path("one"), 0), Sample("good/1.png", Path("two"), 0)]


class Spotty(Detector):
    """Maps of brightness, but for one image."""

    class Params(Parameters):
        """Where it goes wrong."""

        wrong: Literal["nan map", "infinite map", "nan score", "shape", "type", "fit", "nowhere"]

    params: Params

    def fit(self, images: ImageSet, run: Run) -> None:
        if self.params.wrong == "fit":
            raise ZeroDivisionError("division by zero")

    def anomaly_maps(self, batch: ImageBatch) -> NDArray[np.float32]:
        maps = batch.pixels[..., 0].astype(np.float32)
        if self.params.wrong == "shape":
            return maps[:, 1:]
        if self.params.wrong == "type":
            return maps.astype(np.float64)  # type: ignore[return-value]
        if self.params.wrong.endswith("map"):
            for i, sample in enumerate(batch.samples):
                if sample.id == SPOILT:
                    maps[i, 7, 7] = np.nan if self.params.wrong == "nan map" else np.inf
        return maps

    def image_scores(self, batch: ImageBatch, maps: NDArray[np.float32]) -> NDArray[np.float64]:
        scores = super().image_scores(batch, maps)
        if self.params.wrong == "nan score":
            scores[[sample.id == SPOILT for sample in batch.samples]] = np.nan
        return scores

    def state(self) -> Mapping[str, NDArray[np.generic]]:
        return {"nothing": np.zeros(1)}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        pass


class Stray(Segmenter):
    """One label too many."""

    def segments(self) -> Sequence[str]:
        return ("only",)

    def segment(self, batch: ImageBatch) -> NDArray[np.uint8]:
        maps = np.zeros(batch.pixels.shape[:3], np.uint8)
        maps[[sample.id == SPOILT for sample in batch.samples], 3, 3] = 4
        return maps


class Endless(ScalarFeature):
    """Infinite where a map has a bright spot."""

    def statistics(self) -> Sequence[str]:
        return ("endless",)

    def value(self, values: NDArray[np.float32]) -> float:
        return float("inf") if values.max() > 200 else 0.0


class Unsure(FinalClassifier):
    """No number for its second image."""

    def fit(
        self, features: NDArray[np.float64], names: Sequence[str], labels: NDArray[np.int64], seed: int
    ) -> None:
        pass

    def margins(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.array([np.nan if i == 1 else 0.0 for i in range(len(features))])

    def contributions(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.zeros((len(features), features.shape[1] + 1))

    def state(self) -> Mapping[str, bytes]:
        return {}

    def restore(self, state: Mapping[str, bytes]) -> None:
        pass
