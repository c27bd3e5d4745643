"""`segad datasets`: lists known data sets and where to get them; `check` finds problems in a copy."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from segad_core.base.text import in_one_line
from segad_core.cli.common import CATEGORIES, DEBUG, JSON, NO_PLUGINS, STORE, reports_errors
from segad_core.cli.doubts import doubts
from segad_core.cli.out import say, say_json, say_lines

if TYPE_CHECKING:
    from segad_core.cli.progress import Progress
    from segad_core.contracts import Dataset
    from segad_core.plugins.registry import Registry
    from segad_core.tools.dataset_check import CategoryCheck

_WIDTH = 100
_SHOWN = 10
"""How many findings of a kind are shown without --all."""


@click.group(invoke_without_command=True)
@JSON
@NO_PLUGINS
@DEBUG
@click.pass_context
def datasets(context: click.Context, as_json: bool, no_plugins: bool, debug: bool) -> None:
    """List the data sets that segad can read.

    Shows what each one is, its licence and where to get it. The exit code is 1 if a data set's plugin is
    broken.

    \b
    segad datasets check NAME --root DIR        find problems in a copy on disk
    segad datasets doubts RECIPE                find labels that are probably wrong
    """
    if context.invoked_subcommand is None:
        _list(as_json=as_json, no_plugins=no_plugins, debug=debug)
    elif as_json or no_plugins or debug:
        command = context.invoked_subcommand
        raise click.UsageError(f"put options after the command: segad datasets {command} ...")


@reports_errors
def _list(as_json: bool, no_plugins: bool) -> int:
    from segad_core.plugins.registry import Registry

    registry = Registry(third_parties=not no_plugins)
    entries = _entries(registry)
    if as_json:
        say_json(entries)
    for entry in [] if as_json else entries:
        say(entry["name"])
        words = [entry["about"] or f"cannot be used: {entry['broken']}"]
        words += [f"{key}: {entry[key]}" for key in ("licence", "source") if entry[key]]
        for paragraph in words:
            say_lines(_wrapped(paragraph))
    return int(any(entry["broken"] for entry in entries))


def _entries(registry: Registry) -> list[dict[str, str]]:
    """Each data set plugin, with its full name if several plugins have the same name."""
    from segad_core.errors import PluginError

    providers = registry.providers("datasets")
    names = [provider.name for provider in providers]
    entries = []
    for provider in providers:
        name = provider.name if names.count(provider.name) == 1 else provider.qualified
        entry = dict.fromkeys(("name", "distribution", "about", "licence", "source", "broken"), "")
        entry |= {"name": name, "distribution": f"{provider.distribution} {provider.version}"}
        try:
            dataset: Any = registry.component(provider)
            about = (dataset.__doc__ or "").strip().partition("\n")[0]
            entry |= {"about": about, "licence": dataset.licence, "source": dataset.source}
        except PluginError as error:
            entry["broken"] = error.what
        entries.append(entry)
    return entries


def _wrapped(text: str) -> str:
    """A paragraph of at most 100 columns; addresses and paths are not broken, so that they can be copied."""
    return textwrap.fill(
        in_one_line(text),
        _WIDTH,
        initial_indent="  ",
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )


datasets.add_command(doubts)


@datasets.command("check")
@click.argument("name")
@click.option("--root", metavar="DIR", help="The data set's folder.")
@click.option(
    "--param",
    "words",
    multiple=True,
    metavar="NAME=VALUE",
    help="Another parameter of the data set. Repeatable.",
)
@CATEGORIES
@click.option(
    "--image",
    "decoding",
    multiple=True,
    metavar="KEY=VALUE",
    help="How images are read, as `image` of a recipe: white, window, bayer or page. Repeatable.",
)
@click.option("--all", "everything", is_flag=True, help=f"Show all findings, not just {_SHOWN} of each kind.")
@JSON
@STORE
@NO_PLUGINS
@DEBUG
@reports_errors
def check(
    name: str,
    root: str | None,
    words: tuple[str, ...],
    categories: tuple[str, ...],
    decoding: tuple[str, ...],
    everything: bool,
    as_json: bool,
    store: Path,
    no_plugins: bool,
) -> int:
    """Find problems in a copy of the data set NAME.

    Reads every image and every mask. Problems are missing categories, image counts that differ from the
    published ones, unreadable images or masks, contradictory lists, the same image in training and test or
    with two labels, masks that do not match their images or labels, and published subsets that list missing
    images. Notes are not problems: an image twice in the same part, near-identical images (in training and
    test, or anywhere if there is no official test), bad images without a mask if others have one, images of
    another shape than most, parts that lack a view, images in folders that are not read, images of 16 bits,
    and missing published counts.

    Exit codes: 0 no problems, 1 problems, 2 invalid command line or folder, 3 no problems except unreadable
    images.
    """
    from segad_core.cli.dataset_choice import chosen_categories, open_dataset
    from segad_core.plugins.registry import Registry

    dataset = open_dataset(name, root, words, Registry(third_parties=not no_plugins))

    from segad_core.cli.params import image_decoding
    from segad_core.cli.progress import Progress
    from segad_core.contracts import optional
    from segad_core.store.store import Store
    from segad_core.tools.dataset_check import absent, beside, check_category

    with Progress():  # prints the data set's warnings
        chosen = chosen_categories(dataset, name, categories)
    opened, how = Store(store), image_decoding(decoding)
    checks: list[CategoryCheck] = []
    for category in chosen:
        with Progress() as progress:
            checks.append(check_category(dataset, category, opened, partial(_told, progress, category), how))
        if not as_json:
            _print(checks[-1], everything)
    published = optional.published_categories(dataset)
    lacking = [absent(c) for c in published if not categories and c not in chosen]
    if not categories and (other := beside(dataset)):
        lacking.append(other)
    for one in [] if as_json else lacking:
        _print(one, everything)
    checks += lacking
    uncounted = _uncounted(dataset, checks)
    if uncounted and not as_json:
        say_lines(_wrapped(f"note: no published image counts for {', '.join(uncounted)}"))
    summary = _summary(checks)
    summary["notes"] += bool(uncounted)
    if as_json:
        params = dataset.params.model_dump(mode="json")
        plain = [_plain(checked) for checked in checks]
        say_json({"dataset": name, "params": params, **summary, "uncounted": uncounted, "categories": plain})
    else:
        counts = [(len(chosen), "category", "categories")]
        counts += [(summary[key], key.removesuffix("s"), key) for key in ("images", "problems", "notes")]
        say(f"{name}: {', '.join(f'{n} {one if n == 1 else many}' for n, one, many in counts)}")
    return summary["exit_code"]


def _told(progress: Progress, category: str, what: str, done: int, total: int, note: str = "") -> None:
    progress.preparing(f"{category}: {what}", done, total, note)


def _summary(checks: Sequence[CategoryCheck]) -> dict[str, int]:
    """The numbers of images, problems and notes in all categories, and the exit code."""
    findings = [finding for checked in checks for finding in checked.findings]
    problems = [finding for finding in findings if finding.is_problem]
    only_unreadable = all(finding.kind == "unreadable" for finding in problems)
    return {
        "images": sum(sum(checked.images.values()) for checked in checks),
        "problems": len(problems),
        "notes": len(findings) - len(problems),
        "exit_code": 0 if not problems else 3 if only_unreadable else 1,
    }


def _uncounted(dataset: Dataset, checks: Sequence[CategoryCheck]) -> list[str]:
    """The categories without published image counts, if the data set has any published counts."""
    from segad_core.contracts import optional

    if not optional.knows_published_counts(dataset):
        return []
    return [checked.category for checked in checks if checked.images and not checked.published]


def _plain(checked: CategoryCheck) -> dict[str, Any]:
    findings = [{**asdict(f), "problem": f.is_problem} for f in checked.findings]
    return {**asdict(checked), "findings": findings}


def _print(checked: CategoryCheck, everything: bool) -> None:
    """A category's report: a line for each kind of finding, followed by a line for each finding."""
    from segad_core.tools.findings import HEADINGS

    say(checked.category)
    differ = not checked.published or any(finding.kind == "counts" for finding in checked.findings)
    numbers = {
        "images" if differ else "images, as published": checked.images,
        "defect types": checked.defects,
        "subsets of bad training images": {f"'{name}'": size for name, size in checked.subsets.items()},
    }
    for what, counts in numbers.items():
        if counts:
            say_lines(_wrapped(f"{what}: {'; '.join(f'{name} {count}' for name, count in counts.items())}"))
    if checked.sizes:
        say_lines(_wrapped(f"sizes, width x height: {_sizes(checked.sizes)}"))
    for kind, heading in HEADINGS.items():
        found = [finding for finding in checked.findings if finding.kind == kind]
        if found:
            word = "problem" if found[0].is_problem else "note"
            say(f"  {word}: {heading} ({len(found)}):")
        shown = found if everything else found[:_SHOWN]
        for finding in shown:
            say(f"    {finding.text}")
        if len(found) > len(shown):
            say(f"    and {len(found) - len(shown)} more (use --all to show them)")


def _sizes(sizes: dict[str, int]) -> str:
    """The most frequent sizes, each with its number of images."""
    frequent = list(sizes.items())[:_SHOWN]
    words = [f"{size} ({count})" for size, count in frequent]
    if others := sum(sizes.values()) - sum(count for _, count in frequent):
        words.append(f"{len(sizes) - len(frequent)} others ({others})")
    return "; ".join(words)
