"""The encoder `torchvision` keeps its contract, here with a local file of random weights."""

import pytest
import torch
import torchvision.models

from segad_core.testing import EncoderSuite
from segad_plugins.encoders.torchvision import TorchVision


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save(torchvision.models.resnet18(weights=None).state_dict(), file)
    return file


class TestTorchVision(EncoderSuite):
    sizes = ((64, 96), (70, 50))

    @pytest.fixture(autouse=True)
    def give_weights(self, weights):
        self.file = weights

    def make(self):
        return TorchVision(TorchVision.Params(model="resnet18", file=self.file))
