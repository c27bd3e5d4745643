"""From a skeleton to a recipe whose plugins are found, imported and have checked parameters."""

from __future__ import annotations

import importlib.resources
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from segad_core.code_digest import code_digest
from segad_core.contracts import Component, Dataset, Parameters
from segad_core.contracts.component import IsInputFile, IsInputFolder, has_mark
from segad_core.digest import file_digest
from segad_core.errors import PluginError, RecipeError, SegadError
from segad_core.files import is_file, is_folder
from segad_core.recipe.document import Document, Place, read_document
from segad_core.recipe.schema import RowSpec, Skeleton, Use, check
from segad_core.registry import Provider, Registry, suggest

_ALIAS = re.compile(r"[A-Za-z0-9_-]+")
"""Names of detectors are parts of feature names (`wires.patchcore.q995`), where a dot parts them."""


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
        """What decides the component's results: its name, its code, its parameters, its files' content."""
        return {
            "plugin": self.provider.qualified,
            "code": self.code,
            "params": _identity_of(self.params_for(category)),
        }

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
    """Parameters as plain data: input files by their content, input folders left out."""
    plain = params.model_dump(mode="json")
    for name, info in type(params).model_fields.items():
        if has_mark(info, IsInputFolder):
            del plain[name]
        elif has_mark(info, IsInputFile):
            plain[name] = [
                file_digest(path) if is_file(path) else None for path in _paths(getattr(params, name))
            ]
    return plain


def _paths(value: Path | Iterable[Path] | None) -> list[Path]:
    """The paths that a parameter holds: one, several, or none."""
    return [] if value is None else [value] if isinstance(value, Path) else list(value)


@dataclass(frozen=True)
class Row:
    """A setup to measure. With `score`, that detector alone; else SegAD over `detectors`."""

    name: str
    detectors: tuple[str, ...]
    score: bool
    segmenter: Choice | None = None
    features: tuple[Choice, ...] = ()
    image_features: tuple[Choice, ...] = ()
    final: Choice | None = None


@dataclass(frozen=True)
class Recipe:
    """A recipe ready to plan: every plugin imported, every parameter checked."""

    name: str
    skeleton: Skeleton
    document: Document
    dataset: Choice
    encoder: Choice | None
    detectors: dict[str, Choice]
    executor: Choice
    rows: tuple[Row, ...]

    def open_dataset(self) -> tuple[Dataset, list[str]]:
        """The data set and the categories to work on.

        Raises:
            RecipeError: the recipe names a category that the data set does not have.
        """
        dataset: Dataset = self.dataset.build()
        known = list(dataset.categories())
        wanted = self.skeleton.categories or known
        problems = [
            self.document.problem(("categories", i), f"there is no category '{name}'{suggest(name, known)}")
            for i, name in enumerate(wanted)
            if name not in known
        ]
        problems += [
            self.document.problem(
                (*place, "per_category", name), f"there is no category '{name}'{suggest(name, known)}"
            )
            for _, place, use in _uses(self.skeleton)
            for name in use.per_category
            if name not in known
        ]
        if problems:
            raise RecipeError(problems)
        return dataset, list(dict.fromkeys(wanted))

    def resolved(self) -> str:
        """The recipe as YAML with every default and version filled in, and every path absolute."""
        plain = self.skeleton.model_dump(mode="json", by_alias=True, exclude_none=True)
        plain["dataset"] = self.dataset.plain()
        plain["detectors"] = {name: choice.plain() for name, choice in self.detectors.items()}
        plain["executor"] = self.executor.plain()
        if self.encoder:
            plain["encoder"] = self.encoder.plain()
        for key in ("segmenter", "features", "image_features", "final"):
            plain.pop(key, None)  # each row carries its own, defaults filled in
        plain["rows"] = [_plain_row(row) for row in self.rows]
        return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=110)


def _plain_row(row: Row) -> dict[str, Any]:
    if row.score:
        return {"name": row.name, "score": row.detectors[0]}
    assert row.segmenter is not None
    assert row.final is not None
    return {
        "name": row.name,
        "detectors": list(row.detectors),
        "segmenter": row.segmenter.plain(),
        "features": [choice.plain() for choice in row.features],
        "image_features": [choice.plain() for choice in row.image_features],
        "final": row.final.plain(),
    }


def shipped_recipes() -> list[str]:
    """The names of the recipes that come with segad."""
    folder = importlib.resources.files("segad_recipes")
    return sorted(f.name.removesuffix(".yaml") for f in folder.iterdir() if f.name.endswith(".yaml"))


