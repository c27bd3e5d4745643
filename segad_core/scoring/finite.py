"""Numbers that plugins return for images have to be finite."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segad_core.contracts import Sample
from segad_core.contracts.faults import REPORT
from segad_core.errors import NonFiniteError


def check_finite(values: NDArray[np.floating], samples: Sequence[Sample], what: str, whose: str) -> None:
    """Checks that the values (N, k) of N images are finite.

    Raises:
        NonFiniteError: one is not; names whose it is and the first such image.
    """
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        image = samples[int(np.flatnonzero(~finite)[0])].id
        raise NonFiniteError(
            f"{whose}: {what} is not finite for image '{image}'",
            f"Check the image. If it looks fine, {REPORT[0].lower()}{REPORT[1:]}",
        )
