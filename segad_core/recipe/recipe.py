"""A checked recipe, ready to plan: every plugin is imported and every parameter checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

from segad_core.contracts import Dataset, LearningSegmenter, optional
from segad_core.contracts.precision import FLOAT32
from segad_core.errors import RecipeError
from segad_core.plugins.registry import suggest
from segad_core.recipe.choice import Choice
from segad_core.recipe.chosen_hook import ChosenHook
from segad_core.recipe.document import Document, Place
from segad_core.recipe.published import Published
from segad_core.recipe.schema import Skeleton, uses_in


@dataclass(frozen=True)
class Row:
    """A setup to measure.

    Attributes:
        name: in the table.
        detectors: those that SegAD reads; or, with `score`, the one detector whose score it is.
        classifier: the one whose score is SegAD's last feature; or, with `score`, whose score it is; or none.
        score: whether the row is one learner alone, without SegAD.
        segmenter, features, image_features, final: SegAD's parts.
        defects: the generators of the final classifier's bad images; none if these are real.
        weights: how much what a segment adds to the score counts; those that are not named count once.
    """

    name: str
    detectors: tuple[str, ...]
    classifier: str = ""
    score: bool = False
    segmenter: Choice | None = None
    features: tuple[Choice, ...] = ()
    image_features: tuple[Choice, ...] = ()
    defects: tuple[Choice, ...] = ()
    final: Choice | None = None
    weights: tuple[tuple[str, float], ...] = ()

    def learners(self) -> tuple[str, ...]:
        """The detectors and the classifier that the row reads."""
        return (*self.detectors, self.classifier) if self.classifier else self.detectors

    def off(self) -> tuple[str, ...]:
        """The segments that are switched off."""
        return self.segmenter.off if self.segmenter else ()

    def parts(self) -> tuple[Choice, ...]:
        """The generators of defects, the features and the final classifier."""
        final = (self.final,) if self.final else ()
        return (*self.defects, *self.features, *self.image_features, *final)

    def plain(self) -> dict[str, Any]:
        """The row in a resolved recipe."""
        if self.score:
            return {"name": self.name, "score": self.learners()[0]}
        assert self.segmenter is not None
        assert self.final is not None
        plain = {
            "name": self.name,
            "detectors": list(self.detectors),
            "segmenter": self.segmenter.plain(),
            "features": [choice.plain() for choice in self.features],
            "image_features": [choice.plain() for choice in self.image_features],
            "final": self.final.plain(),
        }
        if self.classifier:
            plain["classifier"] = self.classifier
        if self.defects:
            plain["bad"] = {"from": "generated", "use": [choice.plain() for choice in self.defects]}
        if self.segmenter.off or self.weights:
            plain["segments"] = {**dict.fromkeys(self.segmenter.off, 0.0), **dict(self.weights)}
        return plain


@dataclass(frozen=True)
class Recipe:
    """A recipe whose plugins are imported and whose parameters are checked.

    Attributes:
        hooks: observers of the run.
        named_segmenters: all that it names, whether or not a row reads them.
    """

    name: str
    skeleton: Skeleton
    document: Document
    dataset: Choice
    encoder: Choice | None
    detectors: dict[str, Choice]
    classifiers: dict[str, Choice]
    segmenter: Choice | None
    defects: tuple[Choice, ...]
    executor: Choice
    rows: tuple[Row, ...]
    means: dict[str, tuple[str, ...]] = field(default_factory=dict)
    published: Published | None = None
    named_segmenters: tuple[Choice, ...] = ()
    hooks: tuple[ChosenHook, ...] = ()

    def at(self, precision: str) -> Recipe:
        """The recipe with networks in this precision, as far as its plugins support it."""
        written = None if precision == FLOAT32 else precision
        return replace(
            self,
            skeleton=self.skeleton.model_copy(update={"precision": written}),
            encoder=self.encoder.at(precision) if self.encoder else None,
            detectors={alias: choice.at(precision) for alias, choice in self.detectors.items()},
            classifiers={alias: choice.at(precision) for alias, choice in self.classifiers.items()},
        )

    def open_dataset(self) -> tuple[Dataset, list[str]]:
        """The data set and the categories to work on; by default, all that were published.

        Raises:
            RecipeError: the data set has no such category, or a published one is absent.
        """
        dataset: Dataset = self.dataset.build()
        known, published = list(dataset.categories()), list(optional.published_categories(dataset))
        wanted = self.skeleton.categories or published
        for name in wanted:
            if name in published and name not in known:
                self._explain_absent(dataset, name, known)
        named: list[tuple[Place, str, bool]] = [
            (("categories", i), name, name in known) for i, name in enumerate(wanted)
        ]
        tolerated = [
            ((*place, "per_category", name), name)
            for _, place, use in uses_in(self.skeleton)
            for name in use.per_category
        ]
        tolerated += [(("split", "leave_out", name), name) for name in self.skeleton.split.leave_out]
        if isinstance(self.skeleton.ignore, dict):
            tolerated += [(("ignore", name), name) for name in self.skeleton.ignore]
        named += [(place, name, name in known or name in published) for place, name in tolerated]
        problems = [
            self.document.problem(place, f"there is no category '{name}'{suggest(name, known)}")
            for place, name, exists in named
            if not exists
        ]
        if problems:
            raise RecipeError(problems)
        return dataset, list(dict.fromkeys(wanted))

    def _explain_absent(self, dataset: Dataset, category: str, known: Sequence[str]) -> None:
        """Lets the data set explain what its folder lacks.

        Raises:
            RecipeError: if the data set does, with how to run the other categories.
        """
        try:
            dataset.samples(category)
        except RecipeError as error:
            if self.skeleton.categories:
                raise
            others = f"To run the others, list them: categories: [{', '.join(known)}]."
            raise RecipeError(error.what, f"{error.remedy} {others}") from error

    def used_detectors(self) -> list[Choice]:
        """The detectors that some row reads."""
        return [choice for alias, choice in self.learners().items() if alias in self.detectors]

    def notes(self, categories: Sequence[str]) -> list[str]:
        """The notes of all plugins in use, to be shown with the results."""
        choices = [*self.learners().values(), *self.segmenters(), *([self.encoder] if self.encoder else [])]
        choices += [choice for row in self.rows for choice in row.parts()]
        notes = [n for choice in choices for c in categories for n in optional.notes(choice.build(c))]
        notes += [n for choice in (self.dataset, self.executor) for n in optional.notes(choice.build())]
        return list(dict.fromkeys(notes))

    def learners(self) -> dict[str, Choice]:
        """The detectors and classifiers that some row reads, in the recipe's order."""
        read = {alias for row in self.rows for alias in row.learners()}
        return {a: choice for a, choice in {**self.detectors, **self.classifiers}.items() if a in read}

    def segmenters(self) -> list[Choice]:
        """The segmenters that some row reads, or that place its generated defects."""
        choices = [row.segmenter for row in self.rows]
        choices += [self.segmenter for row in self.rows if row.defects]
        return list({id(choice): choice for choice in choices if choice}.values())

    def learning_segmenters(self) -> list[Choice]:
        """Those of `segmenters` that learn from good images."""
        return [choice for choice in self.segmenters() if issubclass(choice.component, LearningSegmenter)]

    def resolved(self) -> str:
        """The recipe as YAML, with every default and version, and absolute paths.

        Without hooks, which decide nothing: it repeats the run where they are not installed, too.
        """
        plain = self.skeleton.model_dump(mode="json", by_alias=True, exclude_none=True)
        plain["dataset"] = self.dataset.plain()
        plain["detectors"] = {name: choice.plain() for name, choice in self.detectors.items()}
        plain["classifiers"] = {
            name: {**choice.plain(), **_options(plain["classifiers"][name])}
            for name, choice in self.classifiers.items()
        }
        plain["executor"] = self.executor.plain()
        if self.encoder:
            plain["encoder"] = self.encoder.plain()
        if self.segmenter:  # it places generated defects, whatever a row's own segmenter is
            plain["segmenter"] = self.segmenter.plain()
        plain["split"] = self._plain_split(plain["split"])
        for key in ("features", "image_features", "final"):
            plain.pop(key, None)  # each row has its own
        del plain["hooks"]
        rows = {row.name: row.plain() for row in self.rows}
        plain["rows"] = [
            rows.get(row.name) or {"name": row.name, "mean_of": list(self.means[row.name])}
            for row in self.skeleton.rows
        ]
        return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=110)

    def _plain_split(self, plain: dict[str, Any]) -> dict[str, Any]:
        if self.skeleton.split.file is None:
            plain["final"]["bad"]["use"] = [choice.plain() for choice in self.defects]
            return plain
        given = self.skeleton.split.model_fields_set  # nothing is drawn, so defaults have no meaning
        return {key: value for key, value in plain.items() if key in given}


def _options(classifier: dict[str, Any]) -> dict[str, Any]:
    """What a classifier's entry in a recipe has besides its plugin."""
    return {key: classifier[key] for key in ("split", "out_of_fold") if key in classifier}
