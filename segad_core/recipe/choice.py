"""What a checked recipe is: plugins that were found, imported and given checked parameters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from segad_core.base.code_digest import code_digest
from segad_core.base.digest import file_digest, folder_digest
from segad_core.base.files import is_file
from segad_core.contracts import Component, Dataset, Parameters, optional
from segad_core.contracts.component import DecidesNothing, IsInputFile, IsInputFolder, has_mark
from segad_core.errors import RecipeError
from segad_core.plugins.registry import Provider, suggest
from segad_core.recipe.document import Document, Place
from segad_core.recipe.published import Published
from segad_core.recipe.schema import BadSpec, RowSpec, Skeleton, Use


@dataclass(frozen=True)
class Choice:
    """A plugin that a recipe chose, with checked parameters, for all categories and for some apart."""

    provider: Provider
    component: type[Component]
    params: Parameters | None
    per_category: dict[str, Parameters] = field(default_factory=dict)

    def params_for(self, category: str) -> Parameters:
        """The parameters that hold for a category.

        Raises:
            RecipeError: the recipe gives them for other categories only.
        """
        params = self.per_category.get(category, self.params)
        if params is None:
            raise RecipeError(
                f"'{self.provider.name}' has no parameters for '{category}', only for "
                f"{', '.join(self.per_category)}",
                f"Add '{category}' under its per_category, or leave the category out.",
            )
        return params

    def build(self, category: str = "", device: str = "cpu") -> Any:
        """A fresh component for a category."""
        return self.component(self.params_for(category), device)

    def identity(self, category: str = "") -> dict[str, Any]:
        """What decides the component's results: its name, its code, its parameters, its files' content.

        Files are read at the first call for a category only: a checkpoint can have gigabytes.
        """
        if category not in self._identities:
            self._identities[category] = {
                "plugin": self.provider.qualified,
                "code": self.code,
                "params": _identity_of(self.params_for(category)),
            }
        return self._identities[category]

    @cached_property
    def _identities(self) -> dict[str, dict[str, Any]]:
        return {}

    @cached_property
    def code(self) -> str:
        """The digest of the plugin's code."""
        return code_digest(self.component)

    def plain(self) -> dict[str, Any]:
        """The choice as it stands in a resolved recipe: full name, every default filled in."""
        text: dict[str, Any] = {"use": self.provider.qualified, "version": self.provider.version}
        if self.params is not None:
            text["params"] = self.params.model_dump(mode="json")
        if self.per_category:
            text["per_category"] = {c: p.model_dump(mode="json") for c, p in self.per_category.items()}
        return text


def _identity_of(params: BaseModel) -> dict[str, Any]:
    """Parameters that decide results, as plain data: input files and folders by their content."""
    plain = params.model_dump(mode="json")
    for name, info in type(params).model_fields.items():
        if has_mark(info, DecidesNothing):
            del plain[name]
        elif has_mark(info, IsInputFolder):
            plain[name] = [folder_digest(path) for path in paths_in(getattr(params, name))]
        elif has_mark(info, IsInputFile):
            plain[name] = [
                file_digest(path) if is_file(path) else None for path in paths_in(getattr(params, name))
            ]
    return plain


def paths_in(value: Path | Iterable[Path] | None) -> list[Path]:
    """The paths that a parameter holds: one, several, or none."""
    return [] if value is None else [value] if isinstance(value, Path) else list(value)


def encoder_identity(choice: Choice | None) -> dict[str, Any] | None:
    """What decides an encoder's results: its code, its parameters and its weights."""
    return {"choice": choice.identity(), "weights": choice.build().digest()} if choice else None


