"""The detector `efficientad` keeps its contract, with a teacher that it distils or one from a file."""

import pytest
import torch

from segad_core.testing import DetectorSuite
from segad_plugins.detectors.efficientad import EfficientAD
from segad_plugins.detectors.pdn import pdn

_FEW = {"size": "small", "iterations": 3, "learning_rate": 1e-3}


class TestEfficientADWithADistilledTeacher(DetectorSuite):
    size = (32, 48)
    good = 6

    def make(self):
        few = {**_FEW, "teacher_iterations": 2, "teacher_batch": 2}
        return EfficientAD(EfficientAD.Params(input_size=(32, 32), **few))


class TestEfficientADWithoutPaddingAndWithATeachersFile(DetectorSuite):
    size = (40, 52)  # which the networks see as it is

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _teacher_file(cls, tmp_path_factory: pytest.TempPathFactory) -> None:
        torch.manual_seed(0)
        cls.teacher = tmp_path_factory.mktemp("teacher") / "teacher.pth"
        torch.save(pdn("small", 384, padding=True).state_dict(), cls.teacher)

    def make(self):
        return EfficientAD(EfficientAD.Params(padding=False, teacher=self.teacher, **_FEW))
