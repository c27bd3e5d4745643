"""What plugins are given: arrays that they cannot write to, and witnesses of those that they share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segad_core.base.witness import Witness, locked


def read_only(given: Any) -> Any:
    """What a plugin is given, read-only if it is an array or has arrays by name."""
    if isinstance(given, np.ndarray):
        return locked(given)
    if isinstance(given, Mapping) and any(isinstance(one, np.ndarray) for one in given.values()):
        return MappingProxyType({name: read_only(one) for name, one in given.items()})
    return given


def witnesses(given: Iterable[Any], arrays: bool) -> Iterator[Witness]:
    """Those of images; without images, those of arrays, if they count."""
    given = list(given)
    of_images = [one.witness for one in given if isinstance(getattr(one, "witness", None), Witness)]
    yield from of_images
    for one in given if not of_images else ():
        if arrays and isinstance(one, np.ndarray):
            yield _witness_of({"an array": one})
        elif arrays and isinstance(one, Mapping):
            yield _witness_of({f"'{k}'": v for k, v in one.items() if isinstance(v, np.ndarray)})


def _witness_of(arrays: Mapping[str, NDArray[Any]]) -> Witness:
    witness = Witness()
    for name, array in arrays.items():
        witness.add(f"{name} that it was given", array)
    return witness
