"""Groups of images that are taught."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import count

from segad_core.base.connected import connected
from segad_core.operate.image_table import Image


def with_groups(
    taught: Sequence[Image], learnt: Iterable[Image], tested: Iterable[Image]
) -> tuple[list[Image], dict[str, int]]:
    """Images that are taught together, with the numbers of their groups, and numbers for earlier images.

    An image that the bundle knows keeps its group, and a new image of a part that the bundle has learnt from
    joins the group of that part; where what was learnt of the part had none, it gets one. Nothing says how
    the others belong together: all of one label may be crops of one part, so they are one group, with the
    other images of their parts.

    Args:
        taught: the images, each once.
        learnt: those that the bundle learnt from before.
        tested: its calibration images.

    Returns:
        The images, and the numbers, by digest, of images learnt before that new ones join.
    """
    before = list(learnt)
    numbers = {i.digest: n for i in (*tested, *before) if (n := i.group_number) is not None}
    of_parts = {i.serial: i.group_number for i in before if i.serial and i.group_number is not None}
    known, used = numbers.keys() | {image.digest for image in before}, set(numbers.values())
    unused = (number for number in count() if number not in used)
    alone = {i.serial for i in before if i.serial} - of_parts.keys()
    more = sorted(alone & {i.serial for i in taught if i.digest not in known})
    joined = dict(zip(more, unused, strict=False))
    of_parts |= joined
    unknown = [i for i in taught if i.digest not in known and i.serial not in of_parts]
    new = sorted(unknown, key=lambda i: i.label)
    alike = connected([[("label", i.label), ("part", i.serial or i.digest)] for i in new])
    sizes = Counter(alike)
    shared = {group: next(unused) for group in sorted(sizes) if sizes[group] > 1}
    numbers |= {i.digest: shared[group] for i, group in zip(new, alike, strict=True) if group in shared}
    images = [
        i.model_copy(update={"group_number": numbers.get(i.digest, of_parts.get(i.serial))}) for i in taught
    ]
    return images, {i.digest: joined[i.serial] for i in before if i.serial in joined}


def regrouped(images: Iterable[Image], numbers: Mapping[str, int]) -> list[Image]:
    """Images learnt before, with the numbers that `with_groups` gives some of them."""
    return [
        image
        if (number := numbers.get(image.digest)) is None
        else image.model_copy(update={"group_number": number})
        for image in images
    ]
