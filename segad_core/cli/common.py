"""What commands share: options, and the one place where an error becomes a sentence and an exit code."""

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
    help="Change a value of the recipe, as in split.seeds=[0]. May be given again.",
)
STORE = click.option(
    "--store",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="SEGAD_STORE",
    default=Path("store"),
    show_default=True,
    help="Folder of computed artifacts; safe to delete, slow to fill again.",
)
NO_PLUGINS = click.option(
    "--no-plugins",
    is_flag=True,
    help="Leave out every plugin that does not come with segad, before any import.",
)
DEVICE = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where networks run; auto takes a GPU where there is one.",
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
DEBUG = click.option("--debug", is_flag=True, help="Show the traceback of an error.")


def say(text: str, err: bool = False) -> None:
    """Prints a line that can hold the name of a file, whose bytes may be no text."""
    from segad_core.base.text import as_text

    click.echo(as_text(text), err=err)


def outside(bundle: Path, option: str, place: Path) -> None:
    """Refuses to write into a bundle, which then held what its manifest does not name.

    Raises:
        UsageError: the place lies in it.
    """
    from segad_core.errors import UsageError

    if place.resolve().is_relative_to(bundle.resolve()):
        raise UsageError(f"{option} {place}: lies in the bundle {bundle}", "Name a place outside of it.")


def not_read(lost: Sequence[Exception]) -> int:
    """Lists the images that could not be read; the exit code that follows."""
    for error in lost:
        say(f"not read: {error}", err=True)
    return 3 if lost else 0


def reports_errors(command: Callable[..., int]) -> Callable[..., None]:
    """Wraps a command: its result is the exit code, and an error is a sentence, never a traceback.

    The option --debug shows the traceback as well.
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
            click.echo("interrupted: what is finished is in the store; the same command goes on", err=True)
            sys.exit(1)
        except (click.ClickException, click.Abort, BrokenPipeError):
            raise  # click knows what to do
        except Exception as error:
            if debug:
                raise
            click.echo(
                f"error: unexpected {type(error).__name__}: {error}\n"
                "  This is a defect in segad or in a plugin: run again with --debug, report what it shows.",
                err=True,
            )
            sys.exit(1)

    return wrapped
