"""Stand-ins for what detectors train on and with, and what is noted while they do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import plain
import pytest
import torch
from numpy.typing import NDArray
from plain import Features, State
from safetensors.numpy import load
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from segad_core.base.formats import arrays_to_bytes
from segad_core.contracts import Arrays, Checkpoint, Detector, ImageBatch, Run, Sample, no_progress
from segad_core.evaluate import auroc
from segad_core.testing import ArrayImageSet, TinyEncoder, bad_images, good_images, image_batch
from segad_core.testing.trial_run import Left, Told, TrialRun
from segad_plugins.detectors import efficientad
from segad_plugins.detectors.fastflow import FastFlow
from segad_plugins.detectors.rd4ad import RD4AD
from segad_plugins.detectors.student_teacher import StudentTeacher, training_loss

SIZE = (64, 48)
SHAPES = {"layer1": (6, 16, 12), "layer2": (7, 8, 6), "layer3": (10, 4, 3)}  # 7: halves of 3 and 4
WIDE_RESNET = {"layer1": (256, 64, 64), "layer2": (512, 32, 32), "layer3": (1024, 16, 16)}

Kind = TypeVar("Kind", bound=Detector)

# ---- features ----


def random_features(
    images: int, seed: int, shapes: Mapping[str, tuple[int, int, int]] = SHAPES
) -> dict[str, NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    return {name: rng.normal(1, 2, (images, *shape)).astype(np.float32) for name, shape in shapes.items()}


class FeatureImages:
    """An image set that has nothing but features."""

    def __init__(self, features: Features) -> None:
        self._features = features

    def __len__(self) -> int:
        return next(iter(self._features.values())).shape[0]

    def features(self) -> Features:
        return self._features

    def ignored(self) -> None:
        """Everything is inspected."""


class Recorded(np.ndarray):
    """A layer of a training set that records which images are requested."""

    asked: list[list[int]]

    def __new__(cls, values: NDArray[np.float32]) -> Recorded:
        layer = values.view(cls)
        layer.asked = []
        return layer

    def __getitem__(self, places: Any) -> Any:
        self.asked.append(places.tolist())
        return np.asarray(self)[places]


def feature_batch(features: Features, size: tuple[int, int] = SIZE) -> ImageBatch:
    count = len(next(iter(features.values())))
    samples = [Sample(str(i), Path(str(i)), 0) for i in range(count)]
    return ImageBatch(samples, np.zeros((count, *size, 3), np.uint8), lambda _: features)


# ---- runs ----


def seed_run(seed: int = 1, progress: Callable[..., None] = no_progress, **more: Any) -> Run:
    return Run(np.random.SeedSequence(seed), progress, **more)


class ToldSteps(Told):
    """Told of training steps alone."""

    def __call__(self, what: str, done: int, total: int, note: str = "") -> None:
        if what == "training steps":
            super().__call__(what, done, total, note)

    @property
    def steps(self) -> list[int]:
        return [done for _, done, _, _ in self.calls]

    @property
    def losses(self) -> list[float]:
        return [float(note.removeprefix("loss ")) for *_, note in self.calls]


class Kept(Checkpoint):
    """Always due; keeps every snapshot in memory, as the bytes that a file would hold."""

    def __init__(self, begin: bytes | None = None) -> None:
        self.begin = begin
        self.saved: list[bytes] = []

    def load(self) -> Arrays | None:
        last = self.saved[-1] if self.saved else self.begin
        return None if last is None else load(last)

    def due(self) -> bool:
        return True

    def save(self, arrays: Arrays) -> None:
        self.saved.append(arrays_to_bytes(arrays))


class FolderRun(TrialRun):
    """A run whose folders hold images of ours, and which notes the artifacts and the folders asked for."""

    _open = (*TrialRun._open, "checkpoint")

    def __init__(
        self,
        seed: int = 1,
        folders: Mapping[Path, ArrayImageSet] | None = None,
        progress: Callable[..., None] = no_progress,
        checkpoint: Checkpoint | None = None,
    ) -> None:
        self.left = Left()
        super().__init__(np.random.SeedSequence(seed), progress, TinyEncoder(), self.left)
        self.checkpoint = checkpoint or Checkpoint()
        self.asked: list[tuple[Path, tuple[int, int], tuple[str, ...]]] = []
        self.wanted: list[tuple[str, dict[str, Any]]] = []
        self._folders = folders or {}

    @property
    def artifacts(self) -> list[Arrays]:
        return [load(kept) for kept in self.left.artifacts.values()]

    def artifact(self, name: str, inputs: Mapping[str, Any], make: Callable[[Run], Arrays]) -> Arrays:
        self.wanted.append((name, dict(inputs)))
        return super().artifact(name, inputs, make)

    def images(self, folder: Path, size: tuple[int, int], layers: Sequence[str] = ()) -> ArrayImageSet:
        self.asked.append((folder, size, tuple(layers)))
        return self._folders[folder].resized(size)


# ---- detectors ----


def fitted(make: type[Kind], features: Mapping[str, Any], run: Run | int = 3, **params: object) -> Kind:
    """On layers that are given, for one epoch unless told otherwise."""
    detector = make(make.Params.model_validate({"epochs": 1, "layers": tuple(features), **params}))
    detector.fit(FeatureImages(features), seed_run(run) if isinstance(run, int) else run)  # type: ignore[arg-type]
    return detector


def with_random_weights(make: type[Kind], **params: Any) -> Kind:
    """Every weight and running statistic far enough from where it began for each to matter."""
    layers, rng = params.get("layers", tuple(SHAPES)), np.random.default_rng(0)
    first = fitted(make, {name: random_features(4, 0)[name] for name in layers}, **params)

    def moved(name: str, array: NDArray[Any]) -> NDArray[Any]:
        if array.dtype != np.float32:
            return array
        if name.endswith("running_var"):
            return rng.uniform(0.3, 2, array.shape).astype(np.float32)
        return (array + rng.normal(0, 1.0 if name.endswith("gamma") else 0.4, array.shape)).astype(np.float32)

    detector = make(first.params)
    detector.restore({name: moved(name, np.asarray(array)) for name, array in first.state().items()})
    return detector


def same_bits(first: Arrays, second: Arrays) -> bool:
    return first.keys() == second.keys() and all(
        first[n].dtype == second[n].dtype and first[n].tobytes() == second[n].tobytes() for n in first
    )


def ranked(detector: Detector, batch: ImageBatch) -> float:
    """The area under the curve of a batch whose first half is good and whose second is bad."""
    scores = detector.image_scores(batch, detector.anomaly_maps(batch))
    return auroc(np.repeat([0, 1], len(scores) // 2), scores)


def in_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a training in mixed precision brings to float32 stays in float64, for differences to be exact."""
    monkeypatch.setattr(Tensor, "float", Tensor.double)


