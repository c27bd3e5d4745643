"""Contestants are compared, then timed in turns: by clocks that the tests turn themselves."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from speed import cases, machine
from speed.interleaved import CLOCKS, Contestant, Differs, compare, interleaved, of_range, ratio


class Clock:
    """Shows the time that contestants took."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def says(**results: Any) -> Callable[[], dict[str, Any]]:
    return lambda: {name: np.array(value) for name, value in results.items()}


def test_rounds_alternate_and_each_clock_counts_for_itself() -> None:
    wall, processor, calls = Clock(), Clock(), []

    def work(name: str, seconds: float) -> Contestant:
        def go() -> dict[str, Any]:
            calls.append(name)
            wall.now += 2 * seconds * len(calls)  # the machine gets busier and busier
            processor.now += seconds
            return {}

        return Contestant(name, go)

    three = [work("a", 1), work("b", 2), work("c", 4)]
    seconds = interleaved(three, 3, {"wall": wall, "processor": processor})
    assert calls == [*"abc", *"cba", *"abc"]
    assert seconds["a"] == {"wall": [2, 12, 14], "processor": [1, 1, 1]}
    assert seconds["b"] == {"wall": [8, 20, 32], "processor": [2, 2, 2]}
    assert seconds["c"] == {"wall": [24, 32, 72], "processor": [4, 4, 4]}


def test_the_clocks_are_of_wall_and_processor() -> None:
    assert [clock.__name__ for clock in CLOCKS.values()] == ["perf_counter", "process_time"]


def test_a_ratio_is_of_seconds_of_the_same_round() -> None:
    """The last round was slow for both, so it says the same as the others; a ratio of medians would be 2."""
    found = ratio([2, 6, 8, 9, 30], [1, 2, 2, 3, 10])
    assert (found.low, found.median, found.high) == (3, 3, 3)
    found = ratio([4, 6, 10], [2, 2, 2])
    assert (found.low, found.median, found.high) == (2.5, 3, 4)


def test_results_are_compared_with_those_of_the_first_contestant() -> None:
    first = Contestant("loop", says(maps=[[0.0, 2.0]], scores=[2.0]))
    second = Contestant("quick", says(maps=[[0.0, 2.01]], scores=[2.002]))
    third = Contestant("exact", says(maps=[[0.0, 2.0]], scores=[2.0]))
    found = compare([first, second, third], 0.01)
    assert found == {"quick": pytest.approx(0.005), "exact": 0}


@pytest.mark.parametrize(
    ("results", "what"),
    [
        (says(maps=[[0.0, 2.1]]), "maps of quick differs by 0.05"),
        (says(maps=[[0.0, np.nan]]), "maps of quick differs by nan"),
        (says(maps=[[0.0, 2.0, 2.0]]), "maps of quick differs by inf"),
        (says(scores=[[0.0, 2.0]]), "quick computes"),
    ],
)
def test_nothing_is_timed_where_results_differ(results: Callable[[], Any], what: str) -> None:
    contestants = [Contestant("loop", says(maps=[[0.0, 2.0]])), Contestant("quick", results)]
    with pytest.raises(Differs, match=what):
        compare(contestants, 0.01)
    case = cases.Case({}, contestants, 1, "map", 0.01)
    with pytest.raises(Differs, match=what):
        cases.measured("maps", case, 1, repeats=1)


def test_a_constant_map_is_equal_to_itself_alone() -> None:
    flat = np.full((2, 2), 3.0)
    assert of_range(flat, flat) == 0
    assert of_range(flat + 1e-9, flat) > 1


def test_a_result_holds_all_that_tables_are_written_from(monkeypatch: pytest.MonkeyPatch) -> None:
    rates = {"convolution": {"wall": 1.0, "processor": 2.0}}
    monkeypatch.setattr(machine, "rates", lambda: rates)
    ways = [Contestant(name, says(maps=[[0.0, 1.0]])) for name in ("loop", "segad")]
    found = cases.measured("maps", cases.Case({"side": 8}, ways, 16, "map", 0.1, memory=True), 2, repeats=3)
    json.dumps(found)
    assert found["settings"] == {"threads": 2, "side": 8}
    assert (found["units"], found["unit"], found["rates"]) == (16, "map", rates)
    assert found["differences"] == {"segad": 0}
    assert {len(one["processor"]) for one in found["seconds"].values()} == {3}
    assert found["ratios"]["loop"]["wall"] == {"median": 1, "low": 1, "high": 1}
    assert found["memory"].keys() == {"loop", "segad"}
    assert {"processor", "cores", "load", "torch", "numpy", "date"} <= found["machine"].keys()


def test_memory_is_that_of_the_work_alone() -> None:
    before = np.ones(2**23)  # 64 MiB that were there
    found = machine.peak(lambda: np.ones(2**22).sum())
    if found is None:
        pytest.skip("only Linux tells")
    assert before.nbytes > 1.5 * found > 2**25 * 1.4


def test_threads_are_set_and_given_back() -> None:
    import numba
    import torch

    before = torch.get_num_threads()
    with machine.threads(1):
        assert (torch.get_num_threads(), numba.get_num_threads()) == (1, 1)
    assert torch.get_num_threads() == before
    with machine.threads(2):
        assert torch.get_num_threads() == 2
    assert torch.get_num_threads() == before, "numba started, and tests compare scores to the last bit"
