"""Encoders on a CPU compute what their networks do, up to rounding, and hold their weights once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from segad_core.testing import bad_images
from segad_plugins.encoders.efficientnet_lite0 import EfficientNetLite0
from segad_plugins.encoders.network import NetworkEncoder
from segad_plugins.encoders.prepared_network import Prepared, prepare_chains
from segad_plugins.encoders.torchvision import TorchVision
from segad_plugins.row_convolution import RowConvolution, runs_here

if not runs_here(torch.device("cpu")):
    pytest.skip("needs oneDNN", allow_module_level=True)

LAYERS = ("layer0", "layer1", "layer2", "layer3")


@pytest.fixture(autouse=True)
def _weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random ones, whose batch norms are not those of a network that was just built."""

    def fill(network: nn.Module, *_: Any, **__: Any) -> None:
        torch.manual_seed(1)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.uniform_(-0.2, 0.2)  # type: ignore[union-attr]
                module.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]

    monkeypatch.setattr("segad_plugins.backbones.torchvision.fill", fill)


def lite(**params: Any) -> NetworkEncoder:
    return EfficientNetLite0(EfficientNetLite0.Params(**params))


def resnet(model: str, **params: Any) -> NetworkEncoder:
    return TorchVision(TorchVision.Params(model=model, **params))  # type: ignore[arg-type]


def features(encoder: NetworkEncoder, count: int = 2) -> Mapping[str, NDArray[np.float32]]:
    found = encoder.encode(bad_images(count, 64, 96, seed=1), LAYERS)
    return {name: layer.numpy() for name, layer in found.items()}


@pytest.mark.parametrize("name", ["lite0", "resnet18", "resnext50_32x4d"])
def test_features_are_the_same_up_to_rounding(name: str) -> None:
    """A network with depthwise convolutions, one of basic blocks, one of bottlenecks with groups."""
    fast, exact = (
        lite(exact_features=e) if name == "lite0" else resnet(name, exact_features=e) for e in (False, True)
    )
    expected, found = features(exact), features(fast)
    assert any(isinstance(module, Prepared) for module in fast._for_features().modules())
    assert not any(isinstance(module, Prepared) for module in exact._for_features().modules())
    for layer in LAYERS:
        assert np.abs(found[layer] - expected[layer]).max() < 1e-5 * np.ptp(expected[layer])
        assert found[layer].dtype == np.float32 and found[layer].shape == expected[layer].shape
    for layer, again in features(fast).items():
        np.testing.assert_array_equal(again, found[layer])
    one = features(fast, 1)  # laid out for another shape, and back
    assert np.abs(one["layer3"] - expected["layer3"][:1]).max() < 1e-5 * np.ptp(expected["layer3"])
    np.testing.assert_array_equal(features(fast)["layer3"], found["layer3"])


def test_few_images_at_a_time_are_faster_and_independent_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    forward = EfficientNetLite0.forward

    def counted(self: Any, network: nn.Module, pixels: torch.Tensor, layers: Any) -> Any:
        seen.append(len(pixels))
        return forward(self, network, pixels, layers)

    monkeypatch.setattr(EfficientNetLite0, "forward", counted)
    one, three = features(lite(), 1), features(lite(), 3)
    features(lite(exact_features=True), 3)
    assert seen == [1, 1, 1, 1, 3]
    np.testing.assert_array_equal(one["layer3"], three["layer3"][:1])


def test_wide_convolutions_are_computed_by_rows() -> None:
    network = resnet("resnet18")._for_features()
    steps = [module._run for module in network.layer2.modules() if isinstance(module, Prepared)]  # type: ignore
    assert [isinstance(step, RowConvolution) for step in steps] == [False, True, False, True, True]


def test_the_network_that_was_built_is_there_for_graphs_and_not_held() -> None:
    encoder = lite()
    features(encoder)
    assert encoder._network is None
    assert not any(isinstance(module, Prepared) for module in encoder.loaded().modules())


@pytest.mark.parametrize("change", ["bfloat16", "no oneDNN"])
def test_elsewhere_networks_stay_as_they_are_built(change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = lite()
    if change == "bfloat16":
        encoder.network_precision = "bfloat16"
    else:
        monkeypatch.setattr("segad_plugins.encoders.network.runs_here", lambda _: False)
    assert encoder._for_features() is encoder.loaded()
    assert not any(isinstance(module, Prepared) for module in encoder.loaded().modules())


def test_a_relu_is_taken_over_if_it_follows_directly() -> None:
    torch.manual_seed(0)
    chain = nn.Sequential(
        *(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU6(), nn.Conv2d(8, 8, 3, padding=1, groups=4), nn.ReLU()),
        *(nn.Conv2d(8, 4, 1), nn.Identity(), nn.ReLU()),
    )
    x = 20 * torch.randn(2, 3, 9, 11)
    with torch.inference_mode():
        expected, inner = chain(x), chain[:2](x)
        prepare_chains(chain)
        assert [type(module).__name__ for module in chain] == [
            *("Prepared", "Identity", "Prepared", "Identity", "Prepared", "Identity", "ReLU")
        ]
        assert inner.max() == 6 and inner.min() == 0
        torch.testing.assert_close(chain[0](x), inner, rtol=0, atol=1e-5)
        torch.testing.assert_close(chain(x), expected, rtol=0, atol=1e-4)
