"""How the suites themselves are tested: with plugins that violate a clause, and with sound ones."""

import pytest

from segad_core.testing import violations


@pytest.fixture
def check():
    """Asserts that a suite finds that a plugin violates these clauses (names between blanks), and says why.

    Only these clauses run; of a sound plugin, which violates none, all.
    """

    def check(suite, make, expected):
        case = type("Case", (suite,), {"make": lambda self: make()})
        if not expected:
            assert violations(case) == {}
        for name in expected.split():
            with pytest.raises(AssertionError) as caught:  # what the plugin itself raises is not the suite's
                getattr(case(), name)()
            assert len(str(caught.value)) > 30, (name, str(caught.value))

    return check
