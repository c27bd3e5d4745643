"""RD4AD against plain NumPy in float64, its gradients and steps, and the facts about its sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import load, save
from torch import Tensor, nn

from segad_core.contracts import Arrays, Checkpoint, ImageBatch, Layer, Run, Sample
from segad_core.errors import NonFiniteError, PluginError
from segad_core.evaluate import auroc
from segad_core.testing import ArrayImageSet, bad_images, good_images, image_batch
from segad_plugins.detectors.rd4ad import RD4AD, imitation_loss
from segad_plugins.detectors.reversed_bottleneck import Student
from segad_plugins.encoders.efficientnet_lite0 import EfficientNetLite0
from segad_plugins.encoders.network import NetworkEncoder
from segad_plugins.torch_tools import count_parameters, macs

Values = NDArray[np.float64]
Entries = Mapping[str, NDArray[np.generic]]

SIZE = (64, 48)
SHAPES = {"layer1": (6, 16, 12), "layer2": (8, 8, 6), "layer3": (10, 4, 3)}
WIDE_RESNET = {"layer1": (256, 64, 64), "layer2": (512, 32, 32), "layer3": (1024, 16, 16)}


def random_features(images: int, seed: int, shapes: Mapping[str, tuple[int, int, int]] = SHAPES):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(1, 2, (images, *shape)).astype(np.float32) for name, shape in shapes.items()}


class Images:
    """An image set that has nothing but features."""

    def __init__(self, features: Mapping[str, NDArray[np.float32]]) -> None:
        self._features = features

    def __len__(self) -> int:
        return next(iter(self._features.values())).shape[0]

    def features(self) -> Mapping[str, NDArray[np.float32]]:
        return self._features


def batch_of(features: Mapping[str, NDArray[np.float32]], size: tuple[int, int] = SIZE) -> ImageBatch:
    count = len(next(iter(features.values())))
    pixels = np.zeros((count, *size, 3), np.uint8)
    return ImageBatch([Sample(str(i), Path(str(i)), 0) for i in range(count)], pixels, lambda _: features)


def fitted(features: Mapping[str, NDArray[np.float32]], run: Run | int = 3, **params: object) -> RD4AD:
    detector = RD4AD(RD4AD.Params.model_validate({"epochs": 1, "layers": tuple(features), **params}))
    detector.fit(Images(features), Run(np.random.SeedSequence(run)) if isinstance(run, int) else run)  # type: ignore[arg-type]
    return detector


def perturbed(state: Arrays, seed: int = 0) -> dict[str, NDArray[np.generic]]:
    """Every weight and every running statistic far enough from where it began for each to matter."""
    rng = np.random.default_rng(seed)

    def moved(name: str, array: NDArray[np.generic]) -> NDArray[np.generic]:
        if array.dtype != np.float32:
            return array
        if name.endswith("running_var"):
            return rng.uniform(0.3, 2, array.shape).astype(np.float32)
        return (array + rng.normal(0, 0.3, array.shape)).astype(np.float32)

    return {name: moved(name, array) for name, array in state.items()}


def with_random_weights(layers: Sequence[str] = tuple(SHAPES), **params: object) -> RD4AD:
    first = fitted({name: random_features(4, 0)[name] for name in layers}, **params)
    detector = RD4AD(first.params)
    detector.restore(perturbed(first.state()))
    return detector


# ---- the reference: float64 on a batch (N, C, H, W), nothing shared with the plugin ----


def convolved(x: Values, weight: Values, stride: int) -> Values:
    """Zeros around a kernel of 3, none around a kernel of 1."""
    side = weight.shape[2]
    padded = np.pad(x, ((0, 0), (0, 0), (side // 2,) * 2, (side // 2,) * 2))
    height, width = ((old + stride - 1) // stride for old in x.shape[2:])
    result = np.zeros((len(x), len(weight), height, width))
    for y, z in np.ndindex(height, width):
        window = padded[:, :, y * stride : y * stride + side, z * stride : z * stride + side]
        result[:, :, y, z] = np.einsum("nchw,ochw->no", window, weight)
    return result


def doubled(x: Values, weight: Values) -> Values:
    """Transposed convolution: every pixel becomes a square of 2 x 2."""
    count, _, height, width = x.shape
    result = np.zeros((count, weight.shape[1], 2 * height, 2 * width))
    for y, z, i, j in np.ndindex(height, width, 2, 2):
        result[:, :, 2 * y + i, 2 * z + j] = x[:, :, y, z] @ weight[:, :, i, j]
    return result


class Reference:
    """The student from its named arrays; `training` takes the batch's own statistics for the norms."""

    def __init__(self, state: Entries, training: bool = False) -> None:
        self.entries = {n.removeprefix("student."): v.astype(np.float64) for n, v in state.items()}
        self.training = training
        self.statistics: dict[str, tuple[Values, Values, int]] = {}
        self.used: set[str] = set()

    def _entry(self, name: str) -> Values:
        self.used.add(name)
        return self.entries[name]

    def norm(self, x: Values, name: str) -> Values:
        mean, variance = self._entry(f"{name}.running_mean"), self._entry(f"{name}.running_var")
        if self.training:
            mean, variance = x.mean(axis=(0, 2, 3)), x.var(axis=(0, 2, 3))
            self.statistics[name] = mean, variance, x.size // x.shape[1]
        scale = self._entry(f"{name}.weight") / np.sqrt(variance + 1e-5)
        return (x - mean[:, None, None]) * scale[:, None, None] + self._entry(f"{name}.bias")[:, None, None]

    def conv(self, x: Values, name: str, stride: int = 1) -> Values:
        return self.norm(convolved(x, self._entry(f"{name}.0.weight"), stride), f"{name}.1")

    def double(self, x: Values, name: str) -> Values:
        return self.norm(doubled(x, self._entry(f"{name}.0.weight")), f"{name}.1")

    def block(self, x: Values, name: str, resize: str) -> Values:
        def middle(values: Values, part: str) -> Values:
            where = f"{name}.{part}"
            return (
                self.double(values, where)
                if resize == "up"
                else self.conv(values, where, 1 + (resize == "down"))
            )

        y = np.maximum(self.conv(x, f"{name}.enter"), 0)
        y = self.conv(np.maximum(middle(y, "middle"), 0), f"{name}.leave")
        return np.maximum(y + (x if resize == "" else middle(x, "skip")), 0)

    def imitations(self, layers: Sequence[NDArray[np.float32]]) -> list[Values]:
        count, beside = len(layers), []
        for i, layer in enumerate(layers):
            x = layer.astype(np.float64)
            for j in range(count - 1 - i):
                x = np.maximum(self.conv(x, f"descents.{i}.{j}.0", 2), 0)
            beside.append(x)
        x = np.concatenate(beside, axis=1)
        for i, resize in enumerate(("down", "", "")):
            x = self.block(x, f"bottleneck.{i}", resize)
        found = []
        for stage, (blocks, layer) in enumerate(zip((3, 4, 6), layers[::-1], strict=False)):
            for i in range(blocks):
                x = self.block(x, f"stages.{stage}.{i}", "" if i else "up")
                if i == 0:
                    assert x.shape[2] - layer.shape[2] in (0, 1) and x.shape[3] - layer.shape[3] in (0, 1)
            x = x[:, :, : layer.shape[2], : layer.shape[3]]
            found.append(x)
        return found[::-1]


