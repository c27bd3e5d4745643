"""What decides numbers: the versions of Python, segad and the libraries that compute, and their threads."""

from __future__ import annotations

import importlib.metadata
import sys
from functools import cache

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from segad_core.base.distribution_code import OWN, own_version
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


@cache
def required_versions(distribution: str) -> dict[str, str]:
    """The versions of what a distribution requires and segad does not, such as a library that it wraps.

    Extras are left out, and so is what is not installed.
    """
    if canonicalize_name(distribution) == OWN:
        return {}
    known = {canonicalize_name(name) for name in [OWN, *_required(OWN)]}
    names = [name for name in _required(distribution) if canonicalize_name(name) not in known]
    return {name: version for name in names if (version := version_of(name))}


def _required(distribution: str) -> list[str]:
    try:
        requirements = [Requirement(line) for line in importlib.metadata.requires(distribution) or ()]
    except (importlib.metadata.PackageNotFoundError, InvalidRequirement):
        return []
    return [one.name for one in requirements if one.marker is None or one.marker.evaluate({"extra": ""})]


def current_versions() -> dict[str, str]:
    """Python's minor version, segad's, those of the libraries that this process has loaded, and `THREADS`.

    A library that is not loaded has computed nothing.
    """
    loaded = [name for name in LIBRARIES if name in sys.modules]
    found = {OWN: own_version(), **{name: version for name in loaded if (version := version_of(name))}}
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return {"python": python, **found, THREADS: str(compute_threads())}
