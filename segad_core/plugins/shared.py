"""What plugins are given: what they cannot write to, and witnesses of what they share."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segad_core.base.distribution_code import OWN
from segad_core.base.witness import Witness, locked
from segad_core.contracts import SegmentValues


def shown(given: Any, distribution: str) -> Any:
    """What a plugin of a distribution is given: arrays read-only, alone or by name, and lists as copies."""
    if isinstance(given, np.ndarray):
        return locked(given)
    if isinstance(given, SegmentValues):
        return given if distribution == OWN else _with_own_memo(given, distribution)
    if isinstance(given, Mapping) and any(isinstance(one, np.ndarray) for one in given.values()):
        return MappingProxyType({name: shown(one, distribution) for name, one in given.items()})
    if isinstance(given, list | dict | set):
        return copy.copy(given)
    return given


def _with_own_memo(values: SegmentValues, distribution: str) -> SegmentValues:
    """The values of a map with a memo that only features of one distribution share."""
    made: dict[str, SegmentValues] = values.memo.setdefault(_with_own_memo, {})
    if distribution not in made:
        getattr(values, "witness", None)  # all that are made of these values have the same
        made[distribution] = copy.copy(values)
        vars(made[distribution])["memo"] = {}
    return made[distribution]


def witnesses(given: Iterable[Any], arrays: bool) -> Iterator[Witness]:
    """Those of what has one, and those of arrays, if they count; with images, they look when those do."""
    given = list(given)
    found = [one.witness for one in given if isinstance(getattr(one, "witness", None), Witness)]
    yield from found
    looks = all(witness.looks for witness in found)
    for one in given if arrays and looks else ():
        if isinstance(one, np.ndarray):
            yield _witness_of({"an array": one})
        elif isinstance(one, Mapping):
            yield _witness_of({f"'{k}'": v for k, v in one.items() if isinstance(v, np.ndarray)})


def _witness_of(arrays: Mapping[str, NDArray[Any]]) -> Witness:
    witness = Witness(looks=True)
    for name, array in arrays.items():
        witness.add(f"{name} that it was given", array)
    return witness