def distance(a: Values, b: Values, axis: int | tuple[int, ...]) -> Values:
    """1 - cosine; 1 where a vector is 0."""
    norms = np.sqrt((a**2).sum(axis=axis)) * np.sqrt((b**2).sum(axis=axis))
    return 1 - np.where(norms > 0, (a * b).sum(axis=axis) / np.where(norms > 0, norms, 1), 0)


def interpolated(grid: Values, size: tuple[int, int]) -> Values:
    """(N, h, w) bilinear, align_corners True."""
    for axis in (1, 2):
        old = grid.shape[axis]
        at = np.arange(size[axis - 1]) * (old - 1) / (size[axis - 1] - 1)
        low = np.minimum(at.astype(int), old - 2)
        share = (at - low).reshape((1, -1, 1) if axis == 1 else (1, 1, -1))
        grid = np.take(grid, low, axis) * (1 - share) + np.take(grid, low + 1, axis) * share
    return grid


def blurred(grid: Values, sigma: float, border: str) -> Values:
    """Reflect: mirrored without the edge; symmetric: with it. NumPy's padding has the same names."""
    radius = int(4 * sigma + 0.5)
    taps = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    taps /= taps.sum()
    for axis in (1, 2):
        padded = np.pad(grid, [(0, 0) if a != axis else (radius, radius) for a in range(3)], mode=border)  # type: ignore[call-overload]
        grid = sum(tap * np.take(padded, np.arange(grid.shape[axis]) + i, axis) for i, tap in enumerate(taps))
    return grid


