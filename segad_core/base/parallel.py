"""Work on all cores: results come in order, and only a bounded number of them is computed ahead."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any, TypeVar

_MOST = 16
"""Threads at most: each may hold an image at full size while it decodes it."""

_WORTH = 3e-3
"""Seconds of work after which threads are started for the rest: two take 0.2 ms, and wait for each other."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def compute_threads() -> int:
    """How many threads the numerical libraries compute with: OMP_NUM_THREADS if it is set, else the cores.

    Sums are divided among them, so with another number a map differs from about the sixth digit on.
    """
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(first) if first.isascii() and first.isdigit() and int(first) else cores()


def free_core(device: str) -> bool:
    """Whether a core is free while networks run: on a GPU, or in fewer threads than there are cores.

    Threads that share the work of a network wait for each other: if one of them has to share its core, all of
    them are late, and nothing is won.

    Args:
        device: where networks run, `auto`, `cpu` or `cuda`.
    """
    if compute_threads() < cores():
        return True
    torch = sys.modules.get("torch")  # if it is not there, no network uses its GPU
    return device != "cpu" and torch is not None and bool(torch.cuda.is_available())


def threads() -> int:
    """How many threads to decode images with."""
    return min(cores(), _MOST)


def spread(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """The results of a function for each item, in their order, computed by as many threads as are given.

    The calling thread begins alone. It asks others for the rest once it has worked for longer than it takes
    to start them: items of 0.1 ms are slower with them.

    Args:
        function: called once for each item; what it raises is raised in its item's place.
        items: of about the same cost each.
    """
    count, begun = min(compute_threads(), _MOST), time.perf_counter()
    done: list[Result] = []
    for item in items:
        if count > 1 and done and time.perf_counter() - begun > _WORTH:
            return [*done, *in_order(function, items[len(done) :], count=count)]
        done.append(function(item))
    return done


def in_order(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    ahead: int | None = None,
    count: int | None = None,
) -> Iterator[Result]:
    """The results of a function for each item, in the order of the items, computed by threads.

    For work that releases the GIL: decoding, hashing, compiled kernels.

    Args:
        function: called once for each item; what it raises is raised in its item's place.
        items: taken as they are needed.
        ahead: how many results are begun before they are asked for; two for each thread by default.
        count: of threads; as many as decode images by default.
    """
    count = threads() if count is None else count
    ahead = max(count, 2 * count if ahead is None else ahead)
    pool = ThreadPoolExecutor(count)
    pending: deque[Future[Result]] = deque()
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) > ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def one_ahead(function: Callable[[Item], Result], items: Iterable[Item]) -> Generator[Result, None, None]:
    """The results of a function for each item, in their order; a thread computes the next one meanwhile.

    For a chain of two steps that both release the GIL: while the caller works with a result, the thread takes
    the next item and computes its result, and no more. A result never waits for a later item. Once the
    iterator is closed, the function is not running any more; a thread that waits for an item is left alone,
    and does not keep the program alive.

    Args:
        function: called in one thread, for one item at a time; what it raises is raised in its item's place.
        items: taken in that thread, one by one.
    """
    done: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
    wanted: SimpleQueue[bool] = SimpleQueue()
    working, end = threading.Lock(), object()
    closed = threading.Event()

    def work() -> None:
        try:
            source = iter(items)
            while wanted.get() and (item := next(source, end)) is not end:
                with working:
                    if closed.is_set():
                        return
                    done.put((function(item), None))  # type: ignore[arg-type]
                del item  # while it waits, nothing is held here
            done.put((end, None))
        except BaseException as error:  # the caller handles it
            done.put((end, error))

    def close() -> None:
        closed.set()
        wanted.put(False)
        with working:  # a library that still computes when the interpreter ends could crash it
            pass

    thread = threading.Thread(target=work, daemon=True)
    atexit.register(close)
    try:
        thread.start()
        wanted.put(True)
        while True:
            result, error = done.get()
            if error is not None:
                raise error
            if result is end:
                return
            wanted.put(True)
            yield result
            del result
    finally:
        close()
        atexit.unregister(close)
