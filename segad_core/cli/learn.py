"""`segad learn`: teaches a bundle's final classifier a few images, and says what that turned."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from segad_core.cli.common import DEBUG, DEVICE, JSON, NO_PLUGINS, outside, reports_errors, say

if TYPE_CHECKING:
    from segad_core.bundle.runtime.learning import Change, Learnt

_SHOWN = 20


def _is_option(word: str) -> bool:
    return word.startswith("-") and word != "-"


class _ManyValues(click.Command):
    """Lets an option take all words up to the next option, as a shell's pattern gives them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        parted: list[str] = []
        option = ""
        for i, word in enumerate(args):
            if word == "--":
                parted += args[i:]
                break
            if word in ("--bad", "--good"):
                option = word
                if i + 1 == len(args) or _is_option(args[i + 1]):
                    raise click.BadOptionUsage(word, f"Option '{word}' requires an argument.", ctx)
            elif _is_option(word):
                option = ""
                parted.append(word)
            else:
                parted += [option, word] if option else [word]
        return super().parse_args(ctx, parted)


@click.command(cls=_ManyValues)
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--bad", multiple=True, metavar="IMAGE|FOLDER|GLOB...", help="Bad parts that were missed.")
@click.option("--good", multiple=True, metavar="IMAGE|FOLDER|GLOB...", help="Good parts that were rejected.")
@click.option(
    "-o",
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="Where the new bundle goes: a folder, or a zip if it ends in .zip. BUNDLE stays as it is.",
)
@click.option("--times", type=int, default=1, show_default=True, help="How often each image counts.")
@JSON
@DEVICE
@NO_PLUGINS
@DEBUG
@reports_errors
def learn(
    bundle: Path,
    bad: tuple[str, ...],
    good: tuple[str, ...],
    out: Path,
    times: int,
    as_json: bool,
    device: str,
    no_plugins: bool,
) -> int:
    """Teach BUNDLE bad parts that it missed and good ones that it rejected.

    Only the final classifier is fitted anew: detectors stay. The threshold is set again by the bundle's rule.
    What turned on the bundle's test images, in both directions, is shown.
    """
    outside(bundle, "-o", out)
    bad_paths, good_paths = _images("--bad", bad), _images("--good", good)

    from segad_core.bundle.runtime.bundle import Bundle
    from segad_core.bundle.runtime.learning import learn as teach

    with Bundle.load(bundle, device, not no_plugins) as opened:
        found = teach(opened, out, bad_paths, good_paths, times)
    if as_json:
        _print_json(found, out)
    else:
        _print(found, out)
    return 0


def _images(option: str, names: Sequence[str]) -> list[str]:
    """What the names of an option lead to."""
    from segad_core.errors import UsageError
    from segad_core.images.find import find_images

    if not names:
        return []
    if "-" in names:
        raise UsageError(f"{option} -: images to learn from are named, not piped", "Name files or folders.")
    found = find_images(names)
    for note in found.notes:
        say(f"note: {note}", err=True)
    return list(found.images)


def _print(found: Learnt, out: Path) -> None:
    from segad_core.operate.description import sentences, warnings

    before, after = found.before, found.after
    click.echo(
        f"{click.format_filename(out)}: NG from a score of {after.threshold:.6g} ({after.rule}); "
        f"before {before.threshold:.6g}"
    )
    click.echo("taught:")
    for change in found.taught:
        say(f"  {_change(change)}")
    wrong = [change for change in found.taught if not change.right]
    if wrong:
        click.echo(
            f"  {len(wrong)} of {len(found.taught)} not learnt yet: teach more of their kind, or count them "
            "more often (--times)"
        )
    click.echo(f"{len(found.regression):,} test images that trained nothing:")
    for words, changes in _flips(found.regression):
        click.echo(f"  {words}: {len(changes)}")
        for change in changes[:_SHOWN]:
            say(f"    {_change(change)}")
        if len(changes) > _SHOWN:
            click.echo(f"    ... and {len(changes) - _SHOWN} more")
    click.echo("with it, the bundle")
    for sentence in sentences(after):
        click.echo(f"  {sentence}")
    for note in found.notes:
        say(f"note: {note}", err=True)
    for doubt in warnings(after):
        click.echo(f"warning: {doubt}", err=True)


def _flips(changes: Sequence[Change]) -> list[tuple[str, list[Change]]]:
    """The verdicts that turned, for better and for worse."""
    flipped = [change for change in changes if change.flipped]
    return [
        ("bad parts caught now", [c for c in flipped if c.label and c.right]),
        ("good parts passed now", [c for c in flipped if not c.label and c.right]),
        ("bad parts missed now", [c for c in flipped if c.label and not c.right]),
        ("good parts rejected now", [c for c in flipped if not c.label and not c.right]),
    ]


def _change(change: Change) -> str:
    label = "bad " if change.label else "good"
    verdicts = f"{change.was} -> {change.now}" if change.flipped else f"{change.now} as before"
    return f"{label}  {verdicts:<12}  {change.before:.4g} -> {change.after:.4g}  {change.image}"


def _print_json(found: Learnt, out: Path) -> None:
    import json
    from dataclasses import asdict

    from segad_core.operate.operating_point import plain

    click.echo(
        json.dumps(
            {
                "bundle": str(out),
                "taught": [asdict(change) for change in found.taught],
                "regression": {
                    "images": len(found.regression),
                    "flipped": [asdict(change) for change in found.regression if change.flipped],
                },
                "before": plain(found.before),
                "after": plain(found.after),
                "notes": list(found.notes),
            },
            indent=1,
        )
    )
