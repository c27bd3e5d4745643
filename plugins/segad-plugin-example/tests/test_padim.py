"""PaDiM passes segad's conformance suite, and computes what its paper says."""

import tracemalloc
from itertools import chain

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from scipy.spatial.distance import mahalanobis
from segad_plugin_example.padim import LAYERS, PaDiM, enlargement
from torch.nn.functional import interpolate

from segad_core.api import DataError, PluginError, Run
from segad_core.testing import ArrayImageSet, DetectorSuite, TinyEncoder, bad_images, good_images, image_batch

SIZE = (40, 52)  # a grid of 10 x 13; the coarser layers have 5 x 7 and 3 x 4
ENCODER = TinyEncoder()  # six channels in each layer


class TestContract(DetectorSuite):
    """segad's conformance suite, with the default parameters: all channels of the tiny encoder are kept."""

    def make(self):
        return PaDiM()


class TestContractFewDimensions(DetectorSuite):
    """The same, with a random choice of channels, and without smoothing."""

    def make(self):
        return PaDiM(PaDiM.Params(dimensions=5, blur_sigma=0))


def fitted(pixels, seed=0, batch_size=4, encoder=ENCODER, **params):
    detector = PaDiM(PaDiM.Params(**params))
    images = ArrayImageSet(pixels, encoder, LAYERS, batch_size)
    detector.fit(images, Run(np.random.SeedSequence(seed)))
    return detector


def maps_of(detector, pixels, encoder=ENCODER):
    return detector.anomaly_maps(image_batch(pixels, encoder, LAYERS))


def by_the_paper(good, new, channels, epsilon):
    """Distances (N, h, w) as the paper defines them, position by position."""

    def vectors(pixels):
        layers = [torch.from_numpy(one) for one in ENCODER.encode(pixels, LAYERS).values()]
        same_size = [interpolate(one, layers[0].shape[2:]) for one in layers]
        return torch.cat(same_size, dim=1)[:, channels].double().numpy()

    learnt, scored = vectors(good), vectors(new)
    distances = np.empty((len(new), *learnt.shape[2:]))
    for y, x in np.ndindex(learnt.shape[2:]):
        here = learnt[:, :, y, x]
        inverse = np.linalg.inv(np.cov(here.T) + epsilon * np.eye(len(channels)))
        for i in range(len(new)):
            distances[i, y, x] = mahalanobis(scored[i, :, y, x], here.mean(0), inverse)
    return distances


@pytest.mark.parametrize(("dimensions", "epsilon"), [(100, 0.01), (4, 0.01), (18, 1e-5)])
def test_maps_are_those_of_the_paper(dimensions, epsilon):
    good = good_images(12, *SIZE)
    new = np.concatenate([good_images(2, *SIZE, seed=1), bad_images(2, *SIZE, seed=2)])
    detector = fitted(good, dimensions=dimensions, epsilon=epsilon, blur_sigma=1.5)
    distances = by_the_paper(good, new, detector.channels, epsilon)
    maps = interpolate(torch.from_numpy(distances)[None], SIZE, mode="bilinear")[0]
    expected = gaussian_filter(maps.numpy(), (0, 1.5, 1.5))
    np.testing.assert_allclose(maps_of(detector, new), expected, rtol=1e-4)


def test_a_hand_computed_distance():
    """Two good images: at each position, the deviation of channel c from the mean is +d and -d.

    With one channel, the sample variance is 2 d^2, and an image that deviates by 3 d has the distance
    3 d / sqrt(2 d^2 + epsilon).
    """
    good = np.full((2, *SIZE, 3), 100, np.uint8)
    good[1] += 20
    detector = fitted(good, seed=3, dimensions=1, epsilon=0.5)
    assert detector.channels[0] % 6 < 3, "the channel drawn is a mean colour, which differs"
    d = 10 / 255
    maps = maps_of(detector, np.full((1, *SIZE, 3), 140, np.uint8))
    np.testing.assert_allclose(maps, 3 * d / np.sqrt(2 * d**2 + 0.5), rtol=1e-5)


def test_channels_are_drawn_from_the_seed_without_repetition():
    good = good_images(4, *SIZE)
    drawn = [fitted(good, seed, dimensions=9).channels.tolist() for seed in range(30)]
    assert all(len(set(one)) == 9 and one == sorted(one) for one in drawn)
    assert len({tuple(one) for one in drawn}) > 25
    assert set(chain.from_iterable(drawn)) == set(range(18)), "channels of all layers are drawn"