def check_steps(
    states: Sequence[Arrays],
    prefix: str,
    network: nn.Module,
    loss: Callable[[], Tensor],
    adam: plain.Adam,
    room: tuple[float, float],
) -> None:
    """Each state is one step from where the one before ended, as rounding grows.

    Of the values of each weight half are within `room[0]` of a step, of all together 98 of 100 within
    `room[1]`: others have gradients that are all rounding.
    """
    for before, after in pairwise(states):
        begin, end = plain.below(prefix, before), plain.below(prefix, after)
        network.load_state_dict({name: torch.from_numpy(value) for name, value in begin.items()})
        network.zero_grad()
        loss().backward()
        gradients = {n: p.grad.numpy() for n, p in network.named_parameters() if p.grad is not None}
        assert gradients.keys() == dict(network.named_parameters()).keys()
        expected = adam.step(begin, gradients)
        errors = {name: np.abs(value - end[name]).ravel() / adam.rate for name, value in expected.items()}
        medians = {name: float(np.median(part)) for name, part in errors.items()}
        far = {name: median for name, median in medians.items() if median >= room[0]}
        assert not far, f"not a step of Adam: {far}"
        assert np.quantile(np.concatenate([*errors.values()]), 0.98) < room[1]


@contextmanager
def optimiser_steps() -> Iterator[list[tuple[str, float, float, tuple[float, float]]]]:
    """Fills a list with each step's optimiser, learning rate, weight decay and betas."""
    seen: list[tuple[str, float, float, tuple[float, float]]] = []

    def note(optimiser: Any, *_: Any) -> None:
        (group,) = optimiser.param_groups
        seen.append((type(optimiser).__name__, group["lr"], group["weight_decay"], group["betas"]))

    handle = register_optimizer_step_pre_hook(note)
    try:
        yield seen
    finally:
        handle.remove()


# ---- the detectors that train ----

SIDE = 40  # of EfficientAD's images; without padding their descriptions are 2 x 2
FOLDER = Path("elsewhere")
ELSEWHERE = {
    FOLDER: ArrayImageSet(np.random.default_rng(7).integers(0, 256, (5, 2 * SIDE, 2 * SIDE, 3), np.uint8))
}
OF_FEATURES: dict[str, type[Detector]] = {"fastflow": FastFlow, "rd4ad": RD4AD}


