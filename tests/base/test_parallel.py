"""Work on all cores: in order, on several threads, and never far ahead."""

from __future__ import annotations

import operator
import threading
import time

import pytest

from segad_core.base import parallel
from segad_core.base.parallel import compute_threads, in_order, spread


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
