"""The classifier `dra` keeps its contract."""

from __future__ import annotations

from typing import Any, ClassVar

import plain_supervised as plain
import pytest

from segad_core.testing import ClassifierSuite
from segad_plugins.classifiers.dra import DRA


class TestDRA(ClassifierSuite):
    size = (32, 48)
    choices: ClassVar[dict[str, Any]] = {
        "epochs": 2,
        "steps_per_epoch": 8,
        "batch_good": 8,
        "batch_bad": 8,
        "learning_rate": 3e-3,
    }

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def backbone(cls, tmp_path_factory: pytest.TempPathFactory) -> None:
        cls.params = {**plain.small_backbone(tmp_path_factory.mktemp("weights")), **cls.choices}

    def make(self) -> DRA:
        return DRA(DRA.Params.model_validate(self.params))
