"""Convolutions of kernel 1 x 1 by oneDNN, whatever the number of threads and images."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def pointwise_by_onednn(network: nn.Module) -> Iterator[None]:
    """Has oneDNN compute a network's 1 x 1 convolutions on a CPU; they are as before afterwards.

    On one thread and for fewer than 16 images, torch takes an implementation of its own that needs twice the
    time, unless the convolution is dilated. A kernel of one value is the same with any dilation.
    """
    alone = [one for one in network.modules() if isinstance(one, nn.Conv2d) and one.kernel_size == (1, 1)]
    chosen = [one for one in alone if one.dilation == (1, 1) and next(one.parameters()).device.type == "cpu"]
    for one in chosen:
        one.dilation = (2, 2)
    try:
        yield
    finally:
        for one in chosen:
            one.dilation = (1, 1)