def test_the_batch_size_makes_no_difference():
    good, new = good_images(12, *SIZE), good_images(2, *SIZE, seed=1)
    first, second = (maps_of(fitted(good, batch_size=size), new) for size in (5, 12))
    np.testing.assert_array_equal(first, second)


def test_the_map_peaks_at_the_defect():
    new = good_images(1, 96, 128, seed=1)
    new[0, 60:68, 20:28] = 255 - new[0, 60:68, 20:28]
    (found,) = maps_of(fitted(good_images(20, 96, 128)), new)
    row, column = np.unravel_index(found.argmax(), found.shape)
    assert 56 <= row < 72 and 16 <= column < 32


def test_positions_have_statistics_of_their_own():
    """Good parts are dark on the left and bright on the right; only where they lie tells a turned one."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 20, (12, *SIZE, 3), np.uint8)
    pixels[:, :, SIZE[1] // 2 :] += 200
    detector = fitted(pixels[:10])
    good, turned = maps_of(detector, pixels[10:]).max(), maps_of(detector, pixels[10:, :, ::-1]).min()
    assert turned > 3 * good


def test_interpolation_keeps_constants_and_smoothing_spreads():
    matrix = enlargement(5, 40, 2.0)
    np.testing.assert_allclose(matrix.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(enlargement(7, 7, 0), np.eye(7))
    sharp = enlargement(5, 40, 0)
    assert 0 < matrix[:, 2].max() < sharp[:, 2].max() <= 1


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_images_are_refused_with_a_remedy(count):
    with pytest.raises(DataError, match=f"given {count}") as caught:
        fitted(good_images(2, *SIZE)[:count])
    assert "split.detectors" in caught.value.remedy


def test_images_of_another_size_are_rejected():
    with pytest.raises(PluginError, match=r"layer1\.H = 10, .* but here .*layer1\.H = 20"):
        maps_of(fitted(good_images(4, *SIZE)), good_images(1, 80, 52))


class WithWideLayer(TinyEncoder):
    """The same grids, with a channel more in one layer, so that later ones would shift."""

    def __init__(self, wide):
        super().__init__()
        self.wide = wide

    def encode(self, pixels, layers):
        found = super().encode(pixels, layers)
        first = found[self.wide][:, :1]
        return {**found, self.wide: np.concatenate([first, found[self.wide]], axis=1)}


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("dimensions", [5, 100])
def test_an_encoder_of_other_channels_is_rejected(layer, dimensions):
    detector = fitted(good_images(4, *SIZE), dimensions=dimensions)
    with pytest.raises(PluginError, match=rf"{layer}\.C = 6.*{layer}\.C = 7"):
        maps_of(detector, good_images(1, *SIZE), WithWideLayer(layer))


def test_states_of_other_dimensions_are_rejected():
    state = fitted(good_images(4, *SIZE), dimensions=5).state()
    for dimensions in (4, 9, 100):
        with pytest.raises(PluginError, match="5 channels"):
            PaDiM(PaDiM.Params(dimensions=dimensions)).restore(state)
    for wrong in (~state["kept1"], np.ones(6, bool)):
        with pytest.raises(PluginError, match="channels, but 5"):
            PaDiM(PaDiM.Params(dimensions=5)).restore({**state, "kept1": wrong})
    with pytest.raises(PluginError, match="4 dimensions"):
        few = {"mean": state["mean"][..., :4], "whitening": state["whitening"][..., :4, :4]}
        PaDiM(PaDiM.Params(dimensions=5)).restore({**state, **few})


@pytest.mark.parametrize("dimensions", [6, 18])
def test_the_estimate_is_an_upper_bound(dimensions):
    good = good_images(20, 96, 128)
    images = ArrayImageSet(good, ENCODER, LAYERS)
    shapes = {name: one.shape[1:] for name, one in images.features().items()}
    detector = PaDiM(PaDiM.Params(dimensions=dimensions))
    estimate = detector.estimate(20, (96, 128), shapes)
    tracemalloc.start()
    detector.fit(images, Run(np.random.SeedSequence(0)))
    fit = tracemalloc.get_traced_memory()[1]
    batch = image_batch(good[:8], ENCODER, LAYERS)
    batch.features()
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    detector.anomaly_maps(batch)
    scoring = tracemalloc.get_traced_memory()[1] - held
    tracemalloc.stop()
    assert estimate.state == sum(array.nbytes for array in detector.state().values())
    assert 0.3 * estimate.memory < fit < estimate.memory
    assert 0.4 * 8 * estimate.per_image < scoring < 8 * estimate.per_image
