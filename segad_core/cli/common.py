"""Shared options, and the one place that turns errors into messages and exit codes."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

RECIPE = click.argument("recipe")
SET = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="A.B=VALUE",
    help="Override a value of the recipe, such as split.seeds=[0]. Repeatable.",
)
STORE = click.option(
    "--store",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="SEGAD_STORE",
    default=Path("store"),
    show_default=True,
    help="Folder of computed artifacts. Safe to delete, but slow to recompute.",
)
NO_PLUGINS = click.option(
    "--no-plugins",
    is_flag=True,
    help="Ignore plugins that do not come with segad, before any import.",
)
DEVICE = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Device for neural networks; auto uses a GPU if available.",
)
JSON = click.option("--json", "as_json", is_flag=True, help="Output JSON.")
DEBUG = click.option("--debug", is_flag=True, help="Show the traceback if an error occurs.")


def say(text: str, err: bool = False) -> None:
    """Prints a line that may contain file names, whose bytes need not be text."""
    from segad_core.base.text import as_text

    click.echo(as_text(text), err=err)


def outside(bundle: Path, option: str, place: Path) -> None:
    """Rejects a path inside a bundle, which may hold only what its manifest lists.

    Raises:
        UsageError: the path is in the bundle.
    """
    from segad_core.errors import UsageError

    if place.resolve().is_relative_to(bundle.resolve()):
        raise UsageError(f"{option} {place}: is inside the bundle {bundle}", "Choose a path outside it.")


def not_read(lost: Sequence[Exception]) -> int:
    """Lists the images that could not be read, and returns the exit code."""
    for error in lost:
        say(f"not read: {error}", err=True)
    return 3 if lost else 0


def reports_errors(command: Callable[..., int]) -> Callable[..., None]:
    """Wraps a command: its result is the exit code, and errors become messages instead of tracebacks.

    With --debug, tracebacks are shown.
    """

    @functools.wraps(command)
    def wrapped(*args: Any, debug: bool, **kwargs: Any) -> None:
        from segad_core.errors import SegadError

        try:
            sys.exit(command(*args, **kwargs))
        except SegadError as error:
            if debug:
                raise
            click.echo(f"error: {error}", err=True)
            sys.exit(error.exit_code)
        except KeyboardInterrupt:
            click.echo(
                "interrupted: finished work is in the store; run the same command to continue", err=True
            )
            sys.exit(1)
        except (click.ClickException, click.Abort, BrokenPipeError):
            raise  # click handles these
        except Exception as error:
            if debug:
                raise
            click.echo(
                f"error: unexpected {type(error).__name__}: {error}\n"
                "  This is a bug in segad or in a plugin: run again with --debug and report the output.",
                err=True,
            )
            sys.exit(1)

    return wrapped
