"""Vision transformers in the encoder `timm`: their blocks are those of timm's own complete network.

Nothing is downloaded: weights are random, and large enough for every block and token to matter.
"""

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from segad_core.errors import PluginError
from segad_plugins.encoders.timm import Timm
from segad_plugins.torch_tools import normalised

DINOV2, REGISTERS = "vit_small_patch14_dinov2", "vit_small_patch14_reg4_dinov2"
DINOV3 = "vit_tiny_patch16_dinov3_qkvb"
PLAIN = "vit_tiny_patch16_224"
SIZES = {DINOV2: (42, 56), REGISTERS: (42, 56), DINOV3: (32, 48), PLAIN: (48, 32)}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("weights")
    files = {}
    for model in SIZES:
        network = timm.create_model(model)
        generator = torch.Generator().manual_seed(0)
        state = {}
        for name, value in network.state_dict().items():
            scale = 0.3 if "norm" in name or "gamma" in name else 0.05
            shift = 1 if "norm" in name or "gamma" in name else 0
            scale = 1 if "token" in name or name == "pos_embed" else scale
            state[name] = shift + scale * torch.randn(value.shape, generator=generator)
        files[model] = folder / f"{model}.safetensors"
        save_file(state, files[model])
    return files


def encoder(weights: dict[str, Path], model: str, norm: bool = True) -> Timm:
    return Timm(Timm.Params(model=model, file=weights[model], norm=norm))


def photographs(model: str, count: int = 2) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, *SIZES[model], 3), np.uint8)


def whole(weights: dict[str, Path], model: str) -> nn.Module:
    """timm's complete network, made for the size of the images: the file's embedding is interpolated once."""
    given = {"file": str(weights[model])}
    network = timm.create_model(
        model, pretrained=True, pretrained_cfg_overlay=given, img_size=SIZES[model], num_classes=0
    )
    return network.eval()


@pytest.mark.parametrize(
    ("model", "norm"),
    [(DINOV2, True), (REGISTERS, True), (REGISTERS, False), (DINOV3, True), (DINOV3, False), (PLAIN, False)],
)
def test_blocks_are_those_of_the_complete_network(weights: dict[str, Path], model: str, norm: bool) -> None:
    """Each is what the block returns in a complete pass, without the tokens before the patches."""
    found = encoder(weights, model, norm)
    layers = found.layers()
    assert list(layers) == [f"block{i}" for i in range(12)]
    pixels, network = photographs(model), whole(weights, model)
    seen: list[torch.Tensor] = []
    for block in network.blocks:
        block.register_forward_hook(lambda module, given, output: seen.append(output))
    with torch.inference_mode():
        network(normalised(pixels, found.mean, found.std, torch.device("cpu")))
        seen = [network.norm(values) for values in seen] if norm else seen
    tokens = {DINOV2: 1, REGISTERS: 5, DINOV3: 5, PLAIN: 1}[model]
    maps = found.encode(pixels, list(layers))
    for (name, layer), values in zip(layers.items(), seen, strict=True):
        height, width = (side // layer.stride for side in SIZES[model])
        assert values.shape == (2, tokens + height * width, layer.channels)
        wanted = values[:, tokens:].transpose(1, 2).reshape(2, layer.channels, height, width)
        torch.testing.assert_close(maps[name], wanted, rtol=1e-4, atol=1e-4)
        assert (values[:, 0] - wanted[:, :, 0, 0]).abs().max() > 0.1  # a shift by a token would be seen


@pytest.mark.parametrize(("model", "norm"), [(REGISTERS, True), (DINOV3, False)])
def test_blocks_are_timms_intermediate_layers(weights: dict[str, Path], model: str, norm: bool) -> None:
    """As DINOv2's get_intermediate_layers, which timm has under the same name."""
    pixels, network, given = photographs(model), whole(weights, model), encoder(weights, model, norm)
    with torch.inference_mode():
        values = normalised(pixels, given.mean, given.std, torch.device("cpu"))
        if hasattr(network, "get_intermediate_layers"):
            wanted = network.get_intermediate_layers(values, n=[3, 7], reshape=True, norm=norm)
        else:
            wanted = network.forward_intermediates(values, indices=[3, 7], norm=norm, intermediates_only=True)
    found = given.encode(pixels, ["block7", "block3"])
    assert list(found) == ["block7", "block3"]
    for name, expected in zip(("block3", "block7"), wanted, strict=True):
        torch.testing.assert_close(found[name], expected, rtol=1e-4, atol=1e-4)


def test_at_the_size_of_training_nothing_is_interpolated(weights: dict[str, Path]) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (1, 224, 224, 3), np.uint8)
    given = encoder(weights, PLAIN)
    network = timm.create_model(PLAIN, pretrained=True, pretrained_cfg_overlay={"file": str(weights[PLAIN])})
    with torch.inference_mode():
        values = normalised(pixels, given.mean, given.std, torch.device("cpu"))
        [wanted] = network.eval().forward_intermediates(
            values, indices=[2], norm=True, intermediates_only=True
        )
    torch.testing.assert_close(given.encode(pixels, ["block2"])["block2"], wanted, rtol=1e-4, atol=1e-5)


