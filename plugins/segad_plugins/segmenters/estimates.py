"""What training a segmenter needs, for `segad check` and the log. Part of no key in the store."""

from __future__ import annotations

from math import prod

from segad_core.api import Estimate, Shapes
from segad_plugins.segmenters.clusters import BLOCK, POINTS, Clusters


def clusters(segmenter: Clusters, images: int, size: tuple[int, int], shapes: Shapes) -> Estimate:
    """Points, blocks of pooled layers at the size of the finest, and how often each pixel has each label."""
    most, pixels = len(segmenter.segments()), prod(size)
    values = sum(channels for channels, _, _ in shapes.values())
    finest = max((height * width for _, height, width in shapes.values()), default=0)
    points = min(POINTS, images * finest)
    per_image = 12 * most * pixels + 16 * values * finest
    return Estimate(
        state=8 * most * (values + 10) + pixels * segmenter.params.still,
        memory=28 * points * values + min(images, BLOCK) * per_image + 24 * most * pixels,
        per_image=per_image,
        work=f"{points:,} feature vectors of {values} values, clustered",
    )
