"""EfficientAD against a plain NumPy computation in float64; its training, quantiles and bad input."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from PIL import Image
from torch import nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from segad_core.contracts import Arrays, Checkpoint, Run
from segad_core.errors import DataError, NonFiniteError, PluginError
from segad_core.evaluate import auroc
from segad_core.testing import ArrayImageSet, bad_images, good_images, image_batch
from segad_plugins.detectors import efficientad
from segad_plugins.detectors.efficientad import EfficientAD
from segad_plugins.detectors.student_teacher import StudentTeacher, hard_count, training_loss

State = dict[str, NDArray[Any]]
_MEAN, _STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])

# convolutions as (place in the published network, outputs (None: those wanted), inputs, kernel, padding);
# a pool stands behind the first two
_CONVOLUTIONS: dict[str, tuple[tuple[int, int | None, int, int, int], ...]] = {
    "small": ((0, 128, 3, 4, 3), (3, 256, 128, 4, 3), (6, 256, 256, 3, 1), (8, None, 256, 4, 0)),
    "medium": (
        *((0, 256, 3, 4, 3), (3, 512, 256, 4, 3), (6, 512, 512, 1, 0)),
        *((8, 512, 512, 3, 1), (10, None, 512, 4, 0), (12, None, None, 1, 0)),
    ),
}


def _layer(
    rng: np.random.Generator, name: str, outputs: int, inputs: int, kernel: int, width: int = 0
) -> State:
    """Random weights that keep the size of what goes through."""
    shape = (outputs, inputs, kernel, width or kernel)
    weight = rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape).astype(np.float32)
    return {f"{name}.weight": weight, f"{name}.bias": rng.normal(0, 0.2, outputs).astype(np.float32)}


def _teacher(size: str, rng: np.random.Generator, outputs: int = 384, name: str = "") -> State:
    state: State = {}
    for place, out, inputs, kernel, _ in _CONVOLUTIONS[size]:
        state |= _layer(rng, f"{name}{place}", out or outputs, inputs or outputs, kernel)
    return state


def _state(size: str, image_size: tuple[int, int], seed: int = 0) -> State:
    """All named arrays of a detector, at random."""
    rng, own = np.random.default_rng(seed), "networks."
    state = _teacher(size, rng, 384, f"{own}teacher.") | _teacher(size, rng, 768, f"{own}student.")
    for place, (inputs, outputs) in enumerate([(3, 32), (32, 32), (32, 64), (64, 64), (64, 64)]):
        state |= _layer(rng, f"{own}autoencoder.encoder.{2 * place}", outputs, inputs, 4)
    rest = (image_size[0] // 32, image_size[1] // 32)
    state |= _layer(rng, f"{own}autoencoder.encoder.10", 64, 64, *rest)
    for place in range(6):
        state |= _layer(rng, f"{own}autoencoder.ascents.{place}", 64, 64, 4)
    state |= _layer(rng, f"{own}autoencoder.head.0", 64, 64, 3)
    state |= _layer(rng, f"{own}autoencoder.head.2", 384, 64, 3)
    state[f"{own}mean"] = rng.normal(0, 0.5, (1, 384, 1, 1)).astype(np.float32)
    state[f"{own}spread"] = rng.uniform(0.5, 2, (1, 384, 1, 1)).astype(np.float32)
    state[f"{own}quantiles"] = np.array([[0.1, 1.3], [0.05, 0.6]], np.float32)
    return {"version": np.array(1), "image_size": np.array(image_size, np.int64), **state}


# ---- the reference: one image at a time in float64, nothing shared with the plugin ----

Maps = NDArray[np.float64]


def _convolved(x: Maps, state: State, name: str, padding: int = 0, stride: int = 1) -> Maps:
    weight = state[f"{name}.weight"].astype(np.float64)
    padded = np.pad(x, ((0, 0), (padding, padding), (padding, padding)))
    windows = sliding_window_view(padded, weight.shape[2:], axis=(1, 2))[:, ::stride, ::stride]
    summed = np.tensordot(weight, windows, axes=([1, 2, 3], [0, 3, 4]))
    return summed + state[f"{name}.bias"].astype(np.float64)[:, None, None]


def _halved(x: Maps, padding: int) -> Maps:
    """Mean over 2 x 2; zeros around, that count."""
    padded = np.pad(x, ((0, 0), (padding, padding), (padding, padding)))
    padded = padded[:, : padded.shape[1] // 2 * 2, : padded.shape[2] // 2 * 2]
    return sum(padded[:, i::2, j::2] for i in (0, 1) for j in (0, 1)) / 4


def _matrix(old: int, new: int, antialias: bool = False) -> Maps:
    """Bilinear interpolation of a line at pixel centres; a wider triangle where it shrinks with antialias."""
    scale = old / new
    width = max(scale, 1.0) if antialias else 1.0
    centres = (np.arange(new) + 0.5) * scale - 0.5
    if antialias:
        weights = np.maximum(0, 1 - np.abs(np.arange(old) - centres[:, None]) / width)
        return weights / weights.sum(axis=1, keepdims=True)
    centres = np.clip(centres, 0, old - 1)  # edges repeat
    return np.maximum(0, 1 - np.abs(np.arange(old) - centres[:, None]))


def _resized(x: Maps, size: Sequence[int], antialias: bool = False) -> Maps:
    rows, columns = (_matrix(old, new, antialias) for old, new in zip(x.shape[-2:], size, strict=True))
    return rows @ x @ columns.T


def _description(x: Maps, state: State, name: str, size: str, padded: bool) -> Maps:
    convolutions = _CONVOLUTIONS[size]
    for place, _, _, _, padding in convolutions:
        x = _convolved(x, state, f"{name}.{place}", padding * padded)
        if place != convolutions[-1][0]:
            x = np.maximum(x, 0)
        if place in (0, 3):
            x = _halved(x, int(padded))
    return x


def _imitation(x: Maps, state: State, grid: tuple[int, int]) -> Maps:
    height, width = x.shape[1:]
    own = "networks.autoencoder"
    for place in range(5):
        x = np.maximum(_convolved(x, state, f"{own}.encoder.{2 * place}", 1, stride=2), 0)
    x = _convolved(x, state, f"{own}.encoder.10")
    assert x.shape == (64, 1, 1)
    for place, (part, less) in enumerate([(64, 1), (32, 0), (16, 1), (8, 0), (4, 1), (2, 1)]):
        x = _resized(x, [max(1, height // part - less), max(1, width // part - less)])
        x = np.maximum(_convolved(x, state, f"{own}.ascents.{place}", 2), 0)
    x = np.maximum(_convolved(_resized(x, grid), state, f"{own}.head.0", 1), 0)
    return _convolved(x, state, f"{own}.head.2", 1)


def _network_input(pixels: NDArray[np.uint8], size: tuple[int, int]) -> Maps:
    """(3, H, W) of one image."""
    image = ((pixels / 255 - _MEAN) / _STD).transpose(2, 0, 1)
    return image if image.shape[1:] == size else _resized(image, size, antialias=True)


def _raw_maps(pixels: NDArray[np.uint8], state: State, size: str, padded: bool) -> tuple[Maps, Maps]:
    """The two maps (h, w) of one image before they are normalised."""
    image = _network_input(pixels, tuple(state["image_size"].tolist()))
    teacher = _description(image, state, "networks.teacher", size, padded)
    teacher = (teacher - state["networks.mean"][0]) / state["networks.spread"][0]
    student = _description(image, state, "networks.student", size, padded)
    imitated = _imitation(image, state, teacher.shape[1:])
    return ((teacher - student[:384]) ** 2).mean(axis=0), ((imitated - student[384:]) ** 2).mean(axis=0)


def _map(pixels: NDArray[np.uint8], state: State, size: str, padded: bool) -> Maps:
    pair = []
    for raw, (low, high) in zip(
        _raw_maps(pixels, state, size, padded), state["networks.quantiles"].astype(np.float64), strict=True
    ):
        pair.append(0.1 * (raw - low) / (high - low))
    grid = 0.5 * pair[0] + 0.5 * pair[1]
    if not padded:
        grid = np.pad(grid, 4)
    return _resized(grid, pixels.shape[:2])


# ---- maps ----


@pytest.mark.parametrize(
    ("size", "padding", "image_size", "shape"),
    [
        ("small", True, (64, 72), (64, 72)),
        ("small", True, (45, 70), (45, 70)),
        ("small", False, (64, 44), (64, 44)),
        ("small", True, (32, 40), (50, 96)),  # brought to a smaller size, and back
        ("small", False, (50, 60), (40, 48)),  # to a larger one
        ("medium", True, (32, 40), (32, 40)),
        ("medium", False, (40, 48), (40, 48)),
    ],
)
def test_maps_equal_the_reference(
    size: str, padding: bool, image_size: tuple[int, int], shape: tuple[int, int]
) -> None:
    state = _state(size, image_size)
    detector = EfficientAD(EfficientAD.Params(size=size, padding=padding))
    detector.restore(state)
    pixels = np.concatenate([good_images(1, *shape), bad_images(1, *shape)])
    maps = detector.anomaly_maps(image_batch(pixels))
    assert maps.shape == (2, *shape) and maps.dtype == np.float32
    for found, image in zip(maps, pixels, strict=True):
        expected = _map(image, state, size, padding)
        top = np.abs(expected).max()
        assert expected.max() - expected.min() > 0.1 * top > 1e-3  # not all alike
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * top)


def test_without_padding_a_border_of_zeros_surrounds_the_map() -> None:
    """An eighth of each side at 64 pixels: 8 descriptions, and 4 zeros at each end."""
    detector = EfficientAD(EfficientAD.Params(size="small", padding=False))
    detector.restore(_state("small", (64, 64)))
    (found,) = detector.anomaly_maps(image_batch(good_images(1, 64, 64)))
    inner = np.zeros((64, 64), bool)
    inner[14:50, 14:50] = True  # where interpolation reaches the map's outermost values
    assert (found[~inner] == 0).all() and (found[16:48, 16:48] != 0).all()


# ---- loss ----


def _loss(described: Maps, students: Maps, imitated: Maps) -> float:
    """Of (384, h, w), (1 or 2, 768, h, w) and (384, h, w), as the paper defines it."""
    differences = (described - students[0, :384]) ** 2
    ordered = np.sort(differences, axis=None)
    position = Fraction(999, 1000) * (len(ordered) - 1)
    low = int(position)
    quantile = ordered[low] + float(position - low) * (ordered[min(low + 1, len(ordered) - 1)] - ordered[low])
    loss = differences[differences >= quantile].mean()
    if len(students) == 2:
        loss += (students[1, :384] ** 2).mean()
    loss += ((described - imitated) ** 2).mean()
    return float(loss + ((imitated - students[0, 384:]) ** 2).mean())


def _three(seed: int, images: int, grid: tuple[int, int]) -> list[NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    shapes = [(1, 384, *grid), (images, 768, *grid), (1, 384, *grid)]
    return [rng.normal(1, 2, shape).astype(np.float32) for shape in shapes]


@pytest.mark.parametrize("images", [1, 2])
@pytest.mark.parametrize("grid", [(1, 2), (8, 9), (16, 16)])
def test_loss_equals_the_reference(images: int, grid: tuple[int, int]) -> None:
    described, students, imitated = _three(images, images, grid)
    found = training_loss(*(torch.from_numpy(array) for array in (described, students, imitated)))
    wide = [array.astype(np.float64) for array in (described[0], students, imitated[0])]
    assert float(found) == pytest.approx(_loss(*wide), rel=1e-5)


def test_gradients_are_the_losss_own() -> None:
    """The autoencoder's has two parts: no gradient is stopped on the way to the student."""
    grid, count = (8, 9), 384 * 8 * 9
    arrays = _three(3, 2, grid)
    described, students, imitated = (torch.from_numpy(a).requires_grad_(i > 0) for i, a in enumerate(arrays))
    training_loss(described, students, imitated).backward()
    t, s, a = (array.astype(np.float64) for array in arrays)
    differences = (t[0] - s[0, :384]) ** 2
    hard = differences >= np.sort(differences, axis=None)[-28]
    assert hard.sum() == 28  # of 27,648
    assert imitated.grad is not None and students.grad is not None and described.grad is None
    expected = {
        "autoencoder": (imitated.grad[0], 2 * (a - t)[0] / count + 2 * (a[0] - s[0, 384:]) / count),
        "student to teacher": (students.grad[0, :384], 2 * (s[0, :384] - t[0]) * hard / 28),
        "student to autoencoder": (students.grad[0, 384:], 2 * (s[0, 384:] - a[0]) / count),
        "penalty": (students.grad[1, :384], 2 * s[1, :384] / count),
        "not penalised": (students.grad[1, 384:], np.zeros((384, *grid))),
    }
    for what, (found, wanted) in expected.items():
        np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-4, atol=1e-9, err_msg=what)


