"""Work on all cores: results come in order, and only a bounded number of them is computed ahead."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

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
