"""How the good calibration images of a bundle look, so that pictures that look otherwise are noticed.

An optional part of the format: bundles that were made before have none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segad_core.base.formats import arrays_to_bytes
from segad_core.bundle.format.container import Container
from segad_core.bundle.format.names import REMEDY
from segad_core.bundle.format.tables import read_arrays
from segad_core.errors import BundleError
from segad_core.images.appearance import QUANTITIES, SIDE, Look, quantities, usual_profiles

FILE = "appearance.safetensors"
MOST = 500
"""Images that are looked at when a bundle is made."""


@dataclass(frozen=True)
class Appearance:
    """How n good images look.

    Attributes:
        profiles: (2, SIDE) what positions are measured against.
        values: (n, 4) their `QUANTITIES`.
    """

    profiles: NDArray[np.float64]
    values: NDArray[np.float64]


def appearance_files(looks: Sequence[Look]) -> dict[str, bytes]:
    """The looks of images as a file of a bundle; none where there are no images."""
    if not looks:
        return {}
    usual = usual_profiles(looks)
    values = np.array([quantities(one, usual) for one in looks], np.float64)
    return {FILE: arrays_to_bytes({"profiles": usual, "values": values})}


def read_appearance(container: Container) -> Appearance | None:
    """What `appearance_files` wrote; None if the bundle has no such file.

    Raises:
        BundleError: the file holds anything else.
    """
    if FILE not in container.manifest.files:
        return None
    arrays = read_arrays(container, FILE)
    profiles, values = (arrays.pop(name, np.empty(0, bool)) for name in ("profiles", "values"))
    sound = profiles.shape == (2, SIDE) and values.ndim == 2 and values.shape[1:] == (len(QUANTITIES),)
    if arrays or not sound or not 0 < len(values) <= MOST or {profiles.dtype, values.dtype} != {_FLOAT}:
        raise BundleError(
            f"{container.path}: '{FILE}' has profiles {profiles.shape} {profiles.dtype} and values "
            f"{values.shape} {values.dtype}",
            REMEDY,
        )
    return Appearance(profiles, values)


_FLOAT = np.dtype(np.float64)
