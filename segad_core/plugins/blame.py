"""Plugins whose failures name them: errors that methods raise, and writing to what plugins share."""

from __future__ import annotations

import copyreg
import functools
import inspect
from abc import ABCMeta
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from types import FunctionType
from typing import TYPE_CHECKING, Any, cast

from segad_core.base.distribution_code import LIGHT, OWN, WHOLE, own_distribution
from segad_core.base.resources import is_resource
from segad_core.base.text import reason
from segad_core.contracts import Component, Feature, Stateful, optional, part_pattern
from segad_core.contracts.component import SUPER_INIT
from segad_core.errors import PluginError, PluginFailure, SegadError
from segad_core.plugins.answers import expected_of, in_words
from segad_core.plugins.exits import staying
from segad_core.plugins.shared import shown, witnesses
from segad_core.plugins.states import wrong_with_state

if TYPE_CHECKING:
    from segad_core.plugins.registry import Provider

PROTOCOLS = [
    asked
    for module in (optional, part_pattern)
    for asked in vars(module).values()
    if isinstance(asked, type) and getattr(asked, "_is_protocol", False)
]
"""Optional knowledge, one question each."""

_OPTIONAL = {name for asked in PROTOCOLS for name in vars(asked)}


_WRITES = "read-only"  # as NumPy says


class _Named(ABCMeta):
    """The class of the classes below."""

    _made_from: tuple[type[Component], Provider]


def _metaclass(of: type) -> type[_Named]:
    """`_Named`, for a component whose class is of a class of its own."""
    if issubclass(_Named, of):
        return _Named
    made: type[_Named] = type(_Named.__name__, (_Named, of), {})
    copyreg.pickle(made, _pickled)
    return made


@functools.cache
def named(component: type[Component], provider: Provider) -> type[Component]:
    """A component that is the same in all things, but whose failures name the plugin.

    A `SegadError` is for the user already, and a fault of the machine is nobody's: both pass unchanged. So
    does what another plugin raises that this one called, such as an encoder.

    Args:
        component: as its distribution defines it.
        provider: names it.

    Raises:
        TypeError: or whatever else the class raises that allows no class derived from it.
    """
    body: dict[str, Any] = {
        "__module__": component.__module__,
        "__qualname__": component.__qualname__,
        "__doc__": component.__doc__,
        "_made_from": (component, provider),
        "_described_as": provider.described,
    }
    for name in ("__init__", *called_methods(component)):
        if name == "__init__" or _is_guarded(component, name):
            body[name] = _naming(component, name, provider)
    return cast(type[Component], _metaclass(type(component))(component.__name__, (component,), body))


def _pickled(cls: _Named) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """Classes are pickled as what they were made from."""
    return named, cls._made_from


copyreg.pickle(_Named, _pickled)


