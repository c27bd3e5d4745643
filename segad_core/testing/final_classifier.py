"""The conformance suite for final classifiers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load as load_arrays

from segad_core.base.witness import locked
from segad_core.contracts import FinalClassifier, Run
from segad_core.errors import SegadError
from segad_core.evaluate import auroc
from segad_core.testing.checks import ROUNDING, is_array, not_fitted, refused, same, unwritten, works
from segad_core.testing.global_random import global_randomness
from segad_core.testing.harmless import HarmlessSuite
from segad_core.testing.states import stored_state

_WIDTH = 6

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class FinalClassifierSuite(HarmlessSuite):
    """The contract of `segad.final_classifiers`, clause by clause. Define `make`."""

    def make(self) -> FinalClassifier:
        raise NotImplementedError(
            f"{type(self).__name__} must define make(), which returns a new final classifier"
        )

    def _fitted(self, seed: int = 7) -> FinalClassifier:
        classifier = self.make()
        classifier.fit(*_training(60, 0), _run(seed))
        return classifier

    def _exercise(self) -> None:
        classifier, (features, _) = self._fitted(), _easy(20, 1)
        classifier.state()
        classifier.margins(features)
        classifier.contributions(features)

    def test_margins_are_finite_float64(self) -> None:
        """`margins` returns (n,) float64, all finite, also for features far from those of the fit."""
        classifier = self._fitted()
        for features in (_easy(20, 1)[0], _easy(1, 1)[0], 1e6 * _easy(20, 1)[0]):
            margins = classifier.margins(features)
            is_array(margins, (len(features),), np.float64, f"margins() of {len(features)} rows")

    def test_separates_an_easy_set(self) -> None:
        """Higher means more likely bad: on new rows of two distant clusters, the AUROC is 1."""
        features, labels = _easy(40, 1)
        area = auroc(labels, self._fitted().margins(features))
        assert area == 1.0, f"two distant clusters are separated with an AUROC of {area:.3f}, not 1"

    def test_contributions_add_up_to_the_margins(self) -> None:
        """`contributions` is None, or (n, d + 1) float64 with a constant last; rows sum to the margins."""
        classifier, (features, _) = self._fitted(), _easy(20, 1)
        parts, margins = classifier.contributions(features), classifier.margins(features)
        if parts is None:
            return
        what = f"contributions() of 20 rows of {_WIDTH} features, with a column for the constant,"
        is_array(parts, (20, _WIDTH + 1), np.float64, what)
        same(parts.sum(axis=1), margins, "the sum of a row of contributions()", ROUNDING)
        constant = parts[:, -1]
        same(constant, np.full(20, constant[0]), "the last column of contributions()", ROUNDING)

    def test_state_restores_exactly(self) -> None:
        """`state` is named arrays; a new instance that restores them gives the same margins."""
        classifier, fresh, (features, _) = self._fitted(), self.make(), _easy(20, 1)
        state = classifier.state()
        for name, array in state.items():
            assert isinstance(name, str) and name, f"state() has an array called {name!r}"
            assert isinstance(array, np.ndarray), f"state()['{name}'] is a {type(array).__name__}"
        with works("state() returns named arrays of numbers, and no pickle"):
            stored = stored_state(state)
        with works("restore() accepts what state() returned"):
            fresh.restore(load_arrays(stored))
        same(fresh.margins(features), classifier.margins(features), "a margin of a restored instance")
        parts, again = classifier.contributions(features), fresh.contributions(features)
        assert (parts is None) == (again is None), (
            "contributions() is None before or after restore(), but not both"
        )
        if parts is not None and again is not None:
            same(again, parts, "a contribution of a restored instance")

    def test_fit_is_deterministic(self) -> None:
        """Two fits with the same seed give the same margins: `run.seed` is the only randomness."""
        features, _ = _easy(20, 1)
        for seed in (0, 7, 2**31 - 1):
            first, second = self._fitted(seed).margins(features), self._fitted(seed).margins(features)
            same(second, first, f"a margin after a second fit with the seed {seed}")

    def test_fit_leaves_global_randomness_alone(self) -> None:
        """`fit` neither moves nor reads the global random state of Python, NumPy and torch."""
        features, found = _easy(20, 1)[0], []
        for seed in (310_291, 775_121):
            with global_randomness(seed):
                classifier = self._fitted()
            found.append(classifier.margins(features))
        same(found[1], found[0], "a margin under another global random state")

    def test_a_second_fit_forgets_the_first(self) -> None:
        """`fit` on a fitted instance has the same result as on a new one."""
        classifier, features = self.make(), _easy(20, 1)[0]
        for count, seed in ((30, 5), (60, 0)):
            classifier.fit(*_training(count, seed), _run())
            found = classifier.margins(features)
        same(found, self._fitted().margins(features), "a margin of an instance that was fitted before")

    def test_rows_do_not_depend_on_each_other(self) -> None:
        """A margin, and what adds up to it, depend neither on other rows nor on the order of rows."""
        classifier, (features, _) = self._fitted(), _easy(20, 1)
        together = classifier.margins(features)
        same(
            classifier.margins(features[::-1].copy())[::-1], together, "a margin in reversed order", ROUNDING
        )
        same(classifier.margins(features[3:4]), together[3:4], "the margin of a row alone", ROUNDING)
        parts, alone = classifier.contributions(features), classifier.contributions(features[3:4])
        if parts is not None and alone is not None:
            same(alone, parts[3:4], "what contributions() of a row alone returns", ROUNDING)

    def test_one_class_alone_is_refused(self) -> None:
        """`fit` raises a `SegadError` if all labels are the same."""
        features, labels = _easy(20, 0)
        for label, which in ((0, "good"), (1, "bad")):
            classifier = self.make()
            with refused(f"fit() with {which} images only must raise a SegadError", SegadError):
                classifier.fit(features, _names(_WIDTH), np.full_like(labels, label), _run())

    def test_more_features_than_images_is_fine(self) -> None:
        """`fit` accepts fewer images than features, which is the usual case."""
        features, labels = _easy(12, 0, width=40)
        classifier = self.make()
        with works("fit() accepts 12 images with 40 features"):
            classifier.fit(features, _names(40), labels, _run())
        margins = classifier.margins(features)
        is_array(margins, (12,), np.float64, "margins(), after a fit to 12 rows of 40 features,")

    def test_leaves_the_features_as_they_are(self) -> None:
        """`fit`, `margins` and `contributions` do not write into features or labels."""
        features, labels = _easy(20, 0)
        given, classifier = {"the features": features, "the labels": labels}, self.make()
        with unwritten(given, "fit()"):
            classifier.fit(features, _names(_WIDTH), labels, _run())
        with unwritten(given, "margins() or contributions()"):
            classifier.margins(features)
            classifier.contributions(features)

    def test_restore_refuses_what_is_incomplete(self) -> None:
        """A state without one of its arrays raises a `SegadError`."""
        state = self._fitted().state()
        for missing in state:
            rest = {name: array for name, array in state.items() if name != missing}
            with refused(f"restore() of a state without '{missing}' must raise a SegadError", SegadError):
                self.make().restore(rest)

    def test_check_accepts_what_fit_accepts(self) -> None:
        """`check` raises nothing for the names of features that `fit` accepts."""
        _, names, _ = _training(60, 0)
        with works("check() accepts the names of features that fit() accepts"):
            self.make().check(names)

    def test_use_before_fit_is_refused(self) -> None:
        """`margins` and `state` raise a `SegadError` before `fit` or `restore`."""
        classifier, (features, _) = self.make(), _easy(4, 1)
        with not_fitted("margins()"):
            classifier.margins(features)
        with not_fitted("state()"):
            classifier.state()


def _easy(count: int, seed: int, width: int = _WIDTH) -> tuple[Floats, Ints]:
    """Two clusters that are distant in the first two features; every other row is bad."""
    rng = np.random.default_rng([seed, count, width])
    labels = np.arange(count, dtype=np.int64) % 2
    features = rng.normal(0, 1, (count, width))
    features[:, :2] += 12 * labels[:, None]
    return locked(features), locked(labels)


def _training(count: int, seed: int) -> tuple[Floats, list[str], Ints]:
    """Features, their names and labels, as `fit` takes them."""
    features, labels = _easy(count, seed)
    return features, _names(_WIDTH), labels


def _run(seed: int = 7) -> Run:
    return Run(np.random.SeedSequence(seed))


def _names(width: int) -> list[str]:
    """As a recipe gives them: of segments, then the detector's highest value and a classifier's score."""
    within = [f"segment_{i // 4}.detector.statistic_{i % 4}" for i in range(width - 2)]
    return [*within, "image.detector.max", "image.classifier.score"]
