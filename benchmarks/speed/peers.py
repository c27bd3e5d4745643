"""anomalib's networks with random weights, and segad's detectors with the same ones."""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import numpy as np
import torch
import torchvision
from anomalib.models.image.efficient_ad.torch_model import EfficientAdModel, EfficientAdModelSize
from anomalib.models.image.fastflow.torch_model import FastflowModel
from anomalib.models.image.patchcore.torch_model import PatchcoreModel
from anomalib.models.image.reverse_distillation.anomaly_map import AnomalyMapGenerationMode
from anomalib.models.image.reverse_distillation.torch_model import ReverseDistillationModel
from numpy.typing import NDArray
from torch import Tensor, nn

from segad_core.api import Detector
from segad_plugins.detectors.efficientad import EfficientAD
from segad_plugins.detectors.fastflow import FastFlow
from segad_plugins.detectors.patchcore import PatchCore
from segad_plugins.detectors.rd4ad import RD4AD
from segad_plugins.encoders.torchvision import TorchVision
from segad_plugins.torch_tools import IMAGENET, fold_batch_norm

State = dict[str, NDArray[np.generic]]
Pixels = NDArray[np.uint8]
Pair = tuple[nn.Module, Detector]
"""anomalib's model, in eval mode, and segad's detector."""

_BRANCH = 0.2
LAYERS = ("layer1", "layer2", "layer3")


class Given(TorchVision):
    """segad's encoder with the weights of a network that is at hand."""

    network: nn.Module

    def build(self) -> nn.Module:
        network = deepcopy(self.network)
        fold_batch_norm(network)
        return network


def backbone(name: str, pixels: Pixels) -> nn.Module:
    """A ResNet of torchvision with random weights; its batch norms know these images (N, H, W, 3)."""
    torch.manual_seed(0)
    network = torchvision.models.get_model(name, weights=None)
    network.layer4, network.avgpool, network.fc = nn.Identity(), nn.Identity(), nn.Identity()
    calibrate(network, normalised(pixels))
    return network


def encoder(name: str, network: nn.Module) -> TorchVision:
    """segad's encoder with the weights of a backbone."""
    given = Given(Given.Params(model=name))  # type: ignore[arg-type]
    given.network = network
    return given


def calibrate(network: nn.Module, *inputs: Any) -> None:
    """Batch norms take the statistics of one pass over the inputs, so that values keep their size.

    The last norm of each residual branch is made small, as a training makes it: in deep networks with random
    weights, rounding would otherwise grow from block to block.
    """
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None
        if hasattr(module, "stride") and hasattr(module, "bn2"):  # a block
            nn.init.constant_(getattr(module, "bn3", module.bn2).weight, _BRANCH)
    with torch.no_grad():
        network.train()(*inputs)
    network.eval()


def floats(pixels: Pixels) -> Tensor:
    """Images as anomalib reads them: (N, 3, H, W) between 0 and 1."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous().float() / 255


def normalised(pixels: Pixels) -> Tensor:
    """Images as anomalib's pre-processor normalises them."""
    mean, std = (torch.tensor(values)[:, None, None] for values in IMAGENET)
    return (floats(pixels) - mean) / std


def patchcore(name: str, network: nn.Module, pixels: Pixels, vectors: int) -> Pair:
    """PatchCore with a bank of random vectors that resemble the features of the images."""
    model = PatchcoreModel(list(LAYERS[1:]), name, pre_trained=False).train()
    _take(model.feature_extractor.feature_extractor, network)
    with torch.no_grad():
        features = model(normalised(pixels))
    model.embedding_store.clear()
    torch.manual_seed(1)
    noise = torch.randn(vectors, features.shape[1]) * features.std(dim=0)
    model.memory_bank = features[torch.randint(len(features), (vectors,))] + 0.5 * noise
    state = {"version": np.array(1), "bank": model.memory_bank.numpy()}
    return model.eval(), _restored(PatchCore(), state)


def fastflow(name: str, network: nn.Module, pixels: Pixels, steps: int = 8) -> Pair:
    """FastFlow with random subnets."""
    torch.manual_seed(2)
    size = (pixels.shape[1], pixels.shape[2])
    model = FastflowModel(size, name, pre_trained=False, flow_steps=steps)
    _take(model.feature_extractor, network)
    state: State = {"version": np.array(1)}
    for layer, norm, block in zip(LAYERS, model.norms, model.fast_flow_blocks, strict=True):
        state[f"shape.{layer}"] = np.array(norm.normalized_shape)
        state |= _arrays(norm, f"flows.{layer}.norm.")
        for i, step in enumerate(block.module_list):
            to = f"flows.{layer}.steps.{i}."
            state[f"{to}gamma"] = step.global_scale.detach().flatten().numpy()
            state[f"{to}beta"] = step.global_offset.detach().flatten().numpy()
            state[f"{to}permutation"] = step.w_perm[:, :, 0, 0].argmax(dim=1).numpy()
            state |= _arrays(step.subnet, f"{to}subnet.")
    return model.eval(), _restored(FastFlow(FastFlow.Params(steps=steps)), state)


