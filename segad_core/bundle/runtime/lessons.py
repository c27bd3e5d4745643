"""What a bundle is taught: images, or parts with all their views, scored by the bundle as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segad_core.base.digest import array_digest
from segad_core.base.text import in_one_line
from segad_core.bundle.runtime.all_views import judged_together, view_of
from segad_core.bundle.runtime.bundle import Bundle
from segad_core.bundle.runtime.divided import divided
from segad_core.bundle.runtime.learnt import BAD, GOOD
from segad_core.bundle.runtime.opening import whole
from segad_core.bundle.runtime.part_names import Named
from segad_core.bundle.runtime.parts import names_of
from segad_core.bundle.runtime.pipeline import SegAD
from segad_core.contracts import Vectors
from segad_core.errors import ImageError, UsageError
from segad_core.images.pages import file_and_page
from segad_core.operate.image_table import Image
from segad_core.operate.parts import part_digest


@dataclass(frozen=True)
class Lesson:
    """An image, or a part, to be learnt, scored by the bundle as it is."""

    path: str
    image: Image
    score: float
    features: NDArray[np.float64]
    doubt: str
    vectors: Mapping[str, Vectors] = field(default_factory=dict)


def lessons_of(bundle: Bundle, bad: Sequence[Path], good: Sequence[Path]) -> list[Lesson]:
    """The images to learn from, scored; each once, whatever names lead to it. Or the parts that they show.

    Raises:
        UsageError: there are none, one is both good and bad, or a bundle of parts finds no part in its path.
        ImageError: one cannot be scored.
    """
    given = [(label, [*divided(bundle.part_names, map(str, p))]) for label, p in ((BAD, bad), (GOOD, good))]
    if bundle.pipeline.segad is not None and bundle.pipeline.segad.views:
        return _parts(bundle, bundle.pipeline.segad, given)
    labels: dict[str, tuple[str, int]] = {}
    for label, paths in given:
        for path in paths:
            other, known = labels.setdefault(_digest(bundle, path), (path, label))
            if known != label:
                raise UsageError(
                    f"{path}: is passed as good and as bad ({other})",
                    "Pass it with --good or with --bad, not both.",
                )
    if not labels:
        raise UsageError("there is nothing to learn", "Name images with --bad or --good.")
    inspections = bundle.inspect([name for name, _ in labels.values()], explain=False)
    names = bundle.part_names
    lessons = []
    for (digest, (name, label)), one in zip(labels.items(), inspections, strict=True):
        if one.prediction.score is None or one.features is None:
            raise ImageError(f"{name}: {one.prediction.reason}", "Nothing was learnt.")
        part = names.of(name) if names else Named("")
        if part.strange:
            raise UsageError(f"{name}: {part.strange}", "Nothing was learnt.")
        image = Image(
            id=in_one_line(name),
            digest=digest,
            label=BAD if label else GOOD,
            taught=True,
            serial=in_one_line(part.unit),
            view=in_one_line(part.view) or None,
        )
        lessons.append(Lesson(name, image, one.prediction.score, one.features, one.doubt, one.vectors))
    return lessons


def _digest(bundle: Bundle, name: str) -> str:
    """Of the pixels of an image."""
    given = bundle.manifest.pipeline
    file, page = file_and_page(name) if given.by_page else (name, None)
    return array_digest(whole(Path(file), given.decoding.of_page(page)))


def _parts(bundle: Bundle, segad: SegAD, labelled: Sequence[tuple[int, Sequence[str]]]) -> list[Lesson]:
    """The parts to learn from, where all views are judged together."""
    names, given = names_of(bundle), dict[str, tuple[int, list[str]]]()
    for label, paths in labelled:
        for serial, images in names.grouped(paths).items():
            if strange := names.of(images[0]).strange:
                raise UsageError(f"{images[0]}: {strange}", "Nothing was learnt.")
            if serial in given:
                raise UsageError(
                    f"part {serial}: is passed as good and as bad",
                    "Pass its images with --good or with --bad, not both.",
                )
            given[serial] = (label, images)
    if not given:
        raise UsageError("there is nothing to learn", "Name images with --bad or --good.")
    lessons = []
    for serial, (label, images) in given.items():
        found = bundle.inspect(images, explain=False)
        views = [view_of(names.of(image).view, one, segad) for image, one in zip(images, found, strict=True)]
        prediction, features = judged_together(bundle, segad, serial, views, explain=False)
        if prediction.score is None or features is None:
            raise ImageError(f"part {serial}: {prediction.reason}", "Nothing was learnt.")
        image = Image(
            id=in_one_line(serial),
            digest=part_digest(_digest(bundle, one) for one in images),
            label=label,
            taught=True,
            serial=in_one_line(serial),
        )
        doubts = [f"view {one.name}: {one.inspection.doubt}" for one in views if one.inspection.doubt]
        lessons.append(Lesson(serial, image, prediction.score, features, "; ".join(doubts)))
    return lessons
