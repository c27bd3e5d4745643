"""Items that share a name belong together, directly or through others."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence


def connected(names: Sequence[Iterable[Hashable]]) -> list[int]:
    """Numbers items so that two have the same number if a chain of shared names leads from one to the other.

    Args:
        names: of each item; an item without a name is alone.

    Returns:
        A number for each item, from 0 in the order of their first items.
    """
    parents: dict[Hashable, Hashable] = {}

    def root(node: Hashable) -> Hashable:
        while (parent := parents.setdefault(node, node)) != node:
            parents[node] = parents[parent]
            node = parent
        return node

    items: list[Hashable] = [(i, "an item") for i in range(len(names))]
    for item, own in zip(items, names, strict=True):
        for name in own:
            parents[root(("a name", name))] = root(item)
    numbers: dict[Hashable, int] = {}
    return [numbers.setdefault(root(item), len(numbers)) for item in items]
