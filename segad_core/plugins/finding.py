"""Finding a plugin by its name alone, whatever its kind."""

from __future__ import annotations

from segad_core.errors import UsageError
from segad_core.plugins.registry import Provider, Registry, called, singular, status_by_name, suggest

_LISTED = "`segad list-plugins` lists all; NAME is as in its first columns, or distribution:name."


def name_in_recipes(registry: Registry, provider: Provider) -> str:
    """The name by which a recipe means a plugin: its own if that is enough, or `distribution:name`."""
    return provider.name if status_by_name(registry.providers())[provider] == "found" else provider.qualified


def find_any(registry: Registry, name: str, kind: str | None = None) -> Provider:
    """The plugin with a `name` or `distribution:name`, of a kind or of the only one that has it.

    Raises:
        UsageError: no kind has it, or several.
        PluginError: as `Registry.find` says.
    """
    known = registry.providers(kind)
    kinds = dict.fromkeys(one.kind for one in called(name, known))
    if not kinds:
        names = sorted({one.name for one in known})
        raise UsageError(
            f"no {singular(kind or 'plugins')} is called '{name}'{suggest(name, names)}",
            " ".join(filter(None, [registry.excluded(), _LISTED])),
        )
    if len(kinds) > 1:
        raise UsageError(
            f"'{name}' is the name of {', '.join(kinds)}", f"Say which: --kind {next(iter(kinds))}."
        )
    return registry.find(next(iter(kinds)), name)
