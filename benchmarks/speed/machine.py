"""What the machine is, how busy it is, how fast by itself, and how much memory some work needs."""

from __future__ import annotations

import ctypes
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

import numba
import torch
from threadpoolctl import threadpool_limits

LIBRARIES = ("torch", "numpy", "scipy", "numba", "anomalib", "timm")
_REPEATS = 3
_STATUS = Path("/proc/self/status")


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Numerical libraries compute with this number of threads."""
    by_torch = torch.get_num_threads()  # before numba is asked: that starts it, which changes torch's number
    by_numba = numba.get_num_threads()
    numba.set_num_threads(min(count, by_numba))
    torch.set_num_threads(count)
    try:
        with threadpool_limits(count):
            yield
    finally:
        numba.set_num_threads(by_numba)
        torch.set_num_threads(by_torch)


def description() -> dict[str, Any]:
    """The processor, its cores, the load of the last minute, the date and the libraries."""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        **{name: found for name in LIBRARIES if (found := _version(name))},
    }


def rates() -> dict[str, dict[str, float]]:
    """Gigaflops per second of each clock, of a large convolution and a large product: medians of three."""
    images, kernels = torch.rand(2, 256, 64, 64), torch.rand(256, 256, 3, 3)
    matrix = torch.rand(1536, 1536)
    works: dict[str, tuple[float, Callable[[], object]]] = {
        "convolution": (
            2 * images.numel() * kernels.numel() / 256,
            lambda: torch.nn.functional.conv2d(images, kernels, padding=1),
        ),
        "product": (2 * 1536**3, lambda: matrix @ matrix),
    }
    return {name: _rate(operations, work) for name, (operations, work) in works.items()}


def _rate(operations: float, work: Callable[[], object]) -> dict[str, float]:
    work()
    found: dict[str, list[float]] = {"wall": [], "processor": []}
    for _ in range(_REPEATS):
        wall, processor = time.perf_counter(), time.process_time()
        work()
        found["processor"].append(operations / (time.process_time() - processor) / 1e9)
        found["wall"].append(operations / (time.perf_counter() - wall) / 1e9)
    return {clock: round(median(values), 1) for clock, values in found.items()}


def peak(work: Callable[[], object]) -> int | None:
    """The most memory, in bytes, that this process has while it works, beyond what it has before.

    None where the system does not tell: only Linux does.
    """
    if not _STATUS.exists():
        return None
    ctypes.CDLL(None).malloc_trim(0)  # what earlier work left must not be counted as had before
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before = _status("VmRSS")
    work()
    return max(0, _status("VmHWM") - before)


def _status(name: str) -> int:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(name))
    return 1024 * int(line.split()[1])


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
