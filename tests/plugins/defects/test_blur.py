"""The defect `blur`: scipy's blur inside a region, nothing outside; regions by hand."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy.ndimage import gaussian_filter

from segad_core.errors import DataError
from segad_plugins.defects.blur import Blur

Pixels = NDArray[np.uint8]
CHECKS = np.repeat((np.indices((60, 80)).sum(axis=0) % 2 * 255).astype(np.uint8)[..., None], 3, axis=2)
"""Black and white pixels in turn: every one changes when it is blurred."""
EVERYWHERE = np.zeros((60, 80), np.uint8)


def _blur(pixels: Pixels, segments: Pixels, seed: int = 0, **params: Any) -> Pixels:
    generator = Blur(Blur.Params.model_validate(params))
    return generator.apply(pixels, segments, np.random.default_rng(seed))


def _region(seed: int, segments: Pixels = EVERYWHERE, **params: Any) -> NDArray[np.bool_]:
    return (_blur(CHECKS, segments, seed, **params) != CHECKS).any(axis=2)


def _slow_blur(pixels: Pixels, sigma: float) -> NDArray[np.float64]:
    """Rows and columns weighted by exp(-d^2 / 2 sigma^2), d to 4 sigma; mirrored at the image's edges."""
    reach = int(4 * sigma + 0.5)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    weights /= weights.sum()
    height, width = pixels.shape[:2]
    wide = np.pad(pixels.astype(np.float64), ((reach, reach), (reach, reach), (0, 0)), mode="symmetric")
    down = sum(w * wide[i : i + height] for i, w in enumerate(weights))
    return sum(w * down[:, i : i + width] for i, w in enumerate(weights))


@pytest.mark.parametrize("sigma", [0.8, 2.0, 3.3])
def test_a_segment_shows_the_blurred_image_and_the_rest_the_sharp_one(sigma: float) -> None:
    """Against sums by hand and scipy, on colours; sigma is a share of the shorter side, here 40 pixels."""
    pixels = np.random.default_rng(2).integers(0, 256, (40, 64, 3), dtype=np.uint8)
    segments = np.full((40, 64), 255, np.uint8)
    segments[8:31, 11:50] = 4
    image = _blur(pixels, segments, sigma=(sigma / 40, sigma / 40), whole=1)
    inside = segments == 4
    np.testing.assert_array_equal(image[~inside], pixels[~inside])
    slow = _slow_blur(pixels, sigma)
    assert np.abs(image[inside] - slow[inside]).max() <= 0.5 + 1e-9
    for channel in range(3):
        expected = np.rint(gaussian_filter(pixels[..., channel].astype(np.float64), sigma))
        np.testing.assert_array_equal(image[..., channel][inside], expected[inside])


def test_a_step_is_blurred_as_by_hand() -> None:
    """0 | 200 with sigma 1: beside the step what lies beyond it in a kernel of 9 weights."""
    pixels = np.zeros((100, 100, 3), np.uint8)
    pixels[:, 50:] = 200
    weights = [1.0, 0.60653066, 0.13533528, 0.011108997, 0.00033546263]  # exp(-d^2 / 2)
    whole = weights[0] + 2 * sum(weights[1:])
    expected = [round(200 * sum(weights[d:]) / whole) for d in (4, 3, 2, 1)]
    assert expected == [0, 1, 12, 60]
    image = _blur(pixels, np.zeros((100, 100), np.uint8), sigma=(0.01, 0.01), whole=1)
    np.testing.assert_array_equal(image[17, 46:50, 1], expected)
    np.testing.assert_array_equal(image[17, 50:54, 1], [200 - v for v in reversed(expected)])


def test_sigma_is_drawn_between_its_bounds() -> None:
    """Read off a dot: what stays of its brightness is the squared middle weight of the kernel."""
    pixels = np.zeros((100, 100, 3), np.uint8)
    pixels[50, 50] = 255
    stays = [
        _blur(pixels, np.zeros((100, 100), np.uint8), s, sigma=(0.01, 0.02))[50, 50, 0] for s in range(60)
    ]
    sharpest, softest = (_slow_blur(pixels, sigma)[50, 50, 0] for sigma in (1, 2))
    assert softest - 0.5 <= min(stays) < softest + 2
    assert sharpest - 4 < max(stays) <= sharpest + 0.5


