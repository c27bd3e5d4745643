"""The conformance suite for segmenters that learn from good images."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from safetensors.numpy import load as load_arrays

from segad_core.contracts import IGNORED, ImageBatch, LearningSegmenter, Run, Sample
from segad_core.contracts.segmenter import check_segment_names
from segad_core.testing.checks import is_array, works
from segad_core.testing.images import ArrayImageSet, Pixels, good_images, image_batch
from segad_core.testing.learner import LearnerSuite
from segad_core.testing.learner_in_run import LearnerInRunSuite
from segad_core.testing.segmenter import Encode, SegmenterSuite
from segad_core.testing.shared_training import Results


class LearningSegmenterSuite(SegmenterSuite, LearnerInRunSuite[LearningSegmenter]):
    """The contract of `LearningSegmenter`: clauses of segmenters, of learners, and its own. Define `make`.

    Attributes:
        size: height and width of the images; they differ, so that mixing them up has consequences.
        good: the number of good images for `fit`.
    """

    sizes = (LearnerSuite.size,)
    """Those that are tried: another size than that of the fit may be refused."""

    good: int = 12
    _used_by = ("segment()",)

    def make(self) -> LearningSegmenter:
        raise NotImplementedError(f"{type(self).__name__} must define make(), which returns a new segmenter")

    def samples(self, pixels: Pixels) -> Sequence[Sample]:
        return image_batch(pixels).samples

    def _training(self) -> Pixels:
        return good_images(self.good, *self.size)

    def _fit(self, learner: LearningSegmenter, images: ArrayImageSet, run: Run) -> None:
        learner.fit(images, run)

    def _use(self, learner: LearningSegmenter, batch: ImageBatch) -> Results:
        maps = learner.segment(batch)
        for_all = isinstance(maps, np.ndarray) and maps.shape[:1] == (1,)
        return {"segmentation map": np.repeat(maps, len(batch), axis=0) if for_all else maps}

    def _well_formed(self, results: Results, count: int, size: tuple[int, int], of: str) -> None:
        is_array(results["segmentation map"], (count, *size), np.uint8, f"segment() of {of}")

    def _exercise(self) -> None:
        LearnerInRunSuite._exercise(self)

    def _ready(self) -> LearningSegmenter:
        return self._trained()

    def _batch(self, pixels: Pixels) -> ImageBatch:
        return LearnerSuite._batch(self, pixels)

    @property
    def _encode(self) -> Encode | None:
        layers = self._layers()
        return partial(self._encoder.encode, layers=layers) if layers else None

    def test_learnt_names_suit_features(self) -> None:
        """After `fit`, names are unique, and letters, digits, `_` and `-` only; no more than before."""
        segmenter, most = self._fitted(), len(self.make().segments())
        names = list(segmenter.segments())
        assert names, "segments() is empty after fit()"
        assert len(names) <= most, f"segments() returns {len(names)} names after fit(), but {most} before"
        with works(f"the names {', '.join(map(str, names))} can be parts of feature names"):
            check_segment_names(names)

    def test_learnt_names_are_kept(self) -> None:
        """Names do not change when images are segmented, in a second fit, nor in a restored instance."""
        training, fresh = self._shared(), self.make()
        names = list(training.learner.segments())
        self._good_and_bad_results(training.learner)
        fresh.restore(load_arrays(training.state))
        for other, what in (
            (training.learner, "after segment()"),
            (self._fitted(), "after a second fit with the same seed"),
            (fresh, "of a restored instance"),
        ):
            found = list(other.segments())
            assert found == names, f"segments() {what} returns {found}, not {names}"

    def test_labels_something_in_every_good_image(self) -> None:
        """A segmenter ignores no good image completely: it has at least one labelled pixel."""
        pixels = self._training()
        maps = self._use(self._trained(), self._batch(pixels))["segmentation map"]
        empty = [i for i, labels in enumerate(maps) if (labels == IGNORED).all()]
        assert not empty, f"segment() ignores all pixels of the good images {empty} that it learnt from"
