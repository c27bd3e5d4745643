"""Work on all cores: in order, on several threads, and never far ahead."""

from __future__ import annotations

import gc
import operator
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from queue import SimpleQueue

import pytest

from segad_core.base import parallel
from segad_core.base.parallel import compute_threads, free_core, in_order, one_ahead, spread


@pytest.fixture(autouse=True)
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "cores", lambda: 4)


@pytest.mark.parametrize("ahead", [None, 0, 1, 100])
def test_results_are_in_order_whichever_is_ready_first(ahead: int | None) -> None:
    def slow_first(item: int) -> int:
        time.sleep(0.01 if item % 4 == 0 else 0)
        return item**2

    assert list(in_order(slow_first, range(20), ahead)) == [i**2 for i in range(20)]


def test_nothing_is_nothing() -> None:
    assert list(in_order(str, [])) == []


def test_all_cores_work_at_once() -> None:
    together = threading.Barrier(4, timeout=20)
    assert list(in_order(lambda item: together.wait() >= 0, range(4))) == [True] * 4


@pytest.mark.parametrize("ahead", [None, 4, 9])
def test_only_so_many_are_begun_ahead(ahead: int | None) -> None:
    items = iter(range(1000))
    results = in_order(lambda item: item, items, ahead)
    for asked in range(1, 50):
        assert next(results) == asked - 1
        begun = 1000 - operator.length_hint(items)
        assert begun - asked <= (ahead or 8)


def test_an_error_is_raised_in_its_place_and_ends_the_work() -> None:
    begun: list[int] = []

    def fails(item: int) -> int:
        begun.append(item)
        if item == 5:
            raise ValueError("five")
        return item

    results = in_order(fails, range(1000))
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="five"):
        next(results)
    assert len(begun) < 20
    assert not list(results)


def test_threads_end_with_a_consumer_that_stops() -> None:
    before = threading.active_count()
    results = in_order(lambda item: item, range(1000))
    assert next(results) == 0
    assert threading.active_count() > before
    results.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


class Torch:
    """With a GPU, or without."""

    def __init__(self, available: bool) -> None:
        self.cuda, self.available = self, available

    def is_available(self) -> bool:
        return self.available


@pytest.mark.parametrize(
    ("threads", "device", "gpu", "free"),
    [
        (4, "cpu", True, False),
        (3, "cpu", False, True),
        (4, "auto", True, True),
        (4, "auto", False, False),
        (4, "auto", None, False),
        (4, "cuda", True, True),
        (9, "cpu", False, False),
    ],
)
def test_a_core_is_free_beside_a_gpu_or_few_threads(
    monkeypatch: pytest.MonkeyPatch, threads: int, device: str, gpu: bool | None, free: bool
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", str(threads))
    monkeypatch.setitem(sys.modules, "torch", None if gpu is None else Torch(gpu))
    assert free_core(device) is free


class Thing:
    """Can be referred to weakly."""


def test_one_result_is_computed_ahead_and_no_item_more_is_taken() -> None:
    computed, items = SimpleQueue[int](), iter(range(1, 100))

    def function(item: int) -> int:
        computed.put(item)
        return item**2

    results = one_ahead(function, items)
    assert operator.length_hint(items) == 99  # nothing begins before it is asked for
    for place in range(1, 7):
        assert next(results) == place**2
        assert computed.get(timeout=20) == place
    assert computed.get(timeout=20) == 7
    results.close()
    assert computed.empty() and operator.length_hint(items) == 99 - 7
    assert list(one_ahead(function, range(5))) == [0, 1, 4, 9, 16]
    assert list(one_ahead(function, [])) == []


def test_a_result_does_not_wait_for_later_items() -> None:
    arrived: SimpleQueue[int] = SimpleQueue()
    results = one_ahead(abs, iter(arrived.get, 0))
    arrived.put(-3)
    assert next(results) == 3
    arrived.put(-4)
    assert next(results) == 4
    arrived.put(0)
    assert next(results, None) is None


@pytest.mark.parametrize("place", ["item", "function"])
def test_what_is_raised_ahead_comes_after_what_was_there(place: str) -> None:
    def items() -> Iterator[int]:
        yield from (1, 2)
        if place == "item":
            raise KeyError("three")
        yield 3

    def function(item: int) -> int:
        if item == 3:
            raise KeyError("three")
        return item

    results = one_ahead(function, items())
    assert [next(results), next(results)] == [1, 2]
    with pytest.raises(KeyError, match="three"):
        next(results)
    assert not list(results)


def test_nothing_is_computed_any_more_once_it_is_closed() -> None:
    begun, ended, done = threading.Event(), threading.Event(), list[int]()

    def function(item: int) -> int:
        if item == 1:
            begun.set()
            ended.wait(20)
        done.append(item)
        return item

    results = one_ahead(function, range(100))
    assert next(results) == 0
    assert begun.wait(20)
    threading.Timer(0.01, ended.set).start()
    results.close()
    assert done == [0, 1]


def test_a_source_that_never_goes_on_holds_nothing_up() -> None:
    silence: SimpleQueue[int] = SimpleQueue()
    results = one_ahead(abs, iter(silence.get, 0))
    silence.put(-1)
    assert next(results) == 1
    results.close()  # while the thread waits for an item
    silence.put(0)


def test_what_is_given_out_is_not_held() -> None:
    arrived: SimpleQueue[Thing | None] = SimpleQueue()
    results = one_ahead(lambda item: item, iter(arrived.get, None))
    arrived.put(Thing())
    thing = weakref.ref(next(results))
    arrived.put(Thing())
    assert next(results) is not thing()
    gc.collect()
    assert thing() is None
    arrived.put(None)


def given(monkeypatch: pytest.MonkeyPatch, threads: int, worth: float) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", str(threads))
    monkeypatch.setattr(parallel, "_WORTH", worth)


def test_what_is_spread_is_in_order_and_begun_by_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first item alone; the others by as many threads as are given, at once."""
    given(monkeypatch, threads=3, worth=0)
    together, seen = threading.Barrier(3, timeout=20), set[int]()

    def work(item: int) -> int:
        if item:
            together.wait()
            seen.add(threading.get_ident())
        else:
            assert threading.current_thread() is caller
        return item**2

    caller = threading.current_thread()
    assert spread(work, range(7)) == [i**2 for i in range(7)]
    assert len(seen) == 3 and caller.ident not in seen


@pytest.mark.parametrize(("count", "worth"), [(1, 0.0), (4, 1e9)])
def test_neither_one_thread_nor_little_work_starts_threads(
    count: int, worth: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    given(monkeypatch, count, worth)
    assert set(spread(lambda _: threading.get_ident(), range(9))) == {threading.get_ident()}


@pytest.mark.parametrize("worth", [0.0, 1e9])
def test_what_is_spread_fails_in_its_place(worth: float, monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, 2, worth)
    begun: list[int] = []

    def fails(item: int) -> int:
        begun.append(item)
        return 1 // (item - 5)

    with pytest.raises(ZeroDivisionError):
        spread(fails, range(1000))
    assert 5 in begun and len(begun) < 20
    assert spread(fails, []) == []


def test_cores_are_those_that_the_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 5, 6}, raising=False)
    assert parallel.cores() == 3


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1", 1),
        ("3", 3),
        (" 4 ", 4),
        ("5,2", 5),
        ("", None),
        ("0", None),
        ("x", None),
        ("-1", None),
    ],
)
def test_compute_threads_are_those_of_openmp_or_the_cores(
    value: str, expected: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert compute_threads() == (expected or 4)
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert compute_threads() == 4
