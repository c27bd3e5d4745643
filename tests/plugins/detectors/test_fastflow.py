"""FastFlow against plain NumPy in float64, its gradients and steps, and the facts about its sizes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import load, save
from torch import Tensor, nn

from segad_core.contracts import Arrays, Checkpoint, Detector, ImageBatch, Run, Sample
from segad_core.errors import NonFiniteError, PluginError
from segad_core.evaluate import auroc
from segad_core.images import FileImageSet
from segad_core.images.image_set import Preprocessing
from segad_core.testing import ArrayImageSet, TinyEncoder, bad_images, good_images, image_batch
from segad_plugins.detectors.fastflow import FastFlow, flow_loss
from segad_plugins.detectors.flow_steps import Flow, FlowStep
from segad_plugins.detectors.patchcore import PatchCore
from segad_plugins.detectors.rd4ad import RD4AD
from segad_plugins.encoders.efficientnet_lite0 import EfficientNetLite0
from segad_plugins.torch_tools import count_parameters, macs

Values = NDArray[np.float64]

SIZE = (64, 48)
SHAPES = {"layer1": (6, 16, 12), "layer2": (7, 8, 6), "layer3": (10, 4, 3)}  # 7: halves of 3 and 4
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


def fitted(features: Mapping[str, NDArray[np.float32]], run: Run | int = 3, **params: object) -> FastFlow:
    detector = FastFlow(FastFlow.Params.model_validate({"epochs": 1, "layers": tuple(features), **params}))
    detector.fit(Images(features), Run(np.random.SeedSequence(run)) if isinstance(run, int) else run)  # type: ignore[arg-type]
    return detector


def perturbed(state: Arrays, seed: int = 0) -> dict[str, NDArray[np.generic]]:
    """Every weight far enough from where it began for each of them to matter."""
    rng = np.random.default_rng(seed)
    spread = {"weight": 0.4, "bias": 0.4, "gamma": 1.0, "beta": 0.4}
    return {
        name: (array + rng.normal(0, spread[name.rpartition(".")[2]], array.shape)).astype(np.float32)
        if array.dtype == np.float32
        else array
        for name, array in state.items()
    }


def with_random_weights(**params: object) -> FastFlow:
    first = fitted(random_features(4, 0), **params)
    detector = FastFlow(first.params)
    detector.restore(perturbed(first.state()))
    return detector


# ---- the reference: loops and float64, nothing shared with the plugin ----


def convolved(x: Values, weight: Values, bias: Values) -> Values:
    """(C, H, W), zeros around, the same size."""
    outputs, _, rows, columns = weight.shape
    padded = np.pad(x, ((0, 0), (rows // 2,) * 2, (columns // 2,) * 2))
    result = np.empty((outputs, *x.shape[1:]))
    for o, y, x_ in np.ndindex(result.shape):
        result[o, y, x_] = (padded[:, y : y + rows, x_ : x_ + columns] * weight[o]).sum() + bias[o]
    return result


def stepped(x: Values, entries: Mapping[str, Values]) -> tuple[Values, float]:
    half = len(x) // 2
    inner = np.maximum(convolved(x[:half], entries["subnet.0.weight"], entries["subnet.0.bias"]), 0)
    a = 0.1 * convolved(inner, entries["subnet.2.weight"], entries["subnet.2.bias"])
    s = 2 * np.tanh(a[: len(x) - half])
    u = np.concatenate([x[:half], x[half:] * np.exp(s) + a[len(x) - half :]])
    g = 0.1 * 2 * np.log1p(np.exp(0.5 * entries["gamma"]))  # softplus of beta 0.5
    out = g[:, None, None] * u + entries["beta"][:, None, None]
    log_det = s.sum() + x.shape[1] * x.shape[2] * np.log(g).sum()
    return np.stack([out[int(channel)] for channel in entries["permutation"]]), float(log_det)


def flowed(x: NDArray[np.float32], entries: Mapping[str, Values]) -> tuple[Values, float]:
    """z and the log-determinant of one image's layer, from the named arrays of its flow."""
    wide = x.astype(np.float64)
    wide = (wide - wide.mean()) / np.sqrt(wide.var() + 1e-5)
    z, total = wide * entries["norm.weight"] + entries["norm.bias"], 0.0
    for index in range(sum(name.endswith("gamma") for name in entries)):
        z, log_det = stepped(z, below(f"steps.{index}.", entries))
        total += log_det
    return z, total


