"""Clauses that a plugin is expected to violate, each for a reason."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any

from segad_core.plugins.registry import did_you_mean

_MARK, _MAKES = "_segad_clause", "_segad_makes"


def clauses(suite: type) -> list[str]:
    """The names of a suite's clauses."""
    return sorted(name for name in dir(suite) if name.startswith("test_"))


def expect(suite: type, failures: Mapping[str, str]) -> None:
    """Checks what a suite expects to fail, and tells pytest, if it runs: as strict xfail.

    Raises:
        TypeError: it names something else than a clause, has no reason, or leaves no clause; or a clause is
            switched off in another way.
    """
    known = clauses(suite)
    for name in known:
        if not callable(getattr(suite, name)):
            raise TypeError(
                f"{suite.__name__}.{name} is no function any more: name the clause in expected_failures, "
                "with the reason"
            )
    for name, why in failures.items():
        if name not in known:
            raise TypeError(
                f"{suite.__name__}.expected_failures names '{name}', which is no clause"
                f"{did_you_mean(name, known)}"
            )
        if not isinstance(why, str) or not why.strip():
            raise TypeError(f"{suite.__name__}.expected_failures has no reason for '{name}'")
    if known and not set(known) - set(failures):
        raise TypeError(f"{suite.__name__} tests nothing: all its clauses are expected to fail")
    pytest = sys.modules.get("pytest")
    for name in known:
        original = getattr(getattr(suite, name), _MARK, None)  # of a suite that expected it to fail
        if name in failures and pytest is not None:
            marked = _copy(original or getattr(suite, name))
            setattr(suite, name, pytest.mark.xfail(reason=failures[name], strict=True)(marked))
        elif original is not None:
            setattr(suite, name, original)


def makes_or_fails(suite: Any) -> None:
    """Has clauses fail where `make` skips them: a suite whose clauses are all skipped passes, says pytest."""
    make = inspect.getattr_static(suite, "make")
    if isinstance(make, FunctionType) and not hasattr(make, _MAKES):
        suite.make = _unskipped(make)


def _unskipped(make: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(make)
    def made(self: Any) -> Any:
        try:
            return make(self)
        except BaseException as error:
            if not isinstance(error, _skipping()):
                raise
            raise AssertionError(
                f"{type(self).__name__}.make() skips its clauses, so that none shows anything: {error}. Mark "
                "the class with pytest.mark.skipif if it cannot be tested here"
            ) from error

    setattr(made, _MAKES, True)
    return made


def _skipping() -> tuple[type[BaseException], ...]:
    """What ends a test of pytest without a failure."""
    pytest, unittest = sys.modules.get("pytest"), sys.modules.get("unittest")
    found = () if pytest is None else (pytest.skip.Exception, pytest.xfail.Exception)
    return found if unittest is None else (*found, unittest.SkipTest)


def _copy(clause: Callable[..., Any]) -> Callable[..., Any]:
    """The same clause, for a mark of its own."""

    @functools.wraps(clause)
    def copy(*args: Any, **kwargs: Any) -> Any:
        return clause(*args, **kwargs)

    setattr(copy, _MARK, clause)
    return copy
