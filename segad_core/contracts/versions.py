"""The versions of the contracts that this segad supports, and the one that a plugin is written for."""

from __future__ import annotations

from typing import Any

FIRST = 1
"""The version of a contract that a plugin is written for if it says nothing."""

ENDING: dict[str, dict[int, str]] = {}
"""By kind, older versions that still work, each with the release of segad that no longer supports it.

The current version is `contract` of the kind's class.
"""


def declared_version(component: type) -> Any:
    """What a plugin's class, or the nearest of its bases that is not segad's, says in `contract`.

    What it inherits from its contract says nothing: that is always the current version.
    """
    said = (
        vars(cls)["contract"]
        for cls in component.__mro__
        if cls.__module__.partition(".")[0] != "segad_core" and "contract" in vars(cls)
    )
    return next(said, FIRST)


def is_version(value: object) -> bool:
    """Whether a value can be the version of a contract: a whole number from 1."""
    return type(value) is int and value >= FIRST
