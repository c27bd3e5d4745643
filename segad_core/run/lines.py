"""The lines of a table of statistics: which images they hold, and which detectors describe them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from segad_core.split.draw import Fold, Split


@dataclass(frozen=True)
class Lines:
    """The lines of the images that splits with the same detectors score.

    Attributes:
        images: of each line. An image that one split tests and another learns from has several lines.
        by_fold: for each fold of cross-fitted detectors, the lines that its detectors describe; the detectors
            that train on all images describe the others.
        of: each split's line of each image.
    """

    images: tuple[str, ...]
    by_fold: tuple[tuple[int, ...], ...]
    of: Mapping[Fold, Mapping[str, int]]


def lines_of(images: Collection[str], splits: Mapping[Fold, Split]) -> Lines:
    """The lines of images that splits with the same detectors and the same folds of good images score."""
    first = next(iter(splits.values()))
    listed = sorted({*images} - {*first.detectors})
    whole = {image: line for line, image in enumerate(listed)}
    of: dict[Fold, dict[str, int]] = {fold: dict(whole) for fold in splits}
    by_fold = []
    for number in range(len(first.detector_folds)):
        begin = len(listed)
        listed += sorted({image for split in splits.values() for image in split.detector_folds[number]})
        place = {image: line for line, image in enumerate(listed) if line >= begin}
        by_fold.append(tuple(range(begin, len(listed))))
        for fold, split in splits.items():
            of[fold] |= {image: place[image] for image in split.detector_folds[number]}
    return Lines(tuple(listed), tuple(by_fold), of)
