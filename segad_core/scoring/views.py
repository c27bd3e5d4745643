"""Several views of a part as one feature vector: the features of each view side by side, view by view."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segad_core.errors import DataError

ABSENT = -1
"""Stands for the line of a view that a part lacks."""


def view_names(names: Sequence[str], views: Sequence[str]) -> list[str]:
    """The names of a part's features, such as `A/wires.patchcore.q995`; those of an image without views."""
    return [f"{view}/{name}" for view in views for name in names] if views else list(names)


def without_views(names: Sequence[str], views: Sequence[str]) -> list[str]:
    """The names of a part's features as they are for an image: the same for each view."""
    count = len(names) // max(1, len(views))
    return [name[len(views[i // count]) + 1 :] for i, name in enumerate(names)] if views else list(names)


def side_by_side(
    features: NDArray[np.float64], lines: Sequence[int], views: Sequence[str]
) -> NDArray[np.float64]:
    """The feature vectors (n, views * d) of n parts; those of n images without views.

    Args:
        features: (images, d).
        lines: of each part, the lines of its views in order; `ABSENT` for one that it lacks.
        views: their names.

    Returns:
        NaN where a view is absent.
    """
    places = np.array(lines, np.intp)
    found = features[places]  # a copy
    found[places == ABSENT] = np.nan
    return found.reshape(-1, max(1, len(views)) * features.shape[1])


def usual(
    features: NDArray[np.float64], labels: NDArray[np.int64], names: Sequence[str]
) -> NDArray[np.float64]:
    """(d,) what stands for the features of an absent view: the median of the good parts (n, d) that have it.

    Copies of a median leave it as it is, so a table whose gaps are filled has the same medians.

    Raises:
        DataError: no good part has a view.
    """
    good = features[labels == 0]
    known = ~np.isnan(good)
    if not known.any(axis=0).all():
        view = names[int(np.flatnonzero(~known.any(axis=0))[0])].partition("/")[0]
        raise DataError(
            f"no good part to learn from has view '{view}', so nothing can stand for it where it is missing",
            "Give the category more good parts with all views, or set parts.missing: unknown.",
        )
    medians: NDArray[np.float64] = np.nanmedian(good, axis=0)
    return medians


def filled(features: NDArray[np.float64], stands_in: NDArray[np.float64]) -> NDArray[np.float64]:
    """Feature vectors (n, d) without gaps."""
    return np.where(np.isnan(features), stands_in, features)
