"""What rows learn from and score: images, or parts with the lines of all their views."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from segad_core.scoring.views import ABSENT
from segad_core.split.groups import Groups
from segad_core.split.parts import Parts


@dataclass(frozen=True)
class Units:
    """Images or parts in order.

    Attributes:
        names: ids of images, or serials.
        lines: in a table of statistics: one for each image, or one for each view of each part.
        labels: 0 good or doubtful, 1 bad.
        groups: of each that is not doubtful; empty where they are not known.
        views: of a part; empty for images.
    """

    names: tuple[str, ...]
    lines: tuple[int, ...]
    labels: tuple[int, ...]
    groups: tuple[int, ...]
    views: tuple[str, ...] = ()


def part_units(parts: Parts, images: Sequence[str], lines: Mapping[str, int], groups: Groups | None) -> Units:
    """The parts that some images show."""
    shown = parts.shown(images)
    labelled = [part.images[0].id for part in shown if part.sample.label is not None]
    return Units(
        tuple(part.sample.id for part in shown),
        tuple(ABSENT if i is None else lines[i] for part in shown for i in parts.by_view(part)),
        tuple(int(part.sample.label or 0) for part in shown),
        groups.numbers(labelled) if groups else (),
        parts.views,
    )