def below(prefix: str, entries: Mapping[str, NDArray[np.generic]]) -> dict[str, Values]:
    return {n.removeprefix(prefix): v.astype(np.float64) for n, v in entries.items() if n.startswith(prefix)}


def interpolated(grid: Values, size: tuple[int, int]) -> Values:
    """Bilinear, align_corners False."""
    for axis in (0, 1):
        old = grid.shape[axis]
        at = np.clip((np.arange(size[axis]) + 0.5) * old / size[axis] - 0.5, 0, old - 1)
        low = np.floor(at).astype(int)
        share = (at - low)[:, None] if axis == 0 else (at - low)[None]
        high = np.minimum(low + 1, old - 1)
        grid = np.take(grid, low, axis) * (1 - share) + np.take(grid, high, axis) * share
    return grid


def reference_map(features: Mapping[str, NDArray[np.float32]], image: int, state: Arrays) -> Values:
    total = np.zeros(SIZE)
    for name, values in features.items():
        z, _ = flowed(values[image], below(f"flows.{name}.", state))
        total += interpolated(-np.exp(-0.5 * (z**2).mean(axis=0)), SIZE)
    return total / len(features)


def reference_loss(
    features: Mapping[str, NDArray[np.float32]], state: Arrays, prefix: str = "flows."
) -> float:
    total = 0.0
    for name, values in features.items():
        pairs = [flowed(image, below(f"{prefix}{name}.", state)) for image in values]
        total += float(np.mean([0.5 * (z**2).sum() - log_det for z, log_det in pairs]))
    return total


CHOICES = [
    {"steps": 3},
    {"steps": 2, "hidden_ratio": 1.7, "only_3x3": True},
    {"steps": 1, "hidden_ratio": 0.1},
]


@pytest.mark.parametrize("params", CHOICES)
def test_maps_equal_the_reference(params: dict[str, object]) -> None:
    detector, features = with_random_weights(**params), random_features(2, 1)
    maps = detector.anomaly_maps(batch_of(features))
    for image in range(2):
        np.testing.assert_allclose(maps[image], reference_map(features, image, detector.state()), rtol=1e-4)


def test_layers_may_come_in_any_order() -> None:
    detector, features = with_random_weights(steps=2), random_features(1, 1)
    turned = FastFlow(detector.params.model_copy(update={"layers": ("layer3", "layer1", "layer2")}))
    turned.restore(detector.state())
    maps = turned.anomaly_maps(batch_of(features))
    np.testing.assert_allclose(maps, detector.anomaly_maps(batch_of(features)), rtol=1e-6)


def test_image_score_is_the_maps_maximum() -> None:
    detector, batch = with_random_weights(steps=2), batch_of(random_features(3, 1))
    maps = detector.anomaly_maps(batch)
    np.testing.assert_array_equal(detector.image_scores(batch, maps), maps.max(axis=(1, 2)))


# ---- the loss ----


