"""Named arrays in the store, computed once for all who need them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from safetensors.numpy import load

from segad_core.base.formats import arrays_to_bytes
from segad_core.contracts import Arrays
from segad_core.store.store import Store

_ARRAYS = "arrays.safetensors"


def kept(
    store: Store,
    key: str,
    kind: str,
    make: Callable[[], Arrays],
    plugins: Mapping[str, str] = MappingProxyType({}),
    used: Sequence[Mapping[str, str]] = (),
) -> Arrays:
    """Named arrays from the store; computed and stored if missing, while others who need them wait.

    The store notes that they were used.

    Args:
        store, key, kind, plugins: as in `Store.put`.
        make: computes the arrays.
        used: as in `Store.put`; `make` may add to it.
    """
    if (files := store.get(key)) is None:
        with store.lock(key, f"the {kind} {key}"):
            if (files := store.get(key)) is None:
                files = {_ARRAYS: arrays_to_bytes(make())}
                store.put(key, kind, files, plugins, used)
    store.note_use(key)
    return load(files[_ARRAYS])
