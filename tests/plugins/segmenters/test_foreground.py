"""The segmenter `foreground` on drawn objects whose pixels are known."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from segad_core.contracts import ImageBatch, Sample
from segad_plugins.segmenters.foreground import Foreground

H, W = 120, 160
_Y, _X = np.mgrid[:H, :W]
DISC = (_X - 70) ** 2 + (_Y - 65) ** 2 < 30**2
BAR = (abs(0.8 * (_X - 80) + 0.6 * (_Y - 60)) < 55) & (abs(0.6 * (_X - 80) - 0.8 * (_Y - 60)) < 12)
TWO = ((_X - 45) ** 2 + (_Y - 60) ** 2 < 20**2) | ((_X - 115) ** 2 + (_Y - 60) ** 2 < 18**2)
CUT = (_X > 100) & (abs(_Y - 50) < 30)  # leaves the image on the right


def plain() -> np.ndarray:
    return np.full((H, W, 3), (180.0, 170.0, 160.0))


def lit_from_a_side() -> np.ndarray:
    return plain() + ((_X / W - 0.5) * 70 - (_Y / H) * 30)[..., None]


def darker_corners() -> np.ndarray:
    return plain() * (1.0 - 0.5 * ((_X / W - 0.5) ** 2 + (_Y / H - 0.5) ** 2))[..., None]


def grainy() -> np.ndarray:
    return plain() + np.random.default_rng(1).normal(0, 15, (H, W, 1))


def blotchy() -> np.ndarray:
    blotches = gaussian_filter(np.random.default_rng(2).standard_normal((H, W)), 3)
    return plain() + (8 * blotches / blotches.std())[..., None]


BACKGROUNDS = [plain, lit_from_a_side, darker_corners, grainy, blotchy]


def image(mask: np.ndarray, background: np.ndarray, colour: Sequence[float] = (90, 60, 120)) -> np.ndarray:
    drawn = np.where(mask[..., None], colour, background)
    noisy = drawn + np.random.default_rng(5).normal(0, 2, drawn.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def batch(*full: np.ndarray, size: tuple[int, int] = (H, W)) -> ImageBatch:
    """Images as on disk; the batch's own pixels show nothing, so they cannot be what is segmented."""
    samples = [Sample(str(i), Path(f"{i}.png"), 0) for i in range(len(full))]
    return ImageBatch(samples, np.zeros((len(full), *size, 3), np.uint8), load=lambda s: full[int(s.id)])


def found(pixels: np.ndarray, **params: object) -> np.ndarray:
    return Foreground(Foreground.Params.model_validate(params)).segment(batch(pixels))[0]


def overlap(labels: np.ndarray, mask: np.ndarray) -> float:
    return ((labels == 1) & mask).sum() / ((labels == 1) | mask).sum()


@pytest.mark.parametrize("background", BACKGROUNDS)
@pytest.mark.parametrize("mask", [DISC, BAR, TWO, CUT], ids=["disc", "bar", "two", "cut"])
def test_finds_objects_of_another_colour(mask: np.ndarray, background: Callable[[], np.ndarray]) -> None:
    assert overlap(found(image(mask, background())), mask) > 0.94


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_finds_nothing_where_there_is_nothing(background: Callable[[], np.ndarray]) -> None:
    images = batch(image(np.zeros((H, W), bool), background()))
    segmenter = Foreground(Foreground.Params())
    assert not segmenter.segment(images).any()
    assert "no object was found" in segmenter.quality(images)[0].doubt


def test_one_colour_without_any_noise() -> None:
    assert not found(np.full((H, W, 3), 90, np.uint8)).any()
    exact = np.where(DISC[..., None], np.uint8(255), np.uint8(0)).repeat(3, axis=-1)
    assert overlap(found(exact), DISC) > 0.97


def test_dark_and_bright_parts_are_one_object() -> None:
    pixels = image(DISC, plain())
    pixels[DISC & (_X < 65)] = 20
    pixels[DISC & (_X > 80)] = 250
    assert overlap(found(pixels), DISC) > 0.95


