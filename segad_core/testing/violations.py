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
    found: dict[str, Exception] = {}
    for name in sorted(dir(suite)):
        if name.startswith("test_"):
            try:
                getattr(suite(), name)()
            except Exception as error:
                found[name] = error
    return found
