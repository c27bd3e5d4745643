"""What holds for every suite; that each can fail is shown in a file of its own."""

import pytest

from segad_core import contracts, testing

SUITES = [getattr(testing, name) for name in testing.__all__ if name.endswith("Suite")]


def clauses(suite):
    return [name for name in dir(suite) if name.startswith("test_")]


@pytest.mark.parametrize("suite", SUITES)
def test_every_clause_is_stated(suite):
    for name in clauses(suite):
        doc = getattr(suite, name).__doc__
        assert doc and doc.endswith(".") and "\n" not in doc, f"{suite.__name__}.{name}"


@pytest.mark.parametrize("suite", SUITES)
def test_make_has_to_be_defined(suite):
    unfinished = type("Unfinished", (suite,), {})
    with pytest.raises(NotImplementedError, match=r"Unfinished .* make\(\)"):
        unfinished().make()
    found = testing.violations(unfinished)
    assert set(found) == set(clauses(suite))


def test_every_kind_has_a_suite():
    assert {f"{contract.__name__}Suite" for contract in contracts.KINDS.values()} < set(testing.__all__)
