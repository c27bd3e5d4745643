"""Images in tiles: one map without seams, one pass of the encoder, and nothing depends on other images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from segad_core.contracts import Detector, ImageBatch, ImageSet, Run, Sample, Tiles, Tiling
from segad_core.errors import PluginError
from segad_core.scoring.batch import NamedDetector, ScoringPass
from segad_core.scoring.statistics import MapStatistics
from segad_core.scoring.tiled import pooled

TILES = Tiles((128, 128), 0.25, 100, (64, 64))  # neighbours have 32 pixels in common


class Smooth(Detector):
    """The distance from grey, blurred: it looks the same wherever something is, as far as it sees."""

    def __init__(self, sigma: float) -> None:
        super().__init__()
        self.sigma = sigma
        self.shapes: list[tuple[int, ...]] = []

    def fit(self, images: ImageSet, run: Run) -> None:
        """Learns nothing."""

    def anomaly_maps(self, batch: ImageBatch) -> NDArray[np.float32]:
        self.shapes.append(batch.pixels.shape)
        far = np.abs(batch.pixels[..., 0].astype(np.float32) - 128)
        return np.stack([ndimage.gaussian_filter(one, self.sigma, mode="reflect") for one in far])

    def state(self) -> Mapping[str, NDArray[np.generic]]:
        return {}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Nothing."""


class Own(Smooth):
    """Has its own score: the number of its first pixel."""

    def image_scores(self, batch: ImageBatch, maps: NDArray[np.float32]) -> NDArray[np.float64]:
        return batch.pixels[:, 0, 0, 0].astype(np.float64)


class Reader(Smooth):
    """Reads the encoder's layer."""

    def anomaly_maps(self, batch: ImageBatch) -> NDArray[np.float32]:
        batch.features()
        return super().anomaly_maps(batch)


def batch_of(
    *images: NDArray[np.uint8], tiles: Tiles | None = TILES, batch: int = 4, **more: object
) -> ImageBatch:
    pixels = np.stack([np.repeat(one[..., None], 3, axis=2) for one in images])
    samples = [Sample(f"{i}", Path(f"{i}"), 0) for i in range(len(images))]
    size = (pixels.shape[1], pixels.shape[2])
    tiling = Tiling(size, tiles, batch) if tiles else None
    return ImageBatch(samples, pixels, tiling=tiling, **more)  # type: ignore[arg-type]


def maps(detector: Detector, batch: ImageBatch) -> NDArray[np.float32]:
    return ScoringPass({"d": NamedDetector("d", detector)}).score(batch).maps["d"]


def noise(seed: int, height: int = 192, width: int = 320) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width), np.uint8)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.integers(128, 260), st.integers(128, 400))
def test_the_map_of_tiles_is_the_map_of_the_image(seed: int, height: int, width: int) -> None:
    """Of a detector that sees no further than a quarter of the overlap: its blur has a radius of 8."""
    image, detector = noise(seed, height, width), Smooth(2.0)
    whole = maps(detector, batch_of(image, tiles=None))[0]
    np.testing.assert_allclose(maps(detector, batch_of(image))[0], whole, rtol=1e-4, atol=1e-4)


def test_a_detector_that_sees_further_differs_at_seams_alone() -> None:
    image, detector = noise(1, 128, 320), Smooth(10.0)  # a radius of 40
    whole, tiled = maps(detector, batch_of(image, tiles=None))[0], maps(detector, batch_of(image))[0]
    assert np.abs(tiled - whole)[:, :50].max() < 1e-3  # the first seam begins at 96
    assert np.abs(tiled - whole).max() < 0.02 * whole.max()
    steps = np.abs(np.diff(tiled, axis=1)).max()
    assert steps <= 1.05 * np.abs(np.diff(whole, axis=1)).max()  # and there is no step


@settings(max_examples=40, deadline=None)
@given(st.floats(0, 160), st.sampled_from([2.0, 4.0, 6.0]), st.integers(4, 16))
def test_a_defect_that_is_moved_over_a_seam_keeps_its_score(place: float, sigma: float, side: int) -> None:
    """Within 2%: of a detector that sees as far as 24 pixels, across seams at 96 and 128."""
    detector, scores = Smooth(sigma), []
    for left in (40, 40 + int(place)):
        image = np.full((128, 320), 128, np.uint8)
        image[60 : 60 + side, left : left + side] = 250
        scores.append(float(maps(detector, batch_of(image)).max()))
    assert scores[1] == pytest.approx(scores[0], rel=0.02)


