"""What can be said about plugins before any image is read: most mistakes cost no time then."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from segad_core.contracts import Encoder, Learner, optional
from segad_core.contracts.segmenter import inspected
from segad_core.recipe import Recipe
from segad_core.run.final_checks import check_finals
from segad_core.run.judged_parts import together
from segad_core.run.segment_checks import check_segments
from segad_core.run.trainings import preprocessing_of
from segad_core.scoring.shapes import layer_shapes
from segad_core.scoring.tiled import size_seen

log = logging.getLogger("segad.prepare")


def check_plugins(recipe: Recipe, categories: Sequence[str], device: str) -> None:
    """Checks that the plugins of a recipe can work, and work together.

    Args:
        recipe: with the plugins.
        categories: of the run.
        device: where they are checked.

    Raises:
        SegadError: one cannot.
    """
    for category in categories:
        _check_learners(recipe, category, categories, device)
        for segmenter in recipe.segmenters():  # raises an error early if it cannot work
            segmenter.build(category).segments()
        _check_generators(recipe, category)
        if not together(recipe):
            check_finals(recipe, category)
    check_segments(recipe, categories)


def announce_download(recipe: Recipe, category: str) -> None:
    """Warns that the encoder will download weights, though not yet: all results may be in the store."""
    if recipe.encoder is None:
        return
    encoder = recipe.encoder.build(category)
    choices = [*recipe.learners().values(), *recipe.learning_segmenters()]
    learners = [choice.build(category) for choice in choices]
    if not any(optional.layers_read(learner, encoder) for learner in learners):
        return
    announce(encoder)


def announce(encoder: Encoder) -> None:
    """Warns that an encoder will download weights, if it will."""
    if missing := optional.to_download(encoder):
        log.warning("the encoder's weights are not on this machine: %s will be downloaded for them", missing)


def _check_learners(recipe: Recipe, category: str, categories: Sequence[str], device: str) -> None:
    """Checks the detectors, classifiers and learning segmenters that rows use, before any image is read.

    Learners with the same parameters as in an earlier category have been checked there.
    """
    encoder = recipe.encoder.build() if recipe.encoder else None
    how = preprocessing_of(recipe)
    before = categories[: categories.index(category)]
    for choice in [*recipe.learners().values(), *recipe.learning_segmenters()]:
        if any(choice.params_for(earlier) is choice.params_for(category) for earlier in before):
            continue
        learner: Learner = choice.build(category, device)
        size = size_seen(choice.component, how)
        if encoder and optional.layers_read(learner, encoder):
            optional.check_size(encoder, size)
        learner.check(size, layer_shapes(learner, encoder, size))


def _check_generators(recipe: Recipe, category: str) -> None:
    """Checks that generators of defects can use the segments."""
    for row in recipe.rows:
        segmenter = recipe.segmenter or row.segmenter
        for choice in row.defects:
            assert segmenter is not None  # a row that learns from anything has one
            names = inspected(segmenter.build(category).segments(), row.off())
            choice.build(category).check(names)
