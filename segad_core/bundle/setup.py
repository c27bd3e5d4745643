"""A row of a recipe as the setup that a bundle's manifest names, and the files that it takes along."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from segad_core.bundle.manifest import Pipeline, PluginUse
from segad_core.cells import RowTask
from segad_core.contracts.component import IsInputFile, IsInputFolder, has_mark
from segad_core.recipe import Choice, Recipe
from segad_core.recipe.choice import paths_in


def setup_of(recipe: Recipe, task: RowTask, names: Sequence[str]) -> tuple[Pipeline, dict[str, Path]]:
    """The setup, and the files that its parameters name, by their names in the bundle."""
    skeleton, row, category = recipe.skeleton, task.row, task.category
    files: dict[str, Path] = {}

    def use(choice: Choice, place: str) -> PluginUse:
        found, own = _use(choice, category, place)
        files.update(own)
        return found

    encoder, g = recipe.encoder, row.classifier
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
    return pipeline, files


def _use(choice: Choice, category: str, place: str) -> tuple[PluginUse, dict[str, Path]]:
    """A plugin with its parameters; files go into the bundle, folders only decide a training."""
    params = choice.params_for(category)
    plain, files = params.model_dump(mode="json"), dict[str, list[str]]()
    taken: dict[str, Path] = {}
    for name, info in type(params).model_fields.items():
        if has_mark(info, IsInputFolder):
            plain[name] = None
        elif has_mark(info, IsInputFile):
            paths = paths_in(getattr(params, name))
            stored = [f"files/{place}-{name}-{i}{path.suffix.lower()}" for i, path in enumerate(paths)]
            taken.update(zip(stored, paths, strict=True))
            if stored:
                files[name] = stored
            plain[name] = [] if isinstance(plain[name], list) else None
    provider = choice.provider
    return PluginUse(use=provider.qualified, version=provider.version, params=plain, files=files), taken
