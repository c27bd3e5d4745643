"""`segad plugin`: tools for authors of plugins."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from segad_core.base.text import listed, many
from segad_core.cli.common import DEBUG, JSON, reports_errors
from segad_core.cli.out import say, say_json
from segad_core.plugins.kinds import KINDS

if TYPE_CHECKING:
    from segad_core.contracts import Parameters
    from segad_core.plugins.registry import Provider
    from segad_core.testing.isolated import Step

_KIND = click.option("--kind", type=click.Choice(KINDS), help="The kind, where several have the name.")
_NAME = click.argument("name")
_FIRST = ("import", "construction")


@click.group()
def plugin() -> None:
    """Test and describe a plugin, for its authors.

    NAME is a plugin's name, as `segad list-plugins` shows it, or `distribution:name`.
    """


@plugin.command("test")
@_NAME
@_KIND
@click.option(
    "--set",
    "words",
    multiple=True,
    metavar="KEY=VALUE",
    help="A parameter of the plugin, in YAML as in a recipe. Repeatable.",
)
@click.option(
    "--time-limit",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="For the import, the construction, and each clause.",
)
@click.option("--clause", default="", metavar="TEXT", help="Only clauses with this in their names.")
@JSON
@DEBUG
@reports_errors
def test(
    name: str, kind: str | None, words: Sequence[str], time_limit: float, clause: str, as_json: bool
) -> int:
    """Run the conformance suite of a plugin.

    Imports and constructs the plugin, then runs each clause of its contract in a process of its own: a crash
    or a clause that does not end is a result. The exit code is 1 if anything is wrong.

    \b
    segad plugin test patchcore --set layers=[layer2]
    segad plugin test folder --set root=parts
    """
    from segad_core.plugins.finding import find_any
    from segad_core.plugins.registry import Registry
    from segad_core.testing.isolated import steps

    provider = find_any(Registry(), name, kind)
    check = partial(_params, words=tuple(words), source=provider.described)
    done: list[Step] = []
    known: dict[str, list[str]] = {}  # clauses by reason, but for the first, which is said at once
    for step in steps(provider, check, time_limit, clause):
        if not done and not as_json:
            say(provider.described)
        if step.wrong and _cause(step) in known:
            known[_cause(step)].append(step.name)
        elif not as_json:
            _say_step(step)
            known[_cause(step)] = []
        done.append(step)
    if as_json:
        say_json(_plain(provider, done))
        return int(any(step.wrong for step in done))
    for cause, names in known.items():
        if names:
            say(f"failed in {many(len(names), 'more clause')}: {cause}: {listed(names, 3)}")
    if clauses := _clauses(done):
        say(f"{sum(not step.wrong for step in clauses)} of {len(clauses)} clauses passed")
    else:
        say("no clause was run")
    return int(any(step.wrong for step in done))


@plugin.command()
@_NAME
@_KIND
@JSON
@DEBUG
@reports_errors
def show(name: str, kind: str | None, as_json: bool) -> int:
    """Describe a plugin: what it does, its parameters, and how a recipe uses it.

    Also shows the layers of the encoder that it reads by default, and which optional answers it has.
    """
    from segad_core.plugins.finding import find_any, name_in_recipes
    from segad_core.plugins.registry import Registry
    from segad_core.tools.plugin_page import page_lines, page_of

    registry = Registry()
    provider = find_any(registry, name, kind)
    page = page_of(provider, name_in_recipes(registry, provider))
    if as_json:
        say_json(page)
        return 0
    say(provider.described)
    for line in page_lines(page):
        say(line)
    return 0


@plugin.command("new")
@click.argument("kind", type=click.Choice(KINDS))
@_NAME
@click.option("--folder", type=click.Path(path_type=Path), help="Where to; segad-NAME here by default.")
@DEBUG
@reports_errors
def new(kind: str, name: str, folder: Path | None) -> int:
    """Write a new distribution with one plugin, ready to be installed, tested and published.

    It has a class that works, its test, a recipe that tries it on drawn images, a README, a licence and a
    workflow for tests. Its tests pass as they are: change the class, and see what they say.

    \b
    segad plugin new detectors my_detector
    cd segad-my-detector && pip install -e '.[test]' && pytest
    """
    from segad_core.plugins.registry import Registry, check_name
    from segad_core.tools.scaffold import distribution_of, files_of, write_files

    check_name(Registry(), kind, name)
    target = folder or Path(distribution_of(name))
    write_files(target, files_of(kind, name))
    say(f"{target}: a distribution with the plugin '{name}' ({kind}). Next:")
    say(f"  cd {shlex.quote(str(target))} && pip install -e '.[test]' && pytest")
    return 0


def _params(model: type[Parameters], words: Sequence[str], source: str) -> Parameters:
    from segad_core.cli.params import checked_params

    return checked_params(model, None, words, source, "--set")


def _cause(step: Step) -> str:
    """What clauses have in common that a plugin fails for one reason: its own error, and where."""
    return step.wrong.rpartition("; it raises ")[2]


def _say_step(step: Step) -> None:
    """A line for what failed, and for the seconds of the first steps."""
    if step.wrong:
        say(f"failed: {step.name}: {step.wrong}")
    elif step.name in _FIRST:
        say(f"{step.name}: {step.seconds:.3f} s")


def _clauses(done: Sequence[Step]) -> list[Step]:
    return [step for step in done if step.name not in _FIRST]


def _plain(provider: Provider, done: Sequence[Step]) -> dict[str, object]:
    return {
        **provider.plain(),
        "passed": sum(not step.wrong for step in _clauses(done)),
        "failed": sum(bool(step.wrong) for step in done),
        "steps": [
            {"name": step.name, "wrong": step.wrong, "seconds": round(step.seconds, 3)} for step in done
        ],
    }