def locate(recipe: str) -> Path:
    """The file that a recipe's path or shipped name means.

    Raises:
        RecipeError: there is no such file and no shipped recipe of that name.
    """
    path = Path(recipe)
    if is_file(path):
        return path
    if is_folder(path):
        raise RecipeError(f"'{recipe}' is a folder, not a recipe", "Name a YAML file in it.")
    if recipe in shipped_recipes():
        return Path(str(importlib.resources.files("segad_recipes") / f"{recipe}.yaml"))
    raise RecipeError(
        f"there is no recipe file '{recipe}', and no shipped recipe of that name"
        f"{suggest(Path(recipe).stem, shipped_recipes())}"
    )


def load_recipe(recipe: str, registry: Registry, overrides: Sequence[str] = ()) -> Recipe:
    """Reads and checks a recipe in two phases: the skeleton and all names, then the plugins' parameters.

    Nothing is imported before the first phase has passed; then only what the recipe names.

    Raises:
        RecipeError: with every problem of the phase that failed.
    """
    path = locate(recipe)
    document = read_document(path, recipe if is_file(Path(recipe)) else path.name, overrides)
    skeleton = check(Skeleton, document.data, document)
    if isinstance(skeleton, list):
        raise RecipeError(skeleton)
    resolver = _Resolver(document, registry, path.resolve().parent)
    resolver.names(skeleton)
    resolver.stop_if_problems()
    result = resolver.recipe(path.stem, skeleton)
    resolver.stop_if_problems()
    return result