@dataclass
class Trial:
    """One of the detectors, and small trainings of it."""

    name: str
    make: Callable[..., Detector]  # EfficientAD

    def fitted(self, run: int | Run = 3, steps: int = 6, **params: Any) -> Detector:
        """After steps with three of seven images, or for EfficientAD with one."""
        if make := OF_FEATURES.get(self.name):
            few = {"epochs": steps // 3, "batch": 3, **({"steps": 2} if self.name == "fastflow" else {})}
            detector = make(make.Params.model_validate({**few, **params}))
        else:
            detector = self.make(iterations=steps, **params)
        self.fit(detector, run)
        return detector

    def fit(self, detector: Detector, run: int | Run) -> None:
        images = ArrayImageSet(good_images(7, SIDE, SIDE))
        given = FeatureImages(random_features(7, 0)) if self.name in OF_FEATURES else images
        detector.fit(given, FolderRun(run, ELSEWHERE) if isinstance(run, int) else run)  # type: ignore[arg-type]

    @cached_property
    def trained(self) -> Detector:
        """For tests that change nothing of it."""
        return self.fitted(steps=3)

    @cached_property
    def state(self) -> Arrays:
        """What `trained` learnt."""
        return self.trained.state()

    def batch(self) -> ImageBatch:
        if self.name in OF_FEATURES:
            return feature_batch(random_features(4, 1))
        return image_batch(np.concatenate([good_images(2, SIDE, SIDE, 4), bad_images(2, SIDE, SIDE)]))


# ---- inside EfficientAD ----


def small_images(count: int = 8, seed: int = 0, side: int = SIDE) -> ArrayImageSet:
    return ArrayImageSet(good_images(count, side, side, seed))


def which(inputs: NDArray[np.float32], pixels: NDArray[np.uint8], room: float = 1e-5) -> list[int]:
    """Which of some images each input (N, 3, H, W) is, unchanged."""
    known = plain.network_input(pixels, inputs.shape[2:])
    places = [int(np.abs(known - one).max(axis=(1, 2, 3)).argmin()) for one in inputs]
    np.testing.assert_allclose(inputs, known[places], rtol=0, atol=room)
    return places


def without_colour(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    luma = np.floor(pixels @ np.array([0.2989, 0.587, 0.114]) + 0.5).astype(np.uint8)
    return np.stack([luma] * 3, axis=-1)


class Spy:
    """What happens inside a fit of EfficientAD: the networks, what they are given, and the losses.

    Attributes:
        initial: the arrays of the networks before they train.
        given: what the teacher, the student and the autoencoder were given, call by call.
        described: the images that train.
        held_out: the images that calibrate.
        terms: what the loss compares at each step.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.networks: StudentTeacher
        self.initial: State = {}
        self.given: dict[str, list[NDArray[np.float32]]] = {"teacher": [], "student": [], "autoencoder": []}
        self.described: NDArray[np.uint8]
        self.held_out: NDArray[np.uint8]
        self.terms: list[list[NDArray[np.float32]]] = []
        self.losses: list[float] = []
        self._monkeypatch = monkeypatch
        take, describe, calibrate = (
            StudentTeacher.load_teacher,
            StudentTeacher.describe_all,
            StudentTeacher.calibrate,
        )

        def load_teacher(networks: StudentTeacher, state: Any) -> None:
            take(networks, state)
            self.networks = networks
            self.initial = {f"networks.{k}": v.numpy().copy() for k, v in networks.state_dict().items()}
            for name in self.given:
                self._note(name, getattr(networks, name))

        def describe_all(networks: StudentTeacher, pixels: NDArray[np.uint8], run: Run) -> Any:
            self.described = pixels.copy()
            return describe(networks, pixels, run)

        def calibrated(networks: StudentTeacher, pixels: NDArray[np.uint8]) -> None:
            self.held_out = pixels.copy()
            calibrate(networks, pixels)

        def loss(*terms: Tensor) -> Tensor:
            value = training_loss(*terms)
            self.terms.append([term.detach().numpy().copy() for term in terms])
            self.losses.append(float(value.detach()))
            return value

        monkeypatch.setattr(StudentTeacher, "load_teacher", load_teacher)
        monkeypatch.setattr(StudentTeacher, "describe_all", describe_all)
        monkeypatch.setattr(StudentTeacher, "calibrate", calibrated)
        monkeypatch.setattr(efficientad, "training_loss", loss)

    def _note(self, name: str, network: nn.Module) -> None:
        seen = self.given[name]
        network.register_forward_pre_hook(lambda _, x: seen.append(x[0].detach().numpy().copy()))

    def steps_alone(self, steps: int | Sequence[int], idle: bool = True) -> None:
        """A fit goes through these steps and trains nothing; `idle`: with networks that do nothing."""

        def through(_who: str, network: nn.Module, _optimiser: Any, loss_at: Any, *_: Any, **__: Any) -> None:
            assert network.training
            with self._idle() if idle else nullcontext():
                for step in range(steps) if isinstance(steps, int) else steps:
                    loss_at(step)

        if idle:
            self._monkeypatch.setattr(efficientad, "training_loss", lambda *_: torch.zeros(()))
        self._monkeypatch.setattr(efficientad, "train", through)

    @contextmanager
    def _idle(self) -> Iterator[None]:
        kept = {name: getattr(self.networks, name) for name in ("student", "autoencoder")}
        for name in kept:
            setattr(self.networks, name, nn.AdaptiveAvgPool2d(1))
            self._note(name, getattr(self.networks, name))
        yield
        for name, network in kept.items():
            setattr(self.networks, name, network)


def published_teacher(size: str, project: str = "nelson1425") -> dict[str, Tensor]:
    """Of random weights, under the names by which a project publishes them."""
    state = {name: torch.from_numpy(array) for name, array in plain.random_pdn(size, 1).items()}
    if project == "nelson1425":
        return state
    places = {str(place): f"conv{i}" for i, (place, *_) in enumerate(plain.PDN[size], start=1)}
    return {
        ".".join([places[name.split(".")[0]], name.split(".")[1]]): value for name, value in state.items()
    }
