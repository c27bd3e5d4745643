"""How much of the images a window cuts off."""

from __future__ import annotations

from collections.abc import Sequence

from segad_core.base.decoding import Decoding
from segad_core.base.text import many, percent
from segad_core.contracts import Sample
from segad_core.errors import ImageError
from segad_core.images.pages import sample_at_full_size

_MOST = 0.05
"""The share of the values that may be cut off at an end before it is told."""
_LOOKED_AT = 16
"""Images that are looked at, spread over all."""


def cut_off(samples: Sequence[Sample], decoding: Decoding) -> str:
    """Which share of the values lies outside a window, in words; empty if few do at either end.

    Args:
        samples: images that can be read, of which some are looked at.
        decoding: as they are decoded.
    """
    if decoding.window is None or not samples:
        return ""
    black, white, count = 0.0, 0.0, 0
    for sample in samples[:: -(-len(samples) // _LOOKED_AT)]:
        try:
            with sample_at_full_size(sample, decoding) as decoded:
                black += float((decoded.pixels == 0).mean())
                white += float((decoded.pixels == 255).mean())
                count += 1
        except ImageError:  # removed since
            continue
    low, high = decoding.window
    ends = ((black, f"are black, at or below {low}"), (white, f"are white, at or above {high}"))
    told = [f"{percent(total / count)} of the values {what}" for total, what in ends if total > _MOST * count]
    looked = f" (of {many(count, 'image')} looked at)"
    return f"window [{low}, {high}]: {', and '.join(told)}{looked}" if told else ""
