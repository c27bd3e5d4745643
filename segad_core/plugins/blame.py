"""Plugins whose failures name them: errors that methods raise, and writing to what plugins share."""

from __future__ import annotations

import copyreg
import functools
from abc import ABCMeta
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FunctionType
from typing import TYPE_CHECKING, Any, cast

from segad_core.base.distribution_code import OWN
from segad_core.base.resources import is_resource
from segad_core.base.text import reason
from segad_core.contracts import Component, Stateful, optional, part_pattern
from segad_core.contracts.component import SUPER_INIT
from segad_core.errors import PluginFailure, SegadError
from segad_core.plugins.shared import shown, witnesses
from segad_core.plugins.states import wrong_with_state

if TYPE_CHECKING:
    from segad_core.plugins.registry import Provider

_PROTOCOLS = [
    asked
    for module in (optional, part_pattern)
    for asked in vars(module).values()
    if isinstance(asked, type) and getattr(asked, "_is_protocol", False)
]


class _Named(ABCMeta):
    """The class of the classes below."""

    _made_from: tuple[type[Component], Provider]


@functools.cache
def named(component: type[Component], provider: Provider) -> type[Component]:
    """A component that is the same in all things, but whose failures name the plugin.

    A `SegadError` is for the user already, and a fault of the machine is nobody's: both pass unchanged. So
    does what another plugin raises that this one called, such as an encoder.

    Args:
        component: as its distribution defines it.
        provider: names it.
    """
    body: dict[str, Any] = {
        "__module__": component.__module__,
        "__qualname__": component.__qualname__,
        "__doc__": component.__doc__,
        "__init__": _naming(component, "__init__", provider, "constructor"),
        "_made_from": (component, provider),
        "_described_as": provider.described,
    }
    engines = ["state", "restore"] if issubclass(component, Stateful) else []
    engines += ["compute"] if provider.kind == "features" else []
    for name in _called(component):
        if _is_own(component, name) or name in engines:
            body[name] = _naming(component, name, provider, name)
    return cast(type[Component], _Named(component.__name__, (component,), body))


def _pickled(cls: _Named) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """Classes are pickled as what they were made from."""
    return named, cls._made_from


copyreg.pickle(_Named, _pickled)


@contextmanager
def blaming(provider: Provider, doing: str) -> Iterator[None]:
    """Names a plugin in what a block that calls it raises.

    Raises:
        PluginFailure: the block raised an error that is neither a `SegadError` nor a fault of the machine.
    """
    try:
        yield
    except SegadError:
        raise
    except (Exception, SystemExit) as error:
        if is_resource(error):
            raise
        raise PluginFailure(
            f"{provider.described}: {doing}: {reason(error)}",
            f"This is a defect of {provider.distribution}: --debug shows where; report it to its authors.",
        ) from error


def _called(component: type[Component]) -> set[str]:
    """The names of what the engine may call: in the contracts that it derives from, and optional ones."""
    contracts = [c for c in component.__mro__ if c.__module__.startswith("segad_core.")]
    return {name for c in [*contracts, *_PROTOCOLS] for name in vars(c) if not name.startswith("_")}


def _is_own(component: type[Component], name: str) -> bool:
    """Whether something is a method that the plugin defines, not one that it has from the engine."""
    found = next((vars(cls)[name] for cls in component.__mro__ if name in vars(cls)), None)
    return isinstance(found, FunctionType) and not found.__module__.startswith("segad_core.")


def _naming(component: type[Component], name: str, provider: Provider, doing: str) -> Callable[..., Any]:
    own = doing == "restore"  # what a plugin has learnt is its own
    features = provider.kind == "features"  # called for each map, so those of segad are not watched
    watching = not (features and provider.distribution == OWN)

    @functools.wraps(getattr(component, name))
    def naming(*args: Any, **kwargs: Any) -> Any:
        if own:
            _check_state([*args[1:], *kwargs.values()][0], provider, doing)
        else:
            args = (args[0], *(shown(one, provider.distribution) for one in args[1:]))
            kwargs = {key: shown(one, provider.distribution) for key, one in kwargs.items()}
        given = [*args[1:], *kwargs.values()] if watching else []
        watched = list(witnesses(given, arrays=not own and not features))
        with blaming(provider, doing):
            result = getattr(component, name)(*args, **kwargs)
            if doing == "constructor" and not hasattr(args[0], "params"):
                raise AttributeError(f"leaves params unset: {SUPER_INIT}")
        if doing == "state":
            _check_state(result, provider, doing)
        for witness in watched:
            if written := witness.written():
                raise PluginFailure(
                    f"{provider.described}: {doing}: writes to {written}, which other plugins share",
                    f"Report this to the authors of {provider.distribution}: it has to work on a copy.",
                )
        return _naming_each(result, provider, doing) if isinstance(result, Iterator) else result

    return naming


def _check_state(state: object, provider: Provider, doing: str) -> None:
    if wrong := wrong_with_state(state):
        raise PluginFailure(
            f"{provider.described}: {doing}: {wrong}",
            f"Report this to the authors of {provider.distribution}: a state is named arrays of numbers. A "
            "file of a plain format, such as JSON, is an array of its bytes.",
        )


def _naming_each(items: Iterator[Any], provider: Provider, doing: str) -> Iterator[Any]:
    """What a generator yields."""
    with blaming(provider, doing):
        yield from items
