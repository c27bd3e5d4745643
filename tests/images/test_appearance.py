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
    return quantities(look(pixels), reference)


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