def rd4ad(name: str, network: nn.Module, pixels: Pixels) -> Pair:
    """RD4AD with a random student, whose batch norms know the images."""
    torch.manual_seed(3)
    size = (pixels.shape[1], pixels.shape[2])
    model = ReverseDistillationModel(name, size, LAYERS, AnomalyMapGenerationMode.ADD, pre_trained=False)
    _take(model.encoder.feature_extractor, network)
    channels = model.encoder.out_dims
    features = list(model.encoder(normalised(pixels)).values())
    calibrate(nn.Sequential(model.bottleneck, model.decoder), features)
    state: State = {"version": np.array(1), "channels": np.array(channels)}
    for name_, array in (_arrays(model.bottleneck) | _arrays(model.decoder)).items():
        if not name_.startswith(("conv4.", "bn4.")):  # the bottleneck does not use them
            state[f"student.{_of_student(name_)}"] = array
    return model.eval(), _restored(RD4AD(), state)


def efficientad(pixels: Pixels, size: str = "medium") -> Pair:
    """EfficientAD with random networks; its maps are normalised by those of the images."""
    torch.manual_seed(4)
    chosen = EfficientAdModelSize(size)
    model = EfficientAdModel(model_size=chosen, padding=True, pad_maps=False).eval()
    detector = EfficientAD(EfficientAD.Params(size=size))  # type: ignore[arg-type]
    images = floats(pixels)
    with torch.no_grad():
        described = model.teacher(images)
        model.mean_std["mean"].copy_(described.mean(dim=(0, 2, 3), keepdim=True))
        model.mean_std["std"].copy_(described.std(dim=(0, 2, 3), keepdim=True))
        maps = model.compute_maps(images, *model.compute_student_teacher_distance(images), normalize=False)
        for which, values in zip(("st", "ae"), maps, strict=True):
            for letter, share in (("a", 0.9), ("b", 0.995)):
                model.quantiles[f"q{letter}_{which}"].copy_(values.flatten().quantile(share))
    learnt = iter(_arrays(nn.ModuleList([model.teacher, model.student, model.ae])).values())
    state: State = {"version": np.array(1), "image_size": np.array(pixels.shape[1:3])}
    with torch.device("meta"):
        names = _names_of_efficientad(detector, pixels)
    state |= {f"networks.{name}": next(learnt) for name in names}
    state["networks.mean"] = model.mean_std["mean"].detach().numpy()
    state["networks.spread"] = model.mean_std["std"].detach().numpy()
    quantiles = [[model.quantiles[f"q{letter}_{which}"].item() for letter in "ab"] for which in ("st", "ae")]
    state["networks.quantiles"] = np.array(quantiles, np.float32)
    return model, _restored(detector, state)


def _names_of_efficientad(detector: EfficientAD, pixels: Pixels) -> list[str]:
    """The weights of segad's teacher, student and autoencoder, in the order of the layers."""
    from segad_plugins.detectors.student_teacher import StudentTeacher

    size = (pixels.shape[1], pixels.shape[2])
    networks = StudentTeacher(detector.params.size, detector.params.padding, size)
    return [name for name, _ in networks.named_parameters()]


def _of_student(name: str) -> str:
    """anomalib's name of a weight of RD4AD's bottleneck or decoder, as that of segad's student."""
    descents = {"conv1": "0.0.0.0", "bn1": "0.0.0.1", "conv2": "0.1.0.0", "bn2": "0.1.0.1"}
    descents |= {"conv3": "1.0.0.0", "bn3": "1.0.0.1"}
    first, _, rest = name.partition(".")
    if first in descents:
        return f"descents.{descents[first]}.{rest}"
    block, part, rest = re.fullmatch(r"([^.]+\.\d+)\.(\w+)\.(.+)", name).groups()  # type: ignore[union-attr]
    stage, number = block.split(".")
    place = "bottleneck" if stage == "bn_layer" else f"stages.{int(stage[-1]) - 1}"
    if part in ("downsample", "upsample"):
        return f"{place}.{number}.skip.{rest}"
    kind, which = part[:-1], ("enter", "middle", "leave")[int(part[-1]) - 1]
    return f"{place}.{number}.{which}.{'0' if kind == 'conv' else '1'}.{rest}"


def _take(network: nn.Module, weights: nn.Module) -> None:
    """timm's ResNet takes torchvision's weights, under the same names."""
    given = weights.state_dict()
    network.load_state_dict({name: given[name] for name in network.state_dict()})
    network.eval()


def _arrays(module: nn.Module, prefix: str = "") -> State:
    return {prefix + name: value.numpy() for name, value in module.state_dict().items()}


def _restored(detector: Detector, state: Mapping[str, NDArray[np.generic]]) -> Detector:
    detector.restore(state)
    return detector
