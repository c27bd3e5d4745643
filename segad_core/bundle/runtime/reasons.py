"""What each feature added to a score, and where the anomaly maps behind it are highest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from segad_core.bundle.runtime.prediction import Contribution
from segad_core.contracts import FinalClassifier
from segad_core.scoring.layout import IMAGE


def contributions_of(
    final: FinalClassifier,
    features: NDArray[np.float64],
    names: Sequence[tuple[str, str, str, str]],
    peaks: Mapping[tuple[str, str], str],
) -> tuple[Contribution, ...] | None:
    """What each feature added to a score, the largest first; None if the final classifier cannot tell.

    Args:
        final: the trained final classifier.
        features: (d,) of the image.
        names: the segment, the source, the statistic and the view of each feature.
        peaks: by view and detector, the segment in which the map is highest.

    Raises:
        ValueError: the contributions have another shape, or are not finite.
    """
    found = final.contributions(features[None])
    if found is None:
        return None
    amounts = np.asarray(found, np.float64)
    if amounts.shape != (1, len(features) + 1) or not np.isfinite(amounts).all():
        raise ValueError(f"contributions of shape {amounts.shape}, or some that are not finite")
    contributions = [
        Contribution(
            *name[:3],
            float(value),
            float(amount),
            peaks.get((name[3], name[1]), "") if name[0] == IMAGE else "",
            name[3],
        )
        for name, value, amount in zip(names, features, amounts[0, :-1], strict=True)
    ]
    return tuple(sorted(contributions, key=lambda one: -one.amount))


def peaks_of(
    maps: Mapping[str, NDArray[np.float32]], labels: NDArray[np.uint8], segments: Sequence[str]
) -> dict[str, str]:
    """By detector, the segment with the highest value of its map (H, W); none for pixels outside all."""
    places = {name: int(labels.flat[int(anomaly_map.argmax())]) for name, anomaly_map in maps.items()}
    return {name: segments[label] for name, label in places.items() if label < len(segments)}
