"""Whether the artifacts behind a table were made under the same versions and with as many threads."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from segad_core.base.versions import THREADS
from segad_core.store.store import Store


def version_notes(store: Store, keys: Iterable[str]) -> list[str]:
    """What a reader of a table should know about the versions behind it; nothing if they are all the same.

    Args:
        store: has the artifacts.
        keys: of all artifacts that the table rests on; those that are not there are left out.
    """
    recorded = [found for key in keys if (found := store.all_versions(key))]
    versions: dict[str, set[str]] = defaultdict(set)
    for artifact in recorded:
        for one in artifact:
            for name, version in one.items():
                versions[name].add(version)
    notes = []
    threads = sorted(versions.pop(THREADS, ()), key=lambda number: (len(number), number))
    if len(threads) > 1:
        notes.append(
            f"the store mixes artifacts computed with {' and '.join(threads)} threads: their numbers may "
            "differ from about the sixth digit on, and a forest's scores by more. A run with an empty "
            "--store uses one number throughout; OMP_NUM_THREADS chooses it."
        )
    mixed = {name: sorted(found) for name, found in sorted(versions.items()) if len(found) > 1}
    if mixed:
        named = "; ".join(f"{name} {' and '.join(found)}" for name, found in mixed.items())
        notes.append(
            f"the store mixes artifacts made under different versions: {named}. Their numbers may differ in "
            "the last digits or more; a run with an empty --store uses one version throughout."
        )
    if unknown := sum(not all(artifact) for artifact in recorded):
        notes.append(
            f"{unknown} of {len(recorded)} artifacts in the store were made before segad recorded versions: "
            "the versions of libraries behind them are unknown."
        )
    return notes
