"""Work on all cores: results come in order, and only a bounded number of them is computed ahead."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_MOST = 16
"""Threads at most: each may hold an image at full size while it decodes it."""

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


def in_order(
    function: Callable[[Item], Result], items: Iterable[Item], ahead: int | None = None
) -> Iterator[Result]:
    """The results of a function for each item, in the order of the items, computed by threads.

    For work that releases the GIL: decoding, hashing, compiled kernels.

    Args:
        function: called once for each item; what it raises is raised in its item's place.
        items: taken as they are needed.
        ahead: how many results are begun before they are asked for; two for each thread by default.
    """
    count = threads()
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
