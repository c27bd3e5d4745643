"""A preview of a recipe's segmentation in one picture: mean good image, a sample, and its segments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segad_core.base.text import as_text, percent
from segad_core.contracts import (
    IGNORED,
    Encoder,
    LearningSegmenter,
    MapQuality,
    Progress,
    Run,
    Sample,
    Segmenter,
    no_progress,
    optional,
)
from segad_core.errors import DataError, ImageError, RecipeError, UsageError
from segad_core.images import FileImageSet
from segad_core.images.artifacts import keeper
from segad_core.images.frames import check_in_frame
from segad_core.images.overlay import Entry, enlarged, overlay, sheet
from segad_core.images.pages import by_page, sample_at_full_size
from segad_core.plugins.registry import suggest
from segad_core.recipe import Choice, Recipe
from segad_core.run.ignored import ignoring_of
from segad_core.run.training_images import TrainingImages
from segad_core.run.trainings import preprocessing_of
from segad_core.scoring.segmentation import NamedSegmenter
from segad_core.scoring.shapes import layer_shapes
from segad_core.scoring.tiled import size_seen
from segad_core.store.store import Store
from segad_core.tools.mean_image import Mean, mean_of

_LEAST_PANEL = 384
"""In pixels; smaller images are enlarged."""


@dataclass(frozen=True)
class Preview:
    """A picture of a segmentation, and facts about it.

    Attributes:
        picture: the mean good image, the sample, and the sample with its segments overlaid; a legend below.
        category: the category shown.
        segmenter: the plugin's name, and whether it is the recipe's or a row's.
        sample: the image that is segmented.
        averaged: how many good images the mean is over.
        good: how many good images there are.
        shares: of the sample's pixels, by label and name; ignored pixels come last, if there are any.
        quality: how well the map fits the image, if the segmenter measures it.
        notes: the segmenter's notes.
        unreadable: good images that cannot be read; they are excluded.
    """

    picture: Image.Image
    category: str
    segmenter: str
    sample: Sample
    averaged: int
    good: int
    shares: tuple[tuple[int, str, float], ...]
    quality: MapQuality | None
    notes: tuple[str, ...]
    unreadable: tuple[ImageError, ...]


def preview(
    recipe: Recipe,
    category: str,
    store: Store,
    row: str = "",
    image: str = "",
    device: str = "auto",
    progress: Progress = no_progress,
) -> Preview:
    """Segments one image as a run would, and draws the result.

    Args:
        recipe: with the data, the image size and the segmenter.
        category: one of the recipe's; can be empty if there is only one.
        store: keeps segmentations that are slow to compute.
        row: the row whose segmenter is shown; by default the recipe's segmenter, or the first of any row.
        image: id of the sample; by default the first good image.
        device: as for a run.
        progress: receives the number of images read.

    Raises:
        SegadError: there is no such category, row, image or segmenter, or the segmenter fails.
    """
    dataset, categories = recipe.open_dataset()
    category = _one_of(category, categories, recipe.name)
    choice, whose = _segmenter(recipe, row)
    segmenter: Segmenter = choice.build(category, device)
    segmenter.segments()  # raises an error early if it cannot work
    samples = sorted(
        by_page(dataset.samples(category), recipe.skeleton.image.decoding()), key=lambda one: one.id
    )
    wanted = _named(samples, image, category) if image else None
    good = _good(samples, category)
    spec = recipe.skeleton.image
    mean = mean_of(good, spec, category, progress)
    sample = wanted or mean.samples[0]
    images = _as_in_a_run(recipe, category, segmenter, sample, mean, store, device)
    notes = list(optional.notes(segmenter))
    if isinstance(segmenter, LearningSegmenter):
        images = _fitted(segmenter, images, mean, recipe, device, progress)
        notes.append(
            f"The segments were learnt from {mean.count} good images. A run learns them from the images on "
            "which it trains its detectors."
        )
    named = NamedSegmenter(segmenter, choice.provider.name, choice.off)
    names = named.segments
    batch = images.pick([0])
    segments = named.segment(batch)
    pixels, labels = batch.pixels[0], segments.maps[0]
    shares = _shares(labels, names)
    large = partial(enlarged, factor=-(-_LEAST_PANEL // max(spec.size)))
    panels = [
        (f"mean of {mean.count} of {len(good)} good images", large(mean.pixels)),
        (as_text(sample.id), large(pixels)),
        (f"{choice.provider.name}, {whose}", overlay(large(pixels), large(labels))),
    ]
    entries = [Entry(label, (f"{label}  {name}", percent(share))) for label, name, share in shares]
    return Preview(
        picture=sheet(panels, entries),
        category=category,
        segmenter=f"{choice.provider.name} ({whose})",
        sample=sample,
        averaged=mean.count,
        good=len(good),
        shares=shares,
        quality=segments.quality[0] if segments.quality else None,
        notes=tuple(notes),
        unreadable=mean.unreadable,
    )


def _as_in_a_run(
    recipe: Recipe,
    category: str,
    segmenter: Segmenter,
    sample: Sample,
    mean: Mean,
    store: Store,
    device: str,
) -> FileImageSet:
    """The sample as a run would read it.

    Raises:
        SegadError: the masks of the segmenter, or of what is ignored, do not fit the images.
    """
    spec = recipe.skeleton.image
    with sample_at_full_size(sample, spec.decoding()) as decoded:
        height, width = decoded.pixels.shape[:2]
    check_in_frame(segmenter.check_sizes, {*mean.sizes, (height, width)}, spec.size, spec.fit)
    images = FileImageSet([sample], preprocessing_of(recipe), keep=keeper(store, spec.decoding()))
    if ignore := ignoring_of(recipe, category):
        check_in_frame(ignore.check_sizes, mean.sizes, spec.size, spec.fit)
        images = replace(images, ignoring=ignore.build(device))
    return images


def _fitted(
    segmenter: LearningSegmenter,
    images: FileImageSet,
    mean: Mean,
    recipe: Recipe,
    device: str,
    progress: Progress,
) -> FileImageSet:
    """Fits a segmenter to the averaged images; returns the images with the features that it reads."""
    encoder: Encoder | None = recipe.encoder.build(device=device) if recipe.encoder else None
    size = size_seen(type(segmenter), images.preprocessing)
    segmenter.check(size, layer_shapes(segmenter, encoder, size))
    images = replace(images, encoder=encoder, layers=optional.layers_read(segmenter, encoder))
    good = replace(images, samples=mean.samples, progress=progress)
    segmenter.fit(
        TrainingImages(good).of(segmenter),
        Run(np.random.SeedSequence(recipe.skeleton.split.seeds[0]), progress),
    )
    return images


def _one_of(category: str, categories: Sequence[str], recipe: str) -> str:
    if not category and len(categories) == 1:
        return categories[0]
    if not category:
        raise UsageError(
            f"recipe '{recipe}' has {len(categories)} categories, and a preview shows one",
            f"Choose one with --category: {', '.join(categories)}.",
        )
    if category not in categories:
        raise UsageError(f"recipe '{recipe}' has no category '{category}'{suggest(category, categories)}")
    return category


def _segmenter(recipe: Recipe, row: str) -> tuple[Choice, str]:
    """The segmenter to show, and whether it is the recipe's or a row's, in words."""
    rows = {one.name: one.segmenter for one in recipe.rows}
    if row:
        if row not in rows:
            raise UsageError(f"recipe '{recipe.name}' has no row '{row}'{suggest(row, rows)}")
        if (segmenter := rows[row]) is None:
            raise UsageError(f"row '{row}' has no segmenter", "Choose a row that uses SegAD.")
        return segmenter, f"of row '{row}'"
    if recipe.segmenter is not None:
        return recipe.segmenter, "of the recipe"
    for name, segmenter in rows.items():
        if segmenter is not None:
            return segmenter, f"of row '{name}'"
    raise RecipeError(
        f"recipe '{recipe.name}' has no segmenter", "Add one, such as 'segmenter: {use: static_mask, …}'."
    )


def _named(samples: Sequence[Sample], image: str, category: str) -> Sample:
    known = {sample.id: sample for sample in samples}
    if image not in known:
        few = [*known][:3]
        raise UsageError(
            f"category '{category}' has no image '{image}'",
            f"Give an image by its path in the data set, such as {', '.join(few)}.",
        )
    return known[image]


def _good(samples: Sequence[Sample], category: str) -> list[Sample]:
    """The good images of the training part, or all good images if it has none."""
    good = [sample for sample in samples if sample.label == 0]
    if not good:
        raise DataError(f"category '{category}' has no good images", "Add some: masks are drawn over them.")
    return [sample for sample in good if sample.split == "train"] or good


def _shares(labels: NDArray[np.uint8], names: Sequence[str]) -> tuple[tuple[int, str, float], ...]:
    counts = np.bincount(labels.reshape(-1), minlength=IGNORED + 1) / labels.size
    shares = [(label, name, float(counts[label])) for label, name in enumerate(names)]
    return (*shares, *([(IGNORED, "ignored", float(counts[IGNORED]))] if counts[IGNORED] else []))