def test_no_block_after_the_last_requested_one_is_computed(weights: dict[str, Path]) -> None:
    given = encoder(weights, REGISTERS)
    computed: list[int] = []
    for i, block in enumerate(given.loaded().blocks):
        block.register_forward_hook(lambda module, given, output, i=i: computed.append(i))
    given.encode(photographs(REGISTERS), ["block4", "block2"])
    assert computed == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("model", "size", "nearest"),
    [
        (f"{DINOV2}.lvd142m", (256, 256), "[252, 252] or [266, 266]"),
        (f"{REGISTERS}.lvd142m", (518, 520), "[518, 518] or [518, 532]"),
        (f"{DINOV3}.eupe_lvd1689m", (8, 250), "[16, 240] or [16, 256]"),
        (f"{DINOV3}.eupe_lvd1689m", (8, 256), "[16, 256]."),
    ],
)
def test_sizes_that_patches_do_not_fill(model: str, size: tuple[int, int], nearest: str) -> None:
    """The remedy names the nearest that they do; no weights are read."""
    given = Timm(Timm.Params(model=model))
    with pytest.raises(
        PluginError, match=f"{model} cannot process images of {size[0]} x {size[1]}"
    ) as caught:
        given.check_size(size)
    assert nearest in caught.value.remedy


def test_sizes_that_patches_fill() -> None:
    given = Timm(Timm.Params(model=REGISTERS))
    for size in ((252, 252), (266, 266), (518, 518), (14, 700)):
        given.check_size(size)
    Timm(Timm.Params(model="resnet18")).check_size((255, 1))  # a CNN takes any


def test_a_size_is_checked_again_where_images_are_encoded(weights: dict[str, Path]) -> None:
    with pytest.raises(PluginError, match="cannot process images of 40 x 56 pixels"):
        encoder(weights, DINOV2).encode(np.zeros((1, 40, 56, 3), np.uint8), ["block0"])


def test_a_network_that_takes_one_size(tmp_path: Path) -> None:
    save_file(timm.create_model("test_vit_relpos").state_dict(), tmp_path / "w.safetensors")
    given = Timm(Timm.Params(model="test_vit_relpos", file=tmp_path / "w.safetensors"))
    with pytest.raises(PluginError, match="cannot process images of 64 x 64 pixels"):
        given.encode(np.zeros((1, 64, 64, 3), np.uint8), ["block0"])


def test_norm_is_for_vision_transformers() -> None:
    with pytest.raises(PluginError, match="'norm' is for vision transformers, and resnet18 is none"):
        Timm(Timm.Params(model="resnet18", norm=False)).layers()


def test_layers_of_other_networks_keep_their_names() -> None:
    names = {
        "resnet18": ["layer0", "layer1", "layer2", "layer3", "layer4"],
        "swin_tiny_patch4_window7_224": ["layer1", "layer2", "layer3", "layer4"],
        "convnext_atto": ["layer1", "layer2", "layer3", "layer4"],
    }
    assert {m: list(Timm(Timm.Params(model=m)).layers()) for m in names} == names


def _as_meta_publishes(state: dict[str, torch.Tensor], model: str) -> dict[str, torch.Tensor]:
    """The names and tokens of the published files."""
    state = {**state, "mask_token": torch.ones(1, 1)}
    if model == REGISTERS:  # positions include that of the class token
        place = torch.full_like(state["cls_token"], 0.25)
        state["register_tokens"] = state.pop("reg_token")
        state["cls_token"] = state["cls_token"] - place[0]
        state["pos_embed"] = torch.cat([place, state["pos_embed"]], dim=1)
    if model == DINOV3:
        state["storage_tokens"] = state.pop("reg_token")
        state["rope_embed.periods"] = torch.ones(4)
        for i in range(12):
            bias = [state.pop(f"blocks.{i}.attn.{part}_bias") for part in "qv"]
            state[f"blocks.{i}.attn.qkv.bias"] = torch.cat([bias[0], torch.zeros_like(bias[0]), bias[1]])
            for n in "12":
                state[f"blocks.{i}.ls{n}.gamma"] = state.pop(f"blocks.{i}.gamma_{n}")
    return state


@pytest.mark.parametrize("model", [REGISTERS, DINOV3])
def test_files_that_meta_publishes(
    tmp_path: Path,
    weights: dict[str, Path],
    model: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """timm's conversion may print what it leaves out; standard output belongs to the results."""
    module = timm.models.eva if model == DINOV3 else timm.models.vision_transformer
    convert = module.checkpoint_filter_fn
    monkeypatch.setattr(module, "checkpoint_filter_fn", lambda *given: print("left out") or convert(*given))
    ours = encoder(weights, model)
    torch.save(_as_meta_publishes(load_file(weights[model]), model), tmp_path / "published.pth")
    theirs = Timm(Timm.Params(model=model, file=tmp_path / "published.pth"))
    pixels = photographs(model)
    found, wanted = (one.encode(pixels, ["block3"])["block3"] for one in (theirs, ours))
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    assert capsys.readouterr() == ("", "left out\n")


@pytest.mark.parametrize("lost", ["blocks.11.mlp.fc2.weight", "reg_token"])
def test_a_file_with_a_part_of_the_weights_is_refused(
    tmp_path: Path, weights: dict[str, Path], lost: str
) -> None:
    state = load_file(weights[REGISTERS])
    del state[lost]
    save_file(state, tmp_path / "w.safetensors")
    given = Timm(Timm.Params(model=REGISTERS, file=tmp_path / "w.safetensors"))
    with pytest.raises(PluginError, match=f"does not match the network: .* missing; the first: '{lost}'"):
        given.encode(photographs(REGISTERS), ["block0"])
