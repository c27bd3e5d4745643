"""The segmenter `static_mask` keeps its contract with every mask that comes with segad."""

import importlib.resources
from pathlib import Path

import pytest
import yaml

from segad_core.testing import SegmenterSuite
from segad_plugins.segmenters.static_mask import StaticMask

RECIPES = Path(str(importlib.resources.files("segad_recipes")))
SHIPPED = yaml.safe_load((RECIPES / "elpv.yaml").read_text(encoding="utf-8"))["segmenter"]["per_category"]


class TestStaticMask(SegmenterSuite):
    @pytest.fixture(autouse=True, params=SHIPPED)
    def category(self, request):
        self.given = SHIPPED[request.param]

    def make(self):
        return StaticMask(StaticMask.Params(**{**self.given, "mask": RECIPES / self.given["mask"]}))
