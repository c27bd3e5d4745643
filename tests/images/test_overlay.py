"""Labels laid over images, worked out by hand; legends that show each colour."""

import numpy as np
import pytest
from PIL import Image

from segad_core.images.overlay import Entry, enlarged, legend, overlay, sheet
from segad_core.images.palette import PALETTE


def test_inside_a_segment_colours_are_mixed_and_at_its_border_they_are_full() -> None:
    labels = np.zeros((5, 8), np.uint8)
    labels[:, 5:] = 255  # the border lies between columns 4 and 5
    pixels = np.random.default_rng(0).integers(0, 256, (5, 8, 3)).astype(np.uint8)
    given = pixels.copy()
    mixed = overlay(pixels, labels, 0.25)
    assert mixed.dtype == np.uint8
    np.testing.assert_array_equal(mixed[:, 4], np.tile(PALETTE[0], (5, 1)))
    np.testing.assert_array_equal(mixed[:, 5], np.tile(PALETTE[255], (5, 1)))
    for x, colour in ((0, 0), (3, 0), (6, 255), (7, 255)):
        np.testing.assert_array_equal(mixed[:, x], np.rint(0.75 * pixels[:, x] + 0.25 * PALETTE[colour]))
    np.testing.assert_array_equal(pixels, given)


def test_borders_between_rows_and_opacity() -> None:
    labels = np.repeat(np.array([0, 0, 0, 1, 1, 1], np.uint8)[:, None], 4, 1)
    pixels = np.full((6, 4, 3), 200, np.uint8)
    lines = overlay(pixels, labels, 0)
    np.testing.assert_array_equal(lines[[0, 1, 4, 5]], pixels[:4])
    np.testing.assert_array_equal(lines[2:4], PALETTE[labels][2:4])
    np.testing.assert_array_equal(overlay(pixels, labels, 1), PALETTE[labels])
    np.testing.assert_array_equal(overlay(pixels, np.zeros_like(labels), 0), pixels)


def test_a_wide_border_has_only_the_colours_of_its_sides() -> None:
    labels = np.repeat(np.array([0, 0, 0, 0, 1, 1, 1, 1], np.uint8)[:, None], 4, 1)
    pixels = np.full((8, 4, 3), 200, np.uint8)
    lines = overlay(pixels, labels, 0, 3)
    np.testing.assert_array_equal(lines[[0, 7]], pixels[:2])
    np.testing.assert_array_equal(lines[1:7], PALETTE[labels][1:7])


def test_enlarged() -> None:
    small = np.arange(6, dtype=np.uint8).reshape(2, 3)
    np.testing.assert_array_equal(enlarged(small, 3), np.kron(small, np.ones((3, 3), np.uint8)))


@pytest.mark.parametrize("width", [0, 700, 10])
def test_a_legend_shows_each_colour_once(width: int) -> None:
    entries = [Entry(label, (f"segment {label}", "12.3 %")) for label in (0, 1, 5, 255)]
    picture = legend(entries, width)
    assert width in (0, picture.width)
    pixels = np.asarray(picture)
    fields = [(pixels == PALETTE[entry.label]).all(2).sum() for entry in entries]
    if width != 10:
        assert len(set(fields)) == 1
        assert fields[0] > 300
    outside = np.delete(np.arange(256), [0, 1, 5, 255])
    assert not any((pixels == PALETTE[label]).all(2).any() for label in outside)


def test_a_wide_legend_is_a_low_one() -> None:
    entries = [Entry(label, ("name",)) for label in range(12)]
    assert legend(entries, 2000).height < legend(entries, 300).height < legend(entries).height


def test_a_sheet_holds_its_panels_pixel_by_pixel() -> None:
    rng = np.random.default_rng(1)
    panels = [
        (f"panel {i}" * (1 + 20 * i), rng.integers(0, 256, (90, 120, 3)).astype(np.uint8)) for i in (0, 1)
    ]
    picture = sheet(panels, [Entry(0, ("a",))])
    assert isinstance(picture, Image.Image)
    found = np.asarray(picture)
    for _, panel in panels:
        windows = np.lib.stride_tricks.sliding_window_view(found, panel.shape).reshape(-1, *panel.shape)
        first = panel[0, 0]
        assert any(np.array_equal(w, panel) for w in windows if np.array_equal(w[0, 0], first))
    np.testing.assert_array_equal(np.asarray(sheet(panels, [Entry(0, ("a",))])), found)


def test_a_caption_keeps_to_its_panel() -> None:
    """A long caption loses its beginning; what stands beside the first panel is the second's own."""
    panel = np.full((50, 100, 3), 200, np.uint8)
    short = np.asarray(sheet([("end", panel), ("b", panel)], [Entry(0, ("a",))]))
    long = np.asarray(sheet([("long " * 40 + "end", panel), ("b", panel)], [Entry(0, ("a",))]))
    assert not np.array_equal(long[:28, :112], short[:28, :112])
    np.testing.assert_array_equal(long[:28, 124:], short[:28, 124:])
    assert (long[:28, 112:124] == 255).all()
