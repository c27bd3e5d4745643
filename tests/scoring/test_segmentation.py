"""Segmenters in a pass: contracts checked, static maps ordered once, nothing of a batch kept for another."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from segad_core.contracts import ImageBatch, MapQuality, Sample, Segmenter
from segad_core.errors import PluginError
from segad_core.scoring.segmentation import NamedSegmenter
from segad_core.scoring.segments import SegmentOrder


class Bands(Segmenter):
    """As many rows of the second segment as the image's first pixel says; doubtful where it is odd."""

    def __init__(self, static: bool = False) -> None:
        super().__init__()
        self.static = static
        self.quality_of: Sequence[MapQuality] | None = None

    def segments(self) -> Sequence[str]:
        return ("rest", "band")

    def segment(self, batch: ImageBatch) -> NDArray[np.uint8]:
        maps = np.zeros(batch.pixels.shape[:3], np.uint8)
        for labels, pixels in zip(maps, batch.pixels, strict=True):
            labels[: pixels[0, 0, 0]] = 1
        return maps[:1] if self.static else maps

    def quality(self, batch: ImageBatch) -> Sequence[MapQuality] | None:
        if self.quality_of is not None:
            return self.quality_of
        rows = batch.pixels[:, 0, 0, 0].tolist()
        return [MapQuality(r / 8, f"{r} rows" if r % 2 else "") for r in rows]


def batch(*rows: int) -> ImageBatch:
    pixels = np.zeros((len(rows), 8, 6, 3), np.uint8)
    pixels[:, 0, 0, 0] = rows
    return ImageBatch([Sample(str(r), Path(str(r)), None) for r in rows], pixels)


@pytest.fixture
def short_switches() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize("static", [False, True])
def test_threads_that_share_a_segmenter_do_not_mix_their_images(short_switches: None, static: bool) -> None:
    shared, failures = NamedSegmenter(Bands(static), "bands"), list[str]()

    def work(rows: int) -> None:
        for _ in range(200):
            segments = shared.segment(batch(rows))
            sizes = np.diff(segments.order_of(0).offsets).tolist()
            doubts = segments.doubts(1)
            if sizes != [48 - 6 * rows, 6 * rows] or doubts != [f"{rows} rows" if rows % 2 else ""]:
                failures.append(f"{rows}: {sizes} {doubts}")

    threads = [threading.Thread(target=work, args=(rows,)) for rows in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures[:3]


def test_a_static_map_is_ordered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    shared, ordered, sound = NamedSegmenter(Bands(static=True), "bands"), list[int](), SegmentOrder.of

    def counted(labels: NDArray[np.uint8], segments: int) -> SegmentOrder:
        ordered.append(segments)
        return sound(labels, segments)

    monkeypatch.setattr(SegmentOrder, "of", counted)
    orders = [shared.segment(batch(rows, 0)).order_of(1) for rows in (3, 3, 3, 5)]
    assert len(ordered) == 2 and orders[0] is orders[2]


@pytest.mark.parametrize("names", [("image", "band"), ("band", "band")])
def test_names_that_would_mix_up_features_are_refused(
    monkeypatch: pytest.MonkeyPatch, names: tuple[str, str]
) -> None:
    """`image.patchcore.max` would be a segment's maximum as well as that of the whole map."""
    monkeypatch.setattr(Bands, "segments", lambda self: names)
    with pytest.raises(PluginError, match=f"segmenter 'bands'.*{names[0]}, band"):
        NamedSegmenter(Bands(), "bands")


@pytest.mark.parametrize(
    ("quality", "words"),
    [([], "0 entries for 1 images"), ([MapQuality(1.5)], "image '2'"), ([MapQuality(float("nan"))], "nan")],
)
def test_a_quality_that_breaks_the_contract_is_named(quality: list[MapQuality], words: str) -> None:
    bands = Bands()
    bands.quality_of = quality
    with pytest.raises(PluginError, match=f"segmenter 'bands'.*{words}"):
        NamedSegmenter(bands, "bands").segment(batch(2))


def test_qualities_are_plain_numbers_whatever_a_plugin_returns() -> None:
    """They are written as JSON when a pass has ended, where a NumPy number would be an error."""
    bands = Bands()
    bands.quality_of = [MapQuality(np.float32(0.5), np.str_("narrow"))]  # type: ignore[arg-type]
    (quality,) = NamedSegmenter(bands, "bands").segment(batch(2)).quality
    assert json.loads(json.dumps([quality.fit, quality.doubt])) == [0.5, "narrow"]
