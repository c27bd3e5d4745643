"""Clauses that a plugin is expected to violate: with a reason, and only as long as it does."""

import pytest
from nursery import nursery

from segad_core.contracts import Component
from segad_core.testing import ComponentSuite, violations
from segad_core.testing.expected import clauses

DOCSTRING = "test_docstring_begins_with_a_line_of_its_own"


class Wrapped(Component):
    """Does nothing, and needs
    two lines to say so."""


class Sound(Component):
    """Does nothing."""


def suite(component, failures, base=ComponentSuite, **more):
    return type("Case", (base,), {"make": lambda self: component(), "expected_failures": failures, **more})


def test_an_expected_failure_is_no_violation():
    assert set(violations(suite(Wrapped, {}))) == {DOCSTRING}
    assert violations(suite(Wrapped, {DOCSTRING: "the list may cut it off"})) == {}


def test_an_expected_failure_that_passes_is_a_violation():
    found = violations(suite(Sound, {DOCSTRING: "the list may cut it off"}))
    assert set(found) == {DOCSTRING}
    assert "the list may cut it off" in str(found[DOCSTRING])
    assert "remove it from expected_failures" in str(found[DOCSTRING])


def test_pytest_is_told_strictly_and_of_this_suite_alone():
    case = suite(Wrapped, {DOCSTRING: "cut off"})
    (mark,) = getattr(case, DOCSTRING).pytestmark
    assert (mark.name, mark.kwargs) == ("xfail", {"reason": "cut off", "strict": True})
    assert getattr(case, DOCSTRING).__doc__ == getattr(ComponentSuite, DOCSTRING).__doc__
    again = suite(Wrapped, {DOCSTRING: "still cut off"}, base=case)
    assert [mark.kwargs["reason"] for mark in getattr(again, DOCSTRING).pytestmark] == ["still cut off"]
    for other in (ComponentSuite, suite(Sound, {}), suite(Sound, {}, base=case)):
        assert not hasattr(getattr(other, DOCSTRING), "pytestmark")


def test_pytest_does_as_it_is_told(tmp_path):
    (tmp_path / "test_it.py").write_text(
        "from segad_core.contracts import Component\n"
        "from segad_core.testing import ComponentSuite\n"
        "class Sound(Component):\n"
        "    'Does nothing.'\n"
        "class Wrapped(Component):\n"
        "    'Does nothing\\nat all.'\n"
        "class TestWrapped(ComponentSuite):\n"
        f"    expected_failures = {{'{DOCSTRING}': 'cut off'}}\n"
        "    def make(self):\n"
        "        return Wrapped()\n"
        "class TestSound(TestWrapped):\n"
        "    def make(self):\n"
        "        return Sound()\n"
    )
    ended = nursery().run("-m", "pytest", "-q", "-p", "no:cacheprovider", "test_it.py", cwd=tmp_path)
    assert ended.code == 1, ended.out
    count = 2 * (len(clauses(ComponentSuite)) - 1)
    assert f"1 failed, {count} passed, 1 xfailed" in ended.out
    assert "[XPASS(strict)] cut off" in ended.out


@pytest.mark.parametrize(
    ("failures", "more", "fact"),
    [
        ({"test_docstring_begins_with_a_line": "cut off"}, {}, f"did you mean '{DOCSTRING}'"),
        ({DOCSTRING: " "}, {}, f"no reason for '{DOCSTRING}'"),
        ({DOCSTRING: None}, {}, f"no reason for '{DOCSTRING}'"),
        ({}, {DOCSTRING: None}, f"{DOCSTRING} is no function any more"),
        (dict.fromkeys(clauses(ComponentSuite), "all of it"), {}, "Case tests nothing"),
    ],
)
def test_a_suite_that_would_show_nothing_cannot_be_defined(failures, more, fact):
    with pytest.raises(TypeError, match="Case") as caught:
        suite(Sound, failures, **more)
    assert fact in str(caught.value)


def test_pytest_fails_where_make_skips_and_not_where_a_clause_does(tmp_path):
    (tmp_path / "test_it.py").write_text(
        "import unittest\n"
        "import pytest\n"
        "from segad_core.contracts import Component\n"
        "from segad_core.testing import ComponentSuite\n"
        "class Sound(Component):\n"
        "    'Does nothing.'\n"
        "class Skips:\n"
        "    def make(self):\n"
        "        pytest.skip('no weights here')\n"
        "class TestSkips(Skips, ComponentSuite):\n"
        "    pass\n"
        "class TestFails(ComponentSuite):\n"
        "    def make(self):\n"
        "        pytest.xfail('no weights here')\n"
        "class TestUnit(TestFails):\n"
        "    def make(self):\n"
        "        raise unittest.SkipTest('no weights here')\n"
        "class TestSome(ComponentSuite):\n"
        "    def make(self):\n"
        "        return Sound()\n"
        f"    def {DOCSTRING}(self):\n"
        "        pytest.skip('is in another language')\n"
        "@pytest.mark.skip\n"
        "class TestMarked(TestSome):\n"
        "    pass\n"
    )
    ended = nursery().run("-m", "pytest", "-q", "-p", "no:cacheprovider", "test_it.py", cwd=tmp_path)
    assert ended.code == 1, ended.out
    count = len(clauses(ComponentSuite))
    assert f"{3 * count} failed, {count - 1} passed, {count + 1} skipped" in ended.out
    assert "TestSkips.make() skips its clauses" in ended.out and "no weights here" in ended.out


def test_a_skipped_clause_is_a_violation():
    def skips(self):
        pytest.skip("no weights here")

    found = violations(type("Case", (ComponentSuite,), {"make": skips}))
    assert set(found) == set(clauses(ComponentSuite))
    assert "no weights here" in str(found[DOCSTRING])
