"""Checks of states that plugins restore."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from segad_core.api import PluginError


def entry(
    who: str, arrays: Mapping[str, NDArray[np.generic]], name: str, shape: tuple[int | None, ...]
) -> NDArray[np.generic]:
    """An entry of a state; None in a shape allows any length.

    Raises:
        PluginError: the entry is missing or of another shape.
    """
    if name not in arrays:
        raise state_mismatch(who, f"the entry '{name}'", "none")
    actual = arrays[name].shape
    if len(actual) != len(shape) or any(e not in (None, a) for e, a in zip(shape, actual, strict=True)):
        raise state_mismatch(who, f"the entry '{name}' of shape {shape}", actual)
    return arrays[name]


def check_version(who: str, arrays: Mapping[str, NDArray[np.generic]], version: int) -> None:
    """Checks that a state has the version that the plugin writes.

    Raises:
        PluginError: it has another.
    """
    actual = int(arrays["version"]) if "version" in arrays and arrays["version"].size == 1 else "none"
    if actual != version:
        raise state_mismatch(who, f"version {version}", actual)


def state_mismatch(who: str, expected: str, actual: object) -> PluginError:
    """The error for a state that does not match the plugin."""
    return PluginError(
        f"{who}: the state was written by another version of the plugin, or by another plugin: expected "
        f"{expected}, found {actual}",
        "Train it again with this version.",
    )
