"""What keys of cells have in common."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from segad_core.contracts import Sample, optional
from segad_core.images.image_set import Preprocessing
from segad_core.recipe import Choice
from segad_core.run.ignored import Ignoring

SCHEMA = 1
"""Part of every key; raised when the engine itself computes other results from the same inputs."""

SCORING = 3
"""The same for the results of scoring images: statistics, scores and rows."""


def names_for(samples: Iterable[Sample], *choices: Choice | None) -> dict[str, Any]:
    """What a key contains besides the content of images if a plugin knows images by name."""
    by_name = any(optional.knows_images_by_name(choice.component) for choice in choices if choice)
    return {"names": [[sample.id, sample.label] for sample in samples]} if by_name else {}


def plain_preprocessing(preprocessing: Preprocessing, ignore: Ignoring | None = None) -> dict[str, Any]:
    """How images reach a training, which amplifies the rounding of the batch size (decision 0015)."""
    return {
        "size": list(preprocessing.size),
        "resize": "pil_bilinear",
        **preprocessing.decoding.plain(),
        "batch_size": preprocessing.batch_size,
        **({"tiles": asdict(preprocessing.tiles)} if preprocessing.tiles else {}),
        **({"fit": preprocessing.fit} if preprocessing.fit != "stretch" else {}),
        **({"ignore": ignore.identity()} if ignore else {}),
    }
