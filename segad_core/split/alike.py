"""Near-identical images in training and test: a warning, as they make results better than new parts would."""

from __future__ import annotations

from collections.abc import Collection

from segad_core.base.decoding import Decoding
from segad_core.base.notes import Notes
from segad_core.base.text import listed
from segad_core.contracts import Progress
from segad_core.images import Inventory, near_duplicates
from segad_core.split.draw import Split
from segad_core.store.store import Store


def report_alike(
    category: str,
    inventory: Inventory,
    splits: Collection[Split],
    decoding: Decoding,
    store: Store,
    notes: Notes,
    progress: Progress,
) -> None:
    """Warns of near-identical images that some split has in both training and test.

    Args:
        category: for messages.
        inventory: the images of the category.
        splits: of the category.
        decoding: as in `decode`.
        store: remembers comparisons.
        notes: for the reader of the results.
        progress: reports comparisons.
    """
    parts = [({*split.test}, {*split.detectors, *split.final}) for split in splits]

    def leaks(first: str, second: str) -> bool:
        return any(
            (first in test and second in learnt) or (second in test and first in learnt)
            for test, learnt in parts
        )

    pairs = near_duplicates(inventory, decoding, store, leaks, progress)
    if pairs:
        named = [f"'{pair.first}' and '{pair.second}' ({pair})" for pair in pairs]
        count = f"{len(pairs)} pair{'s' * (len(pairs) > 1)} of near-identical images"
        across = " in at least one of the splits" if len(parts) > 1 else ""
        notes.warn(
            f"category '{category}': {count} in both training and test{across}, so results may be "
            f"optimistic: {listed(named, between='; ')}. Name lots or parts, or leave images out with "
            "split.leave_out"
        )
