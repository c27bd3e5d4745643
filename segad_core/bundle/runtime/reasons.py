"""What each feature added to a score, and where the anomaly maps behind it are highest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from segad_core.bundle.runtime.prediction import Contribution
from segad_core.contracts import FinalClassifier
from segad_core.scoring.layout import IMAGE

Amounts = NDArray[np.float64] | Exception | None
"""What each feature (d,) added to a score; what went wrong; None if the final classifier cannot tell."""

Explained = tuple[tuple[Contribution, ...], str]
"""What each feature added to a score, the largest first, and why that is not known; one of both is empty."""


def amounts_of(final: FinalClassifier, features: NDArray[np.float64]) -> list[Amounts]:
    """What each feature added to each of some scores: computed together, which takes a fraction of the time.

    If that fails, of each score alone, so that none spoils the reasons of the others.

    Args:
        final: the trained final classifier.
        features: (n, d) of the images.
    """
    if not len(features):
        return []
    try:
        found = final.contributions(features)
        if found is None:
            return [None] * len(features)
        amounts = np.asarray(found, np.float64)
        if amounts.shape != (len(features), features.shape[1] + 1) or not np.isfinite(amounts).all():
            raise ValueError(f"contributions of shape {amounts.shape}, or some that are not finite")
        return list(amounts[:, :-1])
    except Exception as error:  # the scores hold: reasons never change a verdict
        if len(features) == 1:
            return [error]
        return [one for row in features for one in amounts_of(final, row[None])]


def explained(
    amounts: Amounts,
    features: NDArray[np.float64],
    names: Sequence[tuple[str, str, str, str]],
    peaks: Mapping[tuple[str, str], str],
    words: Callable[[Exception], str],
) -> Explained:
    """What each feature added to a score, the largest first, and why that is not known.

    Args:
        amounts: of the image.
        features: (d,) of the image.
        names: the segment, the source, the statistic and the view of each feature.
        peaks: by view and detector, the segment in which the map is highest.
        words: puts what went wrong into words.
    """
    if amounts is None:
        return (), "the final classifier does not provide contributions"
    if isinstance(amounts, Exception):
        return (), f"no explanation: {words(amounts)}"
    contributions = [
        Contribution(
            *name[:3],
            float(value),
            float(amount),
            peaks.get((name[3], name[1]), "") if name[0] == IMAGE else "",
            name[3],
        )
        for name, value, amount in zip(names, features, amounts, strict=True)
    ]
    return tuple(sorted(contributions, key=lambda one: -one.amount)), ""


def peaks_of(
    maps: Mapping[str, NDArray[np.float32]], labels: NDArray[np.uint8], segments: Sequence[str]
) -> dict[str, str]:
    """By detector, the segment with the highest value of its map (H, W); none for pixels outside all."""
    places = {name: int(labels.flat[int(anomaly_map.argmax())]) for name, anomaly_map in maps.items()}
    return {name: segments[label] for name, label in places.items() if label < len(segments)}
