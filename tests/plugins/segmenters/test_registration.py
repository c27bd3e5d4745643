"""Registration against known motions; warping and the fit against plain loops and hand-counted pixels."""

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from segad_plugins.segmenters.registration import _sizes, _stretch, register, resized, warp

SIZE = (180, 200)
_Y, _X = np.mgrid[:120, :150]
BOARD = (abs(_X - 74) <= 45) & (abs(_Y - 59) <= 25)
KEY = (BOARD & ~((_X < 55) & (_Y > 65))) | (
    (_X - 120) ** 2 + (_Y - 50) ** 2 < 15**2
)  # like no rotation of it
CORNERS = np.array([[30, 35, 1], [130, 35, 1], [30, 85, 1], [130, 85, 1]], np.float64)


def motion(degrees: float, scale: float = 1.0, shift: tuple[float, float] = (0, 0), shear: float = 0.0):
    """The matrix that turns, scales and shears about (75, 60), and moves that point to (100, 90) + shift."""
    a = math.radians(degrees)
    linear = scale * np.array([[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]])
    linear = linear @ np.array([[1, shear], [0, 1]])
    return np.column_stack([linear, np.add((100, 90), shift) - linear @ (75, 60)])


def by_loop(labels: np.ndarray, matrix: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Labels under a motion, pixel by pixel: what was drawn where the pixel's centre comes from."""
    image = np.zeros(size, labels.dtype)
    for y in range(size[0]):
        for x in range(size[1]):
            u, v = np.linalg.solve(matrix[:, :2], (x, y) - matrix[:, 2])
            column, row = math.floor(u + 0.5), math.floor(v + 0.5)
            if 0 <= row < labels.shape[0] and 0 <= column < labels.shape[1]:
                image[y, x] = labels[row, column]
    return image


def moved(shape: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return warp(shape.astype(np.uint8), matrix, SIZE) > 0


def error(found: np.ndarray, true: np.ndarray) -> float:
    """How far the corners come to lie from where they should, at most, in pixels."""
    return float(np.hypot(*((found - true) @ CORNERS.T)).max())


def turn(matrix: np.ndarray) -> float:
    return math.degrees(math.atan2(matrix[1, 0] - matrix[0, 1], matrix[0, 0] + matrix[1, 1]))


def blobs(rng: np.random.Generator) -> np.ndarray:
    """Where smooth noise is high: an object of one or more parts, also cut by the edge."""
    noise = gaussian_filter(rng.normal(size=(40, 48)), rng.uniform(2, 6))
    return noise > np.quantile(noise, rng.uniform(0.6, 0.97))


@settings(max_examples=20, deadline=None)
@given(st.floats(-170, 170), st.floats(0.7, 1.4), st.tuples(st.floats(-12, 12), st.floats(-8, 8)))
@example(-170, 0.7, (12, -8))
@example(90, 1.4, (-12, 8))
@example(0, 1, (0, 0))
def test_recovers_shift_rotation_and_scale(degrees: float, scale: float, shift: tuple[float, float]) -> None:
    true = motion(degrees, scale, shift)
    mask = moved(KEY, true)
    found, fit = register(KEY, mask)
    assert error(found, true) < 0.8
    assert fit > 0.98


@settings(max_examples=12, deadline=None)
@given(st.floats(-170, 170), st.floats(0.8, 1.2), st.floats(-0.3, 0.3))
@example(135, 1.1, 0.3)
def test_recovers_an_affine_motion(degrees: float, scale: float, shear: float) -> None:
    true = motion(degrees, scale, (3, -4), shear)
    found, fit = register(KEY, moved(KEY, true), "affine")
    assert error(found, true) < 1.0
    assert fit > 0.98


def test_a_similarity_keeps_angles_and_an_affine_motion_need_not() -> None:
    mask = moved(KEY, motion(20, 1, (0, 0), 0.3))
    rigid, less = register(KEY, mask)
    free, more = register(KEY, mask, "affine")
    gram = rigid[:, :2].T @ rigid[:, :2]
    assert gram[0, 1] == pytest.approx(0, abs=1e-9) and gram[0, 0] == pytest.approx(gram[1, 1])
    assert abs((free[:, :2].T @ free[:, :2])[0, 1]) > 0.1
    assert more > less + 0.02


@pytest.mark.parametrize("kind", ["similarity", "affine"])
@pytest.mark.parametrize(("degrees", "expected"), [(170, -10), (-95, 85), (60, 60), (180, 0)])
def test_half_a_turn_of_a_board_is_none(kind: str, degrees: float, expected: float) -> None:
    found, fit = register(BOARD, moved(BOARD, motion(degrees)), kind)
    assert turn(found) == pytest.approx(expected, abs=0.5)
    assert np.linalg.cond(found[:, :2]) < 1.05  # not a quarter turn and a stretch either
    assert fit > 0.97


def test_a_round_part_is_hardly_turned() -> None:
    disc = (_X - 75) ** 2 + (_Y - 60) ** 2 < 30**2
    for degrees in (130, -80, 45):
        assert abs(turn(register(disc, moved(disc, motion(degrees, 1.2)))[0])) < 15


@pytest.mark.parametrize("kind", ["similarity", "affine"])
def test_no_rotation_beyond_the_most(kind: str) -> None:
    mask = moved(KEY, motion(40))
    for most in (0, 15, 30):
        found, fit = register(KEY, mask, kind, most)
        assert abs(turn(found)) <= most + 1e-6
        assert fit < 0.95
    found, fit = register(KEY, mask, kind, 45)
    assert turn(found) == pytest.approx(40, abs=0.5)
    assert fit > 0.97


def test_parts_missing_from_the_mask_do_not_move_it() -> None:
    true = motion(-65, 1.1, (5, 3))
    mask = moved(KEY, true)
    mask[80:88, 60:120] = False  # a reflection across it
    mask[100:112, 95:105] = False
    found, fit = register(KEY, mask)
    assert error(found, true) < 1.5
    assert 0.8 < fit < 0.95


@pytest.mark.parametrize("kind", ["similarity", "affine"])
def test_an_object_cut_by_the_edge_keeps_its_size(kind: str) -> None:
    true = motion(25, 1, (65, 25))
    mask = moved(KEY, true)
    assert mask.sum() < 0.9 * KEY.sum()
    found, fit = register(KEY, mask, kind)
    assert error(found, true) < 1.5
    assert fit == pytest.approx(mask.sum() / KEY.sum(), abs=0.02)  # the part unseen counts against it


def test_the_fit_is_the_intersection_over_union() -> None:
    drawn = np.zeros((40, 40), bool)
    drawn[10:30, 10:30] = True
    mask = np.zeros((60, 60), bool)
    mask[20:40, 15:35] = True
    assert register(drawn, mask)[1] == 1.0
    mask[20:22, 15:35] = False  # 20 x 18 pixels: no square
    matrix, fit = register(drawn, mask)
    laid = by_loop(drawn, matrix, mask.shape)
    assert fit == (laid & mask).sum() / (laid | mask).sum()
    assert 0.85 < fit < 1.0


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 1 << 32),
    st.sampled_from(["similarity", "affine"]),
    st.sampled_from([25, 180]),
    st.booleans(),
)
@example(
    94, "affine", 25, False
)  # where a free stretch becomes a mirror image: "fits" of 5.5, 1.2, 0.45, -0.46
@example(232, "affine", 180, False)
@example(67, "affine", 180, False)
@example(0, "affine", 25, False)
@example(13, "affine", 180, True)
def test_any_two_objects(seed: int, kind: str, most: float, wide: bool) -> None:
    """No mirroring, no rotation beyond the most, and the fit is an intersection over union."""
    rng = np.random.default_rng(seed)
    drawn, mask = blobs(rng), np.pad(blobs(rng), 16 if wide else 0)
    matrix, fit = register(drawn, mask, kind, most)
    linear, area = matrix[:, :2], drawn.sum() * np.linalg.det(matrix[:, :2])
    assert area > 0
    assert abs(turn(matrix)) <= most + 1e-6
    assert 0 <= fit <= 1
    laid = by_loop(drawn, matrix, mask.shape)
    both = (laid & mask).sum()
    assert fit == pytest.approx(both / (mask.sum() + area - both), abs=0.04)  # areas of pixels as of polygons
    rows, columns = np.nonzero(drawn)
    centres = (linear @ [columns, rows] + matrix[:, 2:]).T
    if (centres > 0).all() and (centres < np.array(mask.shape[::-1]) - 1).all():  # not cut
        assert fit == pytest.approx(both / (laid | mask).sum(), abs=1e-12)


