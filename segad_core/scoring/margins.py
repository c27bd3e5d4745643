"""What a final classifier returns for feature vectors, checked."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segad_core.contracts import FinalClassifier
from segad_core.contracts.faults import REPORT, at_fault, shown
from segad_core.errors import PluginError


def checked_margins(final: FinalClassifier, features: NDArray[np.float64]) -> NDArray[np.float64]:
    """The margins (n,) of feature vectors (n, d).

    Raises:
        PluginError: they have another shape, or are no numbers.
    """
    found = final.margins(features)
    if np.shape(found) != (len(features),) or np.asarray(found).dtype.kind not in "biuf":
        what = f"margins() returned {shown(found)} for {len(features)} vectors"
        raise PluginError(f"{at_fault(final, 'final classifier', '')}: {what}", REPORT)
    return np.asarray(found, np.float64)
