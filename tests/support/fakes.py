"""Plugins that break their contracts, each at one place, small sound ones, and how a test brings them in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from segad_core.contracts import (
    Array,
    Classifier,
    Dataset,
    DefectGenerator,
    Detector,
    FinalClassifier,
    FittedFeature,
    GoodMaps,
    ImageBatch,
    ImageSet,
    InputFolder,
    Layer,
    LearningSegmenter,
    Learnt,
    MapQuality,
    Parameters,
    Run,
    Sample,
    ScalarFeature,
    Segmenter,
    SegmentValues,
    Shapes,
    VectorClassifier,
    Vectors,
    to_numpy,
)
from segad_core.errors import DataError, PluginError
from segad_core.plugins.registry import Provider, Registry
from segad_core.testing import TinyEncoder

SPOILT = "bad/000.png"
"""The image at which the plugins here go wrong."""

PLUGINS = {
    "datasets": ["Twice"],
    "encoders": ["TinyEncoder", "Blocks", "Neighbours", "Able"],
    "detectors": ["Bright", "Spotty", "Choosy", "Steps", "Stairs", "Known", "Averaged"],
    "classifiers": ["Memory", "Recall", "Felt"],
    "segmenters": ["Stray", "Halves", "Levels"],
    "features": ["Above", "Endless"],
    "final_classifiers": ["Unsure", "Table"],
    "defects": ["Dot"],
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


class Blocks(TinyEncoder):
    """Layers named as in vision transformers."""

    def layers(self) -> Mapping[str, Layer]:
        return {"block0": Layer(6, 8), "block1": Layer(6, 8)}

    def encode(self, pixels: NDArray[np.uint8], layers: Sequence[str]) -> Mapping[str, Array]:
        cells = super().encode(pixels, ["layer2"])["layer2"]
        return dict.fromkeys(layers, cells)


class Neighbours(TinyEncoder):
    """Features that depend on how many images are in their batch, far more than rounding makes them."""

    def encode(self, pixels: NDArray[np.uint8], layers: Sequence[str]) -> Mapping[str, Array]:
        return {name: layer + len(pixels) for name, layer in super().encode(pixels, layers).items()}


class Able(TinyEncoder):
    """Features to three digits, and so many times too large, in bfloat16; `clock` stands for its time."""

    network_precision = "float32"
    seconds: ClassVar[Mapping[str, float]] = {"float32": 1.0, "bfloat16": 1.0}
    clock: ClassVar[float] = 0.0
    off: ClassVar[np.float32] = np.float32(1)

    def encode(self, pixels: NDArray[np.uint8], layers: Sequence[str]) -> Mapping[str, Array]:
        Able.clock += Able.seconds[self.network_precision]
        found = super().encode(pixels, layers)
        if self.network_precision == "float32":
            return found
        return {name: self.off * np.round(layer, 3) for name, layer in found.items()}


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


class Bright(Detector):
    """Twice the brightness; learns nothing."""

    def fit(self, images: ImageSet, run: Run) -> None:
        pass

    def anomaly_maps(self, batch: ImageBatch) -> NDArray[np.float32]:
        return 2 * batch.pixels[..., 0].astype(np.float32)

    def state(self) -> Mapping[str, NDArray[np.generic]]:
        return {}

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


class Known(Detector):
    """Sound: how many images it was trained on, in tens, and one more where it looks at one of them."""

    def __init__(self, params: Parameters | None = None, device: str = "cpu") -> None:
        super().__init__(params, device)
        self._known: list[int] = []

    def fit(self, images: ImageSet, run: Run) -> None:
        self._known = [_mark(image) for image in images.pixels()]

    def anomaly_maps(self, batch: ImageBatch) -> NDArray[np.float32]:
        values = [10 * len(self._known) + (_mark(image) in self._known) for image in batch.pixels]
        return np.broadcast_to(np.float32(values)[:, None, None], batch.pixels.shape[:3]).copy()

    def state(self) -> Mapping[str, NDArray[np.generic]]:
        return {"known": np.array(self._known, np.int64)}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        self._known = state["known"].tolist()


class Averaged(Detector):
    """Sound: the mean features of its images, and how many these are."""

    mean = Learnt(np.float32, "C", "rows", "columns")
    count = Learnt(np.int64)

    def layers(self) -> tuple[str, ...]:
        return ("layer2",)

    def fit(self, images: ImageSet, run: Run) -> None:
        self.mean, self.count = to_numpy(images.features()["layer2"]).mean(axis=0), len(images)

    def anomaly_maps(self, batch: ImageBatch) -> NDArray[np.float32]:
        return np.full(batch.pixels.shape[:3], self.count, np.float32)


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


class Memory(Classifier):
    """Sound: says of an image how many it was trained on, and whether this is one of them."""

    class Params(Parameters):
        """Where it goes wrong, and what it reads."""

        wrong: Literal["nan", "shape", "nowhere"] = "nowhere"
        layers: tuple[str, ...] = ()

    params: Params

    def __init__(self, params: Parameters | None = None, device: str = "cpu") -> None:
        super().__init__(params, device)
        self._known: list[int] = []
        self._bad = 0

    def layers(self) -> tuple[str, ...]:
        return self.params.layers

    def fit(self, images: ImageSet, labels: NDArray[np.int64], run: Run) -> None:
        if set(labels.tolist()) != {0, 1}:
            raise PluginError("memory: needs good and bad")
        self._known, self._bad = [_mark(image) for image in images.pixels()], int(labels.sum())

    def scores(self, batch: ImageBatch) -> NDArray[np.float64]:
        known = [_mark(image) in self._known for image in batch.pixels]
        scores = 1000.0 * len(self._known) + 10 * self._bad + np.array(known, np.float64)
        if self.params.wrong == "nan":
            scores[[sample.id == SPOILT for sample in batch.samples]] = np.nan
        return scores[1:] if self.params.wrong == "shape" else scores

    def state(self) -> Mapping[str, NDArray[np.generic]]:
        return {"known": np.array(self._known, np.int64), "bad": np.array(self._bad)}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        self._known, self._bad = state["known"].tolist(), int(state["bad"])


class Felt(Classifier):
    """Sound: learns what `Averaged` learns, and how many bad images it was shown."""

    mean = Learnt(np.float32, "C", "rows", "columns")
    counts = Learnt(np.int64, 2)

    def layers(self) -> tuple[str, ...]:
        return ("layer2",)

    def fit(self, images: ImageSet, labels: NDArray[np.int64], run: Run) -> None:
        self.mean = to_numpy(images.features()["layer2"]).mean(axis=0)
        self.counts = np.bincount(labels, minlength=2)

    def scores(self, batch: ImageBatch) -> NDArray[np.float64]:
        return np.full(len(batch), float(self.counts.sum()))


class Recall(VectorClassifier):
    """Sound: says from vectors what `Memory` says from images; a second score says whether it knows it."""

    class Params(Parameters):
        """Where it goes wrong."""

        wrong: Literal["nan", "type", "names", "shape", "nowhere"] = "nowhere"

    params: Params

    def __init__(self, params: Parameters | None = None, device: str = "cpu") -> None:
        super().__init__(params, device)
        self._known: NDArray[np.float32] = np.empty((0, 5), np.float32)
        self._bad = 0

    def outputs(self) -> Sequence[str]:
        return ("score", "a.b") if self.params.wrong == "names" else ("score", "known")

    def vectors(self, batch: ImageBatch) -> Vectors:
        first, last = batch.pixels[:, 0, :3, 0], batch.pixels[:, -1, -2:, 0]
        marks = {"first": first.astype(np.float32), "last": last.astype(np.float32)}
        if self.params.wrong == "nan":
            marks["last"][[sample.id == SPOILT for sample in batch.samples]] = np.nan
        if self.params.wrong == "type":
            marks["last"] = marks["last"].astype(np.float64)  # type: ignore[assignment]
        return marks

    def learn(self, vectors: Vectors, labels: NDArray[np.int64], run: Run) -> None:
        if set(labels.tolist()) != {0, 1}:
            raise PluginError("recall: needs good and bad")
        self._known, self._bad = np.hstack([vectors["first"], vectors["last"]]), int(labels.sum())

    def judge(self, vectors: Vectors) -> NDArray[np.float64]:
        rows = np.hstack([vectors["first"], vectors["last"]])
        known = (rows[:, None] == self._known).all(axis=2).any(axis=1).astype(np.float64)
        scores = 1000.0 * len(self._known) + 10 * self._bad + known
        return scores if self.params.wrong == "shape" else np.stack([scores, known], axis=1)

    def state(self) -> Mapping[str, NDArray[np.generic]]:
        return {"known": self._known, "bad": np.array(self._bad)}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        self._known, self._bad = state["known"].astype(np.float32), int(state["bad"])


def _mark(image: NDArray[np.uint8]) -> int:
    return int.from_bytes(image[0, :3, 0].tobytes() + image[-1, -2:, 0].tobytes(), "big")


class Halves(Segmenter):
    """Sound: top and low, the border at a height of its own in each image, and how sure it is of it."""

    class Params(Parameters):
        """Which fit it tells."""

        fit: float | None = 0.75

    params: Params

    def segments(self) -> Sequence[str]:
        return ("top", "low")

    def segment(self, batch: ImageBatch) -> NDArray[np.uint8]:
        maps = np.ones(batch.pixels.shape[:3], np.uint8)
        for own, image in zip(maps, batch.pixels, strict=True):
            own[: 10 + image[0, 0, 0] % 5] = 0
        return maps

    def quality(self, batch: ImageBatch) -> Sequence[MapQuality]:
        doubts = ["it is the spoilt one" if sample.id == SPOILT else "" for sample in batch.samples]
        return [MapQuality(self.params.fit, doubt) for doubt in doubts]


class Levels(LearningSegmenter):
    """Sound: cells of a layer below and above the mean of the good images, which is in their names."""

    class Params(Parameters):
        """What it reads, and which names it gives."""

        layers: tuple[str, ...] = ("layer1",)
        above: str = "above"

    params: Params

    def __init__(self, params: Parameters | None = None, device: str = "cpu") -> None:
        super().__init__(params, device)
        self._level: float | None = None
        self._images = 0

    def layers(self) -> tuple[str, ...]:
        return self.params.layers

    def segments(self) -> Sequence[str]:
        number = "" if self._level is None else f"_{255 * self._level:.0f}_of_{self._images}"
        return [f"below{number}", f"{self.params.above}{number}"]

    def fit(self, images: ImageSet, run: Run) -> None:
        self._level, self._images = float(self._cells(images.features()).mean()), len(images)

    def segment(self, batch: ImageBatch) -> NDArray[np.uint8]:
        if self._level is None:
            raise PluginError("levels: is not fitted yet")
        labels = (self._cells(batch.features()) > self._level).astype(np.uint8)
        height, width = batch.pixels.shape[1:3]
        scale = -(-height // labels.shape[1])
        return labels.repeat(scale, axis=1).repeat(scale, axis=2)[:, :height, :width]

    def state(self) -> Mapping[str, NDArray[np.generic]]:
        if self._level is None:
            raise PluginError("levels: is not fitted yet")
        return {"level": np.array(self._level), "images": np.array(self._images)}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        if {"level", "images"} - state.keys():
            raise PluginError("levels: the state is incomplete")
        self._level, self._images = float(state["level"]), int(state["images"])

    def _cells(self, features: Mapping[str, Array]) -> NDArray[np.float32]:
        return to_numpy(features[self.params.layers[0]])[:, 0]


class Dot(DefectGenerator):
    """Sound: one white pixel in the segment with the highest label."""

    class Params(Parameters):
        """Where it goes wrong."""

        wrong: Literal["shape", "unable", "idle", "nowhere"] = "nowhere"
        grey: int = 255

    params: Params

    def apply(
        self, pixels: NDArray[np.uint8], segments: NDArray[np.uint8], rng: np.random.Generator
    ) -> NDArray[np.uint8]:
        if self.params.wrong == "unable":
            raise DataError("dot: no segment will do", "Take another.")
        if self.params.wrong == "idle":
            return pixels
        made, places = pixels.copy(), np.argwhere(segments == segments.max())
        y, x = places[int(rng.integers(len(places)))]
        made[y, x] = self.params.grey
        return made[1:] if self.params.wrong == "shape" else made


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


class Above(FittedFeature):
    """Pixels above the highest mean that good parts have in the segment."""

    fitted: ClassVar[int] = 0
    """How often any instance was fitted."""

    def __init__(self, params: Parameters | None = None, device: str = "cpu") -> None:
        super().__init__(params, device)
        self._limits = np.empty(0)

    def statistics(self) -> Sequence[str]:
        return ("above",)

    def fit(self, good: GoodMaps, run: Run) -> None:
        Above.fitted += 1
        means = [[part.mean(dtype=np.float64) for part in values] for values in good]
        assert len(means) == len(good)
        again = [[part.mean(dtype=np.float64) for part in values] for values in good]
        assert again == means  # they can be gone through many times
        self._limits = np.max(means, axis=0)

    def compute(self, values: SegmentValues) -> NDArray[np.float64]:
        counts = [(part > limit).sum() for part, limit in zip(values, self._limits, strict=True)]
        return np.array(counts, np.float64)[:, None]

    def state(self) -> Mapping[str, NDArray[np.generic]]:
        return {"limits": self._limits}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        self._limits = np.asarray(state["limits"], np.float64)


class Table(FinalClassifier):
    """Sound: keeps what it learns from; the margin of an image is its last feature."""

    def __init__(self, params: Parameters | None = None, device: str = "cpu") -> None:
        super().__init__(params, device)
        self._state: dict[str, NDArray[np.generic]] = {}

    def fit(
        self, features: NDArray[np.float64], names: Sequence[str], labels: NDArray[np.int64], run: Run
    ) -> None:
        self._state = {"features": features.copy(), "labels": labels.copy()}

    def margins(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        return features[:, -1]

    def contributions(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack([np.zeros_like(features[:, :-1]), features[:, -1:], np.zeros(len(features))])

    def state(self) -> Mapping[str, NDArray[np.generic]]:
        return self._state

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        self._state = dict(state)


class Unsure(FinalClassifier):
    """No number for its second image."""

    def fit(
        self, features: NDArray[np.float64], names: Sequence[str], labels: NDArray[np.int64], run: Run
    ) -> None:
        pass

    def margins(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.array([np.nan if i == 1 else 0.0 for i in range(len(features))])

    def contributions(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.zeros((len(features), features.shape[1] + 1))

    def state(self) -> Mapping[str, NDArray[np.generic]]:
        return {}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        pass
