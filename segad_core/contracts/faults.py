"""Who is at fault and what came, in messages about what plugins return."""

from __future__ import annotations

from typing import Any

import numpy as np

REPORT = "Report this to the plugin's authors."
"""The remedy where a plugin breaks its contract."""


def at_fault(component: object, kind: str, name: str) -> str:
    """A plugin in messages: with its distribution and version, and the name that a recipe gives it.

    Args:
        component: the plugin.
        kind: such as `detector`.
        name: in the recipe, or in the bundle; empty if it has none there.
    """
    known = str(getattr(component, "_described_as", ""))
    if not known:
        return f"{kind} '{name or type(component).__name__}'"
    return known if not name or known.startswith(f"{kind} '{name}' (") else f"{known} as '{name}'"


def shown(returned: Any) -> str:
    """What came instead of an array: its type and shape, or the object if it is none."""
    if not hasattr(returned, "dtype"):
        return f"{returned!r:.60}"
    array = f"{str(returned.dtype).removeprefix('torch.')} {tuple(returned.shape)}"
    return array if np.ndim(returned) else f"{returned!r:.60}"
