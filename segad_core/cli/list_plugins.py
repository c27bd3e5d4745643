"""`segad list-plugins`: lists plugins from metadata alone; with --check, imports and checks them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from segad_core.cli.common import DEBUG, JSON, NO_PLUGINS, reports_errors
from segad_core.cli.out import say, say_json
from segad_core.plugins.kinds import KINDS

if TYPE_CHECKING:
    from segad_core.plugins.listing import Listed

_UNUSABLE = ("broken", "incompatible", "unknown kind")


@click.command("list-plugins")
@click.option("--kind", type=click.Choice(KINDS), help="List only plugins of this kind.")
@JSON
@click.option("--check", is_flag=True, help="Import each plugin, and see whether its class is complete.")
@NO_PLUGINS
@DEBUG
@reports_errors
def list_plugins(kind: str | None, as_json: bool, check: bool, no_plugins: bool) -> int:
    """List the installed plugins.

    Without --check nothing is imported. A bare name means segad's own plugin, which shadows others of that
    name; a name that several other distributions provide is ambiguous. In both cases, a recipe uses
    `distribution:name`. With --check, the exit code is 1 if a plugin cannot be used.
    """
    from segad_core.plugins.listing import listed, loaded
    from segad_core.plugins.registry import Registry

    plugins = listed(Registry(third_parties=not no_plugins), kind)
    if check:
        plugins = loaded(plugins)
    if as_json:
        say_json([_plain(plugin) for plugin in plugins])
    else:
        _print(plugins)
    return int(check and any(plugin.status in _UNUSABLE for plugin in plugins))


def _plain(plugin: Listed) -> dict[str, object]:
    provider = plugin.provider
    return {
        **provider.plain(),
        "target": provider.target,
        "status": plugin.status,
        "about": plugin.about,
        **({} if plugin.seconds is None else {"import_seconds": round(plugin.seconds, 3)}),
    }


def _print(plugins: Sequence[Listed]) -> None:
    heads = ["kind", "name", "distribution", "version", "status", "about"]
    if all(plugin.seconds is None for plugin in plugins):
        heads[-1] = "target"
    rows = [[str(_plain(plugin)[head] or _plain(plugin)["target"]) for head in heads] for plugin in plugins]
    if heads[-1] == "target":
        rows = [[*row[:-1], plugin.about or row[-1]] for row, plugin in zip(rows, plugins, strict=True)]
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    for row in [heads, *rows]:
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
