"""From the text of a recipe to a checked recipe: names first, then plugins and their parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from segad_core.base.files import is_file, is_folder
from segad_core.contracts import Component, Learner, LearningSegmenter, Parameters, optional
from segad_core.contracts.component import IsInputFile, IsInputFolder, has_mark
from segad_core.contracts.learnt import described
from segad_core.errors import PluginError, RecipeError, SegadError
from segad_core.plugins.registry import HOOKS, Registry, suggest
from segad_core.recipe.choice import Choice, paths_in
from segad_core.recipe.chosen_hook import ChosenHook, add_hooks, component_of
from segad_core.recipe.classifiers import with_classifier_defaults
from segad_core.recipe.document import Document, Place, dotted, read_document
from segad_core.recipe.find import locate
from segad_core.recipe.names import missing, name_problems
from segad_core.recipe.published import Published, published
from segad_core.recipe.recipe import Recipe, Row
from segad_core.recipe.schema import AUTO, Skeleton, uses_in
from segad_core.recipe.split_spec import BadSpec
from segad_core.recipe.statistics import problems_of_statistics
from segad_core.recipe.use import Use
from segad_core.recipe.validation import check


def load_recipe(
    recipe: str,
    registry: Registry,
    overrides: Sequence[str] = (),
    categories: Sequence[str] = (),
    hooks: Sequence[str] = (),
) -> Recipe:
    """Reads and checks a recipe in two phases: its schema and all names, then the plugins' parameters.

    Nothing is imported before the first phase has passed, and then only what the recipe names.

    Args:
        recipe: a path, or the name of a shipped recipe.
        registry: the installed plugins.
        overrides: `--set` words.
        categories: `--category` words, instead of the recipe's categories; empty for these.
        hooks: `--hook` words, beside the recipe's hooks.

    Raises:
        RecipeError: with every problem of the phase that failed.
    """
    path = locate(recipe)
    document = read_document(path, recipe if is_file(Path(recipe)) else path.name, overrides)
    if categories:
        document.data["categories"] = list(categories)
        document.overrides["categories",] = " ".join(f"--category {one}" for one in categories)
    add_hooks(document, hooks)
    skeleton = check(Skeleton, document.data, document)
    if isinstance(skeleton, list):
        raise RecipeError(skeleton)
    base = path.resolve().parent
    problems = [document.problem(*problem) for problem in name_problems(skeleton, registry, base)]
    if problems:
        raise RecipeError(problems)
    name = path.stem if path.stem.strip(".") else path.name  # `...yaml` is no way out of the folder of runs
    found = _Resolver(document, registry, base, skeleton).recipe(name)
    return found.at(skeleton.precision) if skeleton.precision not in (None, AUTO) else found


class _Resolver:
    """The second phase: collects problems while it imports plugins and checks parameters."""

    def __init__(self, document: Document, registry: Registry, base: Path, skeleton: Skeleton) -> None:
        self.document = document
        self.registry = registry
        self.base = base
        self.skeleton = skeleton
        self.problems: list[str] = []
        self.cause: PluginError | None = None
        self.choices: dict[tuple[str, Place], Choice | None] = {}

    def recipe(self, name: str) -> Recipe:
        """The checked recipe.

        Raises:
            RecipeError: with every problem.
        """
        skeleton, one = self.skeleton, self._one
        used = uses_in(skeleton)
        hooks = [self._hook(place, use) for kind, place, use in used if kind == HOOKS]
        for kind, place, use in used:
            if kind == HOOKS:
                continue
            self.choices[(kind, place)] = self._choice(kind, place, use)
        self._stop_if_problems()
        detectors = {alias: one("detectors", ("detectors", alias)) for alias in skeleton.detectors}
        classifiers = {alias: one("classifiers", ("classifiers", alias)) for alias in skeleton.classifiers}
        encoder = one("encoders", ("encoder",)) if skeleton.encoder else None
        learners: dict[Place, Choice] = {("detectors", alias): choice for alias, choice in detectors.items()}
        learners |= {("classifiers", alias): choice for alias, choice in classifiers.items()}
        learners |= {
            place: choice
            for (_, place), choice in self.choices.items()
            if choice and issubclass(choice.component, LearningSegmenter)
        }
        self._check_layers(learners, encoder)
        self.skeleton = self._with_absolute_paths()
        self.skeleton = skeleton = with_classifier_defaults(self.skeleton, classifiers)
        result = Recipe(
            name=name,
            skeleton=skeleton,
            document=self.document,
            dataset=one("datasets", ("dataset",)),
            encoder=encoder,
            detectors=detectors,
            classifiers=classifiers,
            segmenter=one("segmenters", ("segmenter",)) if skeleton.segmenter else None,
            defects=self._generators(("split", "final", "bad"), skeleton.split.final.bad),
            executor=one("executors", ("executor",)),
            rows=tuple(self._row(i) for i, row in enumerate(skeleton.rows) if not row.mean_of),
            means={row.name: tuple(row.mean_of) for row in skeleton.rows if row.mean_of},
            published=self._published(),
            named_segmenters=tuple(c for (kind, _), c in self.choices.items() if c and kind == "segmenters"),
            hooks=tuple(hook for n, hook in enumerate(hooks) if hook and hook not in hooks[:n]),
        )
        self._stop_if_problems()
        return result

    def _problem(self, place: Place, message: str) -> None:
        self.problems.append(self.document.problem(place, message))

    def _stop_if_problems(self) -> None:
        if self.problems:
            raise RecipeError(self.problems) from self.cause

    def _published(self) -> Published | None:
        """The published figures that the recipe compares with."""
        if self.skeleton.compare_with is None:
            return None
        try:
            return published(self.skeleton.compare_with, self.base)
        except RecipeError as error:
            for problem in error.problems:
                self._problem(("compare_with",), problem)
            return None

    def _with_absolute_paths(self) -> Skeleton:
        """The skeleton with paths that do not depend on the recipe's folder."""
        split, compared = self.skeleton.split, self.skeleton.compare_with
        if split.file is not None:
            split = split.model_copy(update={"file": self.base / split.file})
        if compared is not None and is_file(self.base / compared):
            compared = str(self.base / compared)
        changes: dict[str, object] = {"split": split, "compare_with": compared}
        ignore = self.skeleton.ignore
        if isinstance(ignore, dict):
            changes["ignore"] = {category: str(self.base / mask) for category, mask in ignore.items()}
        elif ignore is not None:
            changes["ignore"] = str(self.base / ignore)
        return self.skeleton.model_copy(update=changes)

    def _row(self, i: int) -> Row:
        spec, skeleton = self.skeleton.rows[i], self.skeleton
        if spec.score in skeleton.classifiers:
            return Row(spec.name, (), spec.score, score=True)
        if spec.score is not None:
            return Row(spec.name, (spec.score,), score=True)
        wanted = spec.detectors or []
        here: Place = ("rows", i)

        def place(key: str) -> Place:
            return (*here, key) if getattr(spec, key) is not None else (key,)

        def many(key: str) -> tuple[Choice, ...]:
            uses = getattr(spec, key) if getattr(spec, key) is not None else getattr(skeleton, key)
            return tuple(self._one("features", (*place(key), n)) for n in range(len(uses)))

        detectors = tuple(skeleton.detectors) if "all" in wanted else tuple(dict.fromkeys(wanted))
        defects = self._generators((*here, "bad"), spec.bad) or self._generators(
            ("split", "final", "bad"), skeleton.split.final.bad
        )
        for alias in detectors if defects else ():
            if optional.knows_images_by_name(self._one("detectors", ("detectors", alias)).component):
                self._problem(
                    here,
                    f"detector '{alias}' has precomputed maps, but none of generated defects",
                )
        for key in ("features", "image_features"):
            for n, problem in problems_of_statistics(many(key)):
                self._problem((*place(key), n), problem)
        segmenter, weights = self._one("segmenters", place("segmenter")), spec.segments or {}
        if off := tuple(sorted(name for name, weight in weights.items() if weight == 0)):
            segmenter = replace(segmenter, off=off)
        return Row(
            name=spec.name,
            detectors=detectors,
            classifier=spec.classifier or "",
            segmenter=segmenter,
            weights=tuple((name, weight) for name, weight in weights.items() if weight not in (0, 1)),
            features=many("features"),
            image_features=many("image_features"),
            defects=defects,
            final=self._one("final_classifiers", place("final")),
        )

    def _generators(self, place: Place, bad: BadSpec | None) -> tuple[Choice, ...]:
        """The generators of defects at a place."""
        return tuple(self._one("defects", (*place, "use", n)) for n in range(len(bad.use if bad else [])))

    def _choice(self, kind: str, place: Place, use: Use) -> Choice | None:
        provider, categories = self.registry.find(kind, use.use), self.skeleton.categories
        try:
            component = self.registry.component(provider)
        except PluginError as error:
            self.cause = error
            self._problem((*place, "use"), error.sentence())
            return None
        per_category = {
            category: self._params(component, {**use.params, **params}, (*place, "per_category", category))
            for category, params in use.per_category.items()
            if categories is None or category in categories  # files of the others need not exist
        }
        if per_category and not all(per_category.values()):
            return None
        # the common part may be incomplete if categories have their own
        before = len(self.problems)
        params = self._params(component, use.params, (*place, "params"))
        if params is None and use.per_category:
            del self.problems[before:]
            for n, category in enumerate(categories or ()):
                if category not in use.per_category:
                    hint = suggest(category, use.per_category)
                    where = f"in {dotted((*place, 'per_category'))}"
                    self._problem(("categories", n), f"there is no category '{category}' {where}{hint}")
        elif params is None:
            return None
        return Choice(provider, component, params, {c: p for c, p in per_category.items() if p is not None})

    def _hook(self, place: Place, use: Use) -> ChosenHook | None:
        """A hook; that it is broken is no problem of the recipe."""
        provider = self.registry.find(HOOKS, use.use)
        try:
            loaded = self.registry.loaded(provider)
        except PluginError as error:
            return ChosenHook(provider, broken=error.what)
        params = self._params(component_of(loaded), use.params, (*place, "params"))
        return None if params is None else ChosenHook(provider, loaded, params)

    def _params(self, component: type[Component], data: dict[str, Any], place: Place) -> Parameters | None:
        checked = check(component.Params, data, self.document, place, base=self.base)
        if isinstance(checked, list):
            self.problems += checked
            return None
        result: Parameters = checked
        for name, info in component.Params.model_fields.items():
            for kind, mark, exists in (("file", IsInputFile, is_file), ("folder", IsInputFolder, is_folder)):
                for path in paths_in(getattr(result, name)) if has_mark(info, mark) else []:
                    if not exists(path):
                        self._problem(*missing((*place, name), kind, path, True))
        return result

    def _check_layers(self, learners: dict[Place, Choice], encoder: Choice | None) -> None:
        """Checks that the encoder has every layer that a learner reads, and one of those that it prefers."""
        try:
            known = list(encoder.build().layers()) if encoder else []
        except SegadError as error:
            self._problem(("encoder",), error.sentence())
            return
        for place, choice in learners.items():
            places: dict[Place, Parameters | None] = {place: choice.params}
            for category, own in choice.per_category.items():
                places[(*place, "per_category", category)] = own
            for where, params in places.items():
                if params is not None:
                    learner: Any = choice.component(params)
                    self._check_layers_of(learner, where, known, encoder is not None)

    def _check_layers_of(self, learner: Learner, place: Place, known: list[str], has_encoder: bool) -> None:
        layers = learner.layers()
        for layer in layers:
            if layer not in known:
                reason = suggest(layer, known) if has_encoder else ": the recipe has no encoder"
                what = f"there is no encoder layer '{layer}', which {described(learner)} reads"
                self._problem(place, what + reason)
        wanted = optional.optional_layers(learner)
        if wanted and not layers and not set(wanted) & set(known):
            if has_encoder:
                has = f"the encoder has none of the layers {', '.join(wanted)}, only {', '.join(known)}"
                self._problem(place, f"{has}: name some of them, such as params: {{layers: [{known[-1]}]}}")
            else:
                self._problem(
                    place, f"reads the encoder layers {', '.join(wanted)}: the recipe has no encoder"
                )

    def _one(self, kind: str, place: Place) -> Choice:
        choice = self.choices[(kind, place)]
        assert choice is not None  # _stop_if_problems has passed
        return choice
