"""Mean, maximum and standard deviation of each channel of an encoder's layer over the image.

On a CPU one compiled pass reads a layer once: with torch, which takes four passes, pooling would cost more
than 2 % of a prediction. Where numba is not installed, NumPy does it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from numpy.typing import NDArray

from segad_core.api import Array, to_numpy

try:
    from segad_plugins.classifiers.pooling_kernel import pooled
except ModuleNotFoundError:
    from segad_plugins.classifiers.pooling_numpy import pooled

if TYPE_CHECKING:
    import torch

Statistic = Literal["mean", "max", "std"]
Float32 = NDArray[np.float32]

_ORDER: Final = {"mean": 0, "max": 1, "std": 2}


def pool(layer: Array, statistics: Sequence[Statistic], device: torch.device | None = None) -> Float32:
    """The statistics of a layer (N, C, H, W), (N, C * statistics): those of all channels, one by one.

    Args:
        layer: of NumPy or torch.
        statistics: in the order in which they are wanted.
        device: of torch, where to compute them if it is no CPU.
    """
    if device is None or device.type == "cpu":
        found = pooled(*_rows(layer))
    else:
        found = pooled_by_torch(layer, device)
    return found[:, [_ORDER[name] for name in statistics]].reshape(len(found), -1)


def pooled_by_torch(layer: Array, device: torch.device) -> Float32:
    """The mean, maximum and standard deviation (N, 3, C) of a layer (N, C, H, W), on any device."""
    import torch

    from segad_plugins.torch_tools import tensor

    with torch.inference_mode():
        pixels = tensor(layer, device).permute(0, 2, 3, 1)  # a view of channels-last layers
        flat = pixels.flatten(1, 2)
        mean = flat.mean(dim=1)
        deviation = (flat - mean[:, None]).square_().mean(dim=1).sqrt()
        largest = pixels.amax(dim=1).amax(dim=1)  # 20 times as fast as over all pixels at once
        found: Float32 = torch.stack([mean, largest, deviation], dim=1).cpu().numpy()
    return found


def _rows(layer: Array) -> tuple[Float32, int]:
    """A layer (N, C, H, W) as rows (N, H, W * C), not copied if its channels lie last, and C."""
    array = layer.detach().cpu().numpy() if hasattr(layer, "detach") else to_numpy(layer)
    count, channels, height, width = array.shape
    rows = array.transpose(0, 2, 3, 1).reshape(count, height, width * channels)
    # the compiled pass is compiled for arrays that can be written to
    return rows if rows.flags.writeable else rows.copy(), channels
