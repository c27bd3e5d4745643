"""What can be said about rows' final classifiers before anything is trained."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from segad_core.base.notes import Notes
from segad_core.contracts import Encoder, FinalClassifier, Parameters, optional
from segad_core.contracts.segmenter import inspected
from segad_core.errors import RecipeError
from segad_core.recipe import Recipe, Row
from segad_core.scoring.layout import FeatureLayout
from segad_core.scoring.views import view_names
from segad_core.split.draw import Split

_OF_VIEWS = "With parts.verdict: together, names begin with a view, as in '{}/image. ...'."
_NOT_TOGETHER = "reads the features of one image, so it does not work with parts.verdict: together"
_INSTEAD = (
    "Set parts.verdict: worst, or use a final classifier that reads any features: brf, bt, rf or logistic."
)


def check_finals(recipe: Recipe, category: str, views: Sequence[str] = ()) -> None:
    """Checks that final classifiers can use the features of their rows, as far as these are known.

    Args:
        recipe, category: of the rows.
        views: of a part, where the features of all views are one vector.

    Raises:
        RecipeError: one cannot.
        PluginError: two features of a row would have the same name.
    """
    places = {row.name: ("rows", i, "final") for i, row in enumerate(recipe.skeleton.rows)}
    encoder: Encoder | None = recipe.encoder.build() if recipe.encoder else None
    problems, remedy = [], ""
    for row in recipe.rows:
        names = feature_names(recipe, row, category, encoder)
        if row.final is not None and names is not None:
            try:
                row.final.build(category).check(view_names(names, views))
            except RecipeError as error:
                found, remedy = error.problems, error.remedy
                if views and _names_a_feature(row.final.params_for(category), names):
                    remedy = f"{remedy} {_OF_VIEWS.format(views[0])}"
                elif views and _reads_one_image(row.final.build(category), names, views, row.detectors):
                    found = [f"'{row.final.provider.name}' {_NOT_TOGETHER}"]
                    remedy = _INSTEAD
                    if not _suits(row.final.build(category), names):
                        remedy += f" For 'worst', {error.remedy[:1].lower()}{error.remedy[1:]}"
                problems += [recipe.document.problem(places[row.name], what) for what in found]
    if problems:
        raise RecipeError(problems, remedy)


def _reads_one_image(
    final: FinalClassifier, names: Sequence[str], views: Sequence[str], detectors: Sequence[str]
) -> bool:
    """Whether a final classifier can use features of one image, but not those of all views side by side.

    The highest value of each map is tried, too: a row that lacks it is not helped by it with several views.
    """
    more = [*dict.fromkeys([*names, *(f"image.{alias}.max" for alias in detectors)])]
    return any(_suits(final, own) and not _suits(final, view_names(own, views)) for own in (names, more))


def _suits(final: FinalClassifier, names: Sequence[str]) -> bool:
    try:
        final.check(names)
    except RecipeError:
        return False
    return True


def _names_a_feature(params: Parameters, names: Sequence[str]) -> bool:
    """Whether a parameter is the name of an image's feature, which a part has once for each view."""
    return any(value in names for _, value in params)


def feature_names(recipe: Recipe, row: Row, category: str, encoder: Encoder | None) -> list[str] | None:
    """The names of a SegAD row's features; None if only the trained classifier knows its outputs."""
    if row.segmenter is None:
        return None
    outputs: Iterable[str] | None = ()
    if row.classifier:
        outputs = optional.planned_outputs(recipe.classifiers[row.classifier].build(category), encoder)
    if outputs is None:
        return None
    layout = FeatureLayout(
        segments=inspected(row.segmenter.build(category).segments(), row.segmenter.off),
        detectors=row.detectors,
        statistics=[name for choice in row.features for name in choice.build(category).statistics()],
        image_statistics=[n for choice in row.image_features for n in choice.build(category).statistics()],
        classifier=row.classifier,
        outputs=list(outputs),
    )
    return layout.names()


def note_seen_scores(recipe: Recipe, splits: Iterable[Split], notes: Notes) -> None:
    """Notes rows whose final classifier needs scores of unseen images, but learns from seen ones."""
    given = list(splits)
    for row in recipe.rows:
        if not row.classifier or row.final is None or not optional.needs_unseen_scores(row.final.component):
            continue
        seen = any({*split.classifiers[row.classifier]} & {*split.final} for split in given)
        if seen and not recipe.skeleton.classifiers[row.classifier].out_of_fold:
            notes.warn(
                f"row '{row.name}': its final classifier '{row.final.provider.name}' needs scores of images "
                f"that the classifier '{row.classifier}' has not seen, but learns from images that it trains "
                f"on, and so relies on it too much: set out_of_fold: 5 for '{row.classifier}'"
            )
