"""The registry: lists plugins from the metadata of their distributions, and imports those that are used."""

from __future__ import annotations

import difflib
import functools
import logging
import os
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from segad_core.base.distribution_code import LIGHT, OWN, WHOLE, own_distribution
from segad_core.base.requirement import canonical
from segad_core.base.text import listed, reason
from segad_core.errors import PluginError, UsageError
from segad_core.plugins.installed import installed
from segad_core.plugins.kinds import KINDS
from segad_core.plugins.provider import Provider as Provider
from segad_core.plugins.provider import singular as singular

if TYPE_CHECKING:
    from segad_core.contracts import Component

log = logging.getLogger("segad.plugins")

HOOKS = "hooks"
RESTRICTED_TO = "SEGAD_PLUGINS"
"""The environment variable that names the distributions whose plugins are found, beside segad's own."""

_NAME = re.compile(r"[a-z][a-z0-9_]*")


class Registry:
    """The installed plugins.

    Args:
        third_parties: False excludes all plugins that are not part of segad, before anything is imported.
            `SEGAD_PLUGINS` in the environment excludes all but those of the distributions that it names.
    """

    def __init__(self, third_parties: bool = True) -> None:
        self.third_parties = third_parties

    def providers(self, kind: str | None = None) -> list[Provider]:
        """The installed plugins of one kind or of all, sorted by kind, name and distribution."""
        return [p for p in self._in(KINDS) if kind in (None, p.kind)]

    def misnamed(self) -> list[Provider]:
        """What distributions provide in groups that look like segad's but are none: `segad.detector`."""
        return self._in(sorted({p.kind for p in self._installed} - {*KINDS}))

    def _in(self, kinds: Sequence[str]) -> list[Provider]:
        found = [p for p in self._installed if p.kind in kinds]
        return sorted(found, key=lambda p: (kinds.index(p.kind), p.name, p.distribution))

    @functools.cached_property
    def _installed(self) -> list[Provider]:
        return [
            p for p in dict.fromkeys(installed()) if p.distribution == OWN or self._is_wanted(p.distribution)
        ]

    def _is_wanted(self, distribution: str) -> bool:
        """Whether plugins of a third party's distribution are to be found."""
        wanted = os.environ.get(RESTRICTED_TO)
        if not self.third_parties:
            return False
        return wanted is None or canonical(distribution) in map(canonical, re.split(r"[\s,]+", wanted))

    def find(self, kind: str, name: str) -> Provider:
        """The plugin of a kind with the given `name` or `distribution:name`.

        A bare name means segad's own plugin where there is one, with a warning if there are others.

        Raises:
            PluginError: there is no such plugin, or third parties provide several and segad none.
        """
        known = self.providers(kind)
        matches = called(name, known)
        if len(matches) == 1:
            return matches[0]
        if own := [p for p in matches if p.distribution == OWN]:
            others = ", ".join(f"'{p.qualified}'" for p in matches if p.distribution != OWN)
            _warn(
                f"'{name}' is segad's own {singular(kind)}: use {others} for that of the other distribution"
            )
            return own[0]
        if matches:
            raise PluginError(
                f"'{name}' is provided by {', '.join(f'{p.qualified} {p.version}' for p in matches)}",
                f"Use a full name, such as '{matches[0].qualified}'.",
            )
        distribution, full, _ = name.rpartition(":")
        owners = [p.distribution for p in self.providers()]
        if full and canonical(distribution) not in map(canonical, owners):
            raise PluginError(
                f"no installed distribution is called '{distribution}' and has plugins"
                f"{did_you_mean(distribution, owners)}",
                self.excluded() or f"Install it, or correct '{name}'.",
            )
        light = own_distribution() == LIGHT
        raise PluginError(
            f"no {singular(kind)} is called '{name}'{suggest(name, [p.name for p in known])}"
            + f" ({LIGHT} has only what runs exported bundles)" * light,
            self.excluded() or WHOLE * light,
        )

    def excluded(self) -> str:
        """Why a plugin may not be found although it is installed; empty if nothing is excluded."""
        if not self.third_parties:
            return "--no-plugins excludes all plugins that are not part of segad."
        wanted = os.environ.get(RESTRICTED_TO)
        return "" if wanted is None else f"{RESTRICTED_TO} restricts plugins to {wanted or 'segad'}."

    def component(self, provider: Provider) -> type[Component]:
        """Imports a component and checks that it is a complete subclass of its contract.

        Raises:
            PluginError: it cannot be imported, breaks its contract, or is written for a version of it that is
                not supported.
        """
        from segad_core.plugins.blame import named

        loaded = self.loaded(provider)
        assert isinstance(loaded, type)  # as its contract is
        return named(loaded, provider)

    def loaded(self, provider: Provider) -> object:
        """Imports what a plugin's entry point names, and checks it: a class, or, of a hook, any observer.

        Raises:
            PluginError: as `component` says.
        """
        from segad_core.plugins import contract_version

        loaded = provider.load()
        if wrong := contract_version.unsupported(provider, loaded):
            raise PluginError(f"{provider.blamed} {wrong}", contract_version.remedy(provider, loaded))
        if problems := contract_problems(provider, loaded):
            raise PluginError(
                f"{provider.blamed} breaks its contract: {'; '.join(problems)}",
                f"Report this to the authors of {provider.distribution}.",
            )
        if soon := contract_version.ending(provider, loaded):
            _warn(f"{provider.described} {soon}; upgrade {provider.distribution}")
        return loaded


