"""What is never inspected is in no segment, no whole map and no maximum; worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from segad_core.contracts import Frame, ImageBatch, MapQuality, Sample, Segmenter
from segad_core.errors import DataError, PluginError
from segad_core.images.frames import frame_of
from segad_core.images.ignored import touched
from segad_core.scoring.ignored import Ignored, levelled, whole_order
from segad_core.scoring.segmentation import NamedSegmenter


class Columns(Segmenter):
    """A column each: the label is the number of the column."""

    names: Sequence[str] = ("first", "ignore", "third")

    def segments(self) -> Sequence[str]:
        return self.names

    def segment(self, batch: ImageBatch) -> NDArray[np.uint8]:
        return np.tile(np.arange(3, dtype=np.uint8), (len(batch), 2, 1))


class Still(Columns):
    """The same as one map for all."""

    def segment(self, batch: ImageBatch) -> NDArray[np.uint8]:
        return super().segment(batch)[:1]


def batch_of(count: int) -> ImageBatch:
    samples = [Sample(f"{i}.png", Path(str(i)), 0) for i in range(count)]
    return ImageBatch(samples, np.zeros((count, 2, 3, 3), np.uint8))


@pytest.mark.parametrize("kind", [Columns, Still])
def test_a_segment_called_ignore_is_in_no_statistic(kind: type[Segmenter]) -> None:
    named = NamedSegmenter(kind(), "columns")
    assert named.segments == ("first", "third")
    segmented = named.segment(batch_of(2))
    assert segmented.map_of(1).tolist() == [[0, 255, 1], [0, 255, 1]]
    values = segmented.order_of(1).group(np.array([[1, 9, 2], [3, 9, 4]], np.float32))
    assert [own.tolist() for own in values] == [[1, 3], [2, 4]]
    assert named.ignored(batch_of(2))[0].tolist() == [[False, True, False], [False, True, False]]


def test_a_label_without_a_name_is_still_refused() -> None:
    named = NamedSegmenter(Columns(), "columns")
    named.segmenter.names = ("first", "ignore")  # type: ignore[attr-defined]
    named = NamedSegmenter(named.segmenter, "columns")
    with pytest.raises(PluginError, match="label 2"):
        named.segment(batch_of(1))


def test_a_segmenter_of_nothing_but_ignore_is_refused() -> None:
    alone = Columns()
    alone.names = ("ignore",)
    with pytest.raises(PluginError, match="ignore"):
        NamedSegmenter(alone, "columns")


@pytest.mark.parametrize("kind", [Columns, Still])
@pytest.mark.parametrize("shared", [True, False])
def test_what_a_batch_ignores_is_in_no_segment(kind: type[Segmenter], shared: bool) -> None:
    ignored = np.zeros((1 if shared else 2, 2, 3), bool)
    ignored[-1, 0, 0] = True
    segmented = NamedSegmenter(kind(), "columns").segment(batch_of(2).ignoring(ignored))
    assert segmented.map_of(1).tolist() == [[255, 255, 1], [0, 255, 1]]
    assert segmented.map_of(0).tolist() == [[255 if shared else 0, 255, 1], [0, 255, 1]]


def test_masks_and_segments_add_up() -> None:
    mask = np.zeros((2, 3), bool)
    mask[0, 0] = True
    found = Ignored(mask, [NamedSegmenter(Columns(), "columns")])(batch_of(2))
    assert found.tolist() == [[[True, True, False], [False, True, False]]] * 2
    assert Ignored(mask, [])(batch_of(2)).tolist() == [mask.tolist()]


def test_an_image_of_which_nothing_is_left_is_named() -> None:
    mask = np.ones((2, 3), bool)
    mask[:, 1] = False
    with pytest.raises(DataError, match=r"0\.png"):
        Ignored(mask, [NamedSegmenter(Columns(), "columns")])(batch_of(2))


def test_nothing_stands_out_where_nothing_is_inspected() -> None:
    maps = np.array([[[5, 90, 7]], [[3, 2, 99]]], np.float32)
    ignored = np.array([[[False, True, False]]])
    assert levelled(maps, ignored).tolist() == [[[5, 5, 7]], [[3, 3, 99]]]
    assert levelled(maps, None) is maps


def test_the_whole_map_leaves_it_out() -> None:
    batch = batch_of(2).ignoring(np.array([[[True, False, False], [True, False, True]]]))
    values = whole_order(batch, 1).group(np.arange(6, dtype=np.float32).reshape(2, 3))
    assert [own.tolist() for own in values] == [[1, 2, 4]]
    assert whole_order(batch_of(1), 0).pixels.tolist() == [0, 1, 2, 3, 4, 5]


def test_a_batch_keeps_its_masks_while_another_thread_needs_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bundles are shared between threads; here the other one runs while a mask of this one is made."""
    mask = np.zeros((8, 4), np.bool_)
    mask[:, 0] = True
    ignored = Ignored(mask, [])
    frames = [frame_of((height, 4), (8, 4), "pad") for height in (8, 16, *range(17, 97))]

    def found(some: list[Frame]) -> NDArray[np.bool_]:
        pixels = np.zeros((len(some), 8, 4, 3), np.uint8)
        return ignored(ImageBatch(batch_of(len(some)).samples, pixels, frames=some))

    def interrupted(mask: NDArray[np.bool_], size: tuple[int, int], frame: Frame | None) -> NDArray[np.bool_]:
        if frame == frames[1]:
            for other in frames[2:]:
                found([other])
        return touched(mask, size, frame)

    monkeypatch.setattr("segad_core.scoring.ignored.touched", interrupted)
    assert [one.tolist() for one in found(frames[:2])] == [
        touched(mask, (8, 4), f).tolist() for f in frames[:2]
    ]


class Counting(Columns):
    """Notes what it is asked for, and says how many images there are."""

    calls: ClassVar[list[str]] = []

    def segment(self, batch: ImageBatch) -> NDArray[np.uint8]:
        self.calls.append("segment")
        return super().segment(batch)

    def quality(self, batch: ImageBatch) -> list[MapQuality]:
        self.calls.append("quality")
        return [MapQuality(0.5, "")] * len(batch)


@pytest.mark.parametrize("framed", [False, True])
def test_a_batch_is_segmented_once_whoever_asks(framed: bool) -> None:
    """In runs, rows and what is ignored have segmenters of their own."""
    Counting.calls.clear()
    batch = batch_of(2)
    if framed:
        frames = [frame_of((2, 3), (2, 3), "pad")] * 2
        batch = ImageBatch(batch.samples, batch.pixels, frames=frames)
    rest = batch.ignoring(Ignored(None, [NamedSegmenter(Counting(), "counting")])(batch))
    for off, expected in (((), [0, 255, 1]), (("third",), [0, 255, 255])):
        found = NamedSegmenter(Counting(), "counting", off).segment(rest)
        assert found.map_of(1).tolist() == [expected] * 2
        assert found.quality == [MapQuality(0.5, "")] * 2
    assert Counting.calls == ["segment", "quality"]
    other = rest.with_pixels(rest.pixels + 1)
    NamedSegmenter(Counting(), "counting").segment(other)
    assert Counting.calls == ["segment", "quality"] * 2  # with other pixels, it may say something else
