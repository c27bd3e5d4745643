"""The classifier `wide_resnet` keeps its contract, here with a local file of a tiny random network."""

from typing import Any, ClassVar

import pytest
import timm
import torch

from segad_core.testing import ClassifierSuite
from segad_plugins.classifiers.wide_resnet import WideResNet


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("weights")


class _WideResNet(ClassifierSuite):
    size = (32, 48)
    choices: ClassVar[dict[str, Any]]

    @pytest.fixture(autouse=True)
    def weights(self, folder):
        self.file = folder / "w.pth"
        if not self.file.exists():
            torch.manual_seed(0)
            torch.save(timm.create_model("test_resnet").state_dict(), self.file)

    def make(self):
        given = {"source": "timm", "model": "test_resnet", "file": self.file, **self.choices}
        return WideResNet(WideResNet.Params.model_validate(given))


class TestWideResNetAsInThePaper(_WideResNet):
    choices: ClassVar = {"epochs": 6}


class TestWideResNetWithOtherChoices(_WideResNet):
    choices: ClassVar = {
        "epochs": 8,
        "batch": 5,
        "learning_rate": 0.03,
        "momentum": 0.8,
        "weight_decay": 1e-4,
        "gamma": 1.0,
        "alpha": 0.6,
        "precision": "bfloat16",
    }
