"""What a recipe that says nothing else means for a classifier that learns from vectors.

Its trainings take about a second, so out-of-fold scores cost little, and with them no image needs to be kept
from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from segad_core.contracts import VectorClassifier
from segad_core.recipe.choice import Choice
from segad_core.recipe.schema import Skeleton
from segad_core.recipe.split_spec import ClassifierSplit

FOLDS = 5


def with_classifier_defaults(skeleton: Skeleton, classifiers: Mapping[str, Choice]) -> Skeleton:
    """The skeleton in which classifiers that learn from vectors have their splits and numbers of folds."""
    fed = {row.classifier for row in skeleton.rows}
    uses = dict(skeleton.classifiers)
    for alias, choice in classifiers.items():
        if not issubclass(choice.component, VectorClassifier):
            continue
        use, changes = uses[alias], dict[str, Any]()
        if "out_of_fold" not in use.model_fields_set:
            changes["out_of_fold"] = FOLDS if alias in fed else 0
        elif use.out_of_fold is None:
            changes["out_of_fold"] = 0  # a resolved recipe shows no null
        if use.split is None and "classifiers" not in skeleton.split.model_fields_set:
            changes["split"] = ClassifierSplit(good="rest", bad="rest")
        uses[alias] = use.model_copy(update=changes)
    return skeleton.model_copy(update={"classifiers": uses})
