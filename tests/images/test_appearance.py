"""Brightness, sharpness and position of pictures with known changes."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from segad_core.images.appearance import SIDE, Look, look, quantities, usual_profiles


def part(down: float = 0.0, across: float = 0.0, height: int = 128, width: int = 192) -> NDArray[np.uint8]:
    """A textured disc on an even ground, displaced by shares of the sides."""
    y, x = np.mgrid[:height, :width]
    y, x = y / height - 0.5 - down, x / width - 0.5 - across
    disc = 90 + 40 * np.sin(40 * x) * np.sin(33 * y)
    grey = np.where(x**2 + y**2 < 0.05, disc + 60, 40.0)
    return np.repeat(grey.round().astype(np.uint8)[..., None], 3, axis=2)


def measured(pixels: NDArray[np.uint8], usual: NDArray[np.uint8] | None = None) -> list[float]:
    reference = usual_profiles([look(part() if usual is None else usual)])
    found: list[float] = quantities([look(pixels)], reference)[0].tolist()
    return found


def test_brightness_is_the_mean_luminance() -> None:
    pixels = np.zeros((4, 6, 3), np.uint8)
    pixels[:2] = (200, 100, 50)
    assert look(pixels).brightness == pytest.approx((0.299 * 200 + 0.587 * 100 + 0.114 * 50) / 2)


def test_sharpness_falls_with_blur_and_not_with_light() -> None:
    sharp = look(part()).sharpness
    blurred = [look(ndimage.gaussian_filter(part(), (r, r, 0))).sharpness for r in (0.5, 1.0, 2.0)]
    assert sharp > blurred[0] > blurred[1] > blurred[2] > 0
    assert blurred[1] < 0.6 * sharp
    assert look((part() * 0.5).astype(np.uint8)).sharpness == pytest.approx(sharp, rel=0.03)


def test_white_noise_has_the_sharpness_one() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 1), np.uint8).repeat(3, axis=2)
    assert look(noise).sharpness == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("down", [-0.2, -0.03, 0.0, 0.011, 0.1])
@pytest.mark.parametrize("across", [-0.1, 0.0, 0.05])
def test_position_is_the_displacement(down: float, across: float) -> None:
    found = measured(part(down, across))
    assert found[2:] == pytest.approx([100 * across, 100 * down], abs=0.35)


def test_position_does_not_depend_on_light_or_size() -> None:
    for change in ((part(0.05) * 0.5).astype(np.uint8), part(0.05, height=64, width=96)):
        assert measured(change)[2:] == pytest.approx([0, 5], abs=1.0)


@pytest.mark.parametrize("grey", [0, 7, 255])
@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (3, 300), (16, 16), (200, 130)])
def test_pictures_that_show_nothing(grey: int, shape: tuple[int, int]) -> None:
    flat = np.full((*shape, 3), grey, np.uint8)
    assert measured(flat) == pytest.approx([grey, 0, 0, 0], abs=1e-4)
    assert measured(part(), flat)[2:] == [0, 0]


def test_the_usual_profiles_are_the_mean() -> None:
    looks = [look(part()), look(part(0.1))]
    assert usual_profiles(looks).shape == (2, SIDE)
    np.testing.assert_allclose(usual_profiles(looks), (looks[0].profiles + looks[1].profiles) / 2)
    assert isinstance(looks[0], Look)


def test_many_pictures_at_once_have_the_quantities_of_each() -> None:
    looks = [look(part(0.01 * n, -0.02 * n)) for n in range(4)] + [look(np.zeros((9, 9, 3), np.uint8))]
    reference = usual_profiles(looks[:2])
    each = [quantities([one], reference)[0] for one in looks]
    np.testing.assert_allclose(quantities(looks, reference), each, atol=1e-9)


# ---- what is ignored ----


def by_hand(
    pixels: NDArray[np.uint8], ignored: NDArray[np.bool_]
) -> tuple[float, float, NDArray[np.float64]]:
    """Brightness, sharpness and profiles, pixel by pixel, as their definitions say."""
    grey = pixels.astype(float) @ [0.299, 0.587, 0.114]
    height, width = grey.shape
    inside = grey[~ignored]
    edges = [
        4 * grey[y, x] - sum(grey[v, u] for v, u in around)
        for y in range(1, height - 1, 2)
        for x in range(1, width - 1)
        for around in [[(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]]
        if not any(ignored[place] for place in [(y, x), *around])
    ]
    sharpness = float(np.std(edges) / inside.std() / np.sqrt(20)) if edges else 0.0
    profiles = []
    for length, columns in ((width, grey.T), (height, grey)):
        seen = ~ignored.T if columns is not grey else ~ignored
        cells = np.full(SIDE, np.nan)
        for cell in range(SIDE):
            begin, end = cell * length / SIDE, (cell + 1) * length / SIDE
            shares = [max(0.0, min(end, i + 1) - max(begin, i)) for i in range(length)]
            count = sum(share * seen[i].sum() for i, share in enumerate(shares))
            if count > 0:
                total = sum(share * columns[i][seen[i]].sum() for i, share in enumerate(shares))
                cells[cell] = total / count
        profiles.append(np.nan_to_num((cells - np.nanmean(cells)) / np.nanstd(cells)))
    return float(inside.mean()), sharpness, np.stack(profiles)


@pytest.mark.parametrize(("height", "width"), [(7, 12), (20, 9)])
@pytest.mark.parametrize("share", [0.0, 0.2, 0.6])
def test_only_what_is_inspected_counts(height: int, width: int, share: float) -> None:
    rng = np.random.default_rng([height, int(10 * share)])
    pixels = rng.integers(0, 256, (height, width, 3), np.uint8)
    ignored = rng.random((height, width)) < share
    ignored[:, 2] = share > 0  # a column where nothing counts
    found, expected = look(pixels, ignored), by_hand(pixels, ignored)
    assert (found.brightness, found.sharpness) == pytest.approx(expected[:2], rel=1e-5)
    np.testing.assert_allclose(found.profiles, expected[2], atol=1e-4)
    if not share:
        plain = look(pixels)
        assert (plain.brightness, plain.sharpness) == pytest.approx(expected[:2], rel=1e-5)
        np.testing.assert_allclose(plain.profiles, expected[2], atol=1e-4)


def test_what_stands_where_nothing_is_inspected_changes_nothing() -> None:
    ignored = np.zeros((128, 192), np.bool_)
    ignored[:50, 30:90] = True
    for fill in (0, 128, 255, np.random.default_rng(1).integers(0, 256, (50, 60, 3), np.uint8)):
        pixels = part()
        pixels[:50, 30:90] = fill
        found, expected = look(pixels, ignored), look(part(), ignored)
        assert (found.brightness, found.sharpness) == (expected.brightness, expected.sharpness)
        np.testing.assert_array_equal(found.profiles, expected.profiles)


def test_a_grey_margin_hides_no_light_no_blur_and_no_shift() -> None:
    """Half of the picture is ignored, and grey; when that counted, light changed by half, and so did blur."""
    ignored = np.zeros((128, 384), np.bool_)
    ignored[:, 192:] = True

    def beside(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.concatenate([pixels, np.full_like(pixels, 128)], axis=1)

    reference = usual_profiles([look(beside(part()), ignored)])
    dark = look(beside((part() * 0.7).astype(np.uint8)), ignored)
    assert dark.brightness == pytest.approx(look((part() * 0.7).astype(np.uint8)).brightness)
    assert look(beside(part()), ignored).sharpness == pytest.approx(look(part()).sharpness, rel=1e-3)
    (shifted,) = quantities([look(beside(part(0.04, 0.06)), ignored)], reference).tolist()
    assert shifted[2:] == pytest.approx([3, 4], abs=0.5)  # hundredths of the whole width


def test_a_picture_of_which_nothing_is_inspected() -> None:
    found = look(part(), np.ones((128, 192), np.bool_))
    assert (found.brightness, found.sharpness) == (0, 0) and not found.profiles.any()
