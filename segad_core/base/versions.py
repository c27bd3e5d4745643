"""What decides numbers: the versions of Python, segad and the libraries that compute, and their threads."""

from __future__ import annotations

import importlib.metadata
import sys
from functools import cache

from segad_core.base.parallel import compute_threads

LIBRARIES = ("numpy", "scipy", "numba", "torch", "torchvision", "timm", "xgboost")
"""Libraries whose releases may round differently; module and distribution have the same name."""

THREADS = "threads"
"""The number of compute threads among the versions, as it decides the last digits, too."""


@cache
def version_of(distribution: str) -> str | None:
    """The installed version of a distribution; None if it is not installed."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def current_versions() -> dict[str, str]:
    """Python's minor version, segad's, those of the libraries that this process has loaded, and `THREADS`.

    A library that is not loaded has computed nothing.
    """
    names = ["segad", *(name for name in LIBRARIES if name in sys.modules)]
    found = {name: version for name in names if (version := version_of(name))}
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return {"python": python, **found, THREADS: str(compute_threads())}
