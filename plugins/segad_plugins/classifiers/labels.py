"""What every classifier asks of its labels: both of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segad_core.api import PluginError


def good_and_bad(who: str, labels: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The places of the good and of the bad images.

    Raises:
        PluginError: there is none of one of them.
    """
    good, bad = np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)
    if not len(good) or not len(bad):
        raise PluginError(
            f"{who}: learns from good and bad images, and was given {len(good)} good and {len(bad)} bad ones",
            "Give it some of both: split.classifiers in the recipe.",
        )
    return good, bad
