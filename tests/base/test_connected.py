"""Items that share a name, directly or through others: as scipy finds connected components."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from segad_core.base.connected import connected


def test_a_chain_of_shared_names_connects() -> None:
    names = [["a"], ["b"], [], ["b", "c"], ["c", "a"], [], ["d"]]
    assert connected(names) == [0, 0, 1, 0, 0, 2, 3]


@given(st.lists(st.lists(st.integers(0, 12), max_size=3), max_size=25))
def test_the_components_are_those_of_scipy(names: list[list[int]]) -> None:
    pairs = [(i, len(names) + name) for i, own in enumerate(names) for name in own]
    rows, columns = np.array(pairs, int).reshape(-1, 2).T
    graph = coo_array((np.ones(len(pairs)), (rows, columns)), shape=(len(names) + 13,) * 2)
    expected = connected_components(graph, directed=False)[1][: len(names)].tolist()
    found = connected(names)
    assert list(dict.fromkeys(found)) == list(range(len(set(expected))))
    assert len(set(zip(found, expected, strict=True))) == len(set(found)) == len(set(expected))
