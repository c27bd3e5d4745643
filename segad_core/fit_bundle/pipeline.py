"""A row of a recipe as the pipeline in a bundle's manifest, with the files that its plugins need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace

from pydantic import ValidationError

from segad_core.base.checked import first_of
from segad_core.bundle.format.manifest import Ignore, Pipeline, PluginUse, TileFacts
from segad_core.bundle.format.plain_files import PLAIN_ENDINGS, wrong_with_file
from segad_core.bundle.format.writing import Content
from segad_core.contracts import Component, optional
from segad_core.contracts.component import DecidesNothing, IsInputFile, IsInputFolder, has_mark
from segad_core.contracts.precision import BFLOAT16
from segad_core.errors import RecipeError
from segad_core.plugins.provider import Provider
from segad_core.recipe import Choice, Recipe, Row
from segad_core.recipe.choice import paths_in
from segad_core.run.cells import RowTask
from segad_core.run.ignored import ignoring_of


def pipeline_of(
    recipe: Recipe, task: RowTask, segments: Sequence[str], names: Sequence[str]
) -> tuple[Pipeline, dict[str, Content]]:
    """The pipeline of a row, and the files that its parameters name, by their names in the bundle.

    Args:
        recipe, task: the row.
        segments, names: of the segments and of the features; empty before they are known.

    Raises:
        RecipeError: a file has a format that bundles do not accept, or the row does not fit a manifest.
    """
    skeleton, row, category = recipe.skeleton, task.row, task.category
    files: dict[str, Content] = {}

    def use(choice: Choice, place: str) -> PluginUse:
        plugin, needed = _use(choice, category, place)
        files.update(needed)
        return plugin

    encoder, g, image = recipe.encoder, row.classifier, skeleton.image
    try:
        pipeline = Pipeline(
            category=category,
            row=row.name,
            seed=task.seed,
            size=skeleton.image.size,
            white=skeleton.image.white,
            tiles=TileFacts.model_validate(asdict(image.tiles.plain())) if image.tiles else None,
            fit=None if skeleton.image.fit == "stretch" else skeleton.image.fit,
            batch_size=skeleton.batch_size,
            encoder=use(encoder, "encoder") if encoder else None,
            encoder_digest=encoder.build(category).digest() if encoder else "",
            detectors={alias: use(recipe.detectors[alias], f"detector-{alias}") for alias in row.detectors},
            classifiers={g: use(recipe.classifiers[g], f"classifier-{g}")} if g else {},
            score=row.score,
            segmenter=use(row.segmenter, "segmenter") if row.segmenter else None,
            features=[use(choice, f"feature-{i}") for i, choice in enumerate(row.features)],
            image_features=[use(choice, f"image-feature-{i}") for i, choice in enumerate(row.image_features)],
            final=use(row.final, "final") if row.final else None,
            segments=list(segments),
            names=list(names),
            off=list(row.off()) or None,
            weights=dict(row.weights) or None,
            ignore=_ignore(recipe, category, use, files),
            window=skeleton.image.window,
            bayer=skeleton.image.bayer,
            page=skeleton.image.page,
            precision=BFLOAT16 if _in_bfloat16(recipe, row) else None,
        )
    except ValidationError as error:
        raise cannot_be_bundled(task, error) from None
    return pipeline, files


def _in_bfloat16(recipe: Recipe, row: Row) -> bool:
    """Whether one of its networks computes in bfloat16."""
    learners = [{**recipe.detectors, **recipe.classifiers}[alias] for alias in row.learners()]
    return any(choice.precision == BFLOAT16 for choice in [recipe.encoder, *learners] if choice)


def _ignore(
    recipe: Recipe,
    category: str,
    use: Callable[[Choice, str], PluginUse],
    files: dict[str, Content],
) -> Ignore | None:
    """What is never inspected; its mask joins the files."""
    given = ignoring_of(recipe, category)
    if given is None:
        return None
    mask = ""
    if given.mask:
        mask = f"files/ignore{given.mask.suffix.lower()}"
        files[mask] = given.mask
    # the one row's, whatever it switches off
    own = {replace(row.segmenter, off=()).digest(category) for row in recipe.rows if row.segmenter}
    places = [
        "segmenter" if c.digest(category) in own else f"ignore-{i}" for i, c in enumerate(given.segmenters)
    ]
    segmenters = [use(choice, place) for choice, place in zip(given.segmenters, places, strict=True)]
    return Ignore(mask=mask, segmenters=segmenters)


def cannot_be_bundled(task: RowTask, error: ValidationError) -> RecipeError:
    """The error for a row whose manifest would not be valid."""
    return RecipeError(
        f"the row {task.row.name!a} cannot be bundled: its manifest is not valid {first_of(error)}"
    )


def _use(choice: Choice, category: str, place: str) -> tuple[PluginUse, dict[str, Content]]:
    return use_of(choice.provider, choice.build(category), place)


def use_of(provider: Provider, component: Component, place: str) -> tuple[PluginUse, dict[str, Content]]:
    """A plugin with its parameters. Files go into the bundle; folders are only needed for training.

    Args:
        provider, component: the plugin.
        place: begins the names of its files.

    Raises:
        RecipeError: a file has a format that bundles do not accept.
    """
    params = component.params
    plain, files = params.model_dump(mode="json"), dict[str, list[str]]()
    taken: dict[str, Content] = {}
    for name, info in type(params).model_fields.items():
        if has_mark(info, IsInputFolder):
            plain[name] = None
        elif has_mark(info, IsInputFile):
            plain_files = [optional.plain_file(component, path) for path in paths_in(getattr(params, name))]
            stored = [f"files/{place}-{name}-{i}{ending}" for i, (ending, _) in enumerate(plain_files)]
            for file, (ending, content) in zip(stored, plain_files, strict=True):
                if ending not in PLAIN_ENDINGS:
                    raise RecipeError(
                        f"{provider.qualified}: bundles accept no '{ending}' file, as in '{name}'",
                        f"Use one of {', '.join(PLAIN_ENDINGS)}.",
                    )
                if wrong := wrong_with_file(ending, content):
                    raise RecipeError(
                        f"{provider.qualified}: the '{ending}' file for '{name}' {wrong}",
                        "Bundles accept files of plain formats alone, as they hold no code.",
                    )
                taken[file] = content
            if stored:
                files[name] = stored
            plain[name] = [] if isinstance(plain[name], list) else None
    if any(isinstance(content, bytes) for content in taken.values()):  # converted: digests name the original
        marked = [name for name, info in type(params).model_fields.items() if has_mark(info, DecidesNothing)]
        plain = {name: value for name, value in plain.items() if name not in marked}
    return PluginUse(use=provider.qualified, version=provider.version, params=plain, files=files), taken
