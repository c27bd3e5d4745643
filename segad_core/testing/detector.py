"""The conformance suite for detectors."""

from __future__ import annotations

import numpy as np

from segad_core.contracts import Detector, ImageBatch, Run, Tiles, Tiling, optional
from segad_core.testing.checks import is_array, same, works
from segad_core.testing.images import ArrayImageSet, Pixels, good_images, image_batch
from segad_core.testing.scoring_learner import ScoringLearnerSuite
from segad_core.testing.shared_training import Results


class DetectorSuite(ScoringLearnerSuite[Detector]):
    """The contract of `segad.detectors`, clause by clause. Define `make`.

    Attributes:
        size: height and width of the images; they differ, so that mixing them up has consequences.
        good: the number of good images for `fit`.
        least_auroc: the AUROC that images with visible defects must reach against good ones.
    """

    good: int = 12
    _used_by = ("anomaly_maps()", "image_scores()")

    def make(self) -> Detector:
        raise NotImplementedError(f"{type(self).__name__} must define make(), which returns a new detector")

    def _training(self) -> Pixels:
        return good_images(self.good, *self.size)

    def _fit(self, learner: Detector, images: ArrayImageSet, run: Run) -> None:
        learner.fit(images, run)

    def _use(self, learner: Detector, batch: ImageBatch) -> Results:
        maps = learner.anomaly_maps(batch)
        return {"map": maps, "image score": learner.image_scores(batch, maps)}

    def _well_formed(self, results: Results, count: int, size: tuple[int, int], of: str) -> None:
        is_array(results["map"], (count, *size), np.float32, f"anomaly_maps() of {of}")
        is_array(results["image score"], (count,), np.float64, f"image_scores() of {of}")

    def test_use_before_fit_is_refused(self) -> None:
        """`anomaly_maps` and `state` raise a `SegadError` before `fit`, unless `trains` is False."""
        if optional.trains(type(self.make())):
            super().test_use_before_fit_is_refused()

    def test_without_trains_a_fit_changes_nothing(self) -> None:
        """If `trains` is False, maps and scores are the same before and after `fit`."""
        if not optional.trains(type(self.make())):
            pixels = self._good_and_bad()
            with works("a detector whose `trains` is False can be used without a fit"):
                before = self._results(self.make(), pixels)
            after = self._results(self._fitted(), pixels)
            for name in before:
                same(after[name], before[name], f"`trains` is False: the {name} after a fit")

    def test_maps_are_finite_float32_of_the_images_size(self) -> None:
        """`anomaly_maps` returns (N, H, W) float32, all finite, for any number of images."""
        detector = self._trained()
        for count in (1, 3):
            maps = detector.anomaly_maps(self._batch(good_images(count, *self.size)))
            is_array(maps, (count, *self.size), np.float32, f"anomaly_maps() of {count} images")

    def test_tiles_are_mapped_like_images(self) -> None:
        """Where a recipe has tiles, batches of tiles come without files, and are mapped like images."""
        by_name = optional.knows_images_by_name(type(self.make()))
        if by_name or type(self).samples is not DetectorSuite.samples:
            return
        height, width = self.size
        tiling = Tiling((height, 2 * width), Tiles(self.size, 0.25, 1, self.size), 4)
        images = image_batch(good_images(2, height, 2 * width), self._encoder, self._layers())
        tiles = images.cut([(i, tile) for i in range(2) for tile in tiling.tiles()])
        learner = self._trained()
        with works("anomaly_maps() and image_scores() work on tiles, of which there are no files"):
            results = self._use(learner, tiles)
        self._well_formed(results, len(tiles), self.size, f"{len(tiles)} tiles")

    def test_image_scores_are_finite_float64(self) -> None:
        """`image_scores` returns (N,) float64, all finite."""
        scores = self._good_and_bad_results(self._trained())["image score"]
        is_array(scores, (6,), np.float64, "image_scores() of 6 images")
