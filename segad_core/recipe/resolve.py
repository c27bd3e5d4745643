"""From a skeleton to a recipe whose plugins are found, imported and have checked parameters."""

from __future__ import annotations

import importlib.resources
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from segad_core.base.files import is_file, is_folder
from segad_core.contracts import Component, Parameters, optional
from segad_core.contracts.component import IsInputFile, IsInputFolder, has_mark
from segad_core.errors import PluginError, RecipeError, SegadError
from segad_core.plugins.registry import Registry, suggest
from segad_core.recipe.choice import Choice, Recipe, Row, paths_in, uses_in
from segad_core.recipe.document import Document, Place, read_document
from segad_core.recipe.published import Published, published
from segad_core.recipe.schema import BadSpec, Skeleton, Use, check

_ALIAS = re.compile(r"[A-Za-z0-9_-]+")
"""Names of detectors are parts of feature names (`wires.patchcore.q995`), where a dot parts them."""


_REAL = "a classifier learns from real bad images, and those here are generated"


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
    resolver = _Resolver(document, registry, path.resolve().parent, skeleton.categories)
    resolver.names(skeleton)
    resolver.stop_if_problems()
    result = resolver.recipe(path.stem, skeleton)
    resolver.stop_if_problems()
    return result


class _Resolver:
    """Collects the problems of a phase while it resolves what has none."""

    def __init__(
        self, document: Document, registry: Registry, base: Path, categories: list[str] | None
    ) -> None:
        self.document = document
        self.categories = categories
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
        for kind, place, use in uses_in(skeleton):
            try:
                provider = self.registry.find(kind, use.use)
            except PluginError as error:
                self.problem((*place, "use"), str(error))
                continue
            if use.version not in (None, provider.version):
                self.problem(
                    (*place, "version"),
                    f"{provider.distribution} {provider.version} is installed, and the recipe wants "
                    f"{use.version}: install that, or take the version out",
                )
            if use.per_category and kind in ("datasets", "encoders", "executors"):
                self.problem((*place, "per_category"), "one serves all categories here: give 'params' alone")
        for kind in ("detectors", "classifiers"):
            for alias in getattr(skeleton, kind):
                if alias == "all" or not _ALIAS.fullmatch(alias):
                    self.problem(
                        (kind, alias),
                        f"cannot name a {kind[:-1]}: use letters, digits, '_' and '-', "
                        "and not the word 'all'",
                    )
        for alias in skeleton.classifiers:
            if alias in skeleton.detectors:
                self.problem(("classifiers", alias), f"a detector is called '{alias}' too")
        self.split_file(skeleton)
        names = [row.name for row in skeleton.rows]
        for i, row in enumerate(skeleton.rows):
            if row.name in names[:i]:
                self.problem(("rows", i, "name"), f"two rows are called '{row.name}'")
            self.row_names(skeleton, i)

    def split_file(self, skeleton: Skeleton) -> None:
        """Phase one: the file that splits come from is there."""
        path = skeleton.split.file
        if path is not None and not is_file(self.base / path):
            self.problems.append(self._absent(("split", "file"), "file", self.base / path))

    def row_names(self, skeleton: Skeleton, i: int) -> None:
        """Phase one, for a row: every learner that it names is there, and so is every part that it needs."""
        row, learners = skeleton.rows[i], {**skeleton.detectors, **skeleton.classifiers}
        if row.mean_of is not None:
            own = [r.name for r in skeleton.rows if r.mean_of is None]
            for name in row.mean_of:
                if name not in own:
                    self.problem(
                        ("rows", i, "mean_of"), f"no row that measures is called '{name}'{suggest(name, own)}"
                    )
            return
        if row.score is not None:
            if row.score not in learners:
                hint = suggest(row.score, learners)
                self.problem(
                    ("rows", i, "score"), f"the recipe has no detector or classifier '{row.score}'{hint}"
                )
            elif row.score in skeleton.classifiers and skeleton.split.final.bad.origin == "generated":
                self.problem(
                    ("rows", i, "score"), f"{_REAL}: let rows say 'bad: {{from: generated}}' instead"
                )
            return
        for name in row.detectors or []:
            if name not in skeleton.detectors and name != "all":
                hint = suggest(name, skeleton.detectors)
                self.problem(("rows", i, "detectors"), f"the recipe has no detector '{name}'{hint}")
        if not skeleton.detectors and row.detectors == ["all"]:
            self.problem(("rows", i, "detectors"), "the recipe has no detector")
        if row.classifier is not None and row.classifier not in skeleton.classifiers:
            hint = suggest(row.classifier, skeleton.classifiers)
            self.problem(("rows", i, "classifier"), f"the recipe has no classifier '{row.classifier}'{hint}")
        for key in ("segmenter", "features", "final"):
            if not getattr(row, key) and not getattr(skeleton, key):  # a row's list is never empty
                self.problem(("rows", i), f"has no '{key}', and neither has the recipe")
        if row.classifier is not None and (row.bad or skeleton.split.final.bad).origin == "generated":
            self.problem(
                ("rows", i, "classifier"),
                f"{_REAL}: take one out",
            )

    def recipe(self, name: str, skeleton: Skeleton) -> Recipe:
        """Phase two: imports what is named and checks its parameters."""
        for kind, place, use in uses_in(skeleton):
            self.choices[(kind, place)] = self.choice(kind, place, use)
        self.stop_if_problems()
        one = self._one
        detectors = {alias: one("detectors", ("detectors", alias)) for alias in skeleton.detectors}
        classifiers = {alias: one("classifiers", ("classifiers", alias)) for alias in skeleton.classifiers}
        encoder = one("encoders", ("encoder",)) if skeleton.encoder else None
        learners: dict[Place, Choice] = {("detectors", alias): choice for alias, choice in detectors.items()}
        learners |= {("classifiers", alias): choice for alias, choice in classifiers.items()}
        self.check_layers(learners, encoder)
        return Recipe(
            name=name,
            skeleton=self.with_absolute_paths(skeleton),
            document=self.document,
            dataset=one("datasets", ("dataset",)),
            encoder=encoder,
            detectors=detectors,
            classifiers=classifiers,
            segmenter=one("segmenters", ("segmenter",)) if skeleton.segmenter else None,
            defects=self.generators(("split", "final", "bad"), skeleton.split.final.bad),
            executor=one("executors", ("executor",)),
            rows=tuple(self.row(skeleton, i) for i, row in enumerate(skeleton.rows) if not row.mean_of),
            means={row.name: tuple(row.mean_of) for row in skeleton.rows if row.mean_of},
            published=self.published(skeleton),
        )

    def published(self, skeleton: Skeleton) -> Published | None:
        """The published figures that the recipe compares with."""
        if skeleton.compare_with is None:
            return None
        try:
            return published(skeleton.compare_with, self.base)
        except RecipeError as error:
            self.problem(("compare_with",), str(error))
            return None

    def with_absolute_paths(self, skeleton: Skeleton) -> Skeleton:
        """The skeleton as it holds wherever the recipe lies."""
        split, compared = skeleton.split, skeleton.compare_with
        if split.file is not None:
            split = split.model_copy(update={"file": self.base / split.file})
        if compared is not None and is_file(self.base / compared):
            compared = str(self.base / compared)
        return skeleton.model_copy(update={"split": split, "compare_with": compared})

    def row(self, skeleton: Skeleton, i: int) -> Row:
        spec = skeleton.rows[i]
        if spec.score in skeleton.classifiers:
            return Row(spec.name, (), spec.score, score=True)
        if spec.score is not None:
            return Row(spec.name, (spec.score,), score=True)
        wanted = spec.detectors or []
        own: Place = ("rows", i)

        def place(key: str) -> Place:
            return (*own, key) if getattr(spec, key) is not None else (key,)

        def many(key: str) -> tuple[Choice, ...]:
            uses = getattr(spec, key) if getattr(spec, key) is not None else getattr(skeleton, key)
            return tuple(self._one("features", (*place(key), n)) for n in range(len(uses)))

        detectors = tuple(skeleton.detectors) if "all" in wanted else tuple(dict.fromkeys(wanted))
        defects = self.generators((*own, "bad"), spec.bad) or self.generators(
            ("split", "final", "bad"), skeleton.split.final.bad
        )
        for alias in detectors if defects else ():
            if optional.knows_images_by_name(self._one("detectors", ("detectors", alias)).component):
                self.problem(
                    own, f"maps of '{alias}' were computed elsewhere, and none exist for generated defects"
                )
        return Row(
            name=spec.name,
            detectors=detectors,
            classifier=spec.classifier or "",
            segmenter=self._one("segmenters", place("segmenter")),
            features=many("features"),
            image_features=many("image_features"),
            defects=defects,
            final=self._one("final_classifiers", place("final")),
        )

    def generators(self, place: Place, bad: BadSpec | None) -> tuple[Choice, ...]:
        """The generators of defects that stand at a place."""
        return tuple(self._one("defects", (*place, "use", n)) for n in range(len(bad.use if bad else [])))

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
            if self.categories is None or category in self.categories  # of the others nothing need be there
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
                absent = [path for path in paths_in(getattr(result, name)) if not is_file(path)]
                self.problems += [self._absent((*place, name), "file", path) for path in absent]
            elif has_mark(info, IsInputFolder):
                absent = [path for path in paths_in(getattr(result, name)) if not is_folder(path)]
                self.problems += [self._absent((*place, name), "folder", path) for path in absent]
        return result

    def _absent(self, place: Place, kind: str, path: Path) -> str:
        return self.document.problem(place, f"there is no {kind} '{path}'")

    def check_layers(self, learners: dict[Place, Choice], encoder: Choice | None) -> None:
        """Every layer that a learner reads exists in the encoder."""
        try:
            known = list(encoder.build().layers()) if encoder else []
        except SegadError as error:
            self.problem(("encoder",), str(error))
            return
        for own, choice in learners.items():
            places: dict[Place, Parameters | None] = {own: choice.params}
            for category, params in choice.per_category.items():
                places[(*own, "per_category", category)] = params
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
