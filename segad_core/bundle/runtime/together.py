"""Groups of images that are taught."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import count

from segad_core.operate.image_table import Image


def with_groups(taught: Sequence[Image], learnt: Iterable[Image], tested: Iterable[Image]) -> list[Image]:
    """Images that are taught together, with the numbers of their groups.

    An image that the bundle knows keeps its group. Nothing says how new ones belong together: all of one
    label may be crops of one part, so they are one group.

    Args:
        taught: the images, each once.
        learnt: those that the bundle learnt from before.
        tested: its calibration images.
    """
    before = list(learnt)
    numbers = {i.digest: i.group_number for i in (*tested, *before) if i.group_number is not None}
    known, used = numbers.keys() | {image.digest for image in before}, set(numbers.values())
    new = Counter(image.label for image in taught if image.digest not in known)
    unused = (number for number in count() if number not in used)
    shared = {label: next(unused) for label in sorted(new) if new[label] > 1}
    return [
        image.model_copy(
            update={
                "group_number": numbers.get(d) if (d := image.digest) in known else shared.get(image.label)
            }
        )
        for image in taught
    ]