@pytest.mark.parametrize("params", CHOICES)
def test_loss_equals_the_reference(params: dict[str, object]) -> None:
    state, features = with_random_weights(**params).state(), random_features(3, 2)
    steps, ratio, only = params["steps"], params.get("hidden_ratio", 1.0), params.get("only_3x3", False)
    flows = nn.ModuleDict({name: Flow(shape, steps, ratio, only) for name, shape in SHAPES.items()})  # type: ignore[arg-type]
    flows.load_state_dict(
        {
            n.removeprefix("flows."): torch.from_numpy(np.array(v))
            for n, v in state.items()
            if n[:6] == "flows."
        }
    )
    found = flow_loss(flows, {name: torch.from_numpy(values) for name, values in features.items()})
    assert found.shape == ()
    assert float(found.detach()) == pytest.approx(reference_loss(features, state), rel=1e-5)


def in_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a training in mixed precision brings to float32 stays in float64, for differences to be exact."""
    monkeypatch.setattr(Tensor, "float", Tensor.double)


def random_step(channels: int, kernel: int, ratio: float = 1.0, seed: int = 0) -> FlowStep:
    torch.manual_seed(seed)
    step = FlowStep(channels, kernel, ratio).double().requires_grad_(False)
    for name, parameter in step.named_parameters():
        parameter += torch.randn_like(parameter) * (2.0 if "subnet" in name else 0.7)
    return step


def log_abs_det(function, x: Tensor) -> float:
    """Of the Jacobian, by central differences."""
    flat, columns, by = x.flatten(), [], 1e-5
    for i in range(len(flat)):
        move = torch.zeros_like(flat)
        move[i] = by
        ahead, behind = (function((flat + sign * move).reshape(x.shape)).flatten() for sign in (1, -1))
        columns.append(((ahead - behind) / (2 * by)).numpy())
    return float(np.linalg.slogdet(np.stack(columns, axis=1))[1])


@pytest.mark.parametrize(("channels", "kernel"), [(4, 3), (5, 1), (2, 3), (3, 1)])
def test_log_determinant_of_a_step_is_the_jacobians(
    channels: int, kernel: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_float64(monkeypatch)
    step = random_step(channels, kernel)
    x = torch.randn(3, channels, 2, 2, dtype=torch.float64)
    _, log_det = step(x)
    for image in range(3):
        expected = log_abs_det(lambda v: step(v[None])[0], x[image])
        assert float(log_det[image]) == pytest.approx(expected, abs=1e-6)
    assert log_det.std() > 0.1  # the images have determinants of their own


def test_log_determinant_of_a_flow_is_that_of_its_steps_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The layer norm's weights are left out."""
    in_float64(monkeypatch)
    flow = Flow((5, 2, 2), 3, 1.0).double().requires_grad_(False)
    flow.steps = nn.ModuleList(random_step(5, kernel, seed=i) for i, kernel in enumerate((3, 1, 3)))
    flow.norm.weight.copy_(torch.rand(5, 2, 2) + 0.5)
    flow.norm.bias.copy_(torch.randn(5, 2, 2))

    def through_the_steps(x: Tensor) -> Tensor:
        x = x[None]
        for step in flow.steps:
            x, _ = step(x)
        return x

    features = torch.randn(1, 5, 2, 2, dtype=torch.float64)
    z, log_det = flow(features)
    begin = flow.norm(features)[0]
    torch.testing.assert_close(z, through_the_steps(begin))
    assert float(log_det) == pytest.approx(log_abs_det(through_the_steps, begin), abs=1e-6)


# ---- gradients and steps ----