@given(st.floats(-2.3, 2.3), st.floats(-5, 5), st.floats(-5, 5))
@example(0, 0, 0)
@example(-2.3, 5, -5)
def test_a_stretch_is_positive_definite_and_its_slopes_exact(
    size: float, longer: float, oblique: float
) -> None:
    sizes = np.array([size, longer, oblique])
    stretch, slopes = _stretch(sizes)
    assert (np.linalg.eigvalsh(stretch) > 0).all()
    assert np.linalg.det(stretch) == pytest.approx(math.exp(2 * size))
    np.testing.assert_allclose(_sizes(stretch), sizes, atol=1e-9)
    np.testing.assert_allclose(stretch @ _stretch(-sizes)[0], np.eye(2), atol=1e-9)
    for slope, step in zip(slopes, 1e-5 * np.eye(3), strict=True):
        numeric = (_stretch(sizes + step)[0] - _stretch(sizes - step)[0]) / 2e-5
        np.testing.assert_allclose(slope, numeric, atol=1e-6)
    np.testing.assert_allclose(_stretch(sizes[:1])[0], math.exp(size) * np.eye(2))


def test_warps_like_the_loop() -> None:
    labels = np.random.default_rng(3).integers(0, 5, (40, 50)).astype(np.uint8)
    matrix = np.array([[0.9, -0.7, 31.3], [0.6, 1.1, -9.2]])
    warped = warp(labels, matrix, (60, 70))
    np.testing.assert_array_equal(warped, by_loop(labels, matrix, (60, 70)))
    assert warped.dtype == np.uint8 and set(np.unique(warped)) == set(range(5))