@contextmanager
def blaming(provider: Provider, doing: str) -> Iterator[None]:
    """Names a plugin in what a block that calls it raises.

    Raises:
        PluginFailure: the block raised an error that is neither a `SegadError` nor a fault of the machine. A
            `KeyboardInterrupt` is taken for the user's.
    """
    try:
        yield
    except (SegadError, KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:  # SystemExit, and what compiled code raises, such as a panic of Rust
        if is_resource(error):
            raise
        if isinstance(error, ModuleNotFoundError) and provider.distribution == OWN != own_distribution():
            raise PluginError(
                f"{provider.described}: {doing}: needs {error.name}, and {LIGHT} comes without it",
                WHOLE,
            ) from error
        copies = " What it is given is shared: it has to work on a copy." if _WRITES in str(error) else ""
        raise PluginFailure(
            f"{provider.described}: {doing}: {reason(error)}",
            f"This is a defect of {provider.distribution}: --debug shows where; report it to its authors."
            f"{copies}",
        ) from error


def problems(component: type[Component], provider: Provider) -> list[str]:
    """What of a component cannot be named: what is no method where one will be called, or the whole class."""
    found = [
        f"{component.__name__}.{name} is a {kind}, not a method"
        for name in sorted(called_methods(component) & set(dir(component)))
        if not callable(getattr(component, name)) and (name not in _OPTIONAL or expected_of(component, name))
        for kind in [type(inspect.getattr_static(component, name)).__name__]
    ]
    if found:
        return found
    try:
        named(component, provider)
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:
        return [f"no class can be derived from {component.__name__}, as segad does: {reason(error)}"]
    return []


def called_methods(component: type[Component]) -> set[str]:
    """The names of what the engine may call: in the contracts that it derives from, and optional ones."""
    contracts = [c for c in component.__mro__ if c.__module__.startswith("segad_core.")]
    return {
        name
        for c in [*contracts, *PROTOCOLS]
        for name, method in vars(c).items()
        if not name.startswith("_") and isinstance(method, FunctionType)
    }


def _is_guarded(component: type[Component], name: str) -> bool:
    """Whether something is a method that the plugin defines, or that comes of what it defines."""
    cls = next((cls for cls in component.__mro__ if name in vars(cls)), Component)
    if name in ("state", "restore", "compute") and issubclass(component, Stateful | Feature):
        return True
    if cls.__module__.startswith("segad_core.") or not callable(getattr(component, name)):
        return False
    module = getattr(vars(cls)[name], "__module__", None) or ""
    return name in _OPTIONAL or not module.startswith("segad_core.")


def _naming(component: type[Component], name: str, provider: Provider) -> Any:
    doing, expected = "constructor" if name == "__init__" else name, expected_of(component, name)
    own = doing == "restore"  # what a plugin has learnt is its own
    features = provider.kind == "features"  # called for each map, so those of segad are not watched
    watching = not (features and provider.distribution == OWN)
    often = features and name != "__init__"
    member = inspect.getattr_static(component, name)
    method = _function(member)
    first, plain = 0 if isinstance(member, staticmethod) else 1, isinstance(member, FunctionType)

    @functools.wraps(method)
    def naming(*args: Any, **kwargs: Any) -> Any:
        if own:
            _check_state([*args[first:], *kwargs.values()][0], provider, doing)
        else:
            args = (*args[:first], *(shown(one, provider.distribution) for one in args[first:]))
            kwargs = {key: shown(one, provider.distribution) for key, one in kwargs.items()}
        given = [*args[first:], *kwargs.values()]
        watched = list(witnesses(given if watching else [], arrays=not own and not features))
        with blaming(provider, doing), nullcontext() if often else staying():
            result = (getattr(component, name) if plain else method)(*args, **kwargs)
            if name == "__init__" and not hasattr(args[0], "params"):
                raise AttributeError(f"leaves params unset: {SUPER_INIT}")
            wrong = expected and expected(result, given)
        if doing == "state":
            _check_state(result, provider, doing)
        if wrong:
            raise PluginFailure(
                f"{provider.described}: {doing}: returns {in_words(result)}, not {wrong}",
                f"Report this to the authors of {provider.distribution}.",
            )
        for witness in watched:
            if written := witness.written():
                raise PluginFailure(
                    f"{provider.described}: {doing}: writes to {written}, which other plugins share",
                    f"Report this to the authors of {provider.distribution}: it has to work on a copy.",
                )
        return _naming_each(result, provider, doing) if isinstance(result, Iterator) else result

    return type(member)(naming) if isinstance(member, staticmethod | classmethod) else naming


def _function(member: Any) -> Callable[..., Any]:
    """A member of a class as a function of the instance, or of what else the member is called with."""
    if isinstance(member, staticmethod | classmethod):
        return cast(Callable[..., Any], member.__func__)
    if isinstance(member, FunctionType):
        return member
    if not hasattr(member, "__get__"):
        return lambda self, *args, **kwargs: member(*args, **kwargs)
    return lambda self, *args, **kwargs: member.__get__(self, type(self))(*args, **kwargs)


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
