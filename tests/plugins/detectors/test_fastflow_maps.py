"""FastFlow's maps against plain NumPy in float64, their range, its sizes, and images that do not fit."""

from __future__ import annotations

from functools import partial

import numpy as np
import plain
import pytest
import torch
import trainings
from trainings import SHAPES, SIZE, WIDE_RESNET, feature_batch, random_features

from segad_core.contracts import Arrays
from segad_core.errors import PluginError
from segad_plugins.detectors.fastflow import FastFlow
from segad_plugins.detectors.flow_steps import Flow
from segad_plugins.estimate_tools import count_parameters, macs

fitted = partial(trainings.fitted, FastFlow)
with_random_weights = partial(trainings.with_random_weights, FastFlow)


def reference_map(features: plain.Features, image: int, state: Arrays) -> plain.Values:
    total = np.zeros(SIZE)
    for name, values in features.items():
        z, _ = plain.flowed(values[image], plain.below(f"flows.{name}.", state))
        total += plain.resized(-np.exp(-0.5 * (z**2).mean(axis=0)), SIZE)
    return total / len(features)


@pytest.mark.parametrize(
    "params",
    [{"steps": 3}, {"steps": 2, "hidden_ratio": 1.7, "only_3x3": True}, {"steps": 1, "hidden_ratio": 0.1}],
)
def test_maps_equal_the_reference(params: dict[str, object]) -> None:
    detector, features = with_random_weights(**params), random_features(2, 1)
    maps = detector.anomaly_maps(feature_batch(features))
    for image in range(2):
        np.testing.assert_allclose(maps[image], reference_map(features, image, detector.state()), rtol=1e-4)


def test_layers_may_come_in_any_order() -> None:
    detector, features = with_random_weights(steps=2), random_features(1, 1)
    turned = FastFlow(detector.params.model_copy(update={"layers": ("layer3", "layer1", "layer2")}))
    turned.restore(detector.state())
    maps = turned.anomaly_maps(feature_batch(features))
    np.testing.assert_allclose(maps, detector.anomaly_maps(feature_batch(features)), rtol=1e-6)


def test_maps_lie_between_minus_one_and_zero() -> None:
    """-1 where z is 0, 0 where it is so large that the probability underflows; features of any size."""
    detector, features = with_random_weights(steps=2), random_features(3, 1)
    features["layer1"][0] *= 1e6
    features["layer2"][1] = 0
    maps = detector.anomaly_maps(feature_batch(features))
    assert maps.min() >= -1 and maps.max() <= 0
    state = {n: np.zeros_like(v) if v.dtype == np.float32 else v for n, v in detector.state().items()}
    detector.restore(state)
    np.testing.assert_array_equal(detector.anomaly_maps(feature_batch(features)), -1)
    far = {n: v + np.float32(100) if n.endswith("norm.bias") else v for n, v in state.items()}
    ones = {n: v + np.float32(10) if n.endswith("gamma") else v for n, v in far.items()}
    detector.restore(ones)
    np.testing.assert_array_equal(detector.anomaly_maps(feature_batch(features)), 0)


# ---- facts ----


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
        "exact_maps": False,
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
    words = FastFlow().estimate(1000, (256, 256), WIDE_RESNET).work
    size, work = f"{(in_steps + in_norms) / 1e6:.2f} M parameters", f"{3 * by_hand / 1e9:.2f} GMAC each"
    assert words == f"{size}, 200,000 image-steps, {work}"


# ---- images that do not fit ----


def test_a_layer_of_one_channel_is_refused() -> None:
    FastFlow().check((64, 48), {**SHAPES, "layer2": (2, 8, 6)})
    with pytest.raises(PluginError) as caught:
        FastFlow().check((64, 48), {**SHAPES, "layer2": (1, 8, 6)})
    assert caught.value.what == "fastflow: needs layers with at least 2 channels, but 'layer2' has 1"
    assert "layers" in caught.value.remedy


@pytest.mark.parametrize("layer", ["layer1", "layer3"])
def test_images_of_another_size_than_trained_are_refused(layer: str) -> None:
    detector = fitted(random_features(2, 0), steps=1)
    channels, height, width = SHAPES[layer]
    others = random_features(2, 0, {**SHAPES, layer: (channels, height, width + 1)})
    with pytest.raises(PluginError) as caught:
        detector.anomaly_maps(feature_batch(others))
    assert caught.value.what == (
        f"fastflow: was trained on features '{layer}' of shape ({channels}, {height}, {width}), "
        f"but these have ({channels}, {height}, {width + 1})"
    )
    assert "size" in caught.value.remedy


def test_turned_images_are_refused() -> None:
    """As many numbers in another shape: the layer norm itself would be content with none."""
    detector = fitted(random_features(2, 0), steps=1)
    turned = {name: values.swapaxes(2, 3).copy() for name, values in random_features(2, 0).items()}
    with pytest.raises(PluginError, match=r"shape \(6, 16, 12\), but these have \(6, 12, 16\)"):
        detector.anomaly_maps(feature_batch(turned, (48, 64)))
