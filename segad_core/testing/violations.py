"""A suite without pytest: which clauses a plugin violates."""

from __future__ import annotations

from segad_core.testing.component import ComponentSuite


def violations(suite: type[ComponentSuite]) -> dict[str, Exception]:
    """Runs every clause of a suite, each on an instance of its own.

    Args:
        suite: a subclass that defines `make`, and needs no fixture of pytest.

    Returns:
        What each violated clause raised, by the clause's name: an `AssertionError` that names what is
        wrong, or what the plugin itself raised. Empty where the plugin keeps its contract.
    """
    found: dict[str, Exception] = {}
    for name in sorted(dir(suite)):
        if name.startswith("test_"):
            try:
                getattr(suite(), name)()
            except Exception as error:
                found[name] = error
    return found
