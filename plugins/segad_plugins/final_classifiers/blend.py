"""The detectors' own scores and what was learnt from bad parts, weighed by how many bad parts there were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from segad_core.api import FinalClassifier, Parameters, PluginError, Run, estimated_by
from segad_plugins.final_classifiers.blend_parts import Linear, columns_of, moments
from segad_plugins.final_classifiers.blend_weights import counts_of, fit_weights, prior_weights
from segad_plugins.final_classifiers.brf import BoostedRandomForest
from segad_plugins.logistic_regression import check_labels, folds_of
from segad_plugins.states import check_version, entry, state_mismatch

_WHO, _VERSION = "blend", 1

Values = NDArray[np.float64]
Labels = NDArray[np.int64]


class Blend(FinalClassifier):
    """Weighted sum of the detectors' scores, a classifier's score and a forest, with a prior on the weights.

    Up to three parts, each standardised on the good training images:

    - detectors: the mean of the highest values of their maps (`image.DETECTOR.max`), each standardised and
      compressed by sign(z) log(1 + |z|). PatchCore's own image score is this value, re-weighted;
    - classifier: its score (`image.CLASSIFIER.score`), if the row has one;
    - forest: the margin of a boosted random forest on all features.

    The weights are the most probable ones of a logistic regression without negative coefficients, on values
    from images that the parts have not learnt from: the forest's are out of fold, and the classifier's should
    be (`out_of_fold` in the recipe; the results say if they are not). The prior leans towards
    the detectors, which need no bad image: in it, a learnt part has n / (n + `halfway`) of their weight for
    n bad images. If there are few, the prior decides, so that what was learnt from three parts cannot
    outvote the detectors; if there are many, the images do.

    Images of one group that have the same label count as one.

    Margins are log-odds for equally frequent classes. Contributions sum to them; a feature contributes
    through every part that it is in, compared with an average good image.
    """

    class Params(Parameters):
        """The prior of the weights, and the forest."""

        halfway: float = Field(
            5.0, ge=0, le=1e6, description="bad images that give a learnt part half of the detectors' weight"
        )
        spread: float = Field(
            0.1, gt=0, le=100, description="how far weights stray from the prior: a share of their sum"
        )
        folds: int = Field(5, ge=2, le=100, description="folds of the forest's out-of-fold margins")
        forest: BoostedRandomForest.Params = Field(
            BoostedRandomForest.Params(), description="parameters of `brf`"
        )

    params: Params
    needs_unseen_scores: ClassVar[bool] = True

    def __init__(self, params: Parameters | None = None, device: str = "cpu") -> None:
        super().__init__(params, device)
        self._linear: Linear | None = None
        self._forest = self._new_forest()

    def check(self, names: Sequence[str]) -> None:
        columns_of(names)
        self._new_forest().check(names)

    def fit(self, features: Values, names: Sequence[str], labels: Labels, run: Run) -> None:
        check_labels(_WHO, labels, "Change split.final in the recipe.")
        detectors, classifiers = columns_of(names)
        good, counts = labels == 0, counts_of(labels, run.groups)
        linear = Linear.of_goods(features[good], detectors, classifiers)
        left_out = self._left_out(features, names, labels, run)
        values = np.column_stack([linear.parts(features), *left_out])
        seen = np.isfinite(values).all(axis=1)
        means, scales = moments(values[good & seen])
        prior = prior_weights(values.shape[1], float(counts[~good].sum()), self.params.halfway)
        standardised = (values - means) / scales
        weights, constant = fit_weights(
            standardised[seen], labels[seen], prior, self.params.spread, counts[seen]
        )
        forest = self._new_forest()
        forest.fit(features, names, labels, run)
        self._linear, self._forest = linear.weighed(weights / scales, means, constant), forest

    def margins(self, features: Values) -> Values:
        return self._fitted(features).margins(features, self._forest.margins(features))

    def contributions(self, features: Values) -> Values:
        return self._fitted(features).contributions(features, self._forest.contributions(features))

    estimate = estimated_by("segad_plugins.final_classifiers.estimates:blend")

    def state(self) -> Mapping[str, NDArray[np.generic]]:
        arrays = self._fitted().arrays()
        return {"version": np.array(_VERSION), **arrays, **self._forest.state()}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        check_version(_WHO, state, _VERSION)
        forest = self._new_forest()
        forest.restore({name: state[name] for name in state if name not in {"version", *Linear.ENTRIES}})
        arrays = {name: entry(_WHO, state, name, shape) for name, shape in Linear.ENTRIES.items()}
        linear, width = Linear.from_arrays(arrays), forest.width()
        if linear is None or linear.width != width:
            raise state_mismatch(_WHO, f"finite weights for {width} features", "others")
        self._linear, self._forest = linear, forest

    def exported_files(self) -> Mapping[str, bytes]:
        return self._forest.exported_files()

    def _left_out(self, features: Values, names: Sequence[str], labels: Labels, run: Run) -> list[Values]:
        """The forest's margin for each image by a training without it; none if a class has too few images.

        It is missing for images of a fold whose rest lacks a class, as may happen with large groups.
        """
        margins = np.full(len(labels), np.nan)
        folds = folds_of(labels, self.params.folds, run.random_state, run.groups)
        for number, (rest, fold) in enumerate(folds, start=1):
            forest = self._new_forest()
            forest.fit(features[rest], names, labels[rest], run)
            margins[fold] = forest.margins(features[fold])
            run.progress("forests that score what they have not seen", number, len(folds))
        return [margins] if folds else []

    def _new_forest(self) -> BoostedRandomForest:
        return BoostedRandomForest(self.params.forest)

    def _fitted(self, features: Values | None = None) -> Linear:
        if self._linear is None:
            raise PluginError(f"{_WHO}: is not fitted yet")
        if features is not None and features.shape[1] != self._linear.width:
            raise PluginError(
                f"{_WHO}: was trained on {self._linear.width} features and cannot score {features.shape[1]}"
            )
        return self._linear