def test_gradients_are_those_of_differences(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the loss by every weight and by the features, in float64."""
    in_float64(monkeypatch)
    torch.manual_seed(0)
    flows = nn.ModuleDict({"a": Flow((4, 2, 2), 2, 1.0), "b": Flow((3, 2, 1), 2, 2.0)}).double()
    values = [p.detach() + 0.3 * torch.randn_like(p) for p in flows.parameters()]
    features = [torch.randn(2, 4, 2, 2).double(), torch.randn(2, 3, 2, 1).double()]
    names = [name for name, _ in flows.named_parameters()]

    class Loss(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.flows = flows

        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            return flow_loss(self.flows, {"a": a, "b": b})

    def loss(*given: Tensor) -> Tensor:
        weights = {f"flows.{name}": value for name, value in zip(names, given, strict=False)}
        return torch.func.functional_call(Loss(), weights, given[-2:])

    assert torch.autograd.gradcheck(loss, [v.requires_grad_() for v in (*values, *features)])


@pytest.mark.parametrize(("decay", "rate"), [(1e-5, 1e-3), (3.0, 0.02)])
def test_steps_are_adams(decay: float, rate: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Betas 0.9 and 0.999, epsilon 1e-8, the decay of every weight added to its gradient.

    Each step from where the one before ended, as rounding grows.
    """
    features = random_features(5, 4)
    given = {name: torch.from_numpy(values).double() for name, values in features.items()}
    weights = [fitted(features, steps=2, learning_rate=1e-30, weight_decay=0).state()]
    for epochs in (1, 2, 3):
        chosen = {"epochs": epochs, "learning_rate": rate, "weight_decay": decay}
        weights.append(fitted(features, steps=2, **chosen).state())
    flows = nn.ModuleDict({name: Flow(shape, 2, 1.0) for name, shape in SHAPES.items()}).double()
    first, second = ({n: np.zeros(p.shape) for n, p in flows.named_parameters()} for _ in range(2))
    in_float64(monkeypatch)
    for step in (1, 2, 3):
        begin, end = (below("flows.", state) for state in weights[step - 1 : step + 1])
        flows.load_state_dict({name: torch.from_numpy(value) for name, value in begin.items()})
        flows.zero_grad()
        for name, flow in flows.items():
            z, log_det = flow(given[name])
            (sum(0.5 * z[i].square().sum() - log_det[i] for i in range(5)) / 5).backward()
        errors = []
        for name, parameter in flows.named_parameters():
            gradient = parameter.grad.numpy() + decay * begin[name]
            first[name] = 0.9 * first[name] + 0.1 * gradient
            second[name] = 0.999 * second[name] + 0.001 * gradient**2
            up, down = first[name] / (1 - 0.9**step), np.sqrt(second[name] / (1 - 0.999**step))
            errors.append(np.abs(begin[name] - rate * up / (down + 1e-8) - end[name]).ravel() / rate)
            assert np.median(errors[-1]) < 2e-3, name
        assert np.quantile(np.concatenate(errors), 0.98) < 2e-4  # others have gradients that are all rounding


def test_first_loss_told_is_the_references_at_the_first_weights() -> None:
    features, told = random_features(5, 4), []
    run = Run(np.random.SeedSequence(3), lambda *given: told.append(given))
    fitted(features, run, steps=2, epochs=20, learning_rate=1e-2, precision="float32")
    begin = fitted(features, steps=2, learning_rate=1e-30, weight_decay=0).state()
    losses = [float(note.removeprefix("loss ")) for *_, note in told]
    assert losses[0] == pytest.approx(reference_loss(features, begin), rel=1e-3)
    assert losses[-1] < losses[0] - 100
    assert [call[:3] for call in told] == [("training steps", i, 20) for i in range(1, 21)]


class Recorded:
    """A layer of a training set that notes which images are asked for."""

    def __init__(self, values: NDArray[np.float32]) -> None:
        self.values, self.asked = values, []
        self.shape = values.shape

    def __getitem__(self, places: NDArray[np.int64]) -> NDArray[np.float32]:
        self.asked.append(places.tolist())
        return self.values[places]


@pytest.mark.parametrize(("drop_last", "sizes"), [(False, [3, 3, 1]), (True, [3, 3])])
def test_steps_take_the_same_images_of_every_layer(drop_last: bool, sizes: list[int]) -> None:
    features = {name: Recorded(values) for name, values in random_features(7, 0).items()}
    fitted(features, steps=1, epochs=4, batch=3, drop_last=drop_last)  # type: ignore[arg-type]
    asked = features["layer1"].asked
    assert asked == features["layer2"].asked == features["layer3"].asked
    assert [len(places) for places in asked] == 4 * sizes
    epochs = [sum(asked[i : i + len(sizes)], []) for i in range(0, len(asked), len(sizes))]  # noqa: RUF017
    assert all(len(set(epoch)) == sum(sizes) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4


# ---- facts ----


def test_a_fresh_flow_neither_scales_nor_moves_channels() -> None:
    """g is 1 and b is 0, so that the log-determinant is the sum of the log-scales s alone."""
    torch.manual_seed(0)
    step = FlowStep(6, 3, 1.0)
    assert float(step.gamma.detach()[0]) == pytest.approx(9.98648, abs=5e-6)
    np.testing.assert_allclose(step.scale().detach(), 1, rtol=1e-6)
    assert not step.beta.any()
    flow = Flow((6, 4, 4), 8, 1.0)
    with torch.no_grad():
        x = torch.randn(3, 6, 4, 4)
        z, log_det = flow.norm(x), torch.zeros(3)
        for step in flow.steps:
            a = 0.1 * step.subnet(z[:, :3])
            log_det += (2 * torch.tanh(a[:, :3])).sum(dim=(1, 2, 3))
            z, _ = step(z)
        torch.testing.assert_close(flow(x)[1], log_det, rtol=1e-4, atol=1e-4)
        assert log_det.abs().min() > 0.01


def test_layer_norm_begins_as_a_norm_alone() -> None:
    state = fitted(random_features(2, 0), steps=1, learning_rate=1e-30).state()
    for name, shape in SHAPES.items():
        np.testing.assert_allclose(state[f"flows.{name}.norm.weight"], np.ones(shape))
        np.testing.assert_allclose(state[f"flows.{name}.norm.bias"], 0, atol=1e-20)


def test_kernels_are_3_and_1_in_turn() -> None:
    def kernels(flow: Flow) -> list[list[int]]:
        found = [
            {module.kernel_size for module in step.modules() if hasattr(module, "kernel_size")}
            for step in flow.steps
        ]
        return [sorted({side for kernel in step for side in kernel}) for step in found]

    assert kernels(Flow((4, 2, 2), 8, 1.0)) == 4 * [[3], [1]]
    assert kernels(Flow((4, 2, 2), 3, 1.0, only_3x3=True)) == 3 * [[3]]


def test_permutations_are_fixed_hard_and_of_their_own() -> None:
    state = fitted(random_features(4, 0), epochs=3).state()
    found = [v for n, v in state.items() if n.endswith("permutation") and n.startswith("flows.layer3")]
    assert len(found) == 8
    assert all(sorted(p.tolist()) == list(range(10)) for p in found)
    assert len({tuple(p.tolist()) for p in found}) == 8
    again = fitted(random_features(4, 9), epochs=1).state()
    assert all(np.array_equal(again[n], v) for n, v in state.items() if n.endswith("permutation"))


def test_defaults_are_the_papers() -> None:
    assert FastFlow().params.model_dump() == {
        "layers": ("layer1", "layer2", "layer3"),
        "steps": 8,
        "hidden_ratio": 1.0,
        "only_3x3": False,
        "epochs": 200,
        "batch": 32,
        "drop_last": False,
        "learning_rate": 1e-3,
        "weight_decay": 1e-5,
        "precision": "float32",
    }


def test_sizes_with_wide_resnet() -> None:
    """41.3 M parameters of flows, 3.7 M of layer norms, 24.2 GMAC an image."""
    with torch.device("meta"):
        flows = [Flow(shape, 8, 1.0) for shape in WIDE_RESNET.values()]
        counted = sum(macs(flow, torch.empty(1, *flow.norm.normalized_shape)) for flow in flows)
    in_steps = in_norms = by_hand = 0
    for channels, height, width in WIDE_RESNET.values():
        half = channels // 2
        for kernel in 4 * [9, 1]:
            weights = half * half * kernel + half * channels * kernel
            by_hand += weights * height * width
            in_steps += weights + half + channels + 2 * channels
        in_norms += 2 * channels * height * width
    assert sum(count_parameters(flow.steps) for flow in flows) == in_steps
    assert sum(count_parameters(flow.norm) for flow in flows) == in_norms
    assert (round(in_steps / 1e6, 1), round(in_norms / 1e6, 1)) == (41.3, 3.7)
    assert counted == by_hand
    assert round(by_hand / 1e9, 1) == 24.2
    words = FastFlow().cost(1000, (256, 256), WIDE_RESNET)
    size, work = f"{(in_steps + in_norms) / 1e6:.2f} M parameters", f"{3 * by_hand / 1e9:.2f} GMAC each"
    assert words == f"{size}, 200,000 image-steps, {work}"


def test_maps_lie_between_minus_one_and_zero() -> None:
    """-1 where z is 0, 0 where it is so large that the probability underflows; features of any size."""
    detector, features = with_random_weights(steps=2), random_features(3, 1)
    features["layer1"][0] *= 1e6
    features["layer2"][1] = 0
    maps = detector.anomaly_maps(batch_of(features))
    assert maps.min() >= -1 and maps.max() <= 0
    state = {n: np.zeros_like(v) if v.dtype == np.float32 else v for n, v in detector.state().items()}
    detector.restore(state)
    np.testing.assert_array_equal(detector.anomaly_maps(batch_of(features)), -1)
    far = {n: v + np.float32(100) if n.endswith("norm.bias") else v for n, v in state.items()}
    ones = {n: v + np.float32(10) if n.endswith("gamma") else v for n, v in far.items()}
    detector.restore(ones)
    np.testing.assert_array_equal(detector.anomaly_maps(batch_of(features)), 0)


# ---- one pass of the encoder ----


class Counting(TinyEncoder):
    """Notes how many images each forward pass had."""

    def __init__(self) -> None:
        super().__init__()
        self.passes: list[int] = []

    def encode(self, pixels, layers):
        self.passes.append(len(pixels))
        return super().encode(pixels, layers)


def test_three_detectors_and_200_epochs_cost_one_encoder_pass(tmp_path: Path) -> None:
    samples = []
    for i, pixels in enumerate(good_images(7, 32, 32)):
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
        samples.append(Sample(f"{i}.png", tmp_path / f"{i}.png", 0))
    layers = ("layer1", "layer2")
    detectors: list[Detector] = [
        PatchCore(PatchCore.Params(layers=layers, coreset_ratio=0.1, blur_sigma=1)),
        FastFlow(FastFlow.Params(layers=layers, steps=1, epochs=200, batch=7)),
        RD4AD(RD4AD.Params(layers=("layer2",), epochs=200, batch=7, blur_sigma=1)),
    ]
    encoder, told = Counting(), []
    images = FileImageSet(samples, Preprocessing((32, 32), batch_size=3), encoder, layers)
    for detector in detectors:
        run = Run(np.random.SeedSequence(0), lambda *given: told.append(given))
        detector.fit(images, run)
    assert encoder.passes == [3, 3, 1]
    assert sum(call[0] == "training steps" for call in told) == 400
    batch = next(images.batches())
    maps = [detector.anomaly_maps(batch) for detector in detectors]
    for detector, own in zip(detectors, maps, strict=True):
        detector.image_scores(batch, own)
    assert encoder.passes == [3, 3, 1, 3]


# ---- input that is wrong ----


def test_a_layer_of_one_channel_is_refused() -> None:
    FastFlow().check((64, 48), {**SHAPES, "layer2": (2, 8, 6)})
    with pytest.raises(PluginError) as caught:
        FastFlow().check((64, 48), {**SHAPES, "layer2": (1, 8, 6)})
    assert caught.value.what == "fastflow: needs layers of 2 channels or more, and 'layer2' has 1"
    assert "layers" in caught.value.remedy


@pytest.mark.parametrize("layer", ["layer1", "layer3"])
def test_images_of_another_size_than_trained_are_refused(layer: str) -> None:
    detector = fitted(random_features(2, 0), steps=1)
    channels, height, width = SHAPES[layer]
    others = random_features(2, 0, {**SHAPES, layer: (channels, height, width + 1)})
    with pytest.raises(PluginError) as caught:
        detector.anomaly_maps(batch_of(others))
    assert caught.value.what == (
        f"fastflow: was trained on features '{layer}' of shape ({channels}, {height}, {width}), "
        f"and these have ({channels}, {height}, {width + 1})"
    )
    assert "size" in caught.value.remedy


def test_turned_images_are_refused() -> None:
    """As many numbers in another shape: the layer norm itself would be content with none."""
    detector = fitted(random_features(2, 0), steps=1)
    turned = {name: values.swapaxes(2, 3).copy() for name, values in random_features(2, 0).items()}
    with pytest.raises(PluginError, match=r"shape \(6, 16, 12\), and these have \(6, 12, 16\)"):
        detector.anomaly_maps(batch_of(turned, (48, 64)))


WRONG = {
    "no version": ("version", None, "expected version 1, found none"),
    "another version": ("version", np.array(2), "expected version 1, found 2"),
    "two versions": ("version", np.array([1, 1]), "expected version 1, found"),
    "no shape": ("shape.layer2", None, "expected the entry 'shape.layer2', found none"),
    "a shape too many": ("shape.layer2", np.array([[7, 8, 6]]), "shape.layer2"),
    "a shape of two": ("shape.layer2", np.array([7, 8]), "layer2"),
    "a shape of none": ("shape.layer2", np.array(7), "shape.layer2"),
    "a shape of another": ("shape.layer2", np.array([7, 8, 7]), "'flows.layer2.norm."),
    "no weight": (
        "flows.layer1.norm.bias",
        None,
        "'flows.layer1.norm.bias' of shape (6, 16, 12), found none",
    ),
    "no buffer": ("flows.layer1.steps.1.permutation", None, "permutation' of shape (6,), found none"),
    "a weight too many": ("flows.layer1.norm.more", np.zeros(3), "more' of shape none, found (3,)"),
    "a step too many": ("flows.layer1.steps.2.gamma", np.zeros(6), "gamma' of shape none, found (6,)"),
    "an entry too many": ("more", np.zeros(3), "'more'"),
    "a layer too many": ("shape.layer4", np.array([6, 2, 2]), "'shape.layer4'"),
    "a weight of another shape": ("flows.layer3.steps.0.gamma", np.zeros((1, 10)), "(10,), found (1, 10)"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_state_that_does_not_fit_is_refused(wrong: str) -> None:
    detector = fitted(random_features(2, 0), steps=2)
    name, array, said = WRONG[wrong]
    state = {n: v for n, v in detector.state().items() if n != name}
    fresh = FastFlow(detector.params)
    with pytest.raises(PluginError) as caught:
        fresh.restore(state if array is None else {**state, name: array})
    assert caught.value.what.startswith("fastflow: ")
    assert "expected" in caught.value.what and "found" in caught.value.what and said in caught.value.what
    assert caught.value.remedy == "Train the detector again with this version."
    with pytest.raises(PluginError, match="not fitted"):
        fresh.state()


@pytest.mark.parametrize(
    "params", [{"steps": 3}, {"hidden_ratio": 2.0}, {"only_3x3": True}, {"layers": ("layer1",)}]
)
def test_a_state_of_other_parameters_is_refused(params: dict[str, object]) -> None:
    detector = fitted(random_features(2, 0), steps=2)
    other = FastFlow(detector.params.model_copy(update=params))
    with pytest.raises(PluginError, match=r"fastflow: the state .* expected the entry '"):
        other.restore(detector.state())


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
    params = {"steps": 2, "epochs": 4, "batch": 3, "precision": precision}
    features, checkpoint, told = random_features(7, 0), Kept(), []

    def killer(what: str, done: int, total: int, note: str = "") -> None:
        told.append(done)
        if told in ([*range(1, 6)], [*range(1, 6), *range(5, 10)]):
            raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            fitted(features, Run(np.random.SeedSequence(3), killer, checkpoint), **params)
    resumed = fitted(features, Run(np.random.SeedSequence(3), killer, checkpoint), **params)
    assert told == [*range(1, 6), *range(5, 10), *range(9, 13)]
    assert same_bits(resumed.state(), fitted(features, **params).state())


def test_the_seed_decides_every_bit() -> None:
    features = random_features(6, 0)
    params = {"steps": 1, "epochs": 2, "batch": 4}
    torch.manual_seed(1)
    first = fitted(features, 1, **params).state()
    torch.manual_seed(2)
    assert same_bits(first, fitted(features, 1, **params).state())
    other = fitted(features, 2, **params).state()
    assert all(
        (first[n] != other[n]).any() for n in first if n.endswith(("weight", "permutation", "norm.bias"))
    )


def test_the_order_of_images_depends_on_the_seed() -> None:
    orders = []
    for seed in range(4):
        features = {"layer3": Recorded(random_features(9, 0)["layer3"])}
        fitted(features, seed, steps=1, batch=9)  # type: ignore[arg-type]
        orders.append(tuple(features["layer3"].asked[0]))
    assert len(set(orders)) == 4


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_training_that_diverges_is_named(precision: str) -> None:
    with pytest.raises(NonFiniteError) as caught:
        fitted(random_features(4, 0), steps=2, epochs=9, learning_rate=1e30, precision=precision)
    assert caught.value.what.startswith("fastflow: the loss is ") and " of 9" in caught.value.what
    assert "Lower the learning rate" in caught.value.remedy
    assert ("float32" in caught.value.remedy) == (precision == "bfloat16")


def test_bfloat16_trains_weights_in_float32_to_about_the_same() -> None:
    features, state = random_features(4, 0), {}
    for precision in ("float32", "bfloat16"):
        detector = fitted(features, steps=2, epochs=3, precision=precision)
        state[precision] = detector.state()
        assert detector.anomaly_maps(batch_of(features)).dtype == np.float32
    assert {v.dtype for n, v in state["bfloat16"].items() if "permutation" not in n} <= {
        np.dtype(np.float32),
        np.dtype(np.int64),
    }
    apart = [np.abs(v - state["float32"][n]).max() for n, v in state["bfloat16"].items()]
    assert 0 < max(apart) < 0.01


@pytest.mark.parametrize("encoder", [TinyEncoder, EfficientNetLite0])
@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_every_seed_ranks_bad_images_above_good_ones(encoder: type, seed: int) -> None:
    detector, eyes = FastFlow(FastFlow.Params(steps=4, epochs=2, batch=4)), encoder()
    images = ArrayImageSet(good_images(12), eyes, detector.layers())
    detector.fit(images, Run(np.random.SeedSequence(seed)))
    pixels = np.concatenate([good_images(20, seed=2), bad_images(20, seed=3)])
    batch = image_batch(pixels, eyes, detector.layers())
    scores = detector.image_scores(batch, detector.anomaly_maps(batch))
    assert auroc(np.repeat([0, 1], 20), scores) >= 0.95


def test_use_on_maps_changes_nothing_that_was_learnt() -> None:
    detector = with_random_weights(steps=2)
    before = {name: array.copy() for name, array in detector.state().items()}
    first = detector.anomaly_maps(batch_of(random_features(3, 1)))
    assert math.isfinite(first.sum())
    assert same_bits(before, detector.state())
