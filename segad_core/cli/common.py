"""Shared options, and the one place that turns errors into messages and exit codes."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from segad_core.cli.out import say, say_error, say_traceback
from segad_core.errors import SegadError

RECIPE = click.argument("recipe")
SET = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="A.B=VALUE",
    help="Override a value of the recipe, such as split.seeds=[0]. Repeatable.",
)
HOOK = click.option(
    "--hook",
    "hooks",
    multiple=True,
    metavar="NAME",
    help="Tell an observer of the run, such as a tracker: a name, or {use: NAME, params: ...}. Repeatable.",
)
STORE = click.option(
    "--store",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="SEGAD_STORE",
    default=Path("store"),
    show_default=True,
    help="Folder of computed artifacts. Safe to delete, but slow to recompute.",
)
RUNS = click.option(
    "--runs",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="Folder for results: a run writes to NAME/DIGEST in it and links NAME/latest to that.",
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
PRECISION = click.option(
    "--precision",
    type=click.Choice(["auto", "float32", "bfloat16"]),
    help="What networks compute in; auto measures once whether bfloat16 is faster here.  "
    "[default: the recipe's, or float32]",
)
BUNDLE_PRECISION = click.option(
    "--precision",
    type=click.Choice(["auto", "float32", "bfloat16"]),
    default="auto",
    show_default=True,
    help="What networks compute in; auto is what the bundle was made in.",
)
CATEGORIES = click.option(
    "--category", "categories", multiple=True, metavar="NAME", help="Only this category. Repeatable."
)
NEW_BUNDLE = click.option(
    "-o",
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="The new bundle: a zip if it ends in .zip, otherwise a folder.",
)
BOM = click.option("--bom", is_flag=True, help="Begin .csv files with a byte order mark, for Excel.")
JSON = click.option("--json", "as_json", is_flag=True, help="Output JSON.")
PARTS = click.option(
    "--parts",
    "part_list",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="A CSV file with path, serial and view of each image, where paths do not name parts.",
)
DEBUG = click.option("--debug", is_flag=True, help="Show the traceback if an error occurs.")


def with_precision(overrides: Sequence[str], precision: str | None) -> tuple[str, ...]:
    """The `--set` words of a command, with what `--precision` sets."""
    return (*overrides, *([f"precision={precision}"] if precision else []))


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
        say_error(error, "not read: ")
    return 3 if lost else 0


def reports_errors(command: Callable[..., int]) -> Callable[..., None]:
    """Wraps a command: its result is the exit code, and errors become messages instead of tracebacks.

    With --debug, tracebacks are shown.
    """

    @functools.wraps(command)
    def wrapped(*args: Any, debug: bool, **kwargs: Any) -> None:
        if "device" in kwargs:  # it runs networks
            from segad_core.base.allocator import keep_freed_memory

            keep_freed_memory()
        try:
            code = command(*args, **kwargs)
        except KeyboardInterrupt:
            stored = "store" in kwargs  # other commands keep nothing, but what they say that they do
            words = ": finished work is in the store; run the same command to continue" if stored else ""
            say(f"interrupted{words}", err=True)
            code = 1
        except (click.ClickException, click.Abort, BrokenPipeError):
            raise  # click handles these
        except Exception as error:
            code = _report(error, command.__name__, debug)
        sys.exit(code)

    return wrapped


def _report(error: Exception, command: str, debug: bool) -> int:
    """Prints an error, after its traceback if that is wanted, and returns the exit code."""
    from segad_core.base.resources import is_resource, resource_error
    from segad_core.base.text import reason

    if debug:
        say_traceback()
    if isinstance(error, SegadError):
        say_error(error)
    elif is_resource(error):
        say_error(resource_error(error, _name(command)))
    elif isinstance(error, OSError) and error.errno is not None:
        say_error(_refused(error, _name(command)))
    else:
        say(f"error: unexpected {reason(error)}", err=True)
        say("  This is a bug in segad or a plugin: run again with --debug and report the output.", err=True)
    return error.exit_code if isinstance(error, SegadError) else 1


def _name(command: str) -> str:
    context = click.get_current_context(silent=True)
    path = context.command_path.split()[1:] if context else []
    return " ".join(["segad", *(path or [command.strip("_").replace("_", "-")])])


def _refused(error: OSError, command: str) -> SegadError:
    """The error for what the system refused, such as a path without permission."""
    name = error.filename
    where = command if name is None else os.fsdecode(name) if isinstance(name, str | bytes) else name
    return SegadError(
        f"{where}: {error.strerror or error}",
        "Correct the path or its permissions. If it is not one of yours, --debug shows where it is used.",
    )
