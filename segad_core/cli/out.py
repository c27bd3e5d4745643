"""The one way out for text: no other module of the command line prints, and nothing controls the terminal.

File names, titles, messages of plugins and words of the command line can hold anything. `say` prints one line
and escapes everything else; `say_lines` keeps line ends, for text whose names have passed `in_one_line`.
"""

from __future__ import annotations

import io
import json
import logging
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from segad_core.base.text import LineFormatter, in_one_line, printable
from segad_core.errors import SegadError

if TYPE_CHECKING:
    from rich.console import Console


def say(line: str, err: bool = False) -> None:
    """Prints one line."""
    click.echo(in_one_line(line), err=err)


def say_lines(text: str, err: bool = False) -> None:
    """Prints text of several lines, in which names and messages from elsewhere are in one line each."""
    click.echo(printable(text), err=err)


def say_json(value: Any) -> None:
    """Prints JSON, which escapes everything that is not ASCII."""
    click.echo(json.dumps(value, indent=1))


def say_error(error: BaseException, kind: str = "error: ") -> None:
    """Prints an error: a line for each problem, and one for the remedy."""
    text = str(error) if isinstance(error, SegadError) else in_one_line(str(error))
    say_lines(f"{kind}{text}", err=True)


def say_traceback() -> None:
    """Prints the traceback of the error being handled; no message in it passes for a line."""
    import textwrap
    import traceback

    say_lines(textwrap.indent(traceback.format_exc().rstrip(), "| "), err=True)


def say_above_bars(console: Console, line: str) -> None:
    """Prints one line above progress bars. It is not wrapped, so that paths can be copied."""
    console.print(in_one_line(line), markup=False, highlight=False, soft_wrap=True)


class OneWayOut(click.Group):
    """A group of commands whose own errors, and what libraries warn of meanwhile, are printed here too."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """As `click.Group.main`: exits with the exit code unless `standalone_mode` is off."""
        with from_libraries():
            if not standalone_mode:
                return super().main(args, prog_name, complete_var, standalone_mode, **extra)
            try:
                code = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
            except click.ClickException as error:
                _say_of_click(error)
                code = error.exit_code
            except click.Abort:
                say("Aborted!", err=True)
                code = 1
            except OSError as error:  # of --help, say; commands report their own
                say(f"error: standard output: {error.strerror or error}", err=True)
                code = 1
        sys.exit(code if isinstance(code, int) else 0)


def _say_of_click(error: click.ClickException) -> None:
    """Prints an error of click, which quotes words of the command line as they are."""
    shown, message = io.StringIO(), error.format_message()
    error.show(file=shown)
    say_lines(shown.getvalue().rstrip("\n").replace(message, in_one_line(message)), err=True)


@contextmanager
def from_libraries() -> Iterator[None]:
    """Makes warnings, and log messages that nothing else handles, printable: they go to standard error."""
    last, before = logging.lastResort, warnings.formatwarning
    formatter = last.formatter if last else None
    warnings.formatwarning = _printable(before)
    if last:
        last.setFormatter(LineFormatter())
    try:
        yield
    finally:
        warnings.formatwarning = before
        if last:
            last.setFormatter(formatter)


def _printable(words: Callable[..., str]) -> Callable[..., str]:
    def changed(*args: Any, **kwargs: Any) -> str:
        return printable(words(*args, **kwargs))

    return changed
