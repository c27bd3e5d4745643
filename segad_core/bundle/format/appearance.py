"""How the good calibration images of a bundle look, so that pictures that look otherwise are noticed.

An optional part of the format: bundles that were made before have none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segad_core.base.formats import arrays_to_bytes
from segad_core.bundle.format.container import Container
from segad_core.bundle.format.names import REMEDY
from segad_core.bundle.format.tables import read_arrays, read_table
from segad_core.errors import BundleError
from segad_core.images.appearance import QUANTITIES, SIDE, Look, quantities, usual_profiles
from segad_core.operate.image_table import Image
from segad_core.operate.parts import PartRule

FILE = "appearance.safetensors"
MOST = 500
"""Images that are looked at when a bundle is made."""

_INSPECTED = "inspected"
_TYPES = {"profiles": np.float64, "values": np.float64, "rows": np.int64}


@dataclass(frozen=True)
class Appearance:
    """How n good calibration images look.

    Attributes:
        profiles: (v, 2, SIDE) what positions are measured against, for each view in the order of their names.
        values: (n, 4) their `QUANTITIES`.
        rows: (n,) their lines in the calibration table.
        inspected: whether what is ignored in the images counted nowhere; it did in earlier bundles.
    """

    profiles: NDArray[np.float64]
    values: NDArray[np.float64]
    rows: NDArray[np.int64]
    inspected: bool = False


def views_of(images: Sequence[Image], rule: PartRule | None) -> list[str]:
    """The view of each image; empty where the views of parts have no names."""
    named = rule is not None and bool(rule.views)
    return [image.view or "" if named else "" for image in images]


def good_by_view(container: Container) -> Counter[str]:
    """How many good calibration images a bundle has of each view, as `views_of` gives them.

    Raises:
        BundleError: the calibration table is not valid.
    """
    images = read_table(container, "calibration").images
    return Counter(views_of([one for one in images if one.label == 0], container.manifest.pipeline.parts))


def appearance_files(
    looks: Sequence[Look], rows: Sequence[int], views: Sequence[str], inspected: bool = False
) -> dict[str, bytes]:
    """The looks of images as a file of a bundle; none where there are no images.

    Args:
        looks: of the images.
        rows: their lines in the calibration table, in ascending order.
        views: theirs, as `views_of` gives them.
        inspected: whether something is ignored in them, and counted nowhere.
    """
    if not looks:
        return {}
    names = sorted(set(views))
    usual = [
        usual_profiles([one for one, v in zip(looks, views, strict=True) if v == name]) for name in names
    ]
    values = [quantities([one], usual[names.index(v)])[0] for one, v in zip(looks, views, strict=True)]
    arrays: dict[str, NDArray[np.generic]] = {
        "profiles": np.stack(usual),
        "values": np.array(values),
        "rows": np.array(rows, np.int64),
    }
    if inspected:
        arrays[_INSPECTED] = np.ones(1, np.uint8)
    return {FILE: arrays_to_bytes(arrays)}


def read_appearance(container: Container) -> Appearance | None:
    """What `appearance_files` wrote; None if the bundle has no such file.

    Raises:
        BundleError: the file holds anything else.
    """
    if FILE not in container.manifest.files:
        return None
    arrays, images = read_arrays(container, FILE), read_table(container, "calibration").images
    flag = arrays.get(_INSPECTED)
    known = {name: array for name, array in arrays.items() if name != _INSPECTED}
    marked = flag is None or (flag.dtype == np.uint8 and flag.tolist() == [1])
    if marked and {name: array.dtype for name, array in known.items()} == _TYPES:
        found = Appearance(**known, inspected=flag is not None)
        rows = found.rows
        ascending = rows.ndim == 1 and 0 < len(rows) <= MOST and bool((np.diff(rows) > 0).all())
        if ascending and rows[0] >= 0 and rows[-1] < len(images):
            views = set(views_of([images[row] for row in rows], container.manifest.pipeline.parts))
            shapes = (len(views), 2, SIDE), (len(rows), len(QUANTITIES))
            if (found.profiles.shape, found.values.shape) == shapes:
                return found
    shown = ", ".join(
        f"{name[:50]!a} {array.shape} {array.dtype}" for name, array in sorted(arrays.items())[:5]
    )
    raise BundleError(f"{container.path}: '{FILE}' has {shown} for {len(images)} calibration images", REMEDY)