class _Resolver:
    """Collects the problems of a phase while it resolves what has none."""

    def __init__(self, document: Document, registry: Registry, base: Path) -> None:
        self.document = document
        self.registry = registry
        self.base = base
        self.problems: list[str] = []
        self.cause: PluginError | None = None
        self.choices: dict[tuple[str, Place], Choice | None] = {}

    def stop_if_problems(self) -> None:
        if self.problems:
            raise RecipeError(self.problems) from self.cause

    def problem(self, place: Place, message: str) -> None:
        self.problems.append(self.document.problem(place, message))

    def names(self, skeleton: Skeleton) -> None:
        """Phase one: every plugin's name exists, rows name detectors that the recipe has."""
        for kind, place, use in _uses(skeleton):
            try:
                self.registry.find(kind, use.use)
            except PluginError as error:
                self.problem((*place, "use"), str(error))
            if use.per_category and kind in ("datasets", "encoders", "executors"):
                self.problem((*place, "per_category"), "one serves all categories here: give 'params' alone")
        for alias in skeleton.detectors:
            if alias == "all" or not _ALIAS.fullmatch(alias):
                self.problem(
                    ("detectors", alias),
                    "cannot name a detector: use letters, digits, '_' and '-', and not the word 'all'",
                )
        names = [row.name for row in skeleton.rows]
        for i, row in enumerate(skeleton.rows):
            if row.name in names[:i]:
                self.problem(("rows", i, "name"), f"two rows are called '{row.name}'")
            wanted = [row.score] if row.score is not None else row.detectors or []
            for name in wanted:
                if name not in skeleton.detectors and not (name == "all" and row.score is None):
                    key = "score" if row.score is not None else "detectors"
                    hint = suggest(name, skeleton.detectors)
                    self.problem(("rows", i, key), f"the recipe has no detector '{name}'{hint}")
            if row.score is None:
                for key in ("segmenter", "features", "final"):
                    if not getattr(row, key) and not getattr(skeleton, key):  # a row's list is never empty
                        self.problem(("rows", i), f"has no '{key}', and neither has the recipe")

    def recipe(self, name: str, skeleton: Skeleton) -> Recipe:
        """Phase two: imports what is named and checks its parameters."""
        for kind, place, use in _uses(skeleton):
            self.choices[(kind, place)] = self.choice(kind, place, use)
        self.stop_if_problems()
        one = self._one
        detectors = {alias: one("detectors", ("detectors", alias)) for alias in skeleton.detectors}
        encoder = one("encoders", ("encoder",)) if skeleton.encoder else None
        self.check_layers(detectors, encoder)
        return Recipe(
            name=name,
            skeleton=skeleton,
            document=self.document,
            dataset=one("datasets", ("dataset",)),
            encoder=encoder,
            detectors=detectors,
            executor=one("executors", ("executor",)),
            rows=tuple(self.row(skeleton, i) for i in range(len(skeleton.rows))),
        )

    def row(self, skeleton: Skeleton, i: int) -> Row:
        spec = skeleton.rows[i]
        if spec.score is not None:
            return Row(spec.name, (spec.score,), score=True)
        wanted = spec.detectors or []
        own: Place = ("rows", i)

        def place(key: str) -> Place:
            return (*own, key) if getattr(spec, key) is not None else (key,)

        def many(key: str) -> tuple[Choice, ...]:
            uses = getattr(spec, key) if getattr(spec, key) is not None else getattr(skeleton, key)
            return tuple(self._one("features", (*place(key), n)) for n in range(len(uses)))

        return Row(
            name=spec.name,
            detectors=tuple(skeleton.detectors) if "all" in wanted else tuple(dict.fromkeys(wanted)),
            score=False,
            segmenter=self._one("segmenters", place("segmenter")),
            features=many("features"),
            image_features=many("image_features"),
            final=self._one("final_classifiers", place("final")),
        )

    def choice(self, kind: str, place: Place, use: Use) -> Choice | None:
        provider = self.registry.find(kind, use.use)
        try:
            component = self.registry.component(provider)
        except PluginError as error:
            self.cause = error
            self.problem((*place, "use"), str(error))
            return None
        per_category = {
            category: self.params(component, {**use.params, **own}, (*place, "per_category", category))
            for category, own in use.per_category.items()
        }
        if per_category and not all(per_category.values()):
            return None
        # with categories of its own, the common part need not be complete
        before = len(self.problems)
        params = self.params(component, use.params, (*place, "params"))
        if params is None and per_category:
            del self.problems[before:]
        elif params is None:
            return None
        return Choice(provider, component, params, {c: p for c, p in per_category.items() if p is not None})

    def params(self, component: type[Component], data: dict[str, Any], place: Place) -> Parameters | None:
        checked = check(component.Params, data, self.document, place, base=self.base)
        if isinstance(checked, list):
            self.problems += checked
            return None
        result: Parameters = checked
        for name, info in component.Params.model_fields.items():
            if has_mark(info, IsInputFile):
                absent = [path for path in _paths(getattr(result, name)) if not is_file(path)]
                self.problems += [self._absent((*place, name), "file", path) for path in absent]
            elif has_mark(info, IsInputFolder):
                absent = [path for path in _paths(getattr(result, name)) if not is_folder(path)]
                self.problems += [self._absent((*place, name), "folder", path) for path in absent]
        return result

    def _absent(self, place: Place, kind: str, path: Path) -> str:
        return self.document.problem(place, f"there is no {kind} '{path}'")

    def check_layers(self, detectors: dict[str, Choice], encoder: Choice | None) -> None:
        """Every layer that a detector reads exists in the encoder."""
        try:
            known = list(encoder.build().layers()) if encoder else []
        except SegadError as error:
            self.problem(("encoder",), str(error))
            return
        for alias, choice in detectors.items():
            places: dict[Place, Parameters | None] = {("detectors", alias): choice.params}
            for category, params in choice.per_category.items():
                places[("detectors", alias, "per_category", category)] = params
            wanted = {
                place: choice.component(params).layers()  # type: ignore[attr-defined]
                for place, params in places.items()
                if params is not None
            }
            for place, layers in wanted.items():
                for layer in layers:
                    if layer not in known:
                        reason = suggest(layer, known) if encoder else ", because the recipe has no encoder"
                        self.problem(place, f"wants the encoder layer '{layer}', which is not there{reason}")

    def _one(self, kind: str, place: Place) -> Choice:
        choice = self.choices[(kind, place)]
        assert choice is not None  # stop_if_problems has passed
        return choice


def _uses(skeleton: Skeleton) -> list[tuple[str, Place, Use]]:
    """Every plugin that a recipe names: its kind, its place, and the words about it."""
    found: list[tuple[str, Place, Use | None]] = [
        ("datasets", ("dataset",), skeleton.dataset),
        ("encoders", ("encoder",), skeleton.encoder),
        ("executors", ("executor",), skeleton.executor),
    ]
    found += [("detectors", ("detectors", alias), use) for alias, use in skeleton.detectors.items()]
    holders: list[tuple[Place, Skeleton | RowSpec]] = [((), skeleton)]
    holders += [(("rows", i), row) for i, row in enumerate(skeleton.rows)]
    for place, holder in holders:
        found.append(("segmenters", (*place, "segmenter"), holder.segmenter))
        found.append(("final_classifiers", (*place, "final"), holder.final))
        for key in ("features", "image_features"):
            found += [("features", (*place, key, n), use) for n, use in enumerate(getattr(holder, key) or [])]
    return [(kind, place, use) for kind, place, use in found if use is not None]
