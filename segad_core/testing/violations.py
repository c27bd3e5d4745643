"""Running a suite without pytest."""

from __future__ import annotations

import sys

from segad_core.testing.component import ComponentSuite
from segad_core.testing.expected import clauses


def violations(suite: type[ComponentSuite]) -> dict[str, Exception]:
    """Runs all clauses of a suite, each on a new instance of it.

    Args:
        suite: a subclass that defines `make`, and needs no pytest fixtures.

    Returns:
        The exceptions of the violated clauses by their names: an `AssertionError` that says what is wrong, or
        an exception of the plugin. Empty if the plugin meets its contract, apart from `expected_failures`. A
        clause that is skipped is violated, and so is one that is expected to fail and passes.
    """
    found = {name: wrong_with(suite, name) for name in clauses(suite)}
    return {name: error for name, error in found.items() if error is not None}


def wrong_with(suite: type[ComponentSuite], clause: str) -> Exception | None:
    """The exception of a clause on a new instance of its suite; None if the plugin meets it."""
    why = suite.expected_failures.get(clause)
    error = _raised(suite, clause)
    if why is None:
        return error
    if error is None:
        return AssertionError(f"is expected to fail ({why}), but passes: remove it from expected_failures")
    return None


def _raised(suite: type[ComponentSuite], clause: str) -> Exception | None:
    pytest = sys.modules.get("pytest")
    skipped = () if pytest is None else (pytest.skip.Exception,)
    try:
        getattr(suite(), clause)()
    except Exception as error:
        return error
    except skipped as error:
        return AssertionError(f"is skipped, and shows nothing: {error}")
    return None
