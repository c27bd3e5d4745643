"""The detector `precomputed` keeps its contract on maps that were computed beforehand."""

from pathlib import Path

import numpy as np
import pytest

from segad_core.base.digest import array_digest
from segad_core.contracts import Sample
from segad_core.testing import DetectorSuite
from segad_plugins.detectors.precomputed import Precomputed


class TestPrecomputed(DetectorSuite):
    @pytest.fixture(autouse=True, params=["release", "path"])
    def places(self, request, tmp_path):
        self.names, self.folder = request.param, tmp_path

    def make(self):
        return Precomputed(Precomputed.Params(maps=self.folder, names=self.names))

    def samples(self, pixels):
        """Each image by its content, and its map in the folder: how far it is from the plate's grey."""
        found = []
        for image in pixels:
            stem = array_digest(image)[:20]
            path = self.folder / "good" / f"{stem}.npy"
            path.parent.mkdir(exist_ok=True)
            np.save(path, np.abs(image[..., 0] - np.float32(120)))
            found.append(Sample(f"good/{stem}.png", Path("in memory", stem), 0))
        return found

    def test_layers_exist_in_the_encoder(self):
        self.samples(self._training())  # it looks for one map
        super().test_layers_exist_in_the_encoder()
