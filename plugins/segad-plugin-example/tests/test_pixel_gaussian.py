"""The example detector keeps segad's contract, and computes what its description says."""

import numpy as np
import pytest
from segad_plugin_example.pixel_gaussian import PixelGaussian, block_sums, smooth

from segad_core.api import ImageBatch, PluginError, Run, Sample
from segad_core.testing import DetectorSuite


class TestContract(DetectorSuite):
    """Every check that segad has for a detector."""

    def make(self):
        return PixelGaussian()


class TestContractCoarse(DetectorSuite):
    """The same with blocks that do not fill the image, and no smoothing."""

    def make(self):
        return PixelGaussian(PixelGaussian.Params(block=7, smoothing=0))


class Pictures:
    """A set of images in memory, in batches of a given size."""

    def __init__(self, pixels, batch_size=16):
        self.pixels, self.batch_size = pixels, batch_size
        self.samples = [Sample(f"{i}.png", None, 0) for i in range(len(pixels))]

    def __len__(self):
        return len(self.pixels)

    def batches(self):
        for start in range(0, len(self), self.batch_size):
            end = start + self.batch_size
            yield ImageBatch(self.samples[start:end], self.pixels[start:end])


def pictures(count=12, height=20, width=26, seed=0):
    return np.random.default_rng(seed).integers(90, 110, (count, height, width, 3), np.uint8)


def fitted(pixels, batch_size=16, **params):
    detector = PixelGaussian(PixelGaussian.Params(**params))
    detector.fit(Pictures(pixels, batch_size), Run(np.random.SeedSequence(0)))
    return detector


def maps_of(detector, pixels):
    return detector.anomaly_maps(next(Pictures(pixels, len(pixels)).batches()))


def test_without_blocks_it_is_the_textbook_formula():
    good, new = pictures(), pictures(3, seed=1)
    expected = ((new - good.mean(0)) ** 2 / np.maximum(good.var(0), 4.0)).mean(-1)
    np.testing.assert_allclose(maps_of(fitted(good, block=1, smoothing=0), new), expected, rtol=1e-5)


def test_blocks_at_the_edge_are_averaged_over_their_own_pixels():
    pixels = pictures(2, 5, 7)
    sums, area = block_sums(pixels, 4)
    assert sums.shape == (2, 2, 2, 3)
    assert area[..., 0].tolist() == [[16, 12], [4, 3]]
    np.testing.assert_array_equal(sums[:, 1, 1], pixels[:, 4:, 4:].sum((1, 2)))


def test_batches_make_no_difference():
    good, new = pictures(), pictures(3, seed=1)
    np.testing.assert_array_equal(
        maps_of(fitted(good, batch_size=5), new), maps_of(fitted(good, batch_size=12), new)
    )


def test_a_blot_is_found_where_it_is():
    new = pictures(1, 48, 48, seed=1)
    new[0, 30:36, 8:14] = 200
    maps = maps_of(fitted(pictures(12, 48, 48)), new)
    row, column = np.unravel_index(maps[0].argmax(), maps[0].shape)
    assert 28 <= row < 38
    assert 6 <= column < 16


def test_a_block_that_never_changes_does_not_divide_by_zero():
    black = np.zeros((4, 8, 8, 3), np.uint8)
    maps = maps_of(fitted(black, smoothing=0), np.full((1, 8, 8, 3), 6, np.uint8))
    np.testing.assert_array_equal(maps, np.full((1, 8, 8), 9.0, np.float32))  # (6 / 2) ** 2


def test_smoothing_keeps_what_is_even_and_spreads_what_is_not():
    np.testing.assert_allclose(smooth(np.full((1, 6, 9), 3.0), 2), 3.0)
    point = np.zeros((1, 9, 9))
    point[0, 4, 4] = 25.0
    np.testing.assert_allclose(smooth(point, 2)[0, 2:7, 2:7], 1.0)


def test_images_of_another_size_are_refused():
    with pytest.raises(PluginError, match="size"):
        maps_of(fitted(pictures(12, 20, 26)), pictures(1, 40, 26))


def test_what_is_not_fitted_says_so():
    with pytest.raises(PluginError, match="not fitted"):
        PixelGaussian().state()
