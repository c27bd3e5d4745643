"""The segmenter `sam` keeps its contract, with prompts, automatically, and with components on top."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import tiny_sam
from PIL import Image

from segad_core.testing import SegmenterSuite

AUTOMATIC = {"points_per_side": 3, "pred_iou_thresh": 0, "stability_score_thresh": 0.3}


class _Suite(SegmenterSuite):
    params: dict[str, Any]

    @pytest.fixture(autouse=True)
    def checkpoint(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        tiny_sam.register(monkeypatch)
        self.path = tiny_sam.checkpoint(tmp_path)

    def make(self):
        return tiny_sam.segmenter(self.path, **self.params)


class TestPrompts(_Suite):
    params: ClassVar = {"prompts": [{"points": [[60, 40]]}, {"points": [[20, 30]], "box": [9, 9, 90, 80]}]}


class TestAutomatic(_Suite):
    params: ClassVar = {"automatic": AUTOMATIC}


class TestComponents(_Suite):
    @pytest.fixture(autouse=True)
    def drawn(self, tmp_path: Path) -> None:
        labels = np.zeros((96, 96), np.uint8)
        labels[20:80, 10:50], labels[30:40, 20:30] = 1, 2
        Image.fromarray(labels).save(tmp_path / "drawn.png")
        names = ["background", "object", "chip"]
        self.params = {
            "prompts": [{"box": [20, 20, 80, 70]}],
            "components": tmp_path / "drawn.png",
            "segments": names,
            "least_fit": 0.1,
        }
