"""What an encoder returns, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from segad_core.contracts import Array, Encoder
from segad_core.contracts.faults import REPORT, at_fault, shown
from segad_core.errors import PluginError


def encoded(encoder: Encoder, layers: Sequence[str], pixels: NDArray[np.uint8]) -> Mapping[str, Array]:
    """The layers of images (N, H, W, 3), each float32 (N, C, h, w).

    Raises:
        PluginError: the encoder returns something else.
    """
    found, known = encoder.encode(pixels, layers), encoder.layers()
    whose = at_fault(encoder, "encoder", "")
    if not isinstance(found, Mapping):
        raise PluginError(f"{whose}: encode() returned {shown(found)} instead of arrays by name", REPORT)
    for name in layers:
        if name not in found:
            raise PluginError(f"{whose}: encode() returned no '{name}', which was asked for", REPORT)
        one, expected = found[name], (len(pixels), known[name].channels)
        shape = tuple(getattr(one, "shape", ()))
        if "float32" not in str(getattr(one, "dtype", "")) or len(shape) != 4 or shape[:2] != expected:
            what = f"'{name}' is {shown(one)} instead of float32 ({expected[0]}, {expected[1]}, h, w)"
            raise PluginError(f"{whose}: encode(): {what}", REPORT)
    return found
