"""`segad learn`: teaches a bundle more images and reports which verdicts changed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from segad_core.cli.common import DEBUG, DEVICE, JSON, NEW_BUNDLE, NO_PLUGINS, PARTS, outside, reports_errors
from segad_core.cli.out import say, say_json

if TYPE_CHECKING:
    from segad_core.bundle.runtime.learnt import Change, Learnt

_SHOWN = 20
_WORSE = 4
"""The exit code if the new bundle is worse than the old one on images that neither was taught."""


def _is_option(word: str) -> bool:
    return word.startswith("-") and word != "-"


class _ManyValues(click.Command):
    """Lets an option take all arguments up to the next option, as from a pattern that the shell expands."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        arguments: list[str] = []
        option = ""
        for i, word in enumerate(args):
            if word == "--":
                arguments += args[i:]
                break
            if word in ("--bad", "--good"):
                option = word
                if i + 1 == len(args) or _is_option(args[i + 1]):
                    raise click.BadOptionUsage(word, f"Option '{word}' requires an argument.", ctx)
            elif _is_option(word):
                option = ""
                arguments.append(word)
            else:
                arguments += [option, word] if option else [word]
        return super().parse_args(ctx, arguments)


@click.command(cls=_ManyValues)
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--bad", multiple=True, metavar="IMAGE|FOLDER|GLOB...", help="Bad parts that were missed.")
@click.option("--good", multiple=True, metavar="IMAGE|FOLDER|GLOB...", help="Good parts that were rejected.")
@NEW_BUNDLE
@click.option("--times", type=int, default=1, show_default=True, help="Count each image this many times.")
@PARTS
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
    part_list: Path | None,
    as_json: bool,
    device: str,
    no_plugins: bool,
) -> int:
    """Teach BUNDLE bad parts that it missed and good parts that it rejected.

    Writes a new bundle; BUNDLE stays as it is. The final classifier is retrained, and so is a linear probe;
    the detectors stay as they are. The threshold is set again by the bundle's rule. Verdicts that changed on
    the bundle's test images are listed, for better and for worse. The exit code is 4 if more than one in a
    hundred of them was lost: the new bundle is written, but keep using BUNDLE.
    """
    outside(bundle, "-o", out)
    bad_paths, good_paths = _images("--bad", bad), _images("--good", good)

    from segad_core.bundle.runtime.bundle import Bundle
    from segad_core.bundle.runtime.learning import learn as teach

    with Bundle.load(bundle, device, not no_plugins, part_list, try_out=False) as opened:
        result = teach(opened, out, bad_paths, good_paths, times)
    if as_json:
        _print_json(result, out)
    else:
        _print(result, bundle, out)
    return _WORSE if result.worse else 0


def _images(option: str, names: Sequence[str]) -> list[str]:
    """The images that the names of an option lead to."""
    from segad_core.errors import UsageError
    from segad_core.images.find import find_images

    if not names:
        return []
    if "-" in names:
        raise UsageError(f"{option} -: images to learn from cannot be piped", "Give files or folders.")
    listing = find_images(names)
    for note in listing.notes:
        say(f"note: {note}", err=True)
    return list(listing.images)


def _print(result: Learnt, bundle: Path, out: Path) -> None:
    from segad_core.operate.description import describe, warnings

    before, after = result.before, result.after
    units = f"{after.counted}s"
    say(f"{out}: NG at or above {after.threshold:.6g} ({after.rule}); before: {before.threshold:.6g}")
    say("taught:")
    for change in result.taught:
        say(f"  {_change(change)}")
    if any(change.partly for change in result.taught):
        say(
            "  a part's verdict rests on all its images, and not all were passed: see it with 'segad predict'"
        )
    wrong = [change for change in result.taught if not change.right]
    if wrong:
        are, them = ("is", "it") if len(wrong) == 1 else ("are", "them")
        far = " as far as scored" * any(change.partly for change in wrong)
        say(
            f"  {len(wrong)} of {len(result.taught)} {are} still wrong{far}: teach more images like {them}, "
            f"or count {them} more often (--times)"
        )
    say(f"trained again: {', '.join(result.refitted)}")
    say(f"verdicts changed on {len(result.regression):,} test {units} that were never trained on:")
    for kind, changes in _flips(result.regression):
        say(f"  {kind}: {len(changes)}")
        for change in changes[:_SHOWN]:
            say(f"    {_change(change)}")
        if len(changes) > _SHOWN:
            say(f"    ... and {len(changes) - _SHOWN} more")
    say(f"on these {units}, the new bundle")
    for sentence in describe(after):
        say(f"  {sentence}")
    for note in result.notes:
        say(f"note: {note}", err=True)
    for message in warnings(after):
        say(f"warning: {message}", err=True)
    if result.worse:
        say(
            f"warning: {out} is wrong on {result.lost} more of the {len(result.regression):,} test {units} "
            f"than {bundle}, more than one in a hundred: keep using {bundle}",
            err=True,
        )


def _flips(changes: Sequence[Change]) -> list[tuple[str, list[Change]]]:
    """The verdicts that changed, for better and for worse."""
    flipped = [change for change in changes if change.flipped]
    return [
        ("bad parts now caught", [c for c in flipped if c.label and c.right]),
        ("good parts now passed", [c for c in flipped if not c.label and c.right]),
        ("bad parts now missed", [c for c in flipped if c.label and not c.right]),
        ("good parts now rejected", [c for c in flipped if not c.label and not c.right]),
    ]


def _change(change: Change) -> str:
    label = "bad " if change.label else "good"
    part = f" ({change.partly})" if change.partly else ""
    verdicts = f"{change.was} -> {change.now}" if change.flipped else f"{change.now} (same)"
    return f"{label}  {verdicts:<12}  {change.before:.4g} -> {change.after:.4g}  {change.image}{part}"


def _print_json(result: Learnt, out: Path) -> None:
    from dataclasses import asdict

    from segad_core.operate.operating_point import plain

    say_json(
        {
            "bundle": str(out),
            "refitted": list(result.refitted),
            "worse": result.worse,
            "taught": [asdict(change) for change in result.taught],
            "regression": {
                "images": len(result.regression),
                "lost": result.lost,
                "flipped": [asdict(change) for change in result.regression if change.flipped],
            },
            "before": plain(result.before),
            "after": plain(result.after),
            "notes": list(result.notes),
        }
    )
