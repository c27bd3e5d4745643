"""The encoder `timm` keeps its contract, here with local files of random weights."""

import pytest
import timm
import torch
from safetensors.torch import save_file

from segad_core.testing import EncoderSuite
from segad_plugins.encoders.timm import Timm


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("weights")


class _Timm(EncoderSuite):
    model: str
    ending = ".pth"
    sizes = ((64, 96), (70, 50))

    @pytest.fixture(autouse=True)
    def weights(self, folder):
        self.file = folder / f"{self.model}{self.ending}"
        if not self.file.exists():
            torch.manual_seed(0)
            state = timm.create_model(self.model, pretrained=False).state_dict()
            (save_file if self.ending == ".safetensors" else torch.save)(state, self.file)

    def make(self):
        return Timm(Timm.Params(model=self.model, file=self.file))


class TestResNet(_Timm):
    model = "resnet10t"


class TestResNetFromSafetensors(_Timm):
    model = "resnet10t"
    ending = ".safetensors"


class TestMobileNet(_Timm):
    model = "mobilenetv3_small_050"


class TestChannelsLast(_Timm):
    """A network that returns channels last, as Swin transformers do."""

    model = "test_mambaout"
    sizes = ((64, 96), (128, 64))


class TestVisionTransformer(_Timm):
    model = "test_vit"
    sizes = ((160, 160), (64, 96))


class TestVisionTransformerOfOneSize(_Timm):
    model = "test_vit_relpos"
    sizes = ((160, 160),)


class TestDinoV3(_Timm):
    model = "vit_tiny_patch16_dinov3_qkvb"
    ending = ".safetensors"
    sizes = ((32, 48), (64, 64))
