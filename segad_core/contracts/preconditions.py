"""What must hold before a method of a plugin is called: stated once in the contract, checked for all plugins.

    class Detector(Learner):
        @abstractmethod
        @requires(of_fitted_size, "batch")
        def anomaly_maps(self, batch): ...

Whoever calls a plugin's `anomaly_maps`, engine, suite or test, calls `of_fitted_size(plugin, batch)` first.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import FunctionType
from typing import Any, TypeVar

Method = TypeVar("Method", bound=Callable[..., Any])

_MARK = "_precondition"


def requires(check: Callable[[Any, Any], None], argument: str) -> Callable[[Method], Method]:
    """Has an argument of a contract's method checked, in all subclasses.

    Args:
        check: gets the plugin and the argument; raises an error if the method must not be called.
        argument: its name in the contract.
    """

    def marked(method: Method) -> Method:
        vars(method)[_MARK] = (check, argument, [*inspect.signature(method).parameters].index(argument))
        return method

    return marked


def inherit_preconditions(component: type) -> None:
    """Has the methods of a new class checked as its contract requires."""
    for cls in component.__mro__:
        for name, member in vars(cls).items():
            precondition, method = getattr(member, _MARK, None), inspect.getattr_static(component, name)
            if precondition and isinstance(method, FunctionType) and _MARK not in vars(method):
                setattr(component, name, _checked(method, *precondition))


def _checked(
    method: Callable[..., Any], check: Callable[[Any, Any], None], argument: str, place: int
) -> Callable[..., Any]:
    @functools.wraps(method)
    def checked(*args: Any, **kwargs: Any) -> Any:
        given = args[place] if place < len(args) else kwargs.get(argument)
        if given is not None:
            check(args[0], given)
        return method(*args, **kwargs)

    vars(checked)[_MARK] = (check, argument, place)
    return checked