def test_warps_whole_pixels_by_hand() -> None:
    labels = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)
    shifted = warp(labels, np.array([[1, 0, 1], [0, 1, -1]], np.float64), (3, 4))
    np.testing.assert_array_equal(shifted, [[0, 4, 5, 6], [0, 0, 0, 0], [0, 0, 0, 0]])
    quarter = warp(
        labels, np.array([[0, -1, 1], [1, 0, 0]], np.float64), (3, 2)
    )  # x to the right becomes down
    np.testing.assert_array_equal(quarter, [[4, 1], [5, 2], [6, 3]])
    double = warp(labels, np.array([[2, 0, 0.5], [0, 2, 0.5]], np.float64), (4, 6))
    np.testing.assert_array_equal(double, np.kron(labels, np.ones((2, 2), np.uint8)))


@pytest.mark.parametrize("after", [(90, 50), (360, 600), (180, 200)])
def test_a_motion_into_a_resized_image(after: tuple[int, int]) -> None:
    """Corners of the image stay corners: (-0.5, -0.5) and (W - 0.5, H - 0.5)."""
    changed = resized(np.array([[1, 0, 0], [0, 1, 0]], np.float64), SIZE, after)
    for place in ((-0.5, -0.5, 1), (SIZE[1] - 0.5, SIZE[0] - 0.5, 1)):
        expected = ((place[0] + 0.5) * after[1] / 200 - 0.5, (place[1] + 0.5) * after[0] / 180 - 0.5)
        np.testing.assert_allclose(changed @ place, expected)


@pytest.mark.parametrize("kind", ["similarity", "affine"])
def test_objects_of_few_pixels(kind: str) -> None:
    for object_ in (np.s_[4:5, 7:8], np.s_[4:5, 3:15], np.s_[3:6, 3:9]):
        drawn = np.zeros((16, 20), bool)
        drawn[object_] = True
        matrix, fit = register(drawn, np.roll(drawn, (2, 1), (0, 1)), kind)
        np.testing.assert_allclose(matrix, [[1, 0, 1], [0, 1, 2]], atol=0.01)
        assert fit == 1.0


def test_parts_far_apart_and_large_images() -> None:
    y, x = np.mgrid[:600, :900]
    places = [(100, 120), (480, 200), (300, 500), (150, 780)]
    drawn = np.any([(y - a) ** 2 + (x - b) ** 2 < 40**2 for a, b in places], axis=0)
    a = math.radians(75)
    linear = 0.7 * np.array([[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]])
    true = np.column_stack([linear, np.array([450, 320]) - linear @ (450, 300)])
    found, fit = register(drawn, warp(drawn.astype(np.uint8), true, (640, 900)) > 0)
    assert turn(found) == pytest.approx(75, abs=0.5)
    assert fit > 0.95


def test_an_empty_mask_is_refused() -> None:
    for pair in ((KEY, np.zeros(SIZE, bool)), (np.zeros(SIZE, bool), KEY)):
        with pytest.raises(ValueError, match="empty"):
            register(*pair)


def test_the_same_masks_give_the_same_motion() -> None:
    mask = moved(KEY, motion(123, 1.3))
    first, second = register(KEY, mask, "affine"), register(KEY.copy(), mask.copy(), "affine")
    np.testing.assert_array_equal(first[0], second[0])
    assert first[1] == second[1]
