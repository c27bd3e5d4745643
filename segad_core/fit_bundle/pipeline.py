"""A row of a recipe as the setup that a bundle's manifest names, and the files that it takes along."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from segad_core.base.checked import first_of
from segad_core.bundle.format.manifest import PLAIN_ENDINGS, Pipeline, PluginUse
from segad_core.contracts import optional
from segad_core.contracts.component import DecidesNothing, IsInputFile, IsInputFolder, has_mark
from segad_core.errors import RecipeError
from segad_core.recipe import Choice, Recipe
from segad_core.recipe.choice import paths_in
from segad_core.run.cells import RowTask


def setup_of(recipe: Recipe, task: RowTask, names: Sequence[str]) -> tuple[Pipeline, dict[str, bytes | Path]]:
    """The setup, and the files that its parameters name, by their names in the bundle.

    Raises:
        RecipeError: one of them is of a format that no bundle takes; or the setup is one that fits none.
    """
    skeleton, row, category = recipe.skeleton, task.row, task.category
    files: dict[str, bytes | Path] = {}

    def use(choice: Choice, place: str) -> PluginUse:
        found, own = _use(choice, category, place)
        files.update(own)
        return found

    encoder, g = recipe.encoder, row.classifier
    try:
        pipeline = Pipeline(
            category=category,
            row=row.name,
            seed=task.seed,
            size=skeleton.image.size,
            white=skeleton.image.white,
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
            segments=list(row.segmenter.build(category).segments()) if row.segmenter else [],
            names=list(names),
        )
    except ValidationError as error:
        raise fits_no_bundle(task, error) from None
    return pipeline, files


def fits_no_bundle(task: RowTask, error: ValidationError) -> RecipeError:
    """What to say of a row whose manifest would be refused."""
    return RecipeError(f"the row {task.row.name!a} fits no bundle: its manifest is wrong {first_of(error)}")


def _use(choice: Choice, category: str, place: str) -> tuple[PluginUse, dict[str, bytes | Path]]:
    """A plugin with its parameters; files go into the bundle, folders only decide a training."""
    params, component = choice.params_for(category), choice.build(category)
    plain, files = params.model_dump(mode="json"), dict[str, list[str]]()
    taken: dict[str, bytes | Path] = {}
    for name, info in type(params).model_fields.items():
        if has_mark(info, IsInputFolder):
            plain[name] = None
        elif has_mark(info, IsInputFile):
            found = [optional.plain_file(component, path) for path in paths_in(getattr(params, name))]
            stored = [f"files/{place}-{name}-{i}{ending}" for i, (ending, _) in enumerate(found)]
            for file, (ending, content) in zip(stored, found, strict=True):
                if ending not in PLAIN_ENDINGS:
                    raise RecipeError(
                        f"{choice.provider.qualified}: no bundle takes its file '{name}', a '{ending}'",
                        f"Give one of {', '.join(PLAIN_ENDINGS)}.",
                    )
                taken[file] = content
            if stored:
                files[name] = stored
            plain[name] = [] if isinstance(plain[name], list) else None
    if any(isinstance(content, bytes) for content in taken.values()):  # written anew: digests are of the old
        marked = [name for name, info in type(params).model_fields.items() if has_mark(info, DecidesNothing)]
        plain = {name: value for name, value in plain.items() if name not in marked}
    provider = choice.provider
    return PluginUse(use=provider.qualified, version=provider.version, params=plain, files=files), taken
