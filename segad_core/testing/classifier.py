"""The conformance suite for classifiers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from segad_core.base.witness import locked
from segad_core.contracts import Classifier, ImageBatch, Run, VectorClassifier, optional
from segad_core.errors import SegadError
from segad_core.evaluate import auroc
from segad_core.testing.checks import ROUNDING, is_array, refused, same, unwritten, works
from segad_core.testing.images import ArrayImageSet, Pixels, bad_images, good_images
from segad_core.testing.scoring_learner import ScoringLearnerSuite
from segad_core.testing.shared_training import Results

Labels = NDArray[np.int64]

_LEAST_TURN = 0.5  # in AUROC, between opposite labels: three standard deviations of chance


class ClassifierSuite(ScoringLearnerSuite[Classifier]):
    """The contract of `segad.classifiers`, clause by clause. Define `make`.

    Attributes:
        size: height and width of the images; they differ, so that mixing them up has consequences.
        good, bad: the numbers of good and bad images for `fit`, in mixed order.
        least_auroc: the AUROC that images with visible defects must reach against good ones.
    """

    good: int = 12
    bad: int = 8
    _used_by = ("scores()",)

    def make(self) -> Classifier:
        raise NotImplementedError(f"{type(self).__name__} must define make(), which returns a new classifier")

    def _labels(self) -> Labels:
        return _mixed(self.good, self.bad)

    def _training(self) -> Pixels:
        good, bad = good_images(self.good, *self.size), bad_images(self.bad, *self.size)
        return _ordered(good, bad, self._labels())

    def _fit(self, learner: Classifier, images: ArrayImageSet, run: Run) -> None:
        learner.fit(images, self._labels()[: len(images)], run)

    def _use(self, learner: Classifier, batch: ImageBatch) -> Results:
        scores = learner.scores(batch)
        if len(names := learner.outputs()) == 1:
            return {"image score": scores}
        return {"image score" if not i else f"score '{n}'": scores[:, i] for i, n in enumerate(names)}

    def _well_formed(self, results: Results, count: int, size: tuple[int, int], of: str) -> None:
        for name, scores in results.items():
            is_array(scores, (count,), np.float64, f"scores() of {of} ({name})")

    def test_scores_are_finite_float64(self) -> None:
        """`scores` returns (N,) or, for k outputs, (N, k) float64, all finite, for any number of images."""
        classifier = self._trained()
        for count in (1, 3):
            scores = classifier.scores(self._batch(bad_images(count, *self.size, seed=5)))
            _are_scores(scores, count, classifier, f"scores() of {count} images")

    def test_outputs_are_names(self) -> None:
        """`outputs` returns different names of letters, digits, `_` and `-`, at least one."""
        outputs = self._trained().outputs()
        assert isinstance(outputs, Sequence) and not isinstance(outputs, str) and len(outputs), (
            f"outputs() returns {outputs!r}, not the names of scores"
        )
        for name in outputs:
            assert isinstance(name, str) and re.fullmatch(r"[A-Za-z0-9_-]{1,100}", name), (
                f"outputs() returns the name {name!r}: use letters, digits, '_' and '-'"
            )
        assert len(set(outputs)) == len(outputs), f"outputs() lists a name twice: {', '.join(outputs)}"

    def test_planned_outputs_are_those_of_the_training(self) -> None:
        """`planned_outputs`, if there is one, names before the training what `outputs` names after it."""
        new, trained = self.make(), self._trained()
        if hasattr(new, "planned_outputs"):
            planned, outputs = optional.planned_outputs(new, self._encoder), trained.outputs()
            assert list(planned or ()) == list(outputs), (
                f"planned_outputs() returns {planned!r}, but outputs() after the training {outputs!r}"
            )

    def test_labels_say_what_is_bad(self) -> None:
        """Dark stains score above bright ones if they were labelled bad, and below if bright ones were."""
        size, labels, each = self.size, self._labels(), 12
        bright, dark = (bad_images(len(labels), *size, dark=share) for share in (0, 1))
        tried = [bad_images(each, *size, seed=3, dark=share) for share in (0, 1)]
        areas = []
        for pair in ((bright, dark), (dark, bright)):
            classifier = self.make()
            images = _ordered(pair[0], pair[1], labels)
            classifier.fit(self._images(images), labels, self._run())
            scores = self._use(classifier, self._batch(np.concatenate(tried)))["image score"]
            areas.append(auroc(np.repeat([0, 1], each), scores))
        assert areas[0] - areas[1] >= _LEAST_TURN, (
            f"dark stains score above bright ones with an AUROC of {areas[0]:.3f} if the dark ones, and of "
            f"{areas[1]:.3f} if the bright ones were labelled bad: fit() must learn from the labels"
        )

    def test_one_class_alone_is_refused(self) -> None:
        """`fit` raises a `SegadError` if all labels are the same."""
        for label, which in ((0, "good"), (1, "bad")):
            classifier, labels = self.make(), np.full_like(self._labels(), label)
            with refused(f"fit() with {which} images only must raise a SegadError", SegadError):
                classifier.fit(self._images(), labels, self._run())

    def test_few_bad_images_work_or_are_refused(self) -> None:
        """With two bad images, `fit` works and scores are finite, or it raises a `SegadError`."""
        classifier, labels, scores = self.make(), _mixed(self.good, 2), None
        images = _ordered(good_images(self.good, *self.size), bad_images(2, *self.size), labels)
        with (
            works("a fit to two bad images works or raises a SegadError"),
            suppress(SegadError),
        ):
            classifier.fit(self._images(images), labels, self._run())
            scores = classifier.scores(self._batch(self._good_and_bad()))
        if scores is not None:
            _are_scores(scores, 6, classifier, "scores() after a fit to two bad images")

    def test_leaves_the_labels_as_they_are(self) -> None:
        """`fit` does not write into the labels, which are shared."""
        labels = self._labels()
        with unwritten({"the labels": labels}, "fit()"):
            self.make().fit(self._images(), labels, self._run())

    def test_vectors_are_float32(self) -> None:
        """`vectors`, of a `VectorClassifier`, returns finite float32 arrays (N, D), for all batches alike."""
        if isinstance(classifier := self.make(), VectorClassifier):
            widths = []
            for count in (1, 3):
                vectors = classifier.vectors(self._batch(bad_images(count, *self.size, seed=5)))
                assert vectors, "vectors() returns nothing"
                for name, block in vectors.items():
                    what = f"vectors()['{name}'] of {count} images"
                    assert isinstance(name, str) and name, f"{what} has no name"
                    assert np.ndim(block) == 2, f"{what} has the shape {np.shape(block)}, not (N, D)"
                    is_array(block, (count, block.shape[1]), np.float32, what)
                widths.append({name: block.shape[1] for name, block in vectors.items()})
            assert widths[0] == widths[1], f"vectors() of 1 and of 3 images: {widths[0]} and {widths[1]}"

    def test_vectors_depend_on_the_image_alone(self) -> None:
        """`vectors` is the same before and after training, and whatever else is in the batch."""
        if isinstance(classifier := self.make(), VectorClassifier):
            pixels = self._good_and_bad()
            before = classifier.vectors(self._batch(pixels))
            classifier.fit(self._images(), self._labels(), self._run())
            after = classifier.vectors(self._batch(pixels))
            trained, turned = self._trained(), self._batch(pixels[::-1].copy())
            assert isinstance(trained, VectorClassifier)
            restored = trained.vectors(self._batch(pixels))
            other, alone = trained.vectors(turned), trained.vectors(self._batch(pixels[:1]))
            for name, block in before.items():
                what = f"vectors()['{name}']"
                for found, when in ((after, "after fit()"), (restored, "after restore()")):
                    assert name in found, f"{what} is missing {when}"
                    same(found[name], block, f"{what} {when}")
                same(other[name][::-1], block, f"{what} in a batch of reversed order", ROUNDING)
                same(alone[name], block[:1], f"{what} of an image alone", ROUNDING)

    def test_learning_from_vectors_is_fitting(self) -> None:
        """`vectors`, `learn` and `judge` give the scores that `fit` and `scores` give."""
        if isinstance(classifier := self.make(), VectorClassifier):
            batches = [classifier.vectors(batch) for batch in self._images().batches()]
            vectors = {name: locked(np.concatenate([one[name] for one in batches])) for name in batches[0]}
            labels = self._labels()
            with unwritten({f"the vectors '{name}'": block for name, block in vectors.items()}, "learn()"):
                classifier.learn(vectors, labels, self._run())
            tried = classifier.vectors(self._batch(self._good_and_bad()))
            with unwritten({f"the vectors '{name}'": block for name, block in tried.items()}, "judge()"):
                scores = classifier.judge(tried)
            expected = self._trained().scores(self._batch(self._good_and_bad()))
            same(scores, expected, "judge() after learn(), compared with scores() after fit(),")
            turned = classifier.judge({name: block[::-1].copy() for name, block in tried.items()})
            same(turned[::-1], scores, "judge() of images in reversed order", ROUNDING)


def _are_scores(scores: NDArray[np.float64], count: int, classifier: Classifier, what: str) -> None:
    names = len(classifier.outputs())
    is_array(scores, (count,) if names == 1 else (count, names), np.float64, what)


def _mixed(good: int, bad: int) -> Labels:
    """Labels of good and bad images, evenly mixed, beginning with a bad one."""
    counts = -(-np.arange(good + bad + 1) * bad // (good + bad))
    return locked(np.diff(counts).astype(np.int64))


def _ordered(good: Pixels, bad: Pixels, labels: Labels) -> Pixels:
    """Good and bad images in the order of labels; surplus images are left out."""
    images = np.empty((len(labels), *good.shape[1:]), np.uint8)
    images[labels == 0], images[labels == 1] = good[: (labels == 0).sum()], bad[: (labels == 1).sum()]
    return images
