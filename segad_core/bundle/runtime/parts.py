"""Verdicts on parts: their images come one by one, each inspected alone, and make one verdict together."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from segad_core.bundle.runtime.bundle import Bundle
from segad_core.bundle.runtime.divided import divided
from segad_core.bundle.runtime.opening import check_several
from segad_core.bundle.runtime.part_judge import Late, PartInspection, PartJudge, Together
from segad_core.bundle.runtime.part_names import PartNames
from segad_core.bundle.runtime.prediction import Inspection, Prediction
from segad_core.errors import UsageError


def inspect_parts(
    bundle: Bundle,
    images: Iterable[str],
    explain: bool = True,
    max_wait: float | None = None,
    expected: Mapping[str, int] | None = None,
    keep: bool = False,
    look: Callable[[Inspection], None] = lambda _: None,
    late: Late = lambda *_: None,
    least: Mapping[str, int] | None = None,
) -> Iterator[list[PartInspection]]:
    """The verdicts on parts, as they are complete, in batches; those that never are come last.

    Args:
        bundle: one that judges parts.
        images: paths, which name the parts.
        explain, max_wait: as in `Bundle.batches`.
        expected, keep: as in `PartJudge`.
        look: is given the inspection of each image, with pixels and maps, as it comes; where all views are
            judged together, that of each part, with its features alone.
        late, least: as in `PartJudge`.

    Raises:
        UsageError: the bundle judges images.
    """
    segad = bundle.pipeline.segad
    together = Together(bundle, segad, explain) if segad and segad.views else None
    names, threshold = names_of(bundle), bundle.operating_point.threshold
    judge = PartJudge(names.rule, threshold, expected, keep, together, names, late, least)
    for batch in bundle.batches(images, explain, max_wait):
        parts = [part for one in batch for part in judge.take(one)]
        for one in batch if together is None else map(_of_features, parts):
            look(one)
        yield parts
    parts = list(judge.rest())
    for one in map(_of_features, parts) if together else ():
        look(one)
    yield parts


def _of_features(part: PartInspection) -> Inspection:
    return Inspection(part.prediction, features=part.features)


def names_of(bundle: Bundle) -> PartNames:
    """How a bundle finds parts, and judges them.

    Raises:
        UsageError: it judges images.
    """
    if bundle.part_names is None:
        raise UsageError(
            f"{bundle.container.path}: judges images, not parts", "Use predict, or fit a recipe with 'parts'."
        )
    return bundle.part_names


def predict_parts(bundle: Bundle, images: Iterable[str | Path], explain: bool = True) -> list[Prediction]:
    """The verdicts on the parts that images show, in the order of their first images.

    A part that lacks a view is UNKNOWN, unless the recipe allows it; so is an image whose path names no part.

    Args:
        bundle: one that judges parts.
        images: paths, which name the parts.
        explain: as in `Bundle.predict`.

    Raises:
        UsageError: a single image was passed, or the bundle judges images.
        ResourceError: the machine failed.
    """
    check_several(images)
    names = names_of(bundle)
    parts = names.grouped(divided(names, (os.fspath(image) for image in images)))
    expected = {serial: len(paths) for serial, paths in parts.items()}
    paths = [path for own in parts.values() for path in own]
    found = inspect_parts(bundle, paths, explain, expected=expected)
    return [part.prediction for batch in found for part in batch]