def called(name: str, providers: Iterable[Provider]) -> list[Provider]:
    """Those plugins that a `name` or `distribution:name` may mean, however the distribution is spelt."""
    distribution, _, plain = name.rpartition(":")
    known = list(providers)
    full = [p for p in known if p.name == plain and canonical(p.distribution) == canonical(distribution)]
    return full or [p for p in known if p.name == name]


def status_by_name(providers: Sequence[Provider]) -> dict[Provider, str]:
    """Of each plugin, what its bare name means: `found`, `ambiguous`, or `shadowed` by segad's own."""
    namesakes: dict[tuple[str, str], list[Provider]] = {}
    for provider in providers:
        namesakes.setdefault((provider.kind, provider.name), []).append(provider)
    return {
        provider: "found"
        if len(same) == 1 or provider.distribution == OWN
        else "shadowed"
        if any(p.distribution == OWN for p in same)
        else "ambiguous"
        for same in namesakes.values()
        for provider in same
    }


def contract_problems(provider: Provider, loaded: object) -> list[str]:
    """How an imported plugin breaks its contract, as far as that is visible without calling its methods."""
    try:
        return _contract_problems(provider, loaded)
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:  # of a metaclass, or of attributes that are computed
        return [f"{provider.target} cannot be looked at: {reason(error)}"]


def _contract_problems(provider: Provider, loaded: object) -> list[str]:
    from segad_core.contracts import KINDS as CONTRACTS  # listing plugins must not import NumPy
    from segad_core.contracts.declared import wrong_with_params
    from segad_core.plugins import blame, contract_version

    contract, problems = CONTRACTS[provider.kind], list[str]()
    if provider.kind == HOOKS:
        from segad_core.plugins import hooks

        problems += hooks.problems(loaded)
        if not isinstance(loaded, type) or not issubclass(loaded, contract):
            return problems  # an observer that was written before hooks had parameters
    if not isinstance(loaded, type) or not issubclass(loaded, contract):
        return [f"{provider.target} is not a subclass of segad_core.api.{contract.__name__}"]
    if not _NAME.fullmatch(provider.name):
        problems.append(f"the name '{provider.name}' does not match [a-z][a-z0-9_]*")
    if missing := sorted(getattr(loaded, "__abstractmethods__", ())):
        learns = ": `Learnt` fields define state and restore" if {"state", "restore"} <= {*missing} else ""
        problems.append(f"{loaded.__name__} does not define {', '.join(missing)}{learns}")
    problems += wrong_with_params(loaded)
    if not (loaded.__doc__ or "").strip():
        problems.append(f"{loaded.__name__} has no docstring")
    if invalid := contract_version.invalid_version(provider, loaded):
        problems.append(invalid)
    return problems + blame.problems(loaded, provider)


@functools.cache  # once per process, however many recipes and rows name it
def _warn(message: str) -> None:
    log.warning("%s", message)


def check_name(registry: Registry, kind: str, name: str) -> None:
    """Checks that a new plugin can have a name.

    Raises:
        UsageError: recipes could not use it, or segad has a plugin of that kind and name.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"'{name}' cannot name a plugin",
            "Use lower-case letters, digits and '_', beginning with a letter.",
        )
    if any(p.distribution == OWN and p.name == name for p in registry.providers(kind)):
        raise UsageError(
            f"'{name}' is segad's own {singular(kind)}: the bare name would mean that one",
            "Use another name.",
        )


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of an error about an unknown name: ` - did you mean 'mean'?`; empty if none is similar."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" - did you mean '{near[0]}'?" if near else ""


def suggest(name: str, known: Iterable[str]) -> str:
    """The end of an error about an unknown name: the most similar known name, and all known names."""
    names: Sequence[str] = list(dict.fromkeys(known))
    return f"{did_you_mean(name, names) or '.'} known: {listed(names, 30) or 'none'}"
