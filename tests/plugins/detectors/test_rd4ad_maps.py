"""RD4AD's maps against plain NumPy in float64, their range, and batch norms that no longer learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import plain
import pytest
import torch
import trainings
from torch import Tensor, nn
from trainings import SHAPES, SIZE, feature_batch, random_features, same_bits, seed_run

from segad_core.contracts import Layer
from segad_core.testing import ArrayImageSet, good_images, image_batch
from segad_plugins.detectors.rd4ad import RD4AD
from segad_plugins.encoders.network import NetworkEncoder

fitted = partial(trainings.fitted, RD4AD)
with_random_weights = partial(trainings.with_random_weights, RD4AD)


def reference_maps(features: plain.Features, detector: RD4AD) -> plain.Values:
    params, layers = detector.params, [features[name] for name in detector.params.layers]
    student = plain.ReversedStudent(detector.state())
    pairs = zip(layers, student.imitations(layers), strict=True)
    maps = [
        plain.resized(plain.cosine_distance(t.astype(np.float64), s, 1), SIZE, corners=True) for t, s in pairs
    ]
    unused = student.entries.keys() - student.used
    assert {name.rpartition(".")[2] for name in unused} == {"version", "channels", "num_batches_tracked"}
    combined = np.sum(maps, axis=0) if params.combine == "add" else np.prod(maps, axis=0)
    return plain.blurred(combined, params.blur_sigma, params.blur_border) if params.blur_sigma else combined


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"bottleneck_width": 128, "combine": "multiply", "blur_sigma": 0},
        {"blur_sigma": 2.5, "blur_border": "symmetric"},
        {"layers": ("layer2", "layer3"), "combine": "multiply"},
        {"layers": ("layer3",), "blur_sigma": 0},
    ],
)
def test_maps_equal_the_reference(params: dict[str, object]) -> None:
    detector, features = with_random_weights(**params), random_features(2, 1)
    found = detector.anomaly_maps(feature_batch(features))
    np.testing.assert_allclose(found, reference_maps(features, detector), rtol=1e-4)


def test_a_vector_of_zeros_is_at_distance_1() -> None:
    detector, features = with_random_weights(layers=("layer3",), blur_sigma=0), random_features(1, 1)
    features["layer3"][:, :, :2, :] = 0
    maps = detector.anomaly_maps(feature_batch(features))
    np.testing.assert_allclose(maps[0, :21], 1, rtol=1e-6)  # rows up to a third lie between zeros
    assert (np.abs(maps[0, 45:] - 1) > 1e-3).mean() > 0.9


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
    maps = detector.anomaly_maps(feature_batch(features))
    for found, value in zip(maps, expected, strict=True):
        np.testing.assert_allclose(found, value, atol=3e-6)


def test_maps_of_random_features_lie_between_0_and_6() -> None:
    maps = with_random_weights(blur_sigma=0).anomaly_maps(feature_batch(random_features(4, 1)))
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
    detector.fit(images, seed_run(0))
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
    together = detector.anomaly_maps(feature_batch(features))
    for image in range(4):
        alone = detector.anomaly_maps(feature_batch({n: v[image : image + 1] for n, v in features.items()}))
        np.testing.assert_allclose(alone[0], together[image], rtol=1e-4)
    assert same_bits(before, detector.state())
    again = RD4AD(detector.params)
    again.restore(before)
    np.testing.assert_array_equal(again.anomaly_maps(feature_batch(features)), together)
