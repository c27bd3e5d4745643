"""The defect `rectangle`: one grey, straight sides of the sizes asked for, cut off at the segment's edge."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy.ndimage import label

from segad_core.errors import DataError
from segad_plugins.defects.rectangle import Rectangle

Pixels = NDArray[np.uint8]
RED = np.zeros((100, 140, 3), np.uint8)
RED[..., 0] = 200
"""An image in which every pixel of a grey rectangle is a change."""
EVERYWHERE = np.zeros((100, 140), np.uint8)


def _apply(seed: int, segments: Pixels = EVERYWHERE, pixels: Pixels = RED, **params: Any) -> Pixels:
    generator = Rectangle(Rectangle.Params.model_validate(params))
    return generator.apply(pixels, segments, np.random.default_rng(seed))


def _region(seed: int, segments: Pixels = EVERYWHERE, **params: Any) -> NDArray[np.bool_]:
    return (_apply(seed, segments, **params) != RED).any(axis=2)


def _extents(region: NDArray[np.bool_]) -> tuple[float, float, float]:
    """Length and thickness between pixel centres, and direction in degrees, of the smallest box around it."""
    points = np.argwhere(region).astype(np.float64)
    best = (np.inf, 0.0, 0.0, 0.0)
    for degrees in np.arange(0, 180, 0.5):
        fold = np.deg2rad(degrees)
        along = np.ptp(points @ [np.sin(fold), np.cos(fold)])
        across = np.ptp(points @ [np.cos(fold), -np.sin(fold)])
        if along >= across:
            best = min(best, ((along + 1) * (across + 1), along, across, degrees))
    return best[1:]


def _unclipped(seeds: int, **params: Any) -> list[NDArray[np.bool_]]:
    regions = [_region(seed, **params) for seed in range(seeds)]
    return [r for r in regions if not (r[[0, -1]].any() or r[:, [0, -1]].any())]


@pytest.mark.parametrize(("length", "thickness"), [(40, 6), (25, 1.5), (12, 10)])
def test_length_and_thickness_are_shares_of_the_shorter_side(length: float, thickness: float) -> None:
    """Measured on the changed pixels: never more, and less by what whole pixels cost."""
    share = {"length": (length / 100,) * 2, "thickness": (thickness / 100,) * 2}
    regions = _unclipped(40, **share)
    assert len(regions) >= 12
    for region in regions:
        along, across, _ = _extents(region)
        assert length - 2.1 <= along <= length + 0.3
        assert thickness - 2.1 <= across <= thickness + 0.3
        assert region.sum() == pytest.approx(length * thickness, rel=0.4)
    areas = np.mean([region.sum() for region in regions])
    assert areas == pytest.approx(length * thickness, rel=0.15)


def test_clipped_or_not_it_is_never_larger_than_asked_for() -> None:
    for seed in range(60):
        along, across, _ = _extents(_region(seed, length=(0.1, 0.3), thickness=(0.02, 0.05)))
        assert along <= 30.3 and across <= 5.3


def test_sizes_reach_both_ends_of_their_ranges() -> None:
    found = [_extents(r)[:2] for r in _unclipped(120, length=(0.1, 0.4), thickness=(0.02, 0.08))]
    lengths, thicknesses = np.array(found).T
    assert 8 < lengths.min() < 15 and 33 < lengths.max() < 40.3
    assert thicknesses.min() < 3 and 5.5 < thicknesses.max() < 8.3


def test_all_directions_occur() -> None:
    degrees = [_extents(r)[2] for r in _unclipped(120, length=(0.3, 0.3), thickness=(0.02, 0.02))]
    counts, _ = np.histogram(degrees, bins=4, range=(0, 180))
    assert len(degrees) > 60 and counts.min() > len(degrees) / 10


def test_the_thinnest_is_a_line_without_gaps() -> None:
    for region in _unclipped(30, length=(0.3, 0.3), thickness=(0.0001, 0.0001)):
        _, count = label(region, np.ones((3, 3)))
        along, across, _ = _extents(region)
        assert count == 1 and along > 27 and across <= 1.3


def test_sides_are_straight_and_nothing_inside_is_missing() -> None:
    """The region is all pixels of some rectangle: each pixel within the hull of the others is there."""
    for region in _unclipped(15, length=(0.3, 0.3), thickness=(0.1, 0.1)):
        _, _, degrees = _extents(region)
        fold = np.deg2rad(degrees)
        rows, columns = np.indices(region.shape)
        along = rows * np.sin(fold) + columns * np.cos(fold)
        across = rows * np.cos(fold) - columns * np.sin(fold)
        inner = (along > along[region].min() + 1) & (along < along[region].max() - 1)
        inner &= (across > across[region].min() + 1) & (across < across[region].max() - 1)
        assert inner.sum() > 150 and region[inner].all()


def test_it_is_cut_off_where_the_segment_ends() -> None:
    """The same seed on the same label: with a smaller segment only what lies within it."""
    stripes = (np.indices((100, 140))[0] // 10 % 2).astype(np.uint8)
    for seed in range(30):
        region = _region(seed, stripes, length=(0.6, 0.6), thickness=(0.1, 0.1))
        assert len(np.unique(stripes[region])) == 1
    holes = np.zeros((100, 140), np.uint8)
    holes[::2, ::2] = 255
    for seed in range(10):
        region = _region(seed, holes, length=(0.3, 0.3), thickness=(0.1, 0.1))
        assert not region[::2, ::2].any() and region.sum() == pytest.approx(0.75 * 300, rel=0.6)


def test_the_rectangle_is_one_grey_of_the_range() -> None:
    greys = []
    for seed in range(150):
        image = _apply(seed, darkest=40, brightest=90)
        colours = np.unique(image[(image != RED).any(axis=2)], axis=0)
        assert len(colours) == 1 and len(set(colours[0].tolist())) == 1
        greys.append(int(colours[0, 0]))
    assert 40 <= min(greys) < 45 and 85 < max(greys) <= 90 and len(set(greys)) > 35


def test_by_default_all_greys_occur() -> None:
    image_greys = [_apply(seed)[_region(seed)][0, 0] for seed in range(200)]
    counts, _ = np.histogram(image_greys, bins=4, range=(0, 256))
    assert counts.min() > 30


def test_a_grey_that_would_not_show_is_not_chosen() -> None:
    pixels = np.full((100, 140, 3), 100, np.uint8)
    images = [_apply(seed, pixels=pixels, darkest=85, brightest=121, visible=20) for seed in range(30)]
    assert {tuple(np.unique(image)) for image in images} == {(100, 120), (100, 121)}
    with pytest.raises(DataError, match=r"^defect rectangle: no grey from 90 to 110 differs by 20 levels"):
        _apply(0, pixels=pixels, darkest=90, brightest=110)


def test_each_pixel_of_a_segment_can_be_the_centre() -> None:
    """A rectangle of one pixel goes anywhere."""
    segments = np.full((100, 140), 255, np.uint8)
    segments[40:42, 70:73] = 1
    seen = np.zeros((100, 140), int)
    for seed in range(120):
        region = _region(seed, segments, length=(0.001, 0.001), thickness=(0.001, 0.001))
        assert region.sum() == 1
        seen += region
    assert seen[segments == 1].min() > 5


def test_greys_in_order() -> None:
    with pytest.raises(ValidationError, match="'darkest', 9, is greater than 'brightest', 8"):
        Rectangle.Params(darkest=9, brightest=8)
