"""The data set `vad` keeps its contract, as it was published and as it is hosted anew."""

import pytest
from published_trees import vad_tree

from segad_core.testing import DatasetSuite
from segad_plugins.datasets.vad import Vad


class TestVad(DatasetSuite):
    @pytest.fixture(autouse=True, params=["published", "hosted anew"])
    def tree(self, request, tmp_path):
        anew = request.param == "hosted anew"
        self.root = vad_tree(tmp_path, scale=0.005, masks=anew, train_bad=not anew)

    def make(self):
        return Vad(Vad.Params(root=self.root))
