"""RD4AD's losses against plain NumPy in float64, its gradients and steps, and what training begins from."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import plain
import pytest
import torch
import trainings
from numpy.typing import NDArray
from torch import Tensor, nn
from trainings import SHAPES, ToldSteps, in_float64, random_features, seed_run

from segad_plugins.detectors.rd4ad import RD4AD, imitation_loss
from segad_plugins.detectors.reversed_bottleneck import Student

fitted = partial(trainings.fitted, RD4AD)

# ---- the loss ----


def reference_loss(
    teacher: Sequence[NDArray[np.float32]], student: Sequence[plain.Values], kind: str
) -> float:
    axis = (1, 2, 3) if kind == "flattened" else 1
    pairs = [(t.astype(np.float64), s.astype(np.float64)) for t, s in zip(teacher, student, strict=True)]
    return float(sum(plain.cosine_distance(t, s, axis).mean() for t, s in pairs))


@pytest.mark.parametrize("kind", ["flattened", "per_pixel"])
def test_loss_equals_the_reference(kind: str) -> None:
    teacher, student = list(random_features(3, 1).values()), list(random_features(3, 2).values())
    student[1][0, :, 0, 0] = 0
    found = imitation_loss(*([torch.from_numpy(v) for v in layers] for layers in (teacher, student)), kind)  # type: ignore[arg-type]
    assert found.shape == ()
    assert float(found) == pytest.approx(reference_loss(teacher, student, kind), rel=1e-5)


def test_losses_by_hand() -> None:
    """Two pixels of two channels: at right angles in the first, the same in the second and longer."""
    teacher = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).reshape(1, 2, 1, 2)
    student = torch.tensor([[0.0, 0.0], [2.0, 2.0]]).reshape(1, 2, 1, 2)
    assert float(imitation_loss([teacher], [student], "per_pixel")) == pytest.approx(0.5)
    assert float(imitation_loss([teacher], [student], "flattened")) == pytest.approx(0.5)
    student[0, :, 0, 1] *= 3  # (0, 2) and (0, 6)
    assert float(imitation_loss([teacher] * 3, [student] * 3, "per_pixel")) == pytest.approx(1.5)
    assert float(imitation_loss([teacher], [student], "flattened")) == pytest.approx(1 - 6 / 80**0.5)


@pytest.mark.parametrize("kind", ["flattened", "per_pixel"])
def test_first_step_trains_on_the_batchs_own_statistics_and_keeps_them(kind: str) -> None:
    """The loss told is the reference's with norms in training mode; running statistics move by a tenth."""
    features, told = random_features(5, 4), ToldSteps()
    state = fitted(features, seed_run(3, told), learning_rate=1e-30, loss=kind).state()
    student, layers = plain.ReversedStudent(state, training=True), list(features.values())
    loss = reference_loss(layers, student.imitations(layers), kind)
    assert [call[:3] for call in told.calls] == [("training steps", 1, 1)]
    assert told.losses[0] == pytest.approx(loss, rel=1e-3)
    assert len(student.statistics) == sum(name.endswith("running_mean") for name in state)
    for name, (mean, variance, count) in student.statistics.items():
        found = {part: state[f"student.{name}.running_{part}"] for part in ("mean", "var")}
        np.testing.assert_allclose(found["mean"], 0.1 * mean, rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(found["var"], 0.9 + 0.1 * variance * count / (count - 1), rtol=1e-3)


def test_training_lowers_the_loss() -> None:
    told = ToldSteps()
    fitted(random_features(4, 0), seed_run(3, told), epochs=30)
    assert told.losses[-1] < 0.8 * told.losses[0]


# ---- gradients and steps ----


def tiny_student(channels: Sequence[int], width: int = 64) -> Student:
    torch.manual_seed(0)
    student = Student(channels, width)
    for parameter in student.parameters():
        if parameter.ndim == 1:
            parameter.data += 0.3 * torch.randn_like(parameter)
    return student


@pytest.mark.parametrize("kind", ["flattened", "per_pixel"])
def test_gradients_are_those_of_differences(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the loss by every weight and by the teacher's layers, in training mode and float64."""
    in_float64(monkeypatch)
    student = tiny_student((3, 4)).double()
    names = [name for name, _ in student.named_parameters()]
    teacher = [torch.randn(3, 3, 7, 4).double(), torch.randn(3, 4, 4, 2).double()]

    def loss(*given: Tensor) -> Tensor:
        weights, layers = dict(zip(names, given, strict=False)), list(given[-2:])
        buffers = {name: value.clone() for name, value in student.named_buffers()}
        return imitation_loss(
            layers, torch.func.functional_call(student, {**weights, **buffers}, (layers,)), kind
        )  # type: ignore[arg-type]

    values = [*(p.detach().clone() for p in student.parameters()), *teacher]
    assert torch.autograd.gradcheck(loss, [v.requires_grad_() for v in values], fast_mode=True)
    gradients = torch.autograd.grad(loss(*values), values)
    assert all(gradient.abs().max() > 0 for gradient in gradients)


def torch_loss(teacher: Sequence[Tensor], student: Sequence[Tensor], kind: str) -> Tensor:
    total = torch.zeros(())
    for t, s in zip(teacher, student, strict=True):
        for image in range(len(t)):
            a, b = (v[image].flatten(1 if kind == "per_pixel" else 0) for v in (t, s))
            cosines = (a * b).sum(dim=0) / (a.square().sum(dim=0) * b.square().sum(dim=0)).sqrt()
            total = total + (1 - cosines).mean() / len(t)
    return total


@pytest.mark.parametrize(
    ("betas", "rate", "kind"), [((0.5, 0.999), 5e-3, "flattened"), ((0.8, 0.9), 0.02, "per_pixel")]
)
def test_steps_are_adams(
    betas: tuple[float, float], rate: float, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Epsilon 1e-8, no weight decay."""
    shapes = {**SHAPES, "layer2": (8, 8, 6)}  # with 7 channels rounding is larger
    features = random_features(5, 4, shapes)
    teacher = [torch.from_numpy(values).double() for values in features.values()]
    states = [fitted(features, learning_rate=1e-30, betas=betas, loss=kind).state()]
    for epochs in (1, 2, 3):
        states.append(fitted(features, learning_rate=rate, epochs=epochs, betas=betas, loss=kind).state())
    student = Student([shape[0] for shape in shapes.values()], 64).double()
    in_float64(monkeypatch)

    def loss() -> Tensor:
        return torch_loss(teacher, student(teacher), kind)

    trainings.check_steps(states, "student.", student, loss, plain.Adam(rate, betas), (0.08, 0.25))


def test_convolutions_begin_as_kaiming_has_it_by_what_goes_out() -> None:
    """Normal, variance 2 over kernel area times outputs; transposed ones as torch has them; norms plain."""
    torch.manual_seed(0)
    student = Student((32, 48, 64), 64)
    plain = transposed = 0
    for module in student.modules():
        if isinstance(module, nn.Conv2d):
            weight = module.weight.detach()
            scaled = weight / (2 / (weight.shape[0] * weight.shape[2] * weight.shape[3])) ** 0.5
            assert float(scaled.std()) == pytest.approx(1, abs=5 / weight.numel() ** 0.5)
            assert float(scaled.mean()) == pytest.approx(0, abs=5 / weight.numel() ** 0.5)
            assert module.bias is None
            plain += float(scaled.abs().max()) > 2.5  # uniform ones end at 1.73
        elif isinstance(module, nn.ConvTranspose2d):
            bound = (1 / (module.weight.shape[1] * 4)) ** 0.5
            assert 0.98 * bound < float(module.weight.detach().abs().max()) <= bound
            assert module.bias is None
            transposed += 1
        elif isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all() and (module.bias == 0).all()
    convolutions = sum(isinstance(module, nn.Conv2d) for module in student.modules())
    assert (convolutions, plain, transposed) == (convolutions, convolutions, 6)
