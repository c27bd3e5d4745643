"""Warns of images that the recipe's size does not suit, and of images that differ in shape."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping

from segad_core.base.text import in_one_line, listed, quoted
from segad_core.contracts.frame import LONGEST_SIDE
from segad_core.images import Inventory
from segad_core.images.geometry import (
    MOST_SQUEEZE,
    Size,
    enlargement,
    in_words,
    ratio,
    same_ratio,
    shapes,
    size_that_fits,
    squeeze,
)
from segad_core.recipe.schema import ImageSpec

log = logging.getLogger("segad.prepare")

_MOST_LOST = 1 - 1 / MOST_SQUEEZE
"""Of an image that is cut off, or of a frame that is padded, before it is told."""
_MUCH_SMALLER = 3
_FEW = 3
"""How many images or shapes a warning names at most."""


def report_sizes(category: str, inventory: Inventory, spec: ImageSpec) -> None:
    """Warns of what the sizes of a category's images mean for its results."""
    sizes = {sample.id: inventory.facts[sample.id].size for sample in inventory.samples}
    for sentence in (
        *_squeezed(sizes, spec),
        *_lost(sizes, spec),
        *_of_other_shapes(sizes),
        *_enlarged(sizes, spec),
    ):
        log.warning("category '%s': %s", category, sentence)


def _squeezed(sizes: Mapping[str, Size], spec: ImageSpec) -> Iterator[str]:
    """Images whose aspect ratio is changed by more than a quarter."""
    squeezed = {image: size for image, size in sizes.items() if squeeze(size, spec.size) > MOST_SQUEEZE}
    if squeezed and spec.fit == "stretch":
        usual = shapes(squeezed)[0].size
        fitting = size_that_fits(usual, spec.size, LONGEST_SIDE)
        keep = "keep" if same_ratio(usual, fitting) else "nearly keep"
        yield (
            f"{_of(len(squeezed), len(sizes))} squeezed by image.size {[*spec.size]}, those of "
            f"{in_words(usual)} pixels (width x height) {squeeze(usual, spec.size):.3g} to 1: "
            f"{[*fitting]} would {keep} the ratio, and so do image.fit pad and crop"
            f"{_or_tiles(usual, fitting)}"
        )


def _or_tiles(original: Size, size: Size) -> str:
    """A hint at tiles, where images have many more pixels than the size that fits."""
    much = enlargement(original, size) < 1 / _MUCH_SMALLER
    return "; image.tiles would shrink less" if much else ""


def _lost(sizes: Mapping[str, Size], spec: ImageSpec) -> Iterator[str]:
    """Images of which more than a fifth is cut off, or that leave more than a fifth of their frame empty."""
    lost = {image: 1 - 1 / squeeze(size, spec.size) for image, size in sizes.items()}
    much = {image: sizes[image] for image, share in lost.items() if share > _MOST_LOST}
    if much and spec.fit != "stretch":
        usual = shapes(much)[0].size
        share, fitting = 1 - 1 / squeeze(usual, spec.size), size_that_fits(usual, spec.size, LONGEST_SIDE)
        those = f"those of {in_words(usual)} pixels (width x height)"
        if spec.fit == "crop":
            what = (
                f"cut off by image.fit crop, {those} by {share:.0%} of their area, where no defect is seen: "
                f"{[*fitting]} would show nearly all"
            )
        else:
            what = (
                f"padded by image.fit pad, {those} with {share:.0%} of image.size {[*spec.size]}: "
                f"{[*fitting]} would show them larger"
            )
        yield f"{_of(len(much), len(sizes))} {what}"


def _of_other_shapes(sizes: Mapping[str, Size]) -> Iterator[str]:
    """Images of another aspect ratio than most; or that the images have all kinds of them."""
    usual, *others = shapes(sizes) if sizes else (None,)
    if usual is None or not others:
        return
    count = sum(len(shape.images) for shape in others)
    if 2 * len(usual.images) > len(sizes):
        named = [
            f"{in_words(shape.size)} ({len(shape.images)}: {listed(quoted(shape.images), _FEW)})"
            for shape in others
        ]
        yield (
            f"{_of(count, len(sizes))} of another shape than {in_words(usual.size)} pixels (width x height): "
            f"{listed(named, _FEW)}; leave out with split.leave_out what is not the same view"
        )
    else:
        narrow, wide = (best(sizes.values(), key=ratio) for best in (min, max))
        yield (
            f"the {len(sizes)} images have {len(others) + 1} shapes, from {in_words(narrow)} to "
            f"{in_words(wide)} pixels (width x height): segments, and detectors that know positions, suit "
            "parts that are all seen alike"
        )


def _enlarged(sizes: Mapping[str, Size], spec: ImageSpec) -> Iterator[str]:
    """Images that are enlarged although most are not: thumbnails among photographs."""
    factors = {image: enlargement(size, spec.size, spec.fit) for image, size in sizes.items()}
    small = [image for image, factor in factors.items() if factor > MOST_SQUEEZE]
    if 0 < 2 * len(small) < len(sizes):
        smallest = max(small, key=lambda image: factors[image])
        others = f" and {len(small) - 1} more" if len(small) > 1 else ""
        yield (
            f"{_of(len(small), len(sizes))} blurred, as image.size {[*spec.size]} enlarges "
            f"them up to {factors[smallest]:.3g} times, unlike most: '{in_one_line(smallest)}' with "
            f"{in_words(sizes[smallest])} pixels{others}"
        )


def _of(count: int, total: int) -> str:
    return f"{count} of {total} images {'is' if count == 1 else 'are'}"
