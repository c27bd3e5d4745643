"""Plugins whose failures name them: errors that methods raise, and writing to what plugins share."""

from __future__ import annotations

import copyreg
import functools
from abc import ABCMeta
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import FunctionType, MappingProxyType
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from segad_core.base.resources import is_resource
from segad_core.base.text import reason
from segad_core.base.witness import Witness, locked
from segad_core.contracts import Component, optional, part_pattern
from segad_core.errors import PluginFailure, SegadError

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
    }
    for name in _called(component):
        if _is_own(component, name):
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
    for cls in component.__mro__:
        if name in vars(cls):
            return isinstance(vars(cls)[name], FunctionType) and not cls.__module__.startswith("segad_core.")
    return False


def _naming(component: type[Component], name: str, provider: Provider, doing: str) -> Callable[..., Any]:
    own = doing == "restore"  # what a plugin has learnt is its own
    arrays = not own and provider.kind != "features"  # these are called for each map: locked is enough

    @functools.wraps(getattr(component, name))
    def naming(*args: Any, **kwargs: Any) -> Any:
        if not own:
            args, kwargs = tuple(map(_locked, args)), {name: _locked(one) for name, one in kwargs.items()}
        watched = list(_witnesses([*args[1:], *kwargs.values()], arrays))
        with blaming(provider, doing):
            result = getattr(component, name)(*args, **kwargs)
        for witness in watched:
            if written := witness.written():
                raise PluginFailure(
                    f"{provider.described}: {doing}: writes to {written}, which other plugins share",
                    f"Report this to the authors of {provider.distribution}: it has to work on a copy.",
                )
        return _naming_each(result, provider, doing) if isinstance(result, Iterator) else result

    return naming


def _locked(given: Any) -> Any:
    """What a plugin is given, read-only if it is an array or has arrays by name."""
    if isinstance(given, np.ndarray):
        return locked(given)
    if isinstance(given, Mapping) and any(isinstance(one, np.ndarray) for one in given.values()):
        return MappingProxyType({name: _locked(one) for name, one in given.items()})
    return given


def _witnesses(given: Iterable[Any], arrays: bool) -> Iterator[Witness]:
    """Those of images, and of arrays if they count."""
    for one in given:
        if isinstance(witness := getattr(one, "witness", None), Witness):
            yield witness
        elif arrays and isinstance(one, np.ndarray):
            yield _witness_of({"an array": one})
        elif arrays and isinstance(one, Mapping):
            yield _witness_of({f"'{k}'": v for k, v in one.items() if isinstance(v, np.ndarray)})


def _witness_of(arrays: Mapping[str, NDArray[Any]]) -> Witness:
    witness = Witness()
    for name, array in arrays.items():
        witness.add(f"{name} that it was given", array)
    return witness


def _naming_each(items: Iterator[Any], provider: Provider, doing: str) -> Iterator[Any]:
    """What a generator yields."""
    with blaming(provider, doing):
        yield from items