def test_few_tiles_are_seen_at_once_and_never_those_of_two_images() -> None:
    detector = Smooth(1.0)
    maps(detector, batch_of(noise(1), noise(2), batch=4))  # 2 rows and 3 columns
    assert detector.shapes == [(4, 128, 128, 3), (2, 128, 128, 3)] * 2


@pytest.mark.parametrize("batch", [2, 16])
def test_an_image_alone_has_the_same_map_to_the_last_bit(batch: int) -> None:
    images, detector = [noise(i) for i in range(3)], Smooth(5.0)
    together = maps(detector, batch_of(*images, batch=batch))
    for i, image in enumerate(images):
        assert maps(detector, batch_of(image, batch=batch)).tobytes() == together[i : i + 1].tobytes()


@pytest.mark.parametrize(("batch", "passes"), [(4, 2), (16, 1)])
def test_one_pass_of_the_encoder_serves_all_detectors(batch: int, passes: int) -> None:
    seen = []

    def encode(pixels: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        seen.append(len(pixels))
        return {}

    detectors = {name: NamedDetector(name, Reader(1.0)) for name in ("a", "b", "c")}
    image = batch_of(noise(1), batch=batch, encode=encode)
    ScoringPass(detectors).score(image)
    assert len(seen) == passes and sum(seen) == 6
    pooled(image, lambda part: {"x": np.zeros((len(part), len(part.features())), np.float32)})
    assert len(seen) == (passes if passes == 1 else 2 * passes)  # a classifier's, where memory allows it


@pytest.mark.parametrize("batch", [4, 16])
def test_one_pass_of_the_encoder_serves_vectors_beside_detectors(batch: int) -> None:
    seen = []

    def encode(pixels: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        seen.append(pixels[:, 0, :2, 0].astype(np.float32))
        return {"layer": seen[-1]}

    def describe(part: ImageBatch) -> dict[str, NDArray[np.float32]]:
        return {"x": np.asarray(part.features()["layer"])}

    images, scoring = [noise(1), noise(2)], ScoringPass({"a": NamedDetector("a", Reader(1.0))})
    scored = scoring.score(batch_of(*images, batch=batch, encode=encode), {"c": describe})
    assert sum(len(tiles) for tiles in seen) == 12 and len(seen) == {4: 4, 16: 2}[batch]
    alone = batch_of(*images, batch=batch, encode=encode)
    assert scored.vectors["c"]["x"].tobytes() == pooled(alone, describe)["x"].tobytes()
    assert scored.maps["a"].tobytes() == scoring.score(alone).maps["a"].tobytes()
    corners = images[0][::64][:2][:, [0, 1, 96, 97, 192, 193]].reshape(6, 2)  # the first pixels of each tile
    expected = [*corners.mean(axis=0), *corners.max(axis=0)]
    assert scored.vectors["c"]["x"][0].tolist() == pytest.approx(expected)


def test_tiles_of_which_nothing_is_inspected_are_left_out() -> None:
    """The left column of tiles begins with 128 ignored columns; what is ignored has no maximum."""
    ignored = np.zeros((1, 192, 320), np.bool_)
    ignored[:, :, :128] = True
    image = noise(3)
    image[:, :128] = 255
    detector = Smooth(1.0)
    found = maps(detector, batch_of(image, ignored=ignored))
    assert sum(shape[0] for shape in detector.shapes) == 4
    inside = found[0][:, 128:]
    assert (found[0][:, :128] == inside.min()).all()


def test_a_score_of_its_own_is_the_highest_of_the_tiles() -> None:
    image = np.zeros((128, 320), np.uint8)
    image[0, [0, 96, 192]] = 7, 90, 8  # the first pixels of the three tiles
    whole = {"own": Own(1.0), "max": Smooth(1.0)}
    named = {key: NamedDetector(key, one) for key, one in whole.items()}
    statistics = [MapStatistics(key, key, None, []) for key in named]
    scored = ScoringPass(named, statistics).score(batch_of(image, batch=1))
    assert scored.values[0].tolist() == [[90.0]]
    assert scored.values[1].tolist() == [[float(scored.maps["max"].max())]]


def test_a_detector_that_breaks_its_contract_is_named_with_the_tile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Smooth, "anomaly_maps", lambda self, batch: np.zeros((1, 2, 2), np.float32))
    with pytest.raises(PluginError, match=r"detector 'd'.*instead of"):
        maps(Smooth(1.0), batch_of(noise(1)))
