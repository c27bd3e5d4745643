"""The versions that decide numbers: of Python, segad, and the libraries that compute."""

from __future__ import annotations

import importlib.metadata
import sys
from functools import cache

LIBRARIES = ("numpy", "scipy", "numba", "torch", "torchvision", "timm", "xgboost")
"""Libraries whose releases may round differently; module and distribution have the same name."""


@cache
def version_of(distribution: str) -> str | None:
    """The installed version of a distribution; None if it is not installed."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def current_versions() -> dict[str, str]:
    """Python's minor version, segad's, and those of the libraries that this process has loaded.

    A library that is not loaded has computed nothing.
    """
    names = ["segad", *(name for name in LIBRARIES if name in sys.modules)]
    found = {name: version for name in names if (version := version_of(name))}
    return {"python": f"{sys.version_info.major}.{sys.version_info.minor}", **found}
