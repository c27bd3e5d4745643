"""Plugins that break their contracts, each at one place, small sound ones, and how a test brings them in."""

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
    InputFolder,
    Parameters,
    Run,
    Sample,
    ScalarFeature,
    Segmenter,
    Shapes,
)
from segad_core.errors import PluginError
from segad_core.registry import Provider, Registry
from segad_core.testing import TinyEncoder  # noqa: F401 (one of the plugins)

SPOILT = "bad/000.png"
"""The image at which the plugins here go wrong."""

PLUGINS = {
    "datasets": ["Twice"],
    "encoders": ["TinyEncoder"],
    "detectors": ["Spotty", "Choosy", "Steps", "Stairs"],
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


class Choosy(Detector):
    """Can't work, whatever it is asked to look at."""

    class Params(Parameters):
        """What it reads."""

        layers: tuple[str, ...] = ()

    params: Params

    def layers(self) -> tuple[str, ...]:
        return self.params.layers

    def check(self, size: tuple[int, int], shapes: Shapes) -> None:
        raise PluginError(f"choosy: cannot work at {size} with {dict(shapes)}", "Take another.")

    def fit(self, images: ImageSet, run: Run) -> None:
        raise AssertionError("trained what cannot work")

    def anomaly_maps(self, batch: ImageBatch) -> NDArray[np.float32]:
        raise AssertionError("nothing was trained")

    def state(self) -> Mapping[str, NDArray[np.generic]]:
        return {}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        pass


class Steps(Detector):
    """Sound: a number, found in steps that leave checkpoints, above a number that others share."""

    class Params(Parameters):
        """How long it takes, what it shares, and what it reads."""

        steps: int = 6
        shared: str = ""
        shared_steps: int = 4
        layers: tuple[str, ...] = ()
        folder: InputFolder | None = None

    params: Params

    def __init__(self, params: Parameters | None = None, device: str = "cpu") -> None:
        super().__init__(params, device)
        self._state: Mapping[str, NDArray[np.generic]] = {}

    def layers(self) -> tuple[str, ...]:
        return self.params.layers

    def fit(self, images: ImageSet, run: Run) -> None:
        p, state = self.params, {}
        if p.shared:
            inputs = {"shared": p.shared, "steps": p.shared_steps}
            state |= run.artifact("part", inputs, lambda own: {"part": walk(own, "part", p.shared_steps)})
        if p.folder:
            own = run.images(p.folder, (24, 40), p.layers)
            state |= {"folder": own.pick([0]).pixels, **(own.features() if p.layers else {})}
        self._state = {"value": walk(run, "steps", p.steps), **state}

    def anomaly_maps(self, batch: ImageBatch) -> NDArray[np.float32]:
        return batch.pixels[..., 0] + np.float32(self._state["value"])

    def state(self) -> Mapping[str, NDArray[np.generic]]:
        return self._state

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        self._state = state


class Stairs(Steps):
    """The same by another name."""


def walk(run: Run, what: str, steps: int) -> NDArray[np.float64]:
    """A number that each of some steps changes; goes on from a checkpoint."""
    value, begin = 0.0, 0
    if (left := run.checkpoint.load()) is not None:
        value, begin = float(left["value"]), int(left["step"])
    for step in range(begin, steps):
        value = value / 2 + float(np.random.default_rng([*run.seed.generate_state(2), step]).random())
        run.progress(what, step + 1, steps, f"value {value:.3g}")
        if run.checkpoint.due() and step + 1 < steps:
            run.checkpoint.save({"value": np.array(value), "step": np.array(step + 1)})
    return np.array(value)


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