@dataclass(frozen=True)
class Row:
    """A setup to measure.

    Attributes:
        name: as the table shows it.
        detectors: whose maps SegAD describes; or, with `score`, the one detector whose score it is.
        classifier: whose score is SegAD's last feature; or, with `score`, whose score it is; or none.
        score: one learner alone, without SegAD.
        segmenter, features, image_features, final: SegAD's parts.
        defects: what the final classifier's bad images are made by; none where they are real.
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

    def learners(self) -> tuple[str, ...]:
        """The detectors and the classifier that it reads."""
        return (*self.detectors, self.classifier) if self.classifier else self.detectors

    def own_parts(self) -> tuple[Choice, ...]:
        """Its generators of defects, its features and its final classifier."""
        final = (self.final,) if self.final else ()
        return (*self.defects, *self.features, *self.image_features, *final)


@dataclass(frozen=True)
class Recipe:
    """A recipe ready to plan: every plugin imported, every parameter checked."""

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

    def open_dataset(self) -> tuple[Dataset, list[str]]:
        """The data set and the categories to work on; all are all that were published.

        Raises:
            RecipeError: the recipe names a category that the data set does not have, or asks for a published
                one that is not there.
        """
        dataset: Dataset = self.dataset.build()
        known, published = list(dataset.categories()), list(optional.published_categories(dataset))
        wanted = self.skeleton.categories or published
        for name in wanted:
            if name in published and name not in known:
                try:
                    dataset.samples(name)  # the data set knows best what its folder lacks
                except RecipeError as error:
                    if self.skeleton.categories:
                        raise
                    part = f"To run the others, name them: categories: [{', '.join(known)}]."
                    raise RecipeError(error.what, f"{error.remedy}\n{part}") from error
        problems = [
            self.document.problem(("categories", i), f"there is no category '{name}'{suggest(name, known)}")
            for i, name in enumerate(wanted)
            if name not in known
        ]
        problems += [
            self.document.problem(
                (*place, "per_category", name), f"there is no category '{name}'{suggest(name, known)}"
            )
            for _, place, use in uses_in(self.skeleton)
            for name in use.per_category
            if name not in known and name not in published
        ]
        problems += [
            self.document.problem(
                ("split", "leave_out", name), f"there is no category '{name}'{suggest(name, known)}"
            )
            for name in self.skeleton.split.leave_out
            if name not in known and name not in published
        ]
        if problems:
            raise RecipeError(problems)
        return dataset, list(dict.fromkeys(wanted))

    def used_detectors(self) -> list[Choice]:
        """The detectors that some row reads."""
        return [choice for alias, choice in self.learners().items() if alias in self.detectors]

    def notes(self, categories: Sequence[str]) -> list[str]:
        """What a reader of the results has to know about the plugins that some row reads."""
        choices = [*self.learners().values(), *self.segmenters(), *([self.encoder] if self.encoder else [])]
        choices += [choice for row in self.rows for choice in row.own_parts()]
        found = [n for choice in choices for c in categories for n in optional.notes(choice.build(c))]
        found += [n for choice in (self.dataset, self.executor) for n in optional.notes(choice.build())]
        return list(dict.fromkeys(found))

    def learners(self) -> dict[str, Choice]:
        """The detectors and classifiers that some row reads, in the recipe's order."""
        read = {alias for row in self.rows for alias in row.learners()}
        return {a: choice for a, choice in {**self.detectors, **self.classifiers}.items() if a in read}

    def segmenters(self) -> list[Choice]:
        """The segmenters that some row reads, or that its defects are generated by."""
        found = [row.segmenter for row in self.rows]
        found += [self.segmenter for row in self.rows if row.defects]
        return list({id(choice): choice for choice in found if choice}.values())

    def resolved(self) -> str:
        """The recipe as YAML with every default and version filled in, and every path absolute."""
        plain = self.skeleton.model_dump(mode="json", by_alias=True, exclude_none=True)
        plain["dataset"] = self.dataset.plain()
        plain["detectors"] = {name: choice.plain() for name, choice in self.detectors.items()}
        plain["classifiers"] = {
            name: {
                **choice.plain(),
                **{key: plain["classifiers"][name][key] for key in _OWN if key in plain["classifiers"][name]},
            }
            for name, choice in self.classifiers.items()
        }
        plain["executor"] = self.executor.plain()
        if self.encoder:
            plain["encoder"] = self.encoder.plain()
        if self.segmenter:  # what defects are generated by, whatever a row's own segmenter is
            plain["segmenter"] = self.segmenter.plain()
        plain["split"] = self._plain_split(plain["split"])
        for key in ("features", "image_features", "final"):
            plain.pop(key, None)  # each row carries its own, defaults filled in
        rows = {row.name: _plain_row(row) for row in self.rows}
        plain["rows"] = [
            rows.get(row.name) or {"name": row.name, "mean_of": list(self.means[row.name])}
            for row in self.skeleton.rows
        ]
        return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=110)

    def _plain_split(self, plain: dict[str, Any]) -> dict[str, Any]:
        if self.skeleton.split.file is None:
            plain["final"]["bad"]["use"] = [choice.plain() for choice in self.defects]
            return plain
        said = self.skeleton.split.model_fields_set  # nothing is drawn: defaults have no meaning
        return {key: value for key, value in plain.items() if key in said}


_OWN = ("split", "out_of_fold")
"""What a classifier's entry in a recipe has beside its plugin."""


def _plain_row(row: Row) -> dict[str, Any]:
    if row.score:
        return {"name": row.name, "score": row.learners()[0]}
    assert row.segmenter is not None
    assert row.final is not None
    plain = {
        "name": row.name,
        "detectors": list(row.detectors),
        "segmenter": row.segmenter.plain(),
        "features": [choice.plain() for choice in row.features],
        "image_features": [choice.plain() for choice in row.image_features],
        "final": row.final.plain(),
    }
    if row.classifier:
        plain["classifier"] = row.classifier
    if row.defects:
        plain["bad"] = {"from": "generated", "use": [choice.plain() for choice in row.defects]}
    return plain


def uses_in(skeleton: Skeleton) -> list[tuple[str, Place, Use]]:
    """Every plugin that a recipe names: its kind, its place, and the words about it."""
    found: list[tuple[str, Place, Use | None]] = [
        ("datasets", ("dataset",), skeleton.dataset),
        ("encoders", ("encoder",), skeleton.encoder),
        ("executors", ("executor",), skeleton.executor),
    ]
    found += [("detectors", ("detectors", alias), use) for alias, use in skeleton.detectors.items()]
    found += [("classifiers", ("classifiers", alias), use) for alias, use in skeleton.classifiers.items()]
    found += _generators(("split", "final", "bad"), skeleton.split.final.bad)
    holders: list[tuple[Place, Skeleton | RowSpec]] = [((), skeleton)]
    holders += [(("rows", i), row) for i, row in enumerate(skeleton.rows)]
    for place, holder in holders:
        found.append(("segmenters", (*place, "segmenter"), holder.segmenter))
        found.append(("final_classifiers", (*place, "final"), holder.final))
        for key in ("features", "image_features"):
            found += [("features", (*place, key, n), use) for n, use in enumerate(getattr(holder, key) or [])]
        if isinstance(holder, RowSpec):
            found += _generators((*place, "bad"), holder.bad)
    return [(kind, place, use) for kind, place, use in found if use is not None]


def _generators(place: Place, bad: BadSpec | None) -> list[tuple[str, Place, Use | None]]:
    return [("defects", (*place, "use", n), use) for n, use in enumerate(bad.use if bad else [])]
