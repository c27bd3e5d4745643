"""Near-identical images: copies, bursts and neighbours that are much more alike than images usually are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from segad_core.base.decoding import Decoding
from segad_core.base.parallel import in_order
from segad_core.contracts import Progress, Sample, no_progress
from segad_core.images.alignment import compare
from segad_core.images.inventory import Inventory
from segad_core.images.pages import sample_at_full_size
from segad_core.images.thumbnail import grey, standardised
from segad_core.store.records import Records
from segad_core.store.store import Store

MOST_IMAGES = 20_000
"""More are not compared, as the time grows with the square of their number."""
MOST_PAIRS = 250
"""Pairs that are compared pixel by pixel at most, the most similar first."""

_SCHEMA = 1
_FEWEST = 16
_NEARBY = 8
"""Images that are so near in the order of names are not what an image is compared with."""
_RANK = 3
"""The neighbour that an image is compared with, so that it may have copies elsewhere."""
_CANDIDATE = 0.7
"""Of the distance between thumbnails to that neighbour: below it, pixels are compared."""
_ALIKE = 0.4
"""Of the difference in pixels to that neighbour: below it, images are near-identical."""
_UNEXPLAINED = 0.25
"""The most that one image may leave unexplained of another's variance."""
_SAMPLE = 24
_SIDE = 128
_BLOCK = 512


@dataclass(frozen=True)
class Pair:
    """Two near-identical images.

    Attributes:
        first, second: their ids.
        difference: mean absolute difference in grey levels of 255, once aligned in position and brightness.
        usual: that between similar images of this set.
    """

    first: str
    second: str
    difference: float
    usual: float

    def __str__(self) -> str:
        return f"mean difference {self.difference:.1f} of 255, usually {self.usual:.1f}"


@dataclass(frozen=True)
class _Neighbours:
    """The nearest images by thumbnail, all by their places in the order of names.

    Attributes:
        candidates: pairs that may be near-identical, the most similar first.
        usual: for each image, the neighbour that others are measured by.
    """

    candidates: Sequence[tuple[int, int]]
    usual: NDArray[np.intp]


def near_duplicates(
    inventory: Inventory,
    decoding: Decoding,
    store: Store,
    matters: Callable[[str, str], bool],
    progress: Progress = no_progress,
) -> list[Pair]:
    """Pairs of images that are much more alike than similar images of the set usually are.

    A pair is first sought by thumbnails, and then compared in pixels, aligned for small shifts and turns and
    for brightness and contrast. It is near-identical if its difference is below 0.4 of the difference
    between each of its images and the third nearest elsewhere in the order of names, and of the median of
    such differences. Images that are all alike have no near-identical pair. Exact copies are not reported.

    Args:
        inventory: the images.
        decoding: as in `decode`.
        store: remembers comparisons, by the content of the images.
        matters: whether a pair of ids is of interest.
        progress: reports how many comparisons are done.
    """
    facts = inventory.facts
    samples = [sample for sample in inventory.samples if facts[sample.id].thumbnail]
    if not _FEWEST <= len(samples) <= MOST_IMAGES:
        return []
    thumbnails = standardised([facts[sample.id].thumbnail for sample in samples])

    def wanted(pair: tuple[int, int]) -> bool:
        first, second = (samples[place].id for place in pair)
        return facts[first].pixels != facts[second].pixels and matters(first, second)

    near = _neighbours(thumbnails)
    candidates = [pair for pair in near.candidates if wanted(pair)][:MOST_PAIRS]
    if not candidates:
        return []
    places = {
        *np.linspace(0, len(samples) - 1, _SAMPLE).astype(int).tolist(),
        *(p for c in candidates for p in c),
    }
    usual = {place: (place, int(near.usual[place])) for place in sorted(places)}
    compared = _compared([*candidates, *usual.values()], samples, inventory, decoding, store, progress)
    typical = float(np.median([compared[pair][0] for pair in usual.values()]))
    found = []
    for pair in candidates:
        difference, unexplained = compared[pair]
        limit = min(typical, *(compared[usual[place]][0] for place in pair))
        if difference < _ALIKE * limit and unexplained < _UNEXPLAINED:
            found.append(Pair(samples[pair[0]].id, samples[pair[1]].id, difference, limit))
    return found


def _neighbours(thumbnails: NDArray[np.float32]) -> _Neighbours:
    """Candidates and usual neighbours from standardised thumbnails (n, d)."""
    count = len(thumbnails)
    nearby = min(_NEARBY, count // 8)
    usual, distances = np.empty(count, np.intp), np.empty(count)
    pairs: list[tuple[float, int, int]] = []
    for start in range(0, count, _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, count))
        squares = np.maximum(2 - 2 * (thumbnails[rows] @ thumbnails.T), 0)
        squares[np.arange(len(rows)), rows] = np.inf
        others = squares.copy()
        for shift in range(-nearby, nearby + 1):
            inside = (rows + shift >= 0) & (rows + shift < count)
            others[np.flatnonzero(inside), rows[inside] + shift] = np.inf
        usual[rows] = np.argpartition(others, _RANK - 1, axis=1)[:, _RANK - 1]
        distances[rows] = np.sqrt(others[np.arange(len(rows)), usual[rows]])
        close = np.argwhere(squares < (_CANDIDATE * distances[rows, None]) ** 2)
        pairs += [(float(squares[i, j]), start + int(i), int(j)) for i, j in close]
    limits = np.minimum(distances, np.median(distances))
    ratios = {
        (min(i, j), max(i, j)): np.sqrt(square) / max(min(limits[i], limits[j]), 1e-6)
        for square, i, j in pairs
    }
    candidates = sorted((pair for pair in ratios if ratios[pair] < _CANDIDATE), key=lambda p: (ratios[p], p))
    return _Neighbours(candidates, usual)


def _compared(
    pairs: Iterable[tuple[int, int]],
    samples: Sequence[Sample],
    inventory: Inventory,
    decoding: Decoding,
    store: Store,
    progress: Progress,
) -> dict[tuple[int, int], tuple[float, float]]:
    """The differences of pairs, as `compare` gives them; each is computed once for all runs."""
    records = Records(store, f"pairs-{_SCHEMA}-{decoding.name()}")
    known, files = records.read(), [inventory.facts[sample.id].file for sample in samples]
    keys = {pair: " ".join(sorted(files[place] for place in pair)) for pair in pairs}
    missing = [pair for pair, key in keys.items() if key not in known]
    new = {}
    results = in_order(partial(_differ, samples=samples, decoding=decoding), missing)
    for done, (pair, result) in enumerate(zip(missing, results, strict=True), start=1):
        new[keys[pair]] = result
        progress("similar images compared", done, len(missing))
    if new:
        records.add(new)
    return {pair: tuple({**known, **new}[key]) for pair, key in keys.items()}


def _differ(pair: tuple[int, int], samples: Sequence[Sample], decoding: Decoding) -> tuple[float, float]:
    first, second = (_grey(samples[place], decoding) for place in pair)
    return compare(first, second)


def _grey(sample: Sample, decoding: Decoding) -> NDArray[np.float32]:
    with sample_at_full_size(sample, decoding) as decoded:
        return grey(decoded.pixels, _SIDE)