def test_the_same_object_in_a_larger_image() -> None:
    """Masks are of the image as on disk, whatever size the batch has."""
    large = image(DISC, plain()).repeat(5, axis=0).repeat(5, axis=1)
    images = batch(large, size=(60, 80))
    labels = Foreground(Foreground.Params()).segment(images)[0]
    assert labels.shape == (60, 80)
    assert overlap(labels, DISC[::2, ::2]) > 0.93


def test_a_finer_resolution_gives_a_finer_outline() -> None:
    wave = abs(_Y - 60) < 30 + 4 * np.sin(_X)
    mask = (wave & (abs(_X - 80) < 60)).repeat(4, axis=0).repeat(4, axis=1)
    pixels = np.where(mask[..., None], np.uint8(60), np.uint8(200)).repeat(3, axis=-1)
    images = batch(pixels, size=mask.shape)
    coarse, fine = (
        overlap(Foreground(Foreground.Params(resolution=r)).segment(images)[0], mask) for r in (80, 480)
    )
    assert fine > 0.97
    assert coarse < fine - 0.02


def test_holes_belong_to_the_object_unless_told_otherwise() -> None:
    hole = (_X - 70) ** 2 + (_Y - 65) ** 2 < 12**2
    pixels = image(DISC & ~hole, plain())
    assert overlap(found(pixels), DISC) > 0.95
    assert overlap(found(pixels, holes=False), DISC & ~hole) > 0.93


def test_small_parts_are_dropped_by_their_share_of_the_largest() -> None:
    crumb = (abs(_X - 140) < 6) & (abs(_Y - 20) < 6)  # 121 pixels, 4 % of the disc
    pixels = image(DISC | crumb, plain())
    assert not found(pixels)[crumb].any()
    assert (found(pixels, smallest_part=0.02)[crumb] == 1).mean() > 0.8


def test_an_object_too_small_is_none() -> None:
    crumb = (abs(_X - 100) < 6) & (abs(_Y - 60) < 6)  # 121 of 19200 pixels
    pixels = image(crumb, plain())
    assert overlap(found(pixels, smallest=0.003), crumb) > 0.8
    assert not found(pixels, smallest=0.01).any()


def test_a_given_distance_divides_object_from_background() -> None:
    pixels = image(DISC, plain(), (168, 158, 148))  # 12 levels from the background, of 2 levels of noise
    assert overlap(found(pixels, distance=4), DISC) > 0.9
    assert not found(pixels, distance=15).any()


def test_shading_is_what_lets_the_background_change() -> None:
    """The object is grey as the background is elsewhere: only its place tells it."""
    side, corners = (_X / W - 0.5)[..., None], ((_X / W - 0.5) ** 2 + (_Y / H - 0.5) ** 2)[..., None]
    for degree, light in ((1, 80 * side), (2, -110 * corners)):
        background = 180 + light + np.zeros((H, W, 3))
        pixels = image(DISC, background, (150, 150, 150))
        assert overlap(found(pixels, shading=degree), DISC) > 0.94
        assert overlap(found(pixels, shading=degree - 1), DISC) < 0.7


def test_neighbours_change_nothing() -> None:
    pixels = [image(DISC, plain()), image(BAR, grainy()), image(TWO, lit_from_a_side())]
    segmenter = Foreground(Foreground.Params())
    together = segmenter.segment(batch(*pixels))
    turned = segmenter.segment(batch(*pixels[::-1]))
    np.testing.assert_array_equal(together, turned[::-1])
    for one, labels in zip(pixels, together, strict=True):
        np.testing.assert_array_equal(segmenter.segment(batch(one))[0], labels)


def test_components_are_laid_on_an_object_found_by_colour(tmp_path: Path) -> None:
    bar, chip = (abs(_X - 80) < 50) & (abs(_Y - 60) < 20), (abs(_X - 50) < 8) & (abs(_Y - 55) < 8)
    notched = bar & ~((_X > 110) & (_Y < 55))  # so that a half turn can be told
    Image.fromarray(np.where(chip, 2, notched).astype(np.uint8)).save(tmp_path / "bar.png")
    given = {"components": tmp_path / "bar.png", "segments": ["background", "bar", "chip"]}
    turned = np.rot90(image(notched, plain()), 2)
    labels = found(turned, **given)
    chip = np.rot90(chip, 2)
    assert ((labels == 2) & chip).sum() / ((labels == 2) | chip).sum() > 0.8
