"""What detectors do to their maps at the end, against SciPy and plain interpolation in float64."""

import numpy as np
import plain
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from segad_core.errors import PluginError
from segad_plugins.detectors.maps import Border, check_blur, gaussian_blur, upsample

SCIPY_MODE: dict[Border, str] = {"reflect": "mirror", "symmetric": "reflect"}


def random_maps(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(1, 5, shape).astype(np.float32)


def blurred(maps: NDArray[np.float32], sigma: float, border: Border) -> NDArray[np.float32]:
    return gaussian_blur(torch.from_numpy(maps), sigma, border).numpy()


@pytest.mark.parametrize("border", SCIPY_MODE)
@settings(deadline=None, max_examples=40)
@given(
    st.sampled_from([0.1, 0.3, 0.9, 1.2, 2.1, 4.0]),
    st.integers(17, 60),
    st.integers(17, 60),
    st.integers(0, 99),
)
def test_blur_is_scipys(border: Border, sigma: float, height: int, width: int, seed: int) -> None:
    maps = random_maps(2, height, width, seed=seed)
    expected = gaussian_filter(maps.astype(np.float64), sigma, mode=SCIPY_MODE[border], axes=(1, 2))
    np.testing.assert_allclose(blurred(maps, sigma, border), expected, rtol=1e-5)


@pytest.mark.parametrize("border", SCIPY_MODE)
def test_smallest_size_that_is_let_pass_is_blurred_as_scipy_does(border: Border) -> None:
    check_blur("me", 4.0, (17, 17))
    maps = random_maps(1, 17, 17)
    expected = gaussian_filter(maps[0].astype(np.float64), 4.0, mode=SCIPY_MODE[border])
    np.testing.assert_allclose(blurred(maps, 4.0, border)[0], expected, rtol=1e-5)


def test_borders_differ_within_the_radius_alone() -> None:
    maps = random_maps(1, 70, 80)
    apart = blurred(maps, 4.0, "reflect") != blurred(maps, 4.0, "symmetric")
    assert not apart[0, 16:-16, 16:-16].any()
    assert apart[0, 0].mean() > 0.9


def test_default_border_is_a_mirror_without_the_edge() -> None:
    maps = random_maps(1, 40, 40)
    np.testing.assert_array_equal(gaussian_blur(torch.from_numpy(maps), 4.0), blurred(maps, 4.0, "reflect"))


def test_a_point_becomes_the_normalised_kernel_of_33_by_33() -> None:
    point = np.zeros((1, 65, 67), np.float32)
    point[0, 32, 33] = 1
    taps = np.exp(-(np.arange(-16, 17) ** 2) / 32.0)
    taps /= taps.sum()
    for border in SCIPY_MODE:
        found = blurred(point, 4.0, border)[0]
        np.testing.assert_allclose(found[16:49, 17:50], np.outer(taps, taps), rtol=1e-5)
        found[16:49, 17:50] = 0
        assert not found.any()


@pytest.mark.parametrize("border", SCIPY_MODE)
def test_blur_keeps_constants_and_its_input(border: Border) -> None:
    maps = np.full((2, 30, 20), -2.5, np.float32)
    np.testing.assert_allclose(blurred(maps, 4.0, border), -2.5, rtol=1e-6)
    assert (maps == -2.5).all()


@pytest.mark.parametrize("side", [1, 16])
@pytest.mark.parametrize("turned", [False, True])
def test_images_no_larger_than_the_radius_are_refused(side: int, turned: bool) -> None:
    size = (40, side) if turned else (side, 40)
    with pytest.raises(PluginError) as caught:
        check_blur("somebody", 4.0, size)
    assert caught.value.what.startswith("somebody: ")
    assert "more than 16 pixels" in caught.value.what and f"has {side}" in caught.value.what
    assert "blur_sigma" in caught.value.remedy and "image.size" in caught.value.remedy


# ---- the other size ----


SIZES = [((4, 3), (16, 12)), ((5, 7), (13, 40)), ((1, 2), (9, 5)), ((8, 8), (8, 8)), ((4, 6), (64, 96))]


@pytest.mark.parametrize("corners", [False, True])
@pytest.mark.parametrize(("old", "new"), SIZES)
def test_bilinear_upsampling(old: tuple[int, int], new: tuple[int, int], corners: bool) -> None:
    maps = random_maps(2, *old)
    found = upsample(torch.from_numpy(maps), new, align_corners=corners).numpy()
    np.testing.assert_allclose(found, plain.resized(maps.astype(np.float64), new, corners), rtol=1e-5)


def test_bilinear_without_aligned_corners_is_the_default() -> None:
    maps = torch.from_numpy(random_maps(1, 4, 5))
    torch.testing.assert_close(
        upsample(maps, (9, 9)), upsample(maps, (9, 9), "bilinear", False), rtol=0, atol=0
    )
    assert not torch.equal(upsample(maps, (9, 9)), upsample(maps, (9, 9), align_corners=True))


@pytest.mark.parametrize("corners", [False, True])
def test_nearest_upsampling_repeats_pixels(corners: bool) -> None:
    maps = random_maps(2, 4, 6)
    found = upsample(torch.from_numpy(maps), (32, 48), "nearest", corners).numpy()
    np.testing.assert_array_equal(found, np.kron(maps, np.ones((1, 8, 8), np.float32)))
    rows, columns = np.arange(10) * 4 // 10, np.arange(13) * 6 // 13
    uneven = upsample(torch.from_numpy(maps), (10, 13), "nearest").numpy()
    np.testing.assert_array_equal(uneven, maps[:, rows][:, :, columns])
