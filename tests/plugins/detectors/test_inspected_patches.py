"""PatchCore and what is never inspected: no such patch in the bank, none in a map or a score."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from segad_core.api import DataError, Run
from segad_core.contracts import ImageBatch
from segad_core.testing import TinyEncoder
from segad_core.testing.images import ArrayImageSet, good_images
from segad_plugins.detectors.inspected_patches import inspected_cells, smoothed, without_ignored
from segad_plugins.detectors.maps import gaussian_blur, upsample
from segad_plugins.detectors.patchcore import PatchCore


def test_a_cell_is_left_out_where_all_of_it_is_ignored() -> None:
    ignored = np.zeros((1, 6, 6), bool)
    ignored[0, :2, :3] = True  # all of the first cell of the first row, and half of the second
    assert inspected_cells(ignored, (3, 3)).tolist() == [
        [[False, True, True], [True, True, True], [True, True, True]]
    ]


def test_cells_that_do_not_divide_the_image_are_counted_by_their_nearest_centre() -> None:
    ignored = np.ones((1, 5, 3), bool)
    ignored[0, 4] = False
    assert inspected_cells(ignored, (2, 1)).tolist() == [[[False], [True]]]


def test_the_bank_holds_patches_that_are_inspected() -> None:
    patches = np.arange(2 * 4, dtype=np.float32)[:, None]  # two images of 2 x 2 cells
    ignored = np.zeros((1, 4, 4), bool)
    ignored[0, :2, :2] = True
    assert without_ignored(patches, ignored, (2, 2), "x").ravel().tolist() == [1, 2, 3, 5, 6, 7]
    each = np.concatenate([ignored, ~ignored])
    assert without_ignored(patches, each, (2, 2), "x").ravel().tolist() == [1, 2, 3, 4]
    assert without_ignored(patches, None, (2, 2), "x") is patches
    with pytest.raises(DataError):
        without_ignored(patches, np.ones((1, 4, 4), bool), (2, 2), "x")


@pytest.mark.parametrize("sigma", [0.0, 1.0])
def test_what_is_ignored_neither_raises_nor_lowers_what_is_beside_it(sigma: float) -> None:
    distances, cells = torch.full((1, 8, 8), 3.0), torch.ones(1, 8, 8)
    distances[0, 2:4, 2:5], cells[0, 2:4, 2:5] = 1e6, 0
    maps = smoothed(distances, cells, (32, 32), "nearest", sigma, "reflect")
    assert torch.allclose(maps[maps > 0], torch.tensor(3.0))
    assert not (maps[0, :8] == 0).any()


def test_with_everything_inspected_a_map_is_what_it_was() -> None:
    distances = torch.rand(2, 6, 8, generator=torch.Generator().manual_seed(0))
    plain = gaussian_blur(upsample(distances, (24, 32), "nearest"), 1.5)
    maps = smoothed(distances, torch.ones_like(distances), (24, 32), "nearest", 1.5, "reflect")
    assert torch.allclose(maps, plain, atol=1e-5)


class Ignoring(ArrayImageSet):
    """Images of which the left third is never inspected."""

    def ignored(self) -> np.ndarray:  # type: ignore[override]
        return _left(self.array.shape[1], self.array.shape[2])

    def batches(self):  # type: ignore[no-untyped-def]
        for batch in super().batches():
            yield batch.ignoring(self.ignored())


def _left(height: int, width: int) -> np.ndarray:
    ignored = np.zeros((1, height, width), bool)
    ignored[:, :, : width // 3] = True
    return ignored


def _fitted(outliers: float = 0.0) -> tuple[PatchCore, Ignoring]:
    params = PatchCore.Params(layers=("layer1", "layer2"), coreset_ratio=1.0, blur_sigma=0, outliers=outliers)
    images = Ignoring(good_images(8), TinyEncoder(), ("layer1", "layer2"))
    detector = PatchCore(params)
    detector.fit(images, Run(np.random.SeedSequence(0)))
    return detector, images


@pytest.mark.parametrize(("outliers", "images"), [(0.0, 8), (0.25, 6)])
def test_patchcore_leaves_them_out_of_its_bank(outliers: float, images: int) -> None:
    detector, _ = _fitted(outliers)
    height, width = next(
        iter(ArrayImageSet(good_images(1), TinyEncoder(), ("layer1",)).features().values())
    ).shape[-2:]
    kept = int(inspected_cells(_left(64, 96), (height, width)).sum())
    assert kept < height * width
    assert len(detector.state()["bank"]) == images * kept


def test_a_defect_where_nothing_is_inspected_gives_no_score() -> None:
    detector, images = _fitted()
    plain = images.pick([0, 1])
    spoilt = plain.pixels.copy()
    spoilt[:, 10:30, 2:20] = 255

    def scores(pixels: np.ndarray) -> np.ndarray:
        raw = ImageBatch(plain.samples, pixels, lambda p: TinyEncoder().encode(p, ("layer1", "layer2")))
        batch = raw.ignoring(_left(64, 96))
        return detector.image_scores(batch, detector.anomaly_maps(batch))

    assert np.array_equal(scores(plain.pixels), scores(spoilt))
    spoilt[:, 10:30, 50:70] = 255
    assert (scores(spoilt) > scores(plain.pixels) + 0.1).all()
