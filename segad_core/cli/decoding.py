"""Options that say how images are read, where there is no recipe that does."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import click

from segad_core.base.pixel_values import MOST_PAGES, WHITE, Bayer

if TYPE_CHECKING:
    from segad_core.base.decoding import Decoding

_Command = TypeVar("_Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--white",
        type=click.IntRange(1, WHITE),
        default=WHITE,
        show_default=True,
        help="White value of 16-bit images, as image.white in recipes.",
    ),
    click.option(
        "--window",
        type=(click.IntRange(0, WHITE), click.IntRange(0, WHITE)),
        metavar="LOW HIGH",
        help="Values that become black and white, as image.window in recipes.",
    ),
    click.option(
        "--bayer",
        type=click.Choice(get_args(Bayer)),
        help="Pattern of raw images, as image.bayer in recipes.",
    ),
    click.option(
        "--page", type=click.IntRange(1, MOST_PAGES), help="Page of a TIFF file, as image.page in recipes."
    ),
)


def DECODING(command: _Command) -> _Command:
    """Adds the options."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def decoding_of(
    white: int, window: tuple[int, int] | None, bayer: Bayer | None, page: int | None
) -> Decoding:
    """What the options say.

    Raises:
        UsageError: the window ends before it begins.
    """
    from segad_core.base.decoding import Decoding
    from segad_core.errors import UsageError

    if window is not None and window[0] >= window[1]:
        raise UsageError(f"--window {window[0]} {window[1]}: the lower value comes first", "Swap them.")
    return Decoding(white, window, bayer, page)
