"""How the suites themselves are tested: by plugins that violate a clause."""

import pytest

from segad_core.testing import violations


@pytest.fixture
def check():
    """Asserts that a suite finds just these clauses violated (names between blanks), and says why."""

    def check(suite, make, expected):
        raised = violations(type("Case", (suite,), {"make": lambda self: make()}))
        # what the plugin itself raises fails a test too, but it is not the suite that found it
        found = {name: str(e) for name, e in raised.items() if isinstance(e, AssertionError)}
        assert set(found) == set(expected.split()), found
        assert expected or not raised, raised
        assert all(len(message) > 30 for message in found.values()), found

    return check
