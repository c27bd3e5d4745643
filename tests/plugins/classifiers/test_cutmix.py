"""CutMix: one rectangle changes, of a drawn size, to another part of the image in slightly other colours."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from segad_plugins.classifiers.cutmix import CutMix

PLAIN = CutMix(jitter=0.0)


def numbered(height: int, width: int) -> NDArray[np.uint8]:
    """Every pixel tells its place, in colours that rounding to 0 or 255 leaves alone."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows, columns, 7 * rows % 5 + columns // 256], axis=-1).astype(np.uint8)


def changed(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> tuple[slice, slice]:
    """The smallest rectangle outside of which nothing has changed."""
    rows, columns = np.nonzero((before != after).any(axis=2))
    return slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)


def patches(cutmix: CutMix, size: tuple[int, int], seeds: int) -> list[tuple[int, int]]:
    """Height and width of the patches of so many seeds."""
    image, found = numbered(*size), []
    for seed in range(seeds):
        rows, columns = changed(image, cutmix(image, np.random.default_rng(seed)))
        found.append((rows.stop - rows.start, columns.stop - columns.start))
    return found


@pytest.mark.parametrize("size", [(128, 128), (100, 150)])
def test_areas_and_aspects_are_in_range_and_reach_its_ends(size: tuple[int, int]) -> None:
    found = np.array(patches(PLAIN, size, 300), np.float64)
    area, aspect = found.prod(axis=1) / (size[0] * size[1]), found[:, 1] / found[:, 0]
    room = (found + 0.5).prod(axis=1) / found.prod(axis=1)  # sides are rounded
    assert (area * room >= 0.02).all() and (area / room <= 0.15).all()
    assert (aspect * room >= 0.3).all() and (aspect / room <= 1 / 0.3).all()
    assert area.min() < 0.025 and area.max() > 0.14
    assert aspect.min() < 0.33 and aspect.max() > 3
    assert area.mean() == pytest.approx(0.085, abs=0.01)
    assert np.log(aspect).mean() == pytest.approx(0, abs=0.15)  # even in the logarithm
    assert (aspect < 1).mean() == pytest.approx(0.5, abs=0.1)


def test_ranges_are_those_asked_for() -> None:
    found = np.array(patches(CutMix((0.3, 0.3), 0.99, 0), (100, 100), 20))
    np.testing.assert_allclose(found, 30**0.5 * 10, atol=1)


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_any_size_works(height: int, width: int, seed: int) -> None:
    """However narrow: the patch stays within the image, and takes its share where pixels allow."""
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    mixed = PLAIN(image, np.random.default_rng(seed))
    assert mixed.shape == image.shape and mixed.dtype == np.uint8
    if (mixed != image).any():
        rows, columns = changed(image, mixed)
        h, w = rows.stop - rows.start, columns.stop - columns.start
        assert (h - 0.5) * (w - 0.5) <= max(1, 0.15 * height * width)


def test_the_patch_is_another_part_of_the_image() -> None:
    """Without jitter, pixel by pixel; sources and targets lie everywhere."""
    image, sources, targets = numbered(20, 30), set(), set()
    for seed in range(300):
        mixed = PLAIN(image, np.random.default_rng(seed))
        rows, columns = changed(image, mixed)
        patch = mixed[rows, columns]
        y, x = int(patch[0, 0, 0]), int(patch[0, 0, 1])
        assert (y, x) != (rows.start, columns.start)
        assert (patch == image[y : y + patch.shape[0], x : x + patch.shape[1]]).all()
        sources |= {(y, x), (y + patch.shape[0] - 1, x + patch.shape[1] - 1)}
        targets |= {(rows.start, columns.start), (rows.stop - 1, columns.stop - 1)}
    for places in (np.array(list(sources)), np.array(list(targets))):
        assert places.min(axis=0).tolist() == [0, 0] and places.max(axis=0).tolist() == [19, 29]


def test_the_given_image_stays_as_it_is() -> None:
    image = numbered(20, 30)
    image.flags.writeable = False
    mixed = CutMix()(image, np.random.default_rng(0))
    assert (image == numbered(20, 30)).all() and not np.shares_memory(mixed, image)


def test_the_generator_alone_decides() -> None:
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    first = CutMix()(image, np.random.default_rng(5))
    np.random.seed(0)  # noqa: NPY002
    assert (CutMix()(image, np.random.default_rng(5)) == first).all()
    assert (CutMix()(image, np.random.default_rng(6)) != first).any()


# ---- colours ----


def recoloured(colour: tuple[int, int, int], seed: int, jitter: float = 0.1) -> NDArray[np.uint8]:
    """What becomes of an image of one colour, where the patch is."""
    image = np.full((16, 16, 3), colour, np.uint8)
    mixed = CutMix((0.1, 0.1), jitter=jitter)(image, np.random.default_rng(seed))
    different = mixed[(mixed != image).any(axis=2)]
    assert (different == different[:1]).all()  # one colour in, one out
    return different[0] if len(different) else image[0, 0]


def test_grey_keeps_its_hue_and_changes_its_brightness_by_a_tenth_at_most() -> None:
    """The contrast of one colour is its own mean's, so that brightness alone moves grey."""
    found = np.array([recoloured((100, 100, 100), seed) for seed in range(150)], np.int64)
    assert (found == found[:, :1]).all()
    assert found.min() >= 87 and found.max() <= 110  # each of three changes rounds down
    assert found.min() <= 92 and found.max() >= 108


def test_colours_turn_their_hue_by_a_tenth_of_the_circle_at_most() -> None:
    turns = []
    for seed in range(150):
        hue, saturation, _ = colorsys.rgb_to_hsv(*recoloured((60, 120, 60), seed) / 255.0)
        turns.append(hue - 1 / 3)
        assert 0.5 * 0.8 <= saturation <= 0.5 * 1.25  # contrast changes it as well
    assert max(np.abs(turns)) <= 0.1 + 0.01  # colours are rounded
    assert min(turns) < -0.085 and max(turns) > 0.085


@pytest.mark.parametrize("amount", [0.0, 0.02, 0.3])
def test_changes_are_no_larger_than_asked_for(amount: float) -> None:
    found = np.array([recoloured((100, 100, 100), seed, amount) for seed in range(60)], np.float64)
    largest = np.abs(found - 100).max()
    assert 80 * amount <= largest <= 100 * amount + (3 if amount else 0)


def test_contrast_moves_a_patch_about_its_mean() -> None:
    """The spread of the grey values of a patch changes by more than its brightness explains."""
    image = np.full((16, 16, 3), 100, np.uint8)
    image[::2] = 140  # stripes: mean 120, a sixth to either side
    ratios = []
    for seed in range(100):
        mixed = CutMix((0.15, 0.15), 0.99)(image, np.random.default_rng(seed))
        rows, columns = changed(image, mixed)
        patch = mixed[rows, columns, 0].astype(np.float64)
        ratios.append((patch.max() - patch.min()) / (patch.max() + patch.min()) * 6)
    assert min(ratios) < 0.93 and max(ratios) > 1.07
    assert min(ratios) > 0.85 and max(ratios) < 1.15