def test_hard_count_of_the_papers_sizes() -> None:
    assert hard_count(1_572_864) == hard_count(384 * 64 * 64) == 1573
    assert hard_count(384 * 56 * 56) == 1205


@settings(deadline=None, max_examples=200)
@given(st.integers(1, 5000) | st.integers(1, 200).map(lambda k: 1000 * k + 1) | st.integers(1, 2**31))
def test_hard_count_is_by_definition(values: int) -> None:
    """How many of 0, 1, ..., n - 1 are not below the interpolated quantile, which is its position there."""
    position = Fraction(999, 1000) * (values - 1)
    least = -int(-position // 1)  # the first whole number that is not below
    assert hard_count(values) == values - least >= 1
    if values <= 5000:
        assert hard_count(values) == sum(value >= position for value in range(values))


# ---- a training, small: images of 40 x 40, no padding, descriptions of 2 x 2, a teacher from a file ----

_SIDE = 40


@pytest.fixture(scope="module")
def teacher_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("teacher") / "teacher.pth"
    state = _teacher("small", np.random.default_rng(5))
    torch.save({name: torch.from_numpy(array) for name, array in state.items()}, path)
    return path


@pytest.fixture(scope="module")
def make(teacher_file: Path) -> Callable[..., EfficientAD]:
    def made(**params: Any) -> EfficientAD:
        plain = {"size": "small", "padding": False, "iterations": 3, "teacher": teacher_file}
        return EfficientAD(EfficientAD.Params.model_validate({**plain, **params}))

    return made


def _images(count: int = 8, seed: int = 0, side: int = _SIDE) -> ArrayImageSet:
    return ArrayImageSet(good_images(count, side, side, seed))


def _run(seed: int = 1, **options: Any) -> Run:
    return Run(np.random.SeedSequence(seed), **options)


@pytest.fixture(scope="module")
def fitted(make: Callable[..., EfficientAD]) -> EfficientAD:
    detector = make()
    detector.fit(_images(), _run())
    return detector


class _Spy:
    """What happens inside a fit: the networks, what they are given, what calibrates, and the losses."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.networks: StudentTeacher
        self.initial: State = {}
        self.given: dict[str, list[NDArray[np.float32]]] = {"teacher": [], "student": [], "autoencoder": []}
        self.described: NDArray[np.uint8]
        self.held_out: NDArray[np.uint8]
        self.terms: list[list[NDArray[np.float32]]] = []
        self.losses: list[float] = []
        self.training = False
        take, describe, calibrate = (
            StudentTeacher.load_teacher,
            StudentTeacher.describe_all,
            StudentTeacher.calibrate,
        )

        def load_teacher(networks: StudentTeacher, state: Any) -> None:
            take(networks, state)
            self.networks = networks
            self.initial = {f"networks.{k}": v.numpy().copy() for k, v in networks.state_dict().items()}
            for name, seen in self.given.items():
                getattr(networks, name).register_forward_pre_hook(
                    lambda _, x, seen=seen: seen.append(x[0].detach().numpy().copy())
                )

        def describe_all(networks: StudentTeacher, pixels: NDArray[np.uint8], run: Run) -> Any:
            self.described = pixels.copy()
            return describe(networks, pixels, run)

        def calibrated(networks: StudentTeacher, pixels: NDArray[np.uint8]) -> None:
            self.held_out = pixels.copy()
            calibrate(networks, pixels)

        def loss(*terms: torch.Tensor) -> torch.Tensor:
            value = training_loss(*terms)
            self.terms.append([term.detach().numpy().copy() for term in terms])
            self.losses.append(float(value.detach()))
            return value

        monkeypatch.setattr(StudentTeacher, "load_teacher", load_teacher)
        monkeypatch.setattr(StudentTeacher, "describe_all", describe_all)
        monkeypatch.setattr(StudentTeacher, "calibrate", calibrated)
        monkeypatch.setattr(efficientad, "training_loss", loss)

    def steps_alone(self, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
        """Has a fit go through so many steps with networks that do nothing, and train nothing."""

        def steps(who: str, network: nn.Module, optimiser: Any, loss_at: Any, *_: Any, **__: Any) -> None:
            kept = self.networks.student, self.networks.autoencoder
            nothing = [nn.AdaptiveAvgPool2d(1), nn.AdaptiveAvgPool2d(1)]
            for name, stub in zip(("student", "autoencoder"), nothing, strict=True):
                seen = self.given[name]
                stub.register_forward_pre_hook(
                    lambda _, x, seen=seen: seen.append(x[0].detach().numpy().copy())
                )
            self.networks.student, self.networks.autoencoder = nothing
            for step in range(count):
                loss_at(step)
            self.networks.student, self.networks.autoencoder = kept

        monkeypatch.setattr(efficientad, "training_loss", lambda *_: torch.zeros(()))
        monkeypatch.setattr(efficientad, "train", steps)


@pytest.fixture
def spy(monkeypatch: pytest.MonkeyPatch) -> _Spy:
    return _Spy(monkeypatch)


def _which(inputs: NDArray[np.float32], pixels: NDArray[np.uint8], room: float = 1e-5) -> list[int]:
    """Which of some images each input (N, 3, H, W) is, unchanged."""
    known = np.stack([_network_input(image, inputs.shape[2:]) for image in pixels])
    places = [int(np.abs(known - one).max(axis=(1, 2, 3)).argmin()) for one in inputs]
    np.testing.assert_allclose(inputs, known[places], rtol=0, atol=room)
    return places


def test_a_first_step_equals_the_reference(make: Callable[..., EfficientAD], spy: _Spy) -> None:
    """The teacher's normalised description, the student's, and the loss that is reported."""
    notes: list[str] = []

    def progress(what: str, done: int, total: int, note: str = "") -> None:
        notes.extend([note] if note else [])

    detector, images = make(iterations=2), _images(6)
    detector.fit(images, _run(progress=progress))
    described, students, imitated = spy.terms[0]
    (place,) = _which(spy.given["student"][0], images.pixels)
    image, state = _network_input(images.pixels[place], (_SIDE, _SIDE)), dict(spy.initial)
    own = [_network_input(pixels, (_SIDE, _SIDE)) for pixels in spy.described]
    every = np.stack([_description(one, state, "networks.teacher", "small", False) for one in own])
    mean = every.mean(axis=(2, 3)).mean(axis=0)[:, None, None]
    spread = np.sqrt(((every - mean) ** 2).mean(axis=(2, 3)).mean(axis=0))[:, None, None]
    wanted = (_description(image, state, "networks.teacher", "small", False) - mean) / spread
    np.testing.assert_allclose(described[0], wanted, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(
        students[0], _description(image, state, "networks.student", "small", False), rtol=1e-3, atol=1e-4
    )
    for terms, loss, note in zip(spy.terms, spy.losses, notes, strict=True):
        wide = [array.astype(np.float64) for array in terms]
        assert loss == pytest.approx(_loss(wide[0][0], wide[1], wide[2][0]), rel=1e-5)
        assert note == f"loss {loss:.4g}"
    found = detector.state()
    np.testing.assert_allclose(found["networks.mean"][0], mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found["networks.spread"][0], spread, rtol=1e-4)
    assert imitated.shape == described.shape == (1, 384, 2, 2) and students.shape == (1, 768, 2, 2)


def test_autoencoder_and_student_see_the_same_image_unchanged(
    make: Callable[..., EfficientAD], spy: _Spy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each image that trains once an epoch, in changing order, one at a time; never one held out."""
    spy.steps_alone(monkeypatch, 27)
    images = _images(12)
    make().fit(images, _run())
    seen = spy.given["student"][:27]
    np.testing.assert_array_equal(seen, spy.given["autoencoder"][:27])
    assert {one.shape for one in seen} == {(1, 3, _SIDE, _SIDE)}
    places = _which(np.concatenate(seen), images.pixels)
    epochs = [places[start : start + 10] for start in (0, 10)]
    own = sorted(_which(_inputs(spy.described), images.pixels))
    assert sorted(epochs[0]) == sorted(epochs[1]) == own and epochs[0] != epochs[1]
    assert set(places[20:]) < set(own) and len(set(places[20:])) == 7
    held = _which(_inputs(spy.held_out), images.pixels)
    assert sorted(own + held) == list(range(12)) and len(held) == 2


def _inputs(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.stack([_network_input(one, one.shape[:2]) for one in pixels]).astype(np.float32)


@pytest.mark.parametrize(
    ("count", "holdout", "held"), [(2, 0.1, 1), (10, 0.1, 1), (11, 0.1, 2), (20, 0.1, 2), (21, 0.25, 6)]
)
def test_the_hold_out_is_rounded_up(
    count: int,
    holdout: float,
    held: int,
    make: Callable[..., EfficientAD],
    spy: _Spy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(efficientad, "train", lambda *_, **__: None)
    images = _images(count)
    make(holdout=holdout).fit(images, _run())
    assert (len(spy.described), len(spy.held_out)) == (count - held, held)
    together = np.concatenate([spy.described, spy.held_out])
    assert sorted(_which(_inputs(together), images.pixels)) == list(range(count))


def test_what_is_held_out_depends_on_the_seed(
    make: Callable[..., EfficientAD], spy: _Spy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(efficientad, "train", lambda *_, **__: None)
    images, found = _images(20), []
    for seed in (1, 2, 1):
        make().fit(images, _run(seed))
        found.append(_which(_inputs(spy.held_out), images.pixels))
    assert found[0] == found[2] != found[1]


def test_the_teacher_runs_once_per_image(make: Callable[..., EfficientAD], spy: _Spy) -> None:
    """However many iterations: the images that train once, and once those that are held out."""
    images = _images(5)
    make(iterations=9, holdout=0.3).fit(images, _run())
    assert [len(spy.given[name]) for name in ("student", "autoencoder")] == [9 + 1, 9 + 1]
    seen = np.concatenate(spy.given["teacher"])
    assert sorted(_which(seen, images.pixels)) == list(range(5))


def test_a_channel_that_never_changes_stays_zero() -> None:
    state = _state("small", (32, 32))
    networks = StudentTeacher("small", True, (32, 32))
    state["networks.teacher.8.weight"][7] = 0
    teacher = {k.removeprefix("networks.teacher."): v for k, v in state.items() if "teacher" in k}
    networks.load_teacher({name: torch.from_numpy(array) for name, array in teacher.items()})
    every = networks.describe_all(good_images(3, 32, 32), _run())
    assert (every[:, 7] == 0).all() and every[:, 8].std() == pytest.approx(1, abs=0.2)
    np.testing.assert_allclose(np.delete(every, 7, axis=1).mean(axis=(0, 2, 3)), 0, atol=1e-4)
    np.testing.assert_allclose(np.delete(every, 7, axis=1).std(axis=(0, 2, 3)), 1, atol=1e-4)


def test_training_changes_student_and_autoencoder_and_never_the_teacher(
    fitted: EfficientAD, teacher_file: Path, make: Callable[..., EfficientAD], spy: _Spy
) -> None:
    make().fit(_images(), _run())
    state, published = fitted.state(), torch.load(teacher_file, weights_only=True)
    names = [name for name in state if name.startswith("networks.") and name.count(".") > 1]
    assert len(names) == 2 * (4 + 4 + 6 + 6 + 2)
    for name in names:
        part = name.split(".")[1]
        if part == "teacher":
            np.testing.assert_array_equal(state[name], published[name.removeprefix("networks.teacher.")])
        else:
            assert (state[name] != spy.initial[name]).mean() > 0.5, f"{name} was not trained"


def test_learning_rate_drops_to_a_tenth_for_the_last_twentieth(make: Callable[..., EfficientAD]) -> None:
    seen: list[tuple[str, float, float]] = []
    handle = register_optimizer_step_pre_hook(
        lambda o, *_: seen.append(
            (type(o).__name__, o.param_groups[0]["lr"], o.param_groups[0]["weight_decay"])
        )
    )
    make(iterations=5, learning_rate=2e-4).fit(_images(3), _run())
    handle.remove()
    assert {(kind, decay) for kind, _, decay in seen} == {("Adam", 1e-5)}
    assert [rate for _, rate, _ in seen] == pytest.approx([2e-4] * 4 + [2e-5])  # 4.75 comes to 4


def test_the_papers_settings_are_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """70,000 iterations at 1e-4, a tenth of that from step 66,500; 60,000 of 16 images for a teacher."""
    p = EfficientAD.Params()
    assert (p.size, p.padding, p.iterations, p.learning_rate, p.weight_decay, p.holdout) == (
        *("medium", True, 70_000, 1e-4, 1e-5, 0.1),
    )
    assert (p.teacher_iterations, p.teacher_batch, p.teacher_learning_rate) == (60_000, 16, 1e-4)
    assert p.auxiliary_images is p.teacher is p.teacher_images is p.input_size is None
    factors: list[Callable[[int], float]] = []
    monkeypatch.setattr(efficientad, "train", lambda *_, rate_factor, **__: factors.append(rate_factor))
    monkeypatch.setattr(StudentTeacher, "calibrate", lambda *_: None)
    monkeypatch.setattr(
        EfficientAD, "_teacher", lambda *_: {k: torch.from_numpy(v) for k, v in _random_teacher().items()}
    )
    EfficientAD(EfficientAD.Params(size="small")).fit(_images(2, side=32), _run())
    assert [factors[0](step) for step in (0, 66_499, 66_500, 69_999)] == [1, 1, 0.1, 0.1]


def _random_teacher() -> State:
    return _teacher("small", np.random.default_rng(5))


def _macs(*convolutions: tuple[int, int, int, int]) -> float:
    """GMAC of convolutions (side of what is put out, kernel, channels in and out)."""
    return sum(side**2 * k**2 * a * b for side, k, a, b in convolutions) / 1e9


def test_cost_in_words() -> None:
    """A training step takes three passes forward; the teacher runs none."""
    common = [(259, 4, 3, 256), (133, 4, 256, 512), (67, 1, 512, 512), (67, 3, 512, 512)]
    teacher = _macs(*common, (64, 4, 512, 384), (64, 1, 384, 384))
    student = _macs(*common, (64, 4, 512, 768), (64, 1, 768, 768))
    down = [
        (128, 4, 3, 32),
        (64, 4, 32, 32),
        (32, 4, 32, 64),
        (16, 4, 64, 64),
        (8, 4, 64, 64),
        (1, 8, 64, 64),
    ]
    up = [(side, 4, 64, 64) for side in (4, 9, 16, 33, 64, 128)]
    autoencoder = _macs(*down, *up, (64, 3, 64, 64), (64, 3, 64, 384))
    own = f"12.71 M parameters, 70,000 iterations, {3 * (student + autoencoder):.1f} GMAC each"
    plain = EfficientAD().cost(1000, (256, 256), {})
    assert plain == (
        f"{own}; before them a teacher of 8.03 M parameters, 60,000 iterations, "
        f"{3 * 16 * teacher:.1f} GMAC each"
    )
    params = EfficientAD.Params(teacher=Path("t.pth"), auxiliary_images=Path("images"))
    assert EfficientAD(params).cost(1000, (256, 256), {}) == (
        f"12.71 M parameters, 70,000 iterations, {3 * (2 * student + autoencoder):.1f} GMAC each"
    )
    assert EfficientAD(EfficientAD.Params(input_size=(256, 256))).cost(9, (512, 512), {}) == plain


# ---- quantiles ----


def _prepared(monkeypatch: pytest.MonkeyPatch, maps: Sequence[NDArray[np.float32]]) -> StudentTeacher:
    """Networks that answer with maps (2, N, h, w), one after the other."""
    networks, rest = StudentTeacher("small", True, (32, 32)), iter(maps)
    monkeypatch.setattr(networks, "raw_maps", lambda images: torch.from_numpy(next(rest)))
    return networks


def test_quantiles_of_more_values_than_torch_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exact: the values are those float32 that follow 0.5, so that each one's rank is known."""
    count, columns = 16_778_312, 2_097_289  # eight rows, more than 2**24
    assert count == 8 * columns > 2**24 + 1000
    first = (np.arange(count, dtype=np.int32) + 0x3F000000).view(np.float32).reshape(8, columns).T.ravel()
    networks = _prepared(monkeypatch, [np.stack([first, 2 * first[::-1]]).reshape(2, 8, 1, columns)])
    del first
    networks.calibrate(np.zeros((8, 32, 32, 3), np.uint8))

    def at(share: Fraction) -> float:
        position = share * (count - 1)
        low, high = (
            np.array([0x3F000000 + int(position) + i], np.int32).view(np.float32).astype(float)[0]
            for i in (0, 1)
        )
        return low + float(position - int(position)) * (high - low)

    low, high = at(Fraction(9, 10)), at(Fraction(995, 1000))
    np.testing.assert_array_equal(networks.quantiles.numpy(), np.float32([[low, high], [2 * low, 2 * high]]))


def test_quantiles_pool_the_pixels_of_all_held_out_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also over several batches; normalised, the quantile .9 is 0 and .995 is a tenth."""
    rng = np.random.default_rng(4)
    maps = (rng.gamma(2, 1, (2, 19, 8, 8)) * np.arange(1, 20)[:, None, None]).astype(np.float32)
    networks = _prepared(monkeypatch, [maps[:, :8], maps[:, 8:16], maps[:, 16:]])
    networks.calibrate(np.zeros((19, 32, 32, 3), np.uint8))
    pooled = np.sort(maps.reshape(2, -1).astype(np.float64), axis=1)
    for own, found in zip(pooled, networks.quantiles.numpy(), strict=True):
        assert found == pytest.approx([own[1093] + 0.5 * (own[1094] - own[1093]), _between(own)], rel=1e-6)
    quantiles = networks.quantiles.clone()
    for which in (0, 1):
        same = torch.from_numpy(np.stack([maps[which]] * 2))
        monkeypatch.setattr(networks, "raw_maps", lambda images, same=same: same)
        networks.quantiles.copy_(quantiles[which].expand(2, 2))
        normalised = networks.maps(torch.zeros(1)).numpy()
        assert np.quantile(normalised, [0.9, 0.995]) == pytest.approx([0, 0.1], abs=1e-6)


def _between(ordered: Maps) -> float:
    """Quantile .995 of 1,216 values: position 1208.925."""
    assert len(ordered) == 1216
    return float(ordered[1208] + 0.925 * (ordered[1209] - ordered[1208]))


def test_a_fit_normalises_by_its_held_out_images(
    make: Callable[..., EfficientAD], spy: _Spy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against the reference, with the dropout off."""
    detector = make(holdout=0.5)
    detector.fit(_images(8), _run())
    state = dict(detector.state())
    maps = np.array([_raw_maps(image, state, "small", False) for image in spy.held_out])
    for which in (0, 1):
        expected = np.quantile(maps[:, which], [0.9, 0.995])
        np.testing.assert_allclose(state["networks.quantiles"][which], expected, rtol=1e-4)


def test_constant_maps_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    maps = np.stack([np.random.default_rng(0).random((3, 8, 8)), np.full((3, 8, 8), 0.25)])
    networks = _prepared(monkeypatch, [maps.astype(np.float32)])
    with pytest.raises(PluginError, match=r"efficientad: the maps of the 3 held-out images") as caught:
        networks.calibrate(np.zeros((3, 32, 32, 3), np.uint8))
    assert "[0.25, 0.25]" in str(caught.value) and "holdout" in str(caught.value)


# ---- penalty ----

_FOLDER = Path("elsewhere")


class _Auxiliary(Run):
    """A run with one folder of colourful images, at the size that is asked for."""

    def __init__(self, seed: int = 1, count: int = 5) -> None:
        super().__init__(np.random.SeedSequence(seed))
        self.asked: list[tuple[Path, tuple[int, int], tuple[str, ...]]] = []
        self.count = count
        self.given: ArrayImageSet

    def images(self, folder: Path, size: tuple[int, int], layers: Sequence[str] = ()) -> ArrayImageSet:
        self.asked.append((folder, size, tuple(layers)))
        rng = np.random.default_rng(7)
        self.given = ArrayImageSet(rng.integers(0, 256, (self.count, *size, 3), dtype=np.uint8))
        return self.given


def _auxiliary_places(inputs: NDArray[np.float32], run: _Auxiliary) -> NDArray[np.int64]:
    """Which of the images each input is the centre of; those from `run.count` on are in grey."""
    height, width = inputs.shape[2:]
    centre = run.given.pixels[:, height // 2 : height // 2 + height, width // 2 : width // 2 + width]
    luma = (centre @ np.array([0.2989, 0.587, 0.114])).astype(np.uint8)
    either = np.concatenate([centre, np.stack([luma] * 3, axis=-1)])
    return np.array(_which(inputs, either, room=1.01 / 255 / 0.224))  # a grey level, for its rounding


def test_the_penalty_is_on_where_images_from_elsewhere_are_given(
    make: Callable[..., EfficientAD], spy: _Spy
) -> None:
    """The first loss is larger by the mean square of what the student says of them."""
    run = _Auxiliary()
    make(iterations=1).fit(_images(), _run())
    make(iterations=1, auxiliary_images=_FOLDER).fit(_images(), run)
    (_, plain, _), (_, both, _) = spy.terms
    assert plain.shape == (1, 768, 2, 2) and both.shape == (2, 768, 2, 2)
    np.testing.assert_allclose(both[:1], plain, rtol=1e-4, atol=1e-5)
    penalty = float((both[1, :384].astype(np.float64) ** 2).mean())
    assert penalty > 1e-4 and spy.losses[1] == pytest.approx(spy.losses[0] + penalty, rel=1e-4)
    image = spy.given["student"][2][1]  # after the first fit's training and its calibration
    described = _description(image.astype(np.float64), spy.initial, "networks.student", "small", False)
    np.testing.assert_allclose(both[1], described, rtol=1e-3, atol=1e-4)


def test_the_penaltys_images_are_the_centre_of_twice_the_size_some_in_grey(
    make: Callable[..., EfficientAD], spy: _Spy, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, steps = _Auxiliary(), 200
    spy.steps_alone(monkeypatch, steps)
    make(input_size=(48, 44), auxiliary_images=_FOLDER).fit(_images(), run)
    assert run.asked == [(_FOLDER, (96, 88), ())]
    seen = np.stack(spy.given["student"][:steps])
    assert seen.shape == (steps, 2, 3, 48, 44)
    places = _auxiliary_places(seen[:, 1], run)
    assert 0.22 < (places >= 5).mean() < 0.38 and set(places) == set(range(10))
    for start in range(0, steps, 5):
        assert sorted(places[start : start + 5] % 5) == list(range(5))


def test_the_penalty_has_a_seed_of_its_own(
    make: Callable[..., EfficientAD], spy: _Spy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run's seed decides it; it moves no good image, and follows no order of theirs."""
    spy.steps_alone(monkeypatch, 14)
    seen, runs = [], (_Auxiliary(1, 7), _Auxiliary(1, 7), _Auxiliary(2, 7), _run(1))
    for run in runs:
        del spy.given["student"][:]
        chosen = {"auxiliary_images": _FOLDER} if isinstance(run, _Auxiliary) else {}
        make(**chosen).fit(_images(8), run)
        seen.append(spy.given["student"][:14])
    first, again, other, plain = (np.stack([step[-1] for step in steps]) for steps in seen)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    good = np.stack([step[0] for step in seen[0]])
    np.testing.assert_array_equal(plain, good)
    assert len(spy.described) == 7  # as many as the others
    assert (_auxiliary_places(first, runs[0]) % 7).tolist() != _which(good, spy.described)


@pytest.mark.parametrize("parameter", ["auxiliary_images", "teacher_images"])
def test_a_folder_without_an_image_is_refused_before_anything_trains(parameter: str, tmp_path: Path) -> None:
    folder = tmp_path / "others"
    folder.mkdir()
    (folder / "notes.txt").write_text("none")
    detector = EfficientAD(EfficientAD.Params.model_validate({parameter: folder}))
    with pytest.raises(DataError, match="others holds no image"):
        detector.check((256, 256), {})
    Image.fromarray(good_images(1)[0]).save(folder / "one.png")
    detector.check((256, 256), {})


# ---- training as a whole ----


class _Memory(Checkpoint):
    """Keeps what was saved last, and how often it was; always due."""

    def __init__(self) -> None:
        self.arrays: Arrays | None = None
        self.saved = 0

    def load(self) -> Arrays | None:
        return self.arrays

    def due(self) -> bool:
        return True

    def save(self, arrays: Arrays) -> None:
        self.arrays = {name: array.copy() for name, array in arrays.items()}
        self.saved += 1


class _Killed(Exception):
    pass


def _same_bits(first: EfficientAD, second: EfficientAD) -> None:
    one, other = first.state(), second.state()
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


@pytest.mark.parametrize("auxiliary", [False, True])
def test_a_killed_training_goes_on_to_the_same_bits(
    make: Callable[..., EfficientAD], auxiliary: bool
) -> None:
    """The order, the dropout, the penalty, Adam's moments and the rate's drop are all where they were."""
    params: dict[str, Any] = {"iterations": 6, "learning_rate": 1e-3}
    if auxiliary:
        params["auxiliary_images"] = _FOLDER
    whole, memory, again = make(**params), _Memory(), []
    whole.fit(_images(), _Auxiliary())

    def dies(what: str, done: int, total: int, note: str = "") -> None:
        if what == "training steps" and done == 4:
            raise _Killed

    killed = _Auxiliary()
    killed.progress, killed.checkpoint = dies, memory
    with pytest.raises(_Killed):
        make(**params).fit(_images(), killed)
    assert memory.saved == 3  # the fourth step was not kept

    def goes_on(what: str, done: int, total: int, note: str = "") -> None:
        if what == "training steps":
            again.append((done, total))

    resumed, run = make(**params), _Auxiliary()
    run.progress, run.checkpoint = goes_on, memory
    torch.manual_seed(99)  # whatever torch's own state is
    resumed.fit(_images(), run)
    assert again == [(4, 6), (5, 6), (6, 6)]
    _same_bits(whole, resumed)


def test_one_seed_gives_one_result_and_another_another(
    make: Callable[..., EfficientAD], fitted: EfficientAD
) -> None:
    torch.manual_seed(7)  # which must not matter
    again, other = make(), make()
    again.fit(_images(), _run())
    _same_bits(fitted, again)
    other.fit(_images(), _run(2))
    for name, array in other.state().items():
        if name.startswith(("networks.student", "networks.autoencoder")):
            assert not np.array_equal(array, fitted.state()[name]), name


def test_size_medium_trains(make: Callable[..., EfficientAD], tmp_path: Path) -> None:
    state = _teacher("medium", np.random.default_rng(3))
    torch.save({n: torch.from_numpy(array) for n, array in state.items()}, tmp_path / "medium.pth")
    detector = make(size="medium", teacher=tmp_path / "medium.pth", iterations=1)
    detector.fit(_images(3), _run())
    found, pixels = dict(detector.state()), bad_images(1, _SIDE, _SIDE)
    expected = _map(pixels[0], found, "medium", False)
    (own,) = detector.anomaly_maps(image_batch(pixels))
    np.testing.assert_allclose(own, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())
    assert all(np.array_equal(found[f"networks.teacher.{name}"], array) for name, array in state.items())


def test_dropout_differs_from_step_to_step(
    make: Callable[..., EfficientAD], spy: _Spy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without learning, one image gives another imitation at each step."""

    def steps(who: str, network: nn.Module, optimiser: Any, loss_at: Any, *_: Any, **__: Any) -> None:
        assert network.training
        for step in (0, 1, 2, 0):
            loss_at(step)

    monkeypatch.setattr(efficientad, "train", steps)
    make(holdout=0.5).fit(_images(2), _run())
    imitated = [terms[2] for terms in spy.terms]
    np.testing.assert_array_equal(imitated[0], imitated[3])
    assert not np.array_equal(imitated[0], imitated[1]) and not np.array_equal(imitated[1], imitated[2])
    assert not spy.networks.training


def test_bfloat16_trains_nearly_the_same_and_maps_stay_float32(
    make: Callable[..., EfficientAD], fitted: EfficientAD
) -> None:
    detector = make(precision="bfloat16")
    detector.fit(_images(), _run())
    pixels = np.concatenate([good_images(2, _SIDE, _SIDE, 4), bad_images(2, _SIDE, _SIDE)])
    found, exact = (d.anomaly_maps(image_batch(pixels)) for d in (detector, fitted))
    assert found.dtype == np.float32 and not np.array_equal(found, exact)
    np.testing.assert_allclose(found, exact, atol=0.05 * np.abs(exact).max())
    assert {array.dtype for name, array in detector.state().items() if "networks" in name} == {
        np.dtype("float32")
    }


def test_a_loss_that_is_not_finite_is_named(make: Callable[..., EfficientAD]) -> None:
    with pytest.raises(NonFiniteError, match=r"efficientad: the loss is (inf|nan) at step \d of 9") as caught:
        make(iterations=9, learning_rate=1e18).fit(_images(4), _run())
    assert "learning rate" in str(caught.value)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_bad_images_rank_above_good_ones(make: Callable[..., EfficientAD], seed: int) -> None:
    detector = make(iterations=8, learning_rate=1e-3)
    detector.fit(_images(12, seed), _run(seed))
    good, bad = good_images(12, _SIDE, _SIDE, 10 + seed), bad_images(12, _SIDE, _SIDE, 20 + seed)
    batch = image_batch(np.concatenate([good, bad]))
    scores = detector.image_scores(batch, detector.anomaly_maps(batch))
    assert auroc(np.repeat([0, 1], 12), scores) >= 0.95


def test_the_loss_of_one_image_falls(make: Callable[..., EfficientAD], spy: _Spy) -> None:
    make(iterations=22, learning_rate=1e-3, holdout=0.5).fit(_images(2), _run())
    assert np.mean(spy.losses[-3:]) < 0.8 * np.mean(spy.losses[:3])


def test_one_image_is_too_few(make: Callable[..., EfficientAD]) -> None:
    with pytest.raises(DataError, match="efficientad: needs 2 images or more to train on, and has 1"):
        make().fit(_images(1), _run())


def test_a_hold_out_that_leaves_no_image_to_train_on_is_refused(make: Callable[..., EfficientAD]) -> None:
    with pytest.raises(DataError, match="efficientad"):
        make(holdout=0.95).fit(_images(3), _run())


@pytest.mark.parametrize(
    ("size", "padding", "given", "least"),
    [
        ("small", True, (31, 400), 32),
        ("medium", True, (400, 31), 32),
        ("small", False, (32, 400), 37),
        ("medium", False, (400, 32), 37),
    ],
)
@pytest.mark.parametrize("own", [False, True])
def test_images_that_are_too_small_are_refused(
    size: str, padding: bool, given: tuple[int, int], least: int, own: bool
) -> None:
    params: dict[str, Any] = {"size": size, "padding": padding, "input_size": given if own else None}
    detector = EfficientAD(EfficientAD.Params.model_validate(params))
    message = f"efficientad: images of {given[0]} x {given[1]} pixels .*: {least} a side is the least"
    with pytest.raises(PluginError, match=message):
        detector.check((256, 256) if own else given, {})
    larger = params | {"input_size": (least, least)}
    EfficientAD(EfficientAD.Params.model_validate(larger)).check((8, 8), {})


# ---- state ----


def test_a_state_restored_gives_the_same_bits(make: Callable[..., EfficientAD], fitted: EfficientAD) -> None:
    pixels = np.concatenate([good_images(3, _SIDE, _SIDE, 4), bad_images(3, _SIDE, _SIDE)])
    again, state = make(), fitted.state()
    again.restore(state)
    np.testing.assert_array_equal(
        again.anomaly_maps(image_batch(pixels)), fitted.anomaly_maps(image_batch(pixels))
    )
    _same_bits(fitted, again)
    kept = {name: array.copy() for name, array in state.items()}
    again.fit(_images(4), _run(3))
    for name, array in kept.items():
        np.testing.assert_array_equal(state[name], array, err_msg=f"{name} changed with a later fit")


def test_a_state_holds_the_named_arrays_and_no_other(fitted: EfficientAD) -> None:
    expected = _state("small", (_SIDE, _SIDE))
    found = fitted.state()
    assert {k: (v.shape, v.dtype) for k, v in found.items()} == {
        k: (v.shape, v.dtype) for k, v in expected.items()
    }
    assert int(found["version"]) == 1 and found["image_size"].tolist() == [_SIDE, _SIDE]


def _changed(name: str, array: NDArray[Any] | None) -> Callable[[State], State]:
    def change(state: State) -> State:
        rest = {key: value for key, value in state.items() if key != name}
        return rest if array is None else {**rest, name: array}

    return change


@pytest.mark.parametrize(
    ("change", "expected", "found"),
    [
        (lambda state: {}, "version 1", "none"),
        (_changed("version", None), "version 1", "none"),
        (_changed("version", np.array(2)), "version 1", "2"),
        (_changed("version", np.array([1, 1])), "version 1", ""),
        (_changed("image_size", None), "'image_size'", "none"),
        (_changed("image_size", np.array([40, 40, 3])), "'image_size'", "(3,)"),
        (_changed("image_size", np.array(40)), "'image_size'", "()"),
        (_changed("networks.mean", None), "'networks.mean' of shape (1, 384, 1, 1)", "none"),
        (_changed("networks.quantiles", np.zeros(4)), "'networks.quantiles' of shape (2, 2)", "(4,)"),
        (_changed("networks.student.8.weight", np.zeros((384, 256, 4, 4))), "(768, 256, 4, 4)", "(384, 256,"),
        (_changed("networks.student.10.bias", np.zeros(768)), "'networks.student.10.bias'", "(768,)"),
        (_changed("bank", np.zeros(3)), "'bank'", ""),
        (lambda state: _state("medium", (_SIDE, _SIDE)), "'networks.", ""),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_state_that_does_not_fit_is_refused(
    change: Callable[[State], State],
    expected: str,
    found: str,
    make: Callable[..., EfficientAD],
    fitted: EfficientAD,
) -> None:
    with pytest.raises(PluginError) as caught:
        make().restore(change(dict(fitted.state())))
    message = caught.value.what
    assert message.startswith("efficientad: ") and expected in message.partition("expected ")[2]
    assert found in message.partition("found ")[2] and caught.value.remedy


def test_a_state_that_was_refused_leaves_the_detector_as_it_was(
    make: Callable[..., EfficientAD], fitted: EfficientAD
) -> None:
    detector, pixels = make(), good_images(2, _SIDE, _SIDE, 4)
    detector.restore(fitted.state())
    with pytest.raises(PluginError):
        detector.restore(_changed("networks.mean", None)(dict(fitted.state())))
    np.testing.assert_array_equal(
        detector.anomaly_maps(image_batch(pixels)), fitted.anomaly_maps(image_batch(pixels))
    )


def test_images_come_to_the_networks_size_and_maps_to_theirs(
    make: Callable[..., EfficientAD], spy: _Spy
) -> None:
    detector = make(input_size=(44, 52), iterations=1)
    detector.fit(_images(3, side=60), _run())
    assert {one.shape[1:] for seen in spy.given.values() for one in seen} == {(3, 44, 52)}
    assert detector.state()["image_size"].tolist() == [44, 52]
    assert detector.anomaly_maps(image_batch(good_images(2, 60, 70))).shape == (2, 60, 70)
