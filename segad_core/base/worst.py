"""The worst of several scores of one thing."""

from __future__ import annotations

from collections.abc import Sequence


def worst_of(names: Sequence[str], scores: Sequence[float]) -> dict[str, int]:
    """The place of each name's highest score, in the order of first appearance; of equal ones the first."""
    worst: dict[str, int] = {}
    for place, name in enumerate(names):
        if name not in worst or scores[place] > scores[worst[name]]:
            worst[name] = place
    return worst
