"""Batches of a slow source: no test waits, a moment passes where the script says so."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trained_bundles import bundle_of, good

from segad_core.bundle.runtime import bundle as bundles
from segad_core.bundle.runtime.bundle import Bundle
from segad_core.bundle.runtime.taking import taking

LATE = object()


class Script:
    """The queue and the clock of a source that says itself when so many seconds pass until its next item."""

    def __init__(self) -> None:
        self.time = 0.0
        self.passing: SimpleQueue[float] = SimpleQueue()
        self.waits: list[float | None] = []
        self._queue: SimpleQueue[tuple[str, Any]] = SimpleQueue()
        self._ahead = 0.0

    def put(self, item: tuple[str, Any], /) -> None:
        self._queue.put(item)

    def get(self, *, timeout: float | None = None) -> tuple[str, Any]:
        self.waits.append(timeout)
        self._ahead += 0.0 if self._ahead else self.passing.get()
        if timeout is not None and self._ahead > timeout:
            self.time += timeout
            self._ahead -= timeout
            raise Empty
        self.time, self._ahead = self.time + self._ahead, 0.0
        return self._queue.get()

    def source(self, items: list[tuple[float, Any]], end: float = 0.0) -> Iterator[Any]:
        """Items, each after so many seconds."""
        for seconds, item in items:
            self.passing.put(seconds)
            if isinstance(item, Exception):
                raise item
            yield item
        self.passing.put(end)


def batches(script: Script, items: list[tuple[float, Any]], size: int, wait: float | None) -> list[list[Any]]:
    with taking(script.source(items), size, wait, script, lambda: script.time) as take:
        found = []
        while batch := take():
            found.append(batch)
    return found


def test_what_comes_late_is_in_the_next_batch() -> None:
    script = Script()
    items = [(0.0, 1), (0.2, 2), (0.2, 3), (0.2, 4), (9.0, 5), (0.1, 6)]
    assert batches(script, items, 8, 0.5) == [[1, 2, 3], [4], [5, 6]]
    # the first is waited for without an end; half a second is that of the whole batch
    assert script.waits[0] is None
    assert script.waits[1:4] == pytest.approx([0.5, 0.3, 0.1])


def test_a_full_batch_waits_for_nothing() -> None:
    assert batches(Script(), [(0.1, n) for n in range(8)], 4, 0.5) == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_no_wait_at_all() -> None:
    assert batches(Script(), [(0.0, 1), (0.0, 2), (0.1, 3), (0.1, 4)], 4, 0.0) == [[1, 2], [3], [4]]


def test_without_a_bound_batches_are_full() -> None:
    with taking(iter(range(5)), 2, None) as take:
        assert [take() for _ in range(4)] == [[0, 1], [2, 3], [4], []]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 2), max_size=30), st.integers(1, 5), st.floats(0, 1))
def test_nothing_is_lost_nor_waits_longer(gaps: list[float], size: int, wait: float) -> None:
    script = Script()
    came: dict[int, float] = {}

    def timed() -> Iterator[int]:
        for number, item in enumerate(script.source(list(zip(gaps, range(len(gaps)), strict=True)))):
            came[number] = sum(gaps[: number + 1])
            yield item

    given_out = []
    with taking(timed(), size, wait, script, lambda: script.time) as take:
        while batch := take():
            given_out += batch
            assert len(batch) <= size
            assert script.time <= max(came[batch[0]], came[batch[-1]]) + wait + 1e-6
    assert given_out == list(range(len(gaps)))


@pytest.mark.parametrize("error", [ConnectionError("no camera"), KeyError("x")])
def test_what_a_source_raises_comes_after_what_it_gave(error: Exception) -> None:
    script = Script()
    with taking(
        script.source([(0.0, 1), (0.1, 2), (0.1, error)]), 8, 0.5, script, lambda: script.time
    ) as take:
        assert take() == [1, 2]
        for _ in range(2):
            with pytest.raises(type(error)):
                take()


def test_a_source_that_cannot_begin() -> None:
    with taking(5, 8, 0.5) as take, pytest.raises(TypeError):  # type: ignore[type-var]
        take()


def test_nothing_is_asked_for_ahead() -> None:
    """Of a camera that reuses its memory, and so that a pipe is not emptied without need."""
    asked = 0

    def camera() -> Iterator[int]:
        nonlocal asked
        while True:
            asked += 1
            yield asked

    with taking(camera(), 3, 60.0) as take:
        assert take() == [1, 2, 3]
        assert asked == 3


def test_the_thread_ends_with_the_batches() -> None:
    before = threading.active_count()
    with taking(iter(range(9)), 3, 60.0) as take:
        take()
        (thread,) = [t for t in threading.enumerate() if "_read" in t.name]
    thread.join(timeout=60)
    assert not thread.is_alive() and threading.active_count() <= before


def scripted(monkeypatch: pytest.MonkeyPatch, script: Script) -> None:
    def with_script(source: Any, size: int, wait: float | None) -> Any:
        return taking(source, size, wait, script, lambda: script.time)

    monkeypatch.setattr(bundles, "taking", with_script)


def test_a_partial_batch_of_a_camera_is_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scores are the same within the tolerance of decision 15; images keep their order and numbers."""
    paths = [good(n) for n in range(6)]
    with Bundle.load(bundle_of("SegAD"), "cpu") as bundle:
        whole = bundle.predict(paths)
        script = Script()
        scripted(monkeypatch, script)
        gaps = [0.0, 0.1, 0.6, 0.0, 0.0, 0.9]
        found = list(bundle.batches(script.source(list(zip(gaps, paths, strict=True)))))
        assert [[one.prediction.image for one in batch] for batch in found] == [
            [str(path) for path in batch] for batch in (paths[:2], paths[2:5], paths[5:])
        ]
        again = [one.prediction for batch in found for one in batch]
        assert [one.score for one in again] == pytest.approx([one.score for one in whole], rel=1e-4, abs=1e-6)


def test_lists_and_predict_are_never_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float | None] = []

    def noted(source: Any, size: int, wait: float | None) -> Any:
        waits.append(wait)
        return taking(source, size, wait)

    monkeypatch.setattr(bundles, "taking", noted)
    with Bundle.load(bundle_of("PatchCore"), "cpu") as bundle:
        calls: list[Callable[[], object]] = [
            lambda: list(bundle.inspect([good(0)])),
            lambda: bundle.predict(iter([good(0)])),
            lambda: list(bundle.inspect(iter([good(0)]))),
            lambda: list(bundle.inspect(iter([good(0)]), max_wait=None)),
            lambda: list(bundle.inspect(iter([good(0)]), max_wait=3)),
        ]
        for call in calls:
            call()
    assert waits == [None, None, 0.5, None, 3]
