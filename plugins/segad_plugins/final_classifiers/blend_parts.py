"""The parts of `blend`: which features they come from, and the sum that they make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from segad_core.api import RecipeError

Values = NDArray[np.float64]
Columns = NDArray[np.int64]


def columns_of(names: Sequence[str]) -> tuple[Columns, Columns]:
    """The columns of the detectors' highest values, and that of the classifier's score, if there is one.

    Raises:
        RecipeError: no feature is a detector's highest value.
    """
    highest = [i for i, name in enumerate(names) if name.startswith("image.") and name.endswith(".max")]
    detectors = {names[i].removesuffix(".max") for i in highest}
    scores = [
        i
        for i, name in enumerate(names)
        if name.startswith("image.")
        and name.endswith(".score")
        and name.removesuffix(".score") not in detectors
    ]
    if not highest:
        raise RecipeError(
            "blend: needs the highest value of each detector's map, and the features of this row have none",
            "Add image_features: [max] to the row or to the recipe.",
        )
    return np.array(highest, np.int64), np.array(scores, np.int64)


def moments(values: Values) -> tuple[Values, Values]:
    """The mean and the standard deviation (k,) of each column; 1 where a column is constant."""
    spread = values.std(axis=0)
    return values.mean(axis=0), np.where(spread > 0, spread, 1.0)


def compressed(values: Values) -> Values:
    """Sign(z) log(1 + |z|): how far beyond all good images a bad one lies hardly matters."""
    return np.sign(values) * np.log1p(np.abs(values))


@dataclass(frozen=True)
class Linear:
    """A weighted sum of up to three parts: the detectors, the classifier and the forest.

    Attributes:
        width: the number of features.
        detectors: the columns of the detectors' highest values.
        classifiers: the columns of classifiers' scores: one or none.
        centres, spreads: of the detectors' columns, on good images.
        weights: of the parts, by what they are in.
        means: of the parts, on good images.
        constant: what an average good image comes to.
    """

    ENTRIES: ClassVar[Mapping[str, tuple[int | None, ...]]] = {
        "width": (),
        "detectors": (None,),
        "classifiers": (None,),
        "centres": (None,),
        "spreads": (None,),
        "weights": (None,),
        "means": (None,),
        "constant": (),
    }
    """The names of its arrays, and their shapes."""

    width: int
    detectors: Columns
    classifiers: Columns
    centres: Values
    spreads: Values
    weights: Values
    means: Values
    constant: float

    @classmethod
    def of_goods(cls, good: Values, detectors: Columns, classifiers: Columns) -> Self:
        """The parts as good images (n, d) standardise them, without weights."""
        none = np.zeros(0)
        return cls(good.shape[1], detectors, classifiers, *moments(good[:, detectors]), none, none, 0.0)

    def weighed(self, weights: Values, means: Values, constant: float) -> Self:
        """The same parts with weights."""
        return replace(self, weights=weights, means=means, constant=constant)

    def parts(self, features: Values) -> Values:
        """The detectors' part and the classifier's (n, 1 or 2)."""
        own = self._compressed(features).mean(axis=1, keepdims=True)
        return np.column_stack([own, features[:, self.classifiers]])

    def margins(self, features: Values, forest: Values) -> Values:
        """The sums (n,), from features (n, d) and the forest's margins (n,)."""
        parts = np.column_stack([self.parts(features), forest])[:, : len(self.weights)]
        margins: Values = ((parts - self.means) * self.weights).sum(axis=1) + self.constant
        return margins

    def contributions(self, features: Values, forest: Values) -> Values:
        """What each feature adds, the constant last, from what it adds to the forest, both (n, d + 1)."""
        own = 1 + len(self.classifiers)
        found = np.zeros_like(forest)
        found[:, -1] = self.constant - self.means[0] * self.weights[0]
        if len(self.weights) > own:
            found += self.weights[own] * forest
            found[:, -1] -= self.weights[own] * self.means[own]
        found[:, self.detectors] += self.weights[0] / len(self.detectors) * self._compressed(features)
        found[:, self.classifiers] += self.weights[1:own] * (
            features[:, self.classifiers] - self.means[1:own]
        )
        return found

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """What it consists of, as named arrays."""
        return {name: np.array(getattr(self, name)) for name in self.ENTRIES}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Self | None:
        """What `arrays` gave; None if they are not of that kind."""
        whole, real = (
            ("width", "detectors", "classifiers"),
            ("centres", "spreads", "weights", "means", "constant"),
        )
        if any(arrays[n].dtype != np.int64 for n in whole) or any(
            arrays[n].dtype != np.float64 for n in real
        ):
            return None
        found = cls(**{n: arrays[n] if arrays[n].ndim else arrays[n].item() for n in cls.ENTRIES})  # type: ignore[arg-type]
        return found if found._is_sound() else None

    def _is_sound(self) -> bool:
        columns = np.concatenate([self.detectors, self.classifiers])
        numbers = np.concatenate([self.centres, self.spreads, self.weights, self.means, [self.constant]])
        own = 1 + len(self.classifiers)
        return bool(
            len(self.detectors) >= 1
            and len(self.classifiers) <= 1
            and len(self.centres) == len(self.spreads) == len(self.detectors)
            and len(self.weights) == len(self.means)
            and len(self.weights) in (own, own + 1)
            and (columns >= 0).all()
            and (columns < self.width).all()
            and np.isfinite(numbers).all()
            and (self.spreads > 0).all()
        )

    def _compressed(self, features: Values) -> Values:
        return compressed((features[:, self.detectors] - self.centres) / self.spreads)
