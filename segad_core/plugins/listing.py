"""What is known of plugins: from metadata alone, or from importing them."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from segad_core.base.distribution_code import OWN
from segad_core.errors import PluginError
from segad_core.plugins.kinds import KINDS
from segad_core.plugins.registry import (
    Provider,
    Registry,
    contract_problems,
    did_you_mean,
    status_by_name,
)

LIMIT = 60.0
"""Seconds in which a plugin has to be imported."""

_SLOW = 1.0


@dataclass(frozen=True)
class Listed:
    """A plugin in a list.

    Attributes:
        status: from metadata `found`, `shadowed`, `ambiguous`, `incompatible` or `unknown kind`; from an
            import `loads`, `broken` or `incompatible` in place of `found`.
        about: why it cannot be used, or, once it is imported, what it is.
        seconds: that its import took.
    """

    provider: Provider
    status: str
    about: str = ""
    seconds: float | None = None


def listed(registry: Registry, kind: str | None = None) -> list[Listed]:
    """The installed plugins of a kind, or of all, from metadata alone; with those of groups that are none."""
    found = []
    for provider, status in status_by_name(registry.providers(kind)).items():
        found.append(Listed(provider, *_from_metadata(provider, status)))
    return found + [Listed(one, "unknown kind", _hint(one)) for one in registry.misnamed() if kind is None]


def _from_metadata(provider: Provider, status: str) -> tuple[str, str]:
    """The status of a plugin that is not imported, and why it cannot be used."""
    if provider.damaged:
        return "broken", provider.damaged
    return ("incompatible", f"needs {provider.unmet}") if provider.unmet else (status, "")


def _hint(provider: Provider) -> str:
    meant = did_you_mean(provider.kind, KINDS) or f"; known: {', '.join(KINDS)}"
    return f"no entry-point group is called segad.{provider.kind}{meant}"


def loaded(plugins: Iterable[Listed]) -> list[Listed]:
    """The same with what importing each of them shows; third parties' in processes of their own."""
    return [
        one if one.status in ("unknown kind", "incompatible", "broken") else _loaded(one) for one in plugins
    ]


def _loaded(plugin: Listed) -> Listed:
    from segad_core.plugins.processes import ProcessEnded, in_process  # a list alone needs no processes

    if plugin.provider.distribution == OWN:
        status, about, seconds = _import(plugin.provider)
    else:
        start = time.perf_counter()
        try:
            status, about, seconds = in_process(partial(_import, plugin.provider), LIMIT)
        except ProcessEnded as error:
            status, about, seconds = "broken", str(error), time.perf_counter() - start
    if status == "loads" and plugin.provider.distribution != OWN and seconds > _SLOW:
        about = f"{about} (importing it takes {seconds:.1f} s)"
    kept = plugin.status if status == "loads" and plugin.status != "found" else status
    return Listed(plugin.provider, kept, about, seconds)


Outcome = tuple[str, str, float]
"""A status, what is to be said, and the seconds that it took."""


def _import(provider: Provider) -> Outcome:
    """What importing a plugin shows."""
    from segad_core.plugins.contract_version import ending, remedy, unsupported

    start = time.perf_counter()
    try:
        found = provider.load()
    except PluginError as error:
        return "broken", error.what, time.perf_counter() - start
    seconds = time.perf_counter() - start
    if wrong := unsupported(provider, found):
        return "incompatible", f"{wrong}. {remedy(provider, found)}", seconds
    if problems := contract_problems(provider, found):
        return "broken", "; ".join(problems), seconds
    about = (found.__doc__ or "").strip().partition("\n")[0]
    soon = ending(provider, found)
    return "loads", f"{about} ({soon})" if soon else about, seconds
