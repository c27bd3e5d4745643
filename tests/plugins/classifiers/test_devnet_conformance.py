"""The classifier `devnet` keeps its contract."""

from __future__ import annotations

from typing import Any, ClassVar

import plain_supervised as plain
import pytest

from segad_core.testing import ClassifierSuite
from segad_plugins.classifiers.devnet import DevNet


class TestDevNet(ClassifierSuite):
    size = (32, 48)
    choices: ClassVar[dict[str, Any]] = {
        "epochs": 2,
        "steps_per_epoch": 8,
        "batch_good": 6,
        "batch_bad": 6,
        "learning_rate": 0.01,
    }

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def backbone(cls, tmp_path_factory: pytest.TempPathFactory) -> None:
        cls.params = {**plain.small_backbone(tmp_path_factory.mktemp("weights")), **cls.choices}

    def make(self) -> DevNet:
        return DevNet(DevNet.Params.model_validate(self.params))
