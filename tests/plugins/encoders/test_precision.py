"""Networks in bfloat16 give float32 features, near those in float32; norms and the caller's mode stay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from segad_core.api import Layer, PluginError, Wanted
from segad_core.testing import bad_images
from segad_plugins.encoders.efficientnet_lite0 import EfficientNetLite0
from segad_plugins.encoders.network import NetworkEncoder
from segad_plugins.encoders.torchvision import TorchVision
from segad_plugins.graphs.encoder import graph
from segad_plugins.precision import for_precision

SEEN: list[torch.dtype] = []


class Small(NetworkEncoder):
    """Two convolutions and a norm."""

    def layers(self) -> Mapping[str, Layer]:
        return {"layer1": Layer(8, 4)}

    def digest(self) -> str:
        return "small 1"

    def build(self) -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 8, 3, 2, 1)
        )

    def forward(self, network: nn.Module, pixels: Tensor, layers: Sequence[str]) -> Mapping[str, Tensor]:
        features = network(pixels)
        SEEN.append(features.dtype)
        return dict.fromkeys(layers, features)


def features(precision: str) -> tuple[NDArray[np.float32], Small]:
    encoder = Small()
    encoder.network_precision = precision
    given = encoder.encode(bad_images(2, 32, 48, seed=1), ["layer1"])["layer1"]
    assert isinstance(given, Tensor) and given.dtype == torch.float32
    return given.numpy(), encoder


def test_features_are_near_those_in_float32() -> None:
    exact, _ = features("float32")
    rough, encoder = features("bfloat16")
    assert SEEN[-2:] == [torch.float32, torch.bfloat16]
    apart = np.abs(rough - exact).max() / np.ptp(exact)
    assert 1e-5 < apart < 0.02  # of 8 bits
    network = encoder.loaded()
    assert [p.dtype for p in network[0].parameters()] == [torch.bfloat16] * 2  # type: ignore[index]
    assert network[1].running_var.dtype == torch.float32  # type: ignore[index]
    assert not torch.is_autocast_enabled("cpu")


def test_float32_is_the_default_and_leaves_a_callers_mode_alone() -> None:
    """Whoever trains in bfloat16 around it gets features in float32."""
    exact, _ = features("float32")
    with torch.autocast("cpu", torch.bfloat16):
        inside = Small().encode(bad_images(2, 32, 48, seed=1), ["layer1"])["layer1"]
    np.testing.assert_array_equal(np.asarray(inside), exact)


def test_what_is_exact_computes_in_float32() -> None:
    exact, rough = features("float32")[0], features("bfloat16")[0]
    Small.exact = ("0",)
    try:
        partly, encoder = features("bfloat16")
        Small.exact = ("0", "3")
        wholly, _ = features("bfloat16")
    finally:
        Small.exact = ()
    assert next(encoder.loaded()[0].parameters()).dtype == torch.float32  # type: ignore[index]
    np.testing.assert_array_equal(wholly, exact)
    assert 0 < np.abs(partly - exact).mean() < np.abs(rough - exact).mean()


@pytest.mark.parametrize("encoder", [EfficientNetLite0(), TorchVision()], ids=["lite0", "torchvision"])
def test_the_first_modules_of_networks_are_exact(
    encoder: NetworkEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That they are named as in the network."""
    monkeypatch.setattr("segad_plugins.backbones.torchvision.fill", lambda *_, **__: None)
    network = encoder.build()
    for_precision("bfloat16", network, encoder.exact)
    kept = [p.dtype for name in encoder.exact for p in network.get_submodule(name).parameters()]
    assert set(kept) == {torch.float32}
    assert torch.bfloat16 in {p.dtype for p in network.parameters()}


def test_there_is_no_graph_in_bfloat16() -> None:
    with pytest.raises(PluginError, match="bfloat16"):
        graph(features("bfloat16")[1], Wanted((32, 48), ("layer1",)))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_same_bytes_each_time(precision: str) -> None:
    np.testing.assert_array_equal(features(precision)[0], features(precision)[0])
