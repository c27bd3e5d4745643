"""Running a suite without pytest."""

from __future__ import annotations

from segad_core.testing.component import ComponentSuite


def violations(suite: type[ComponentSuite]) -> dict[str, Exception]:
    """Runs all clauses of a suite, each on a new instance of it.

    Args:
        suite: a subclass that defines `make`, and needs no pytest fixtures.

    Returns:
        The exceptions of the violated clauses by their names: an `AssertionError` that says what is wrong, or
        an exception of the plugin. Empty if the plugin meets its contract.
    """
    found = {name: wrong_with(suite, name) for name in clauses(suite)}
    return {name: error for name, error in found.items() if error is not None}


def clauses(suite: type[ComponentSuite]) -> list[str]:
    """The names of a suite's clauses."""
    return sorted(name for name in dir(suite) if name.startswith("test_"))


def wrong_with(suite: type[ComponentSuite], clause: str) -> Exception | None:
    """The exception of a clause on a new instance of its suite; None if the plugin meets it."""
    try:
        getattr(suite(), clause)()
    except Exception as error:
        return error
    return None
