"""The segmenter `foreground` keeps its contract, with and without components."""

import numpy as np
import pytest

from segad_core.testing import SegmenterSuite, bad_images, good_images
from segad_plugins.segmenters.foreground import Foreground


def on_a_table(parts: np.ndarray) -> np.ndarray:
    """Parts cut to a triangle and a strip, each a little further to the right, on an empty table."""
    count, height, width, _ = parts.shape
    y, x = np.mgrid[:height, :width] / np.array([height, width])[:, None, None]
    images = []
    for i in range(count):
        shifted = x - 0.03 * i
        inside = (shifted > 0.2) & (y > 0.2) & (y < 0.8) & (shifted < 0.35 + 0.5 * (y - 0.2))
        table = 225 + np.random.default_rng(i).normal(0, 2, parts[i].shape)
        images.append(np.where(inside[..., None], parts[i], table))
    return np.stack(images).astype(np.uint8)


class TestForeground(SegmenterSuite):
    def make(self):
        return Foreground(Foreground.Params())

    def images(self, height, width):
        return on_a_table(np.concatenate([good_images(2, height, width), bad_images(1, height, width)]))

    def test_finds_the_parts(self):
        labels = self._maps(self.make(), self.images(64, 64))
        assert all(0.15 < share < 0.35 for share in (labels == 1).mean(axis=(1, 2)))


class TestForegroundWithComponents(TestForeground):
    sizes = ((48, 80),)

    @pytest.fixture(autouse=True)
    def drawing(self, tmp_path):
        labels = (on_a_table(np.zeros((1, 128, 128, 3), np.uint8))[0, :, :, 0] < 100).astype(np.uint8)
        labels[90:100, 40:60] = 2
        self.path = tmp_path / "drawing.npy"
        np.save(self.path, labels)

    def make(self):
        names = ["table", "part", "label"]
        return Foreground(Foreground.Params(components=self.path, segments=names))

    def test_finds_the_parts(self):
        labels = self._maps(self.make(), self.images(64, 64))
        assert ((labels == 2).sum(axis=(1, 2)) > 25).all()
