"""`segad list-plugins`: lists plugins from metadata alone; with --check, imports and checks them."""

from __future__ import annotations

import click

from segad_core.cli.common import DEBUG, JSON, NO_PLUGINS, reports_errors
from segad_core.cli.out import say, say_json

_KINDS = (
    "datasets",
    "encoders",
    "detectors",
    "classifiers",
    "segmenters",
    "features",
    "final_classifiers",
    "defects",
    "executors",
    "hooks",
)


@click.command("list-plugins")
@click.option("--kind", type=click.Choice(_KINDS), help="List only plugins of this kind.")
@JSON
@click.option("--check", is_flag=True, help="Import each plugin and check it against its contract.")
@NO_PLUGINS
@DEBUG
@reports_errors
def list_plugins(kind: str | None, as_json: bool, check: bool, no_plugins: bool) -> int:
    """List the installed plugins.

    Without --check nothing is imported. A bare name means segad's own plugin, and shadows others of that name;
    a name that several other distributions provide is ambiguous. In both cases, a recipe uses
    `distribution:name`. With --check, the exit code is 1 if a plugin is broken.
    """
    from segad_core.errors import PluginError
    from segad_core.plugins.registry import Registry, contract_problems, status_by_name

    providers = Registry(third_parties=not no_plugins).providers(kind)
    statuses = status_by_name(providers)
    lines = []
    for provider in providers:
        status = statuses[provider]
        about = ""
        if check:
            try:
                loaded = provider.load()
                problems = contract_problems(provider, loaded)
                status = "broken" if problems else "ok" if status == "found" else status
                about = "; ".join(problems) or (loaded.__doc__ or "").strip().partition("\n")[0]
            except PluginError as error:
                status, about = "broken", error.what
        lines.append(
            {
                "kind": provider.kind,
                "name": provider.name,
                "distribution": provider.distribution,
                "version": provider.version,
                "target": provider.target,
                "status": status,
                **({"about": about} if check else {}),
            }
        )
    if as_json:
        say_json(lines)
    else:
        _print(lines)
    return int(any(line["status"] == "broken" for line in lines))


def _print(lines: list[dict[str, str]]) -> None:
    columns = ["kind", "name", "distribution", "version", "status"]
    last = "about" if lines and "about" in lines[0] else "target"
    widths = {c: max([len(c), *(len(line[c]) for line in lines)]) for c in columns}
    for line in [{c: c for c in [*columns, last]}, *lines]:
        say("  ".join([*(line[c].ljust(widths[c]) for c in columns), line[last]]).rstrip())
