"""The example detector passes the conformance suite, and computes what its docstring says."""

import numpy as np
import pytest
from segad_plugin_example.pixel_gaussian import PixelGaussian, block_sums, smooth

from segad_core.api import PluginError, Run
from segad_core.testing import ArrayImageSet, DetectorSuite, image_batch


class TestContract(DetectorSuite):
    """segad's conformance suite, with the default parameters."""

    def make(self):
        return PixelGaussian()


class TestContractCoarse(DetectorSuite):
    """The same, with blocks that do not divide the image, and without smoothing."""

    def make(self):
        return PixelGaussian(PixelGaussian.Params(block=7, smoothing=0))


def random_images(count=12, height=20, width=26, seed=0):
    return np.random.default_rng(seed).integers(90, 110, (count, height, width, 3), np.uint8)


def fitted(pixels, batch_size=16, **params):
    detector = PixelGaussian(PixelGaussian.Params(**params))
    detector.fit(ArrayImageSet(pixels, batch_size=batch_size), Run(np.random.SeedSequence(0)))
    return detector


def maps_of(detector, pixels):
    return detector.anomaly_maps(image_batch(pixels))


def test_blocks_of_one_pixel_give_the_textbook_formula():
    good, new = random_images(), random_images(3, seed=1)
    expected = ((new - good.mean(0)) ** 2 / np.maximum(good.var(0), 4.0)).mean(-1)
    np.testing.assert_allclose(maps_of(fitted(good, block=1, smoothing=0), new), expected, rtol=1e-5)


def test_smaller_blocks_at_the_edge():
    pixels = random_images(2, 5, 7)
    sums, area = block_sums(pixels, 4)
    assert sums.shape == (2, 2, 2, 3)
    assert area[..., 0].tolist() == [[16, 12], [4, 3]]
    np.testing.assert_array_equal(sums[:, 1, 1], pixels[:, 4:, 4:].sum((1, 2)))


def test_the_batch_size_makes_no_difference():
    good, new = random_images(), random_images(3, seed=1)
    np.testing.assert_array_equal(
        maps_of(fitted(good, batch_size=5), new), maps_of(fitted(good, batch_size=12), new)
    )


def test_the_map_peaks_at_the_defect():
    new = random_images(1, 48, 48, seed=1)
    new[0, 30:36, 8:14] = 200
    maps = maps_of(fitted(random_images(12, 48, 48)), new)
    row, column = np.unravel_index(maps[0].argmax(), maps[0].shape)
    assert 28 <= row < 38
    assert 6 <= column < 16


def test_blocks_that_never_change_have_the_lower_bound():
    black = np.zeros((4, 8, 8, 3), np.uint8)
    maps = maps_of(fitted(black, smoothing=0), np.full((1, 8, 8, 3), 6, np.uint8))
    np.testing.assert_array_equal(maps, np.full((1, 8, 8), 9.0, np.float32))  # (6 / 2) ** 2


def test_smoothing_keeps_constants_and_spreads_peaks():
    np.testing.assert_allclose(smooth(np.full((1, 6, 9), 3.0), 2), 3.0)
    point = np.zeros((1, 9, 9))
    point[0, 4, 4] = 25.0
    np.testing.assert_allclose(smooth(point, 2)[0, 2:7, 2:7], 1.0)


def test_images_of_another_size_are_rejected():
    with pytest.raises(PluginError, match="size"):
        maps_of(fitted(random_images(12, 20, 26)), random_images(1, 40, 26))


def test_use_before_fit_is_rejected():
    with pytest.raises(PluginError, match="not fitted"):
        PixelGaussian().state()