def test_whole_segments_where_parts_have_probability_zero() -> None:
    segments = np.zeros((60, 80), np.uint8)
    segments[:, 50:] = 1
    for seed in range(20):
        region = _region(seed, segments, whole=1)
        np.testing.assert_array_equal(region, segments == segments[region][0])


@pytest.mark.parametrize(("whole", "least", "most"), [(0.0, 0, 0), (0.3, 65, 115), (1.0, 300, 300)])
def test_whole_is_the_probability_of_a_whole_segment(whole: float, least: int, most: int) -> None:
    """Of 300 seeds; bounds for 0.3 are three standard deviations."""
    assert least <= sum(bool(_region(seed, whole=whole).all()) for seed in range(300)) <= most


def test_a_part_is_a_disc_clipped_to_the_segment() -> None:
    """Of a known diameter, 0.4 of 60 pixels, around some pixel of the segment."""
    segments = np.zeros((60, 80), np.uint8)
    segments[20:, 33:] = 1
    rows, columns = np.indices((60, 80))
    for seed in range(12):
        region = _region(seed, segments, whole=0, part=(0.4, 0.4))
        segment = segments == segments[region][0]
        discs = (
            ((rows - y) ** 2 + (columns - x) ** 2 <= 12**2) & segment
            for y, x in np.argwhere(region & segment)
        )
        assert any(np.array_equal(disc, region) for disc in discs)


def test_parts_keep_within_their_sizes_and_reach_both_ends() -> None:
    """Diameters of discs that no edge clips, from their areas; 0.1 to 0.5 of 60 pixels."""
    found = []
    for seed in range(250):
        region = _region(seed, whole=0, part=(0.1, 0.5))
        rows, columns = np.nonzero(region)
        assert np.ptp(rows) <= 30 and np.ptp(columns) <= 30
        if not (region[[0, -1]].any() or region[:, [0, -1]].any()):
            found.append(2 * np.sqrt(region.sum() / np.pi))
    assert len(found) > 80
    assert 5 < min(found) < 9 and 26 < max(found) < 31


def test_an_even_image_is_refused() -> None:
    pixels = np.full((60, 80, 3), 90, np.uint8)
    with pytest.raises(DataError, match=r"^defect blur: .* blur of up to 1\.8 pixels changes none"):
        _blur(pixels, EVERYWHERE)


def test_an_even_segment_is_passed_over_for_another() -> None:
    pixels = np.full((60, 80, 3), 90, np.uint8)
    segments = np.zeros((60, 80), np.uint8)
    segments[:, 40:] = 1
    pixels[:, 60:] = CHECKS[:, 60:]
    for seed in range(12):
        changed = (_blur(pixels, segments, seed) != pixels).any(axis=2)
        assert changed.any() and not changed[:, :40].any()
    with pytest.raises(DataError, match="changes none of its segments by 8 grey levels"):
        _blur(pixels, segments, labels=[0])


def test_where_the_sigma_drawn_shows_nothing_the_largest_is_taken() -> None:
    """A wave of 60 pixels, hardly touched by a small sigma, against all of one by the largest."""
    wave = 128 + 100 * np.cos(2 * np.pi * np.arange(240) / 60)
    pixels = np.repeat(np.broadcast_to(wave, (60, 240))[..., None], 3, axis=2).astype(np.uint8)
    segments, sigma = np.zeros((60, 240), np.uint8), (0.001, 0.2)
    largest = np.rint(_slow_blur(pixels, 12.0))
    assert np.abs(largest - pixels).max() > 40
    images = [_blur(pixels, segments, s, sigma=sigma, visible=40, whole=1) for s in range(12)]
    as_largest = [np.array_equal(image, largest) for image in images]
    assert 0 < sum(as_largest) <= 12
    assert all(np.abs(i.astype(int) - pixels).max() >= 40 for i in images)


@pytest.mark.parametrize("whole", [-0.1, 1.1])
def test_a_probability_is_one(whole: float) -> None:
    with pytest.raises(ValidationError, match="whole"):
        Blur.Params(whole=whole)