def reference_maps(features: Mapping[str, NDArray[np.float32]], detector: RD4AD) -> Values:
    params, layers = detector.params, [features[name] for name in detector.params.layers]
    reference = Reference(detector.state())
    pairs = zip(layers, reference.imitations(layers), strict=True)
    maps = [interpolated(distance(t.astype(np.float64), s, 1), SIZE) for t, s in pairs]
    unused = reference.entries.keys() - reference.used
    assert {name.rpartition(".")[2] for name in unused} == {"version", "channels", "num_batches_tracked"}
    combined = np.sum(maps, axis=0) if params.combine == "add" else np.prod(maps, axis=0)
    return blurred(combined, params.blur_sigma, params.blur_border) if params.blur_sigma else combined


CHOICES: list[dict[str, object]] = [
    {},
    {"bottleneck_width": 128, "combine": "multiply", "blur_sigma": 0},
    {"blur_sigma": 2.5, "blur_border": "symmetric"},
    {"layers": ("layer2", "layer3"), "combine": "multiply"},
    {"layers": ("layer3",), "blur_sigma": 0},
]


@pytest.mark.parametrize("params", CHOICES)
def test_maps_equal_the_reference(params: dict[str, object]) -> None:
    detector, features = with_random_weights(**params), random_features(2, 1)  # type: ignore[arg-type]
    found = detector.anomaly_maps(batch_of(features))
    np.testing.assert_allclose(found, reference_maps(features, detector), rtol=1e-4)


def test_image_score_is_the_maps_maximum() -> None:
    detector, batch = with_random_weights(), batch_of(random_features(3, 1))
    maps = detector.anomaly_maps(batch)
    np.testing.assert_array_equal(detector.image_scores(batch, maps), maps.max(axis=(1, 2)))


def test_a_vector_of_zeros_is_at_distance_1() -> None:
    detector, features = with_random_weights(("layer3",), blur_sigma=0), random_features(1, 1)
    features["layer3"][:, :, :2, :] = 0
    maps = detector.anomaly_maps(batch_of(features))
    np.testing.assert_allclose(maps[0, :21], 1, rtol=1e-6)  # rows up to a third lie between zeros
    assert (np.abs(maps[0, 45:] - 1) > 1e-3).mean() > 0.9


# ---- the loss ----


