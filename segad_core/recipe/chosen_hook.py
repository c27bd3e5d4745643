"""A hook that a recipe or `--hook` chose; it decides no result, so it is no `Choice`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import pluggy

from segad_core.contracts import Component, Hook, Parameters
from segad_core.plugins import hooks
from segad_core.plugins.registry import Provider
from segad_core.recipe.document import Document, read_value


@dataclass(frozen=True)
class ChosenHook:
    """A hook with its checked parameters.

    Attributes:
        provider: names it.
        loaded: what its entry point names: a subclass of `Hook`, or another observer, or its class.
        params: of a `Hook`.
        broken: why it cannot be used, if it cannot.
    """

    provider: Provider
    loaded: object = None
    params: Parameters | None = None
    broken: str = ""

    def join(self, observers: pluggy.PluginManager) -> None:
        """Adds it to the observers of a run; if it cannot be used, this is logged as a warning."""
        if self.broken:
            hooks.report_failure(self.provider.described, self.broken)
            return
        if isinstance(self.loaded, type) and issubclass(self.loaded, Hook):
            hooks.add(observers, partial(self.loaded, self.params), self.provider.described)
        else:
            hooks.add(observers, self.loaded, self.provider.described)


def component_of(loaded: object) -> type[Component]:
    """The class whose `Params` a hook has; observers that were written before there were any have none."""
    return loaded if isinstance(loaded, type) and issubclass(loaded, Hook) else Hook


def add_hooks(document: Document, words: Sequence[str]) -> None:
    """Adds hooks to those of a recipe.

    Args:
        document: the recipe.
        words: of `--hook`: names, or mappings in YAML as in a recipe.

    Raises:
        UsageError: a word is not YAML.
        RecipeError: it uses YAML that recipes do not allow.
    """
    held = document.data.get("hooks") or []
    if words and isinstance(held, list):  # anything else is reported with the rest of the recipe
        document.data["hooks"] = [*held, *(read_value(word, f"--hook {word}") for word in words)]
        for place, word in enumerate(words, len(held)):
            document.overrides["hooks", place] = f"--hook {word}"
