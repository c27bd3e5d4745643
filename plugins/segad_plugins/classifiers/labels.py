"""The check that a classifier's training set has both labels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segad_core.api import PluginError


def good_and_bad(who: str, labels: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The indices of the good and of the bad images.

    Raises:
        PluginError: one of the two labels is missing.
    """
    good, bad = np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)
    if not len(good) or not len(bad):
        raise PluginError(
            f"{who}: needs good and bad images to train, but got {len(good)} good and {len(bad)} bad",
            "Assign some of both with split.classifiers in the recipe.",
        )
    return good, bad
