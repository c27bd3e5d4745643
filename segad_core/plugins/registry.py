"""The registry: lists plugins from the metadata of their distributions, and imports those that are used."""

from __future__ import annotations

import difflib
import functools
import importlib.metadata
import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

from segad_core.base.distribution_code import OWN
from segad_core.base.text import reason
from segad_core.contracts import KINDS, Component, Parameters
from segad_core.errors import PluginError
from segad_core.plugins.blame import named

log = logging.getLogger("segad.plugins")

HOOKS = "hooks"
_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Provider:
    """A plugin as the metadata of its distribution describes it; known without importing it."""

    kind: str
    name: str
    distribution: str
    version: str
    target: str

    @property
    def qualified(self) -> str:
        """`distribution:name`, which is unambiguous."""
        return f"{self.distribution}:{self.name}"

    @property
    def described(self) -> str:
        """The plugin in a sentence: `detector 'tiny' (segad-tiny 0.1)`."""
        return f"{_singular(self.kind)} '{self.name}' ({self.distribution} {self.version})"

    def __str__(self) -> str:
        return f"{self.name} ({self.distribution} {self.version})"

    def load(self) -> object:
        """Imports the object that the entry point names.

        Raises:
            PluginError: the import fails; the message names the distribution and the reason.
        """
        try:
            return EntryPoint(self.name, self.target, f"segad.{self.kind}").load()
        except (Exception, SystemExit) as error:
            raise PluginError(
                f"{self.kind}: the plugin '{self.name}' of {self.distribution} {self.version} cannot be "
                f"imported with segad {importlib.metadata.version('segad')}: {reason(error)}",
                f"Repair or uninstall {self.distribution}, or remove the plugin from the recipe.",
            ) from error


class Registry:
    """The installed plugins.

    Args:
        third_parties: False excludes all plugins that are not part of segad, before anything is imported.
    """

    def __init__(self, third_parties: bool = True) -> None:
        self.third_parties = third_parties
        self._providers: list[Provider] | None = None

    def providers(self, kind: str | None = None) -> list[Provider]:
        """The installed plugins of one kind or of all, sorted by kind, name and distribution."""
        if self._providers is None:
            kinds = [*KINDS, HOOKS]
            found = {
                # an interrupted uninstall leaves metadata without a name or a version
                Provider(kind, point.name, dist.name or "unnamed", dist.version or "unknown", point.value)
                for kind in kinds
                for point in entry_points(group=f"segad.{kind}")
                if (dist := point.dist) is not None and (self.third_parties or dist.name == OWN)
            }
            self._providers = sorted(found, key=lambda p: (kinds.index(p.kind), p.name, p.distribution))
        return [p for p in self._providers if kind in (None, p.kind)]

    def find(self, kind: str, name: str) -> Provider:
        """The plugin of a kind with the given `name` or `distribution:name`.

        A bare name means segad's own plugin where there is one, with a warning if there are others.

        Raises:
            PluginError: there is no such plugin, or third parties provide several and segad none.
        """
        known = self.providers(kind)
        distribution, _, plain = name.rpartition(":")
        full = [p for p in known if p.name == plain and _same(p.distribution, distribution)]
        matches = full or [p for p in known if p.name == name]
        if len(matches) == 1:
            return matches[0]
        if own := [p for p in matches if p.distribution == OWN]:
            others = ", ".join(f"'{p.qualified}'" for p in matches if p.distribution != OWN)
            _warn(
                f"'{name}' is segad's own {_singular(kind)}: use {others} for that of the other distribution"
            )
            return own[0]
        if matches:
            raise PluginError(
                f"'{name}' is provided by {', '.join(f'{p.qualified} {p.version}' for p in matches)}",
                f"Use a full name, such as '{matches[0].qualified}'.",
            )
        raise PluginError(
            f"no {_singular(kind)} is called '{name}'{suggest(name, [p.name for p in known])}",
            "" if self.third_parties else "--no-plugins excludes all plugins that are not part of segad.",
        )

    def component(self, provider: Provider) -> type[Component]:
        """Imports a component and checks that it is a complete subclass of its contract.

        Raises:
            PluginError: it cannot be imported, or breaks its contract.
        """
        loaded = provider.load()
        problems = contract_problems(provider, loaded)
        if problems or not isinstance(loaded, type):
            raise PluginError(
                f"{provider.kind}: the plugin '{provider.name}' of {provider.distribution} "
                f"{provider.version} breaks its contract: {'; '.join(problems)}",
                f"Report this to the authors of {provider.distribution}.",
            )
        return named(loaded, provider)


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
    if provider.kind == HOOKS:
        from segad_core.plugins import hooks  # listing plugins must not import pluggy

        return hooks.problems(loaded)
    contract = KINDS[provider.kind]
    if not isinstance(loaded, type) or not issubclass(loaded, contract):
        return [f"{provider.target} is not a subclass of segad_core.api.{contract.__name__}"]
    problems = []
    if not _NAME.fullmatch(provider.name):
        problems.append(f"the name '{provider.name}' does not match [a-z][a-z0-9_]*")
    if missing := sorted(getattr(loaded, "__abstractmethods__", ())):
        problems.append(f"{loaded.__name__} does not define {', '.join(missing)}")
    if not (isinstance(loaded.Params, type) and issubclass(loaded.Params, Parameters)):
        problems.append(f"{loaded.__name__}.Params is not a subclass of segad_core.api.Parameters")
    if not (loaded.__doc__ or "").strip():
        problems.append(f"{loaded.__name__} has no docstring")
    return problems


@functools.cache  # once per process, however many recipes and rows name it
def _warn(message: str) -> None:
    log.warning("%s", message)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of an error about an unknown name: ` - did you mean 'mean'?`; empty if none is similar."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" - did you mean '{near[0]}'?" if near else ""


def suggest(name: str, known: Iterable[str]) -> str:
    """The end of an error about an unknown name: the most similar known name, and all known names."""
    names: Sequence[str] = list(dict.fromkeys(known))
    return f"{did_you_mean(name, names) or '.'} known: {', '.join(names) or 'none'}"


def _canonical(distribution: str) -> str:
    """A distribution's name in the normalised form of PEP 503."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def _same(one: str, other: str) -> bool:
    return _canonical(one) == _canonical(other)


def _singular(kind: str) -> str:
    return kind.removesuffix("s").replace("_", " ")
