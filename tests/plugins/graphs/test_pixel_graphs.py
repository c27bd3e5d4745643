"""The graphs of encoders and network classifiers: runtimes compute what the plugins do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from exported import Exported, close
from torch import nn

from segad_core.api import Classifier, PluginError, UsageError, Wanted
from segad_core.testing import bad_images, good_images, image_batch
from segad_plugins.backbones import Trunk
from segad_plugins.classifiers.devnet import DevNet
from segad_plugins.classifiers.dra import DRA
from segad_plugins.classifiers.wide_resnet import WideResNet
from segad_plugins.encoders import lite_network
from segad_plugins.encoders.efficientnet_lite0 import EfficientNetLite0
from segad_plugins.encoders.lite_network import LiteNetwork
from segad_plugins.encoders.timm import Timm
from segad_plugins.torch_tools import IMAGENET, fold_batch_norm, normalised

SIZE = (66, 50)  # halves have odd sides, and are no multiples of strides
PIXELS = np.concatenate([good_images(2, *SIZE), bad_images(1, *SIZE)])


def check_layers(encoder: Any, layers: tuple[str, ...], folder: Path) -> None:
    one = Exported(encoder.graph(Wanted(SIZE, layers)), {"pixels": PIXELS}, folder)
    expected = encoder.encode(PIXELS, layers)
    assert one.graph.outputs == layers
    for count in (1, 3):
        found = one.onnxruntime({"pixels": PIXELS[:count]})
        for name in layers:
            close(found[name], expected[name][:count].numpy())


# ---- encoders ----


def test_lite0(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its layout, as narrow and shallow as can be, with random weights."""
    stages = tuple((kernel, stride, 8, 1) for kernel, stride, _, _ in lite_network._STAGES)
    monkeypatch.setattr(lite_network, "_STAGES", stages)
    monkeypatch.setattr(EfficientNetLite0, "build", lambda _: _random(LiteNetwork(1, 1)))
    check_layers(EfficientNetLite0(), ("layer0", "layer1"), tmp_path)


def _random(network: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    for name, buffer in network.named_buffers():
        if buffer.dtype == torch.float32:
            buffer += torch.rand(buffer.shape, generator=generator) * (0.5 if "var" in name else 0.1)
    fold_batch_norm(network.eval())
    return network


def test_timm(tmp_path: Path) -> None:
    """Every other network is exported by the same code."""
    torch.manual_seed(0)
    torch.save(timm.create_model("test_resnet").state_dict(), tmp_path / "w.pth")
    encoder = Timm(Timm.Params(model="test_resnet", file=tmp_path / "w.pth"))
    layers = tuple(encoder.layers())[1:3]
    found = encoder.graph(Wanted(SIZE, layers)).network(torch.from_numpy(PIXELS))
    for values, expected in zip(found, encoder.encode(PIXELS, layers).values(), strict=True):
        close(values.numpy(), expected.numpy())


def test_a_vision_transformer_is_made_for_its_size(tmp_path: Path) -> None:
    """Its position embedding is interpolated before the export; runtimes do that in different ways."""
    torch.manual_seed(0)
    torch.save(timm.create_model("vit_tiny_patch16_224").state_dict(), tmp_path / "w.pth")
    encoder = Timm(Timm.Params(model="vit_tiny_patch16_224", file=tmp_path / "w.pth"))
    pixels = good_images(1, 48, 32)
    layers = encoder.graph(Wanted((48, 32), ("block0",))).network
    expected = encoder.encode(pixels, ("block0",))["block0"]
    close(layers(torch.from_numpy(pixels))[0].numpy(), expected.numpy())
    assert layers.network.pos_embed.shape[1] == 1 + 3 * 2
    assert encoder.loaded().pos_embed.shape[1] == 1 + 14 * 14


# ---- classifiers ----


def ready(kind: type[Classifier], **params: Any) -> Any:
    """With a trunk of two convolutions, and random weights."""
    classifier = kind(
        kind.Params.model_validate({"source": "timm", "model": "test_resnet.r160_in1k", **params})
    )
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(3, 6, 5, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 8, 3, 2, 1))
    network = classifier.add_heads(Trunk(body, 8, *IMAGENET))
    with torch.no_grad():
        for weights in network.parameters():
            weights += 0.2 * torch.randn(weights.shape)
        network.train()(normalised(good_images(8, *SIZE, 5), *IMAGENET, torch.device("cpu")))
    classifier.keep(network)
    if isinstance(classifier, DRA):
        classifier._keep_references(good_images(5, *SIZE, 6))
    return classifier


@pytest.mark.parametrize("kind", [WideResNet, DevNet, DRA])
def test_classifiers(kind: type[Classifier], tmp_path: Path) -> None:
    classifier = ready(kind)
    expected = classifier.scores(image_batch(PIXELS))
    one = Exported(classifier.graph(Wanted(SIZE)), {"pixels": PIXELS}, tmp_path)
    for count in (1, 3):
        found = one.onnxruntime({"pixels": PIXELS[:count]})["scores"]
        assert found.shape == (count,)
        assert np.abs(found - expected[:count]).max() <= 1e-4 * np.ptp(expected) > 0


def test_references_that_each_image_draws_cannot_be_exported() -> None:
    with pytest.raises(UsageError, match="upstream"):
        ready(DRA, references="upstream").graph(Wanted(SIZE))


def test_dra_has_a_graph_for_images_of_its_own_size() -> None:
    with pytest.raises(PluginError, match="64 x 64"):
        ready(DRA).graph(Wanted((64, 64)))
