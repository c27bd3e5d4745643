"""The data set `visa` keeps its contract, as released and as prepared, and with the official lists."""

import pytest
from published_maps import release
from published_trees import visa_prepared_tree, visa_tree

from segad_core.testing import DatasetSuite
from segad_plugins.datasets.visa import VisA

CLASSES = ("candle", "capsules")
COUNTS = {"train good": 6, "test good": 3, "test bad": 5}


class TestVisA(DatasetSuite):
    @pytest.fixture(autouse=True, params=["raw", "prepared", "two classes", "lists"])
    def tree(self, request, tmp_path):
        given = {"root": tmp_path / "tree"}
        if request.param == "raw":
            visa_tree(tmp_path / "tree", CLASSES, counts=COUNTS)
        elif request.param == "prepared":
            visa_prepared_tree(tmp_path / "tree", "visa_pytorch", CLASSES, counts=COUNTS)
        elif request.param == "two classes":
            visa_prepared_tree(tmp_path / "tree", "2cls_highshot", CLASSES, counts=COUNTS)
            given["setup"] = "2cls_highshot"
        else:
            visa_tree(tmp_path / "tree", CLASSES[:1], counts=COUNTS)
            images = [(0, f"{i:04}") for i in (3, 1, 7, 0, 8)] + [(1, f"{i:03}") for i in (4, 2, 0)]
            release(tmp_path, images, CLASSES[0], ("rd4ad",), size=(4, 4))
            given["lists"] = tmp_path / "anomaly_maps" / "rd4ad"
        self.params = VisA.Params(**given)

    def make(self):
        return VisA(self.params)