def reference_loss(teacher: Sequence[NDArray[np.float32]], student: Sequence[Values], kind: str) -> float:
    axis = (1, 2, 3) if kind == "flattened" else 1
    pairs = zip(teacher, student, strict=True)
    return float(sum(distance(t.astype(np.float64), s.astype(np.float64), axis).mean() for t, s in pairs))


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
    features, told = random_features(5, 4), []
    run = Run(np.random.SeedSequence(3), lambda *given: told.append(given))
    state = fitted(features, run, learning_rate=1e-30, loss=kind).state()
    reference = Reference(state, training=True)
    loss = reference_loss(list(features.values()), reference.imitations(list(features.values())), kind)
    assert [call[:3] for call in told] == [("training steps", 1, 1)]
    assert float(told[0][3].removeprefix("loss ")) == pytest.approx(loss, rel=1e-3)
    assert len(reference.statistics) == sum(name.endswith("running_mean") for name in state)
    for name, (mean, variance, count) in reference.statistics.items():
        found = {part: state[f"student.{name}.running_{part}"] for part in ("mean", "var")}
        np.testing.assert_allclose(found["mean"], 0.1 * mean, rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(found["var"], 0.9 + 0.1 * variance * count / (count - 1), rtol=1e-3)


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
    monkeypatch.setattr(Tensor, "float", Tensor.double)
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


@pytest.mark.parametrize(
    ("betas", "rate", "kind"), [((0.5, 0.999), 5e-3, "flattened"), ((0.8, 0.9), 0.02, "per_pixel")]
)
def test_steps_are_adams(
    betas: tuple[float, float], rate: float, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Epsilon 1e-8, no weight decay; each step from where the one before ended, as rounding grows."""
    features = random_features(5, 4)
    teacher = [torch.from_numpy(values).double() for values in features.values()]
    given = {"betas": betas, "loss": kind}
    weights = [fitted(features, learning_rate=1e-30, **given).state()]
    weights += [fitted(features, learning_rate=rate, epochs=epochs, **given).state() for epochs in (1, 2, 3)]
    student = Student([shape[0] for shape in SHAPES.values()], 64).double()
    first, second = ({n: np.zeros(p.shape) for n, p in student.named_parameters()} for _ in range(2))
    monkeypatch.setattr(Tensor, "float", Tensor.double)
    for step in (1, 2, 3):
        begin, end = (below("student.", state) for state in weights[step - 1 : step + 1])
        student.load_state_dict({name: torch.from_numpy(value) for name, value in begin.items()})
        student.zero_grad()
        plain_loss(teacher, student(teacher), kind).backward()
        errors = []
        for name, parameter in student.named_parameters():
            gradient = parameter.grad.numpy()
            first[name] = betas[0] * first[name] + (1 - betas[0]) * gradient
            second[name] = betas[1] * second[name] + (1 - betas[1]) * gradient**2
            up, down = first[name] / (1 - betas[0] ** step), np.sqrt(second[name] / (1 - betas[1] ** step))
            errors.append(np.abs(begin[name] - rate * up / (down + 1e-8) - end[name]).ravel() / rate)
            assert np.median(errors[-1]) < 0.01, name
        assert np.quantile(np.concatenate(errors), 0.98) < 1e-3  # others have gradients that are all rounding


def plain_loss(teacher: Sequence[Tensor], student: Sequence[Tensor], kind: str) -> Tensor:
    total = torch.zeros(())
    for t, s in zip(teacher, student, strict=True):
        for image in range(len(t)):
            a, b = (v[image].flatten(1 if kind == "per_pixel" else 0) for v in (t, s))
            cosines = (a * b).sum(dim=0) / (a.square().sum(dim=0) * b.square().sum(dim=0)).sqrt()
            total = total + (1 - cosines).mean() / len(t)
    return total


def below(prefix: str, entries: Entries) -> dict[str, Values]:
    return {n.removeprefix(prefix): v.astype(np.float64) for n, v in entries.items() if n.startswith(prefix)}


class Recorded:
    """A layer of a training set that notes which images are asked for."""

    def __init__(self, values: NDArray[np.float32]) -> None:
        self.values, self.asked = values, []
        self.shape = values.shape

    def __getitem__(self, places: NDArray[np.int64]) -> NDArray[np.float32]:
        self.asked.append(places.tolist())
        return self.values[places]


def test_steps_take_the_same_images_of_every_layer() -> None:
    features = {name: Recorded(values) for name, values in random_features(7, 0).items()}
    fitted(features, epochs=4, batch=3)  # type: ignore[arg-type]
    asked = features["layer1"].asked
    assert asked == features["layer2"].asked == features["layer3"].asked
    assert [len(places) for places in asked] == 4 * [3, 3, 1]
    epochs = [asked[i] + asked[i + 1] + asked[i + 2] for i in range(0, 12, 3)]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4


def test_training_lowers_the_loss() -> None:
    told: list[float] = []
    run = Run(np.random.SeedSequence(3), lambda *given: told.append(float(given[3].removeprefix("loss "))))
    fitted(random_features(4, 0), run, epochs=30)
    assert told[-1] < 0.8 * told[0]


# ---- facts ----


def test_defaults_are_the_papers() -> None:
    assert RD4AD().params.model_dump() == {
        "layers": ("layer1", "layer2", "layer3"),
        "bottleneck_width": 64,
        "epochs": 200,
        "batch": 16,
        "learning_rate": 5e-3,
        "betas": (0.5, 0.999),
        "loss": "flattened",
        "combine": "add",
        "blur_sigma": 4.0,
        "blur_border": "reflect",
        "precision": "float32",
    }


def convolution_macs(student: Student, layers: Sequence[Tensor]) -> dict[str, int]:
    """Multiply-adds of each part: each weight once a pixel that is put out or, where it doubles, taken in."""
    found = {"descents": 0, "bottleneck": 0, "stages": 0}

    def count(name: str):
        def hook(module: nn.Module, given: tuple[Tensor], result: Tensor) -> None:
            pixels = given[0] if isinstance(module, nn.ConvTranspose2d) else result
            found[name.split(".")[0]] += module.weight.numel() * pixels.shape[2] * pixels.shape[3]

        return hook

    for name, module in student.named_modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.register_forward_hook(count(name))
    student(layers)
    return found


@pytest.mark.parametrize(
    ("width", "embedding", "work", "total"), [(64, 30.8, 5.2, 55.7), (128, 58.9, 7.3, 83.8)]
)
def test_sizes_with_wide_resnet(width: int, embedding: float, work: float, total: float) -> None:
    """The decoder has 24.9 M parameters and 11.1 GMAC at both widths; the code is 2048 x 8 x 8."""
    codes = []
    with torch.device("meta"):
        student = Student((256, 512, 1024), width)
        student.bottleneck.register_forward_hook(
            lambda _module, _given, result: codes.append(tuple(result.shape))
        )
        layers = [torch.empty(1, *shape) for shape in WIDE_RESNET.values()]
        counted = macs(student, layers)
        by_hand = convolution_macs(student, layers)
    embedded = count_parameters(student.descents) + count_parameters(student.bottleneck)
    decoder = count_parameters(student.stages)
    assert (round(embedded / 1e6, 1), round(decoder / 1e6, 1)) == (embedding, 24.9)
    assert round((embedded + decoder) / 1e6, 1) == total
    assert round((by_hand["descents"] + by_hand["bottleneck"]) / 1e9, 1) == work
    assert round(by_hand["stages"] / 1e9, 1) == 11.1
    assert counted == sum(by_hand.values())
    assert set(codes) == {(1, 2048, 8, 8)}
    words = RD4AD(RD4AD.Params(bottleneck_width=width)).cost(1000, (256, 256), WIDE_RESNET)  # type: ignore[arg-type]
    size, work_each = f"{(embedded + decoder) / 1e6:.2f} M parameters", f"{3 * counted / 1e9:.2f} GMAC each"
    assert words == f"{size}, 200,000 image-steps, {work_each}"


def test_inner_widths_with_wide_resnet() -> None:
    """Of the decoder 512, 256, 128; of the bottleneck 512, or 1024 as in the authors' code."""
    with torch.device("meta"):
        for width, inner in ((64, 512), (128, 1024)):
            student = Student((256, 512, 1024), width)
            assert {block.enter[0].out_channels for block in student.bottleneck} == {inner}
            decoder = [{block.enter[0].out_channels for block in stage} for stage in student.stages]
            assert decoder == [{512}, {256}, {128}]
            assert [len(stage) for stage in student.stages] == [3, 4, 6]


ODD = {
    "wide resnet": ((256, 512, 1024), (256, 256)),
    "resnet18": ((64, 128, 256), (256, 256)),
    "resnet18, odd": ((64, 128, 256), (225, 290)),
    "efficientnet_lite0": ((24, 40, 112), (100, 36)),
    "one layer": ((7,), (20, 12)),
    "four layers": ((5, 3, 8, 2), (130, 257)),
}


@pytest.mark.parametrize("kind", ODD)
def test_imitations_have_the_teachers_shapes(kind: str) -> None:
    channels, size = ODD[kind]
    shapes = [(c, *(-(-side // (4 << i)) for side in size)) for i, c in enumerate(channels)]
    RD4AD(RD4AD.Params(blur_sigma=1)).check(size, {f"layer{i}": shape for i, shape in enumerate(shapes)})
    with torch.device("meta"):
        found = Student(channels, 64)([torch.empty(2, *shape) for shape in shapes])
    assert [tuple(imitation.shape[1:]) for imitation in found] == shapes


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


def constant(detector: RD4AD, value: float) -> RD4AD:
    """Every norm gives a constant, so that what is imitated is some constant above 0 everywhere."""
    given = {
        name: np.full_like(v, value if name.endswith("1.bias") else 0)
        if v.dtype == np.float32 and not name.endswith(("0.weight", "running_mean", "running_var"))
        else v
        for name, v in detector.state().items()
    }
    detector.restore(given)
    return detector


@pytest.mark.parametrize("sigma", [0, 4.0])
@pytest.mark.parametrize(("combine", "expected"), [("add", (0, 3, 6)), ("multiply", (0, 1, 8))])
def test_maps_lie_between_0_and_6(combine: str, expected: tuple[float, ...], sigma: float) -> None:
    """0 where features point as imitated, 3 where they are 0, 6 where they point the other way."""
    detector = constant(fitted(random_features(4, 0), combine=combine, blur_sigma=sigma), 0.5)
    features = {n: np.zeros((3, *s), np.float32) for n, s in SHAPES.items()}
    for values in features.values():
        values += np.array([2, 0, -3], np.float32)[:, None, None, None]
    maps = detector.anomaly_maps(batch_of(features))
    for found, value in zip(maps, expected, strict=True):
        np.testing.assert_allclose(found, value, atol=3e-6)


def test_maps_of_random_features_lie_between_0_and_6() -> None:
    maps = with_random_weights(blur_sigma=0).anomaly_maps(batch_of(random_features(4, 1)))
    assert maps.min() > 0 and maps.max() < 6
    assert maps.max() - maps.min() > 1


# ---- batch norms: the teacher's never learn, the student's learn in training alone ----


class RealNorms(NetworkEncoder):
    """A network whose batch norms nobody folds; the test holds it."""

    def build(self) -> nn.Module:
        torch.manual_seed(0)
        widths = (3, 6, 8, 10)
        stages = [
            nn.Sequential(nn.Conv2d(a, b, 3, stride, 1), nn.BatchNorm2d(b), nn.ReLU())
            for a, b, stride in zip(widths, widths[1:], (4, 2, 2), strict=False)
        ]
        self.network = nn.Sequential(*stages)
        return self.network

    def layers(self) -> Mapping[str, Layer]:
        return {"layer1": Layer(6, 4), "layer2": Layer(8, 8), "layer3": Layer(10, 16)}

    def forward(self, network: nn.Module, pixels: Tensor, layers: Sequence[str]) -> Mapping[str, Tensor]:
        found = {}
        for name, stage in zip(self.layers(), network, strict=True):
            pixels = stage(pixels)
            found[name] = pixels
        return found

    def digest(self) -> str:
        return "real norms"

    def norms(self) -> list[nn.BatchNorm2d]:
        return [module for module in self.network.modules() if isinstance(module, nn.BatchNorm2d)]


def test_the_teachers_batch_norms_never_learn() -> None:
    """Also where somebody has called `.train()` on the whole network, before training and before scoring."""
    encoder, detector = RealNorms(), RD4AD(RD4AD.Params(epochs=3, batch=4))
    expected = encoder.encode(good_images(6), detector.layers())
    before = [{n: v.clone() for n, v in norm.state_dict().items()} for norm in encoder.norms()]
    assert len(before) == 3

    def check() -> None:
        assert not any(module.training for module in encoder.network.modules())
        for norm, old in zip(encoder.norms(), before, strict=True):
            assert all(torch.equal(norm.state_dict()[name], value) for name, value in old.items())

    encoder.network.train()
    images = ArrayImageSet(good_images(6), encoder, detector.layers(), batch_size=6)
    detector.fit(images, Run(np.random.SeedSequence(0)))
    check()
    for name, values in expected.items():
        np.testing.assert_array_equal(images.features()[name], values.numpy())
    maps = detector.anomaly_maps(image_batch(good_images(2), encoder, detector.layers()))
    encoder.network.train()
    again = detector.anomaly_maps(image_batch(good_images(2), encoder, detector.layers()))
    check()
    np.testing.assert_array_equal(maps, again)
    assert not any(parameter.requires_grad for parameter in encoder.network.parameters())


def test_maps_of_an_image_do_not_depend_on_the_others_nor_change_what_was_learnt() -> None:
    detector, features = fitted(random_features(5, 0), epochs=2), random_features(4, 1)
    before = {name: array.copy() for name, array in detector.state().items()}
    features["layer1"][3] *= 100
    together = detector.anomaly_maps(batch_of(features))
    for image in range(4):
        alone = detector.anomaly_maps(batch_of({n: v[image : image + 1] for n, v in features.items()}))
        np.testing.assert_allclose(alone[0], together[image], rtol=1e-4)
    assert same_bits(before, detector.state())
    again = RD4AD(detector.params)
    again.restore(before)
    np.testing.assert_array_equal(again.anomaly_maps(batch_of(features)), together)


# ---- input that is wrong ----


@pytest.mark.parametrize(
    "other",
    [(9, 4, 6), (9, 8, 5), (9, 16, 12), (9, 8, 7), (9, 6, 8)],
    ids=lambda shape: f"{shape[1]}x{shape[2]}",
)
def test_layers_that_do_not_halve_are_refused(other: tuple[int, int, int]) -> None:
    detector = RD4AD()
    detector.check((64, 48), SHAPES)
    with pytest.raises(PluginError) as caught:
        detector.check((64, 48), {"layer1": (6, 16, 12), "layer2": other})
    assert caught.value.what == (
        f"rd4ad: needs layers each half the size of the one before, and 'layer2' has {other[1]} x {other[2]} "
        "after 16 x 12"
    )
    assert "neighbouring" in caught.value.remedy


def test_layers_from_coarse_to_fine_or_with_a_gap_are_refused() -> None:
    for names in (("layer2", "layer1"), ("layer1", "layer3"), ("layer1", "layer2", "layer2")):
        shapes = {name + i * "'": SHAPES[name] for i, name in enumerate(names)}
        with pytest.raises(PluginError, match="rd4ad: needs layers each half"):
            RD4AD().check((64, 48), shapes)


@pytest.mark.parametrize("coarsest", [(1, 3), (3, 1), (1, 1), (2, 2)])
def test_images_too_small_for_the_coarsest_layer_are_refused(coarsest: tuple[int, int]) -> None:
    detector, (height, width) = RD4AD(RD4AD.Params(blur_sigma=1)), coarsest
    with pytest.raises(PluginError) as caught:
        detector.check((20, 24), {"layer1": (4, 2 * height, 2 * width), "layer2": (4, height, width)})
    assert "rd4ad: images of 20 x 24 pixels are too small" in caught.value.what
    assert f"has {height} x {width}, and 2 x 3 is the least" in caught.value.what
    assert "image.size" in caught.value.remedy
    detector.check((20, 24), {"layer1": (4, 6, 4), "layer2": (4, 3, 2)})


def test_a_blur_wider_than_the_image_is_refused() -> None:
    shapes = {"layer2": (8, 2, 6)}
    RD4AD().check((17, 48), shapes)
    RD4AD(RD4AD.Params(blur_sigma=0)).check((8, 48), shapes)
    with pytest.raises(PluginError, match="rd4ad: a blur of sigma 4 needs images of more than 16 pixels"):
        RD4AD().check((16, 48), shapes)


@pytest.mark.parametrize("coarsest", [(3, 2), (2, 3)])
def test_the_smallest_sizes_train_whatever_the_batches(coarsest: tuple[int, int]) -> None:
    """With 2 x 2 the code would be one pixel, and a batch of one image have one value a channel."""
    height, width = coarsest
    shapes = {"layer1": (6, 2 * height, 2 * width), "layer2": (8, height, width)}
    detector = RD4AD(RD4AD.Params(layers=("layer1", "layer2"), epochs=2, batch=2, blur_sigma=0))
    detector.check((8 * height, 8 * width), shapes)
    features = random_features(3, 0, shapes)
    detector.fit(Images(features), Run(np.random.SeedSequence(0)))  # type: ignore[arg-type]
    assert np.isfinite(detector.anomaly_maps(batch_of(features, (8 * height, 8 * width)))).all()


WRONG = {
    "no version": ("version", None, "expected version 1, found none"),
    "another version": ("version", np.array(2), "expected version 1, found 2"),
    "no channels": ("channels", None, "expected the entry 'channels', found none"),
    "channels too many": ("channels", np.array([6, 8, 10, 12]), "'channels' of shape (3,), found (4,)"),
    "channels of another": ("channels", np.array([6, 8, 9]), "'student."),
    "channels of two dimensions": ("channels", np.array([[6, 8, 10]]), "channels"),
    "channels of none": ("channels", np.array(6), "channels"),
    "no channel": ("channels", np.array([], np.int64), "channels"),
    "no weight": (
        "student.stages.2.5.leave.0.weight",
        None,
        "leave.0.weight' of shape (6, 3, 1, 1), found none",
    ),
    "no statistics": (
        "student.bottleneck.0.skip.1.running_var",
        None,
        "running_var' of shape (20,), found none",
    ),
    "a weight too many": ("student.more", np.zeros(3), "'student.more' of shape none, found (3,)"),
    "an entry too many": ("more", np.zeros(3), "'more'"),
    "a weight of another shape": ("student.stages.0.0.enter.1.bias", np.zeros((1, 5)), "(5,), found (1, 5)"),
}


@pytest.fixture(scope="module")
def trained() -> RD4AD:
    return fitted(random_features(3, 0))


@pytest.mark.parametrize("wrong", WRONG)
def test_a_state_that_does_not_fit_is_refused(wrong: str, trained: RD4AD) -> None:
    name, array, said = WRONG[wrong]
    state = {n: v for n, v in trained.state().items() if n != name}
    fresh = RD4AD(trained.params)
    with pytest.raises(PluginError) as caught:
        fresh.restore(state if array is None else {**state, name: array})
    assert caught.value.what.startswith("rd4ad: ")
    assert "expected" in caught.value.what and "found" in caught.value.what and said in caught.value.what
    assert caught.value.remedy == "Train the detector again with this version."
    with pytest.raises(PluginError, match="not fitted"):
        fresh.state()


def test_a_state_of_another_width_is_refused(trained: RD4AD) -> None:
    other = RD4AD(trained.params.model_copy(update={"bottleneck_width": 128}))
    with pytest.raises(PluginError, match=r"rd4ad: the state .* expected the entry 'student.bottleneck"):
        other.restore(trained.state())


def test_a_state_of_other_layers_is_refused(trained: RD4AD) -> None:
    """Else maps would be of too few layers, or an error far from its cause."""
    other = RD4AD(trained.params.model_copy(update={"layers": ("layer1", "layer2")}))
    with pytest.raises(PluginError, match=r"rd4ad: the state .* expected"):
        other.restore(trained.state())


# ---- trainings that are killed, repeated, or fail ----


class Kept(Checkpoint):
    """Always due; keeps what was saved last, as the bytes that a file would hold."""

    kept: bytes | None = None

    def load(self) -> Arrays | None:
        return None if self.kept is None else load(self.kept)

    def due(self) -> bool:
        return True

    def save(self, arrays: Arrays) -> None:
        self.kept = save({name: np.asarray(array, order="C") for name, array in arrays.items()})


def same_bits(first: Arrays, second: Arrays) -> bool:
    return first.keys() == second.keys() and all(
        first[n].dtype == second[n].dtype and first[n].tobytes() == second[n].tobytes() for n in first
    )


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_killed_training_goes_on_to_the_same_bits(precision: str) -> None:
    """Running statistics of batch norms too."""
    params = {"epochs": 3, "batch": 3, "precision": precision}
    features, checkpoint, told = random_features(7, 0), Kept(), []

    def killer(what: str, done: int, total: int, note: str = "") -> None:
        told.append(done)
        if told in ([*range(1, 5)], [*range(1, 5), *range(4, 8)]):
            raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            fitted(features, Run(np.random.SeedSequence(3), killer, checkpoint), **params)
    resumed = fitted(features, Run(np.random.SeedSequence(3), killer, checkpoint), **params)
    assert told == [*range(1, 5), *range(4, 8), *range(7, 10)]
    assert same_bits(resumed.state(), fitted(features, **params).state())


def test_the_seed_decides_every_bit() -> None:
    features = random_features(6, 0)
    params = {"epochs": 2, "batch": 4}
    torch.manual_seed(1)
    first = fitted(features, 1, **params).state()
    torch.manual_seed(2)
    assert same_bits(first, fitted(features, 1, **params).state())
    other = fitted(features, 2, **params).state()
    assert all((first[n] != other[n]).any() for n in first if n.endswith(("weight", "running_mean")))
    begins = [fitted(features, seed, learning_rate=1e-30).state() for seed in (1, 2)]
    assert all((begins[0][n] != begins[1][n]).any() for n in first if n.endswith("0.weight"))


def test_the_order_of_images_depends_on_the_seed() -> None:
    orders = []
    for seed in range(4):
        features = {"layer3": Recorded(random_features(9, 0)["layer3"])}
        fitted(features, seed, batch=9)  # type: ignore[arg-type]
        orders.append(tuple(features["layer3"].asked[0]))
    assert len(set(orders)) == 4


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_training_that_diverges_is_named(precision: str) -> None:
    with pytest.raises(NonFiniteError) as caught:
        fitted(random_features(4, 0), epochs=9, learning_rate=1e30, precision=precision)
    assert caught.value.what.startswith("rd4ad: the loss is ") and " of 9" in caught.value.what
    assert "Lower the learning rate" in caught.value.remedy
    assert ("float32" in caught.value.remedy) == (precision == "bfloat16")


def test_bfloat16_trains_weights_in_float32_to_about_the_same() -> None:
    features, state = random_features(4, 0), {}
    for precision in ("float32", "bfloat16"):
        detector = fitted(features, epochs=3, learning_rate=1e-3, precision=precision)
        state[precision] = detector.state()
        assert detector.anomaly_maps(batch_of(features)).dtype == np.float32
    assert {n: v.dtype for n, v in state["bfloat16"].items()} == {
        n: v.dtype for n, v in state["float32"].items()
    }
    apart = [
        np.abs(v - state["float32"][n]).max() for n, v in state["bfloat16"].items() if n.endswith("weight")
    ]
    assert 0 < max(apart) < 0.01


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_every_seed_ranks_bad_images_above_good_ones(seed: int) -> None:
    detector, eyes = RD4AD(RD4AD.Params(epochs=5, batch=4)), EfficientNetLite0()
    images = ArrayImageSet(good_images(12), eyes, detector.layers())
    detector.fit(images, Run(np.random.SeedSequence(seed)))
    pixels = np.concatenate([good_images(20, seed=2), bad_images(20, seed=3)])
    batch = image_batch(pixels, eyes, detector.layers())
    scores = detector.image_scores(batch, detector.anomaly_maps(batch))
    assert auroc(np.repeat([0, 1], 20), scores) >= 0.95
