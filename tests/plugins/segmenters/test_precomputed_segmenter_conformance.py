"""The segmenter `precomputed` keeps its contract on segmentations that were computed beforehand."""

from pathlib import Path

import numpy as np
import pytest

from segad_core.base.digest import array_digest
from segad_core.contracts import Sample
from segad_core.testing import SegmenterSuite
from segad_plugins.segmenters.precomputed import Precomputed


class TestPrecomputed(SegmenterSuite):
    @pytest.fixture(autouse=True, params=["release", "path"])
    def places(self, request, tmp_path):
        self.names, self.folder = request.param, tmp_path / "good"
        self.folder.mkdir()

    def make(self):
        folder = self.folder.parent
        return Precomputed(
            Precomputed.Params(segmentations=folder, segments=["low", "high"], names=self.names)
        )

    def samples(self, pixels):
        """Images are known by their content, and their maps are there: what is brighter than the mean."""
        found = []
        for image in pixels:
            stem = array_digest(image)[:20]
            np.save(self.folder / f"{stem}.npy", (image[::2, ::2, 0] > image.mean()).astype(np.int64))
            found.append(Sample(f"good/{stem}.png", Path("in memory", stem), 0))
        return found
