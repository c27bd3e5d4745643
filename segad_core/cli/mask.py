"""`segad mask`: starts a mask to draw on, and previews a recipe's segmentation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from segad_core.cli.common import DEBUG, NO_PLUGINS, RECIPE, SET, STORE, not_read, reports_errors
from segad_core.cli.decoding import DECODING, decoding_of
from segad_core.cli.out import say, say_lines

if TYPE_CHECKING:
    from PIL import Image

    from segad_core.tools.mask_preview import Preview

_FILE = click.Path(dir_okay=False, path_type=Path)
_MADE_BY = "segad mask preview"
"""Marks preview files, which are the only ones that are overwritten without --force."""


@click.group()
def mask() -> None:
    """Draw segmentation masks and preview segmentations."""


@mask.command()
@click.option("--image", required=True, type=_FILE, help="The image to draw over: a typical good one.")
@click.option(
    "-o",
    "--output",
    type=_FILE,
    metavar="MASK.png",
    help="The new mask. Default: IMAGE_mask.png in the working folder.",
)
@click.option(
    "--segments",
    default="background,object",
    show_default=True,
    help="Segment names in label order, separated by commas.",
)
@click.option("--size", metavar="HxW", help="Height and width of the mask. Default: the image's.")
@DECODING
@click.option("--force", is_flag=True, help="Overwrite existing files, including what was drawn.")
@DEBUG
@reports_errors
def new(
    image: Path,
    output: Path | None,
    segments: str,
    size: str | None,
    force: bool,
    **decoding: Any,
) -> int:
    """Start a mask: a PNG to draw on, in which every pixel has label 0.

    Also writes MASK_image.png, the image as a layer to draw over, and MASK_colours.png, the colours of the
    segments. Draw in any program with a hard pencil, and save the mask as PNG.
    """
    import numpy as np
    from PIL import Image

    from segad_core.images import decode, resize, write_labels
    from segad_core.images.overlay import Entry, legend
    from segad_core.images.palette import PALETTE, hex_of

    names, wanted = _names(segments), _size(size)
    output = Path(f"{image.stem}_mask.png") if output is None else output
    layer, colours = (output.with_name(f"{output.stem}_{what}.png") for what in ("image", "colours"))
    _check_free((output, layer, colours), image, force)
    pixels = decode(image, decoding_of(**decoding)).pixels
    if wanted is not None:
        pixels = resize(pixels, wanted)
    entries = [Entry(label, (str(label), name, hex_of(PALETTE[label]))) for label, name in enumerate(names)]
    with _alone(output, layer, colours):
        _check_free((output, layer, colours), image, force)
        _save(Image.fromarray(pixels), layer)
        _save(legend(entries), colours)
        write_labels(output, np.zeros(pixels.shape[:2], np.uint8), len(names))
    height, width = pixels.shape[:2]
    say(f"{output}: {width} x {height} pixels (width x height), all {names[0]} (label 0)")
    say(f"{layer}: the image, as a layer to draw over")
    say(f"{colours}: the colours of the {len(names)} segments")
    say_lines(f"\nFor the recipe (paths are relative to its folder):\n\n{_yaml(output, names)}")
    say_lines(
        "Draw with a hard pencil, without anti-aliasing, in these colours. Hide the image and export a PNG.\n"
        "Then preview it: segad mask preview RECIPE --category CATEGORY (docs/how-to/draw_a_mask.md)"
    )
    return 0


@mask.command()
@RECIPE
@click.option("--category", default="", help="The category to show; optional if there is only one.")
@click.option("-o", "--output", type=_FILE, metavar="FILE.png", help="The picture to write.")
@click.option("--row", default="", help="Show the segmenter of this row. Default: the recipe's.")
@click.option("--image", default="", metavar="ID", help="The sample image, by its path in the data set.")
@SET
@STORE
@NO_PLUGINS
@DEBUG
@reports_errors
def preview(
    recipe: str,
    category: str,
    output: Path | None,
    row: str,
    image: str,
    overrides: tuple[str, ...],
    store: Path,
    no_plugins: bool,
) -> int:
    """Preview the segmentation of a recipe.

    The picture shows the mean good image of a category, a sample, and the sample overlaid with the colours of
    its segments, with their names and shares of the pixels.
    """
    from segad_core.plugins.registry import Registry
    from segad_core.recipe import load_recipe

    checked = load_recipe(recipe, Registry(third_parties=not no_plugins), overrides)

    from segad_core.cli.progress import Progress
    from segad_core.store.store import Store
    from segad_core.tools import mask_preview

    if output is not None:
        _check_preview(output)
    with Progress() as progress:
        made = mask_preview.preview(checked, category, Store(store), row, image, progress=progress.preparing)
    if output is None:
        output = Path(re.sub(r"[^\w.-]", "_", f"preview_{checked.name}_{made.category}.png"))
    with _alone(output):
        _check_preview(output)
        _save(made.picture, output, made_by=_MADE_BY)
    for line in _about(made, output):
        say(line)
    return not_read(made.unreadable)


def _names(segments: str) -> list[str]:
    from segad_core.contracts.segmenter import check_segment_names
    from segad_core.errors import UsageError

    words = [name.strip() for name in segments.split(",")]
    if not all(words):
        raise UsageError(
            f"--segments {segments}: a name is empty", "For example: --segments background,object"
        )
    try:
        names = check_segment_names(words)
    except ValueError as error:
        raise UsageError(f"--segments {segments}: {error}") from error
    if len(names) > 255:
        raise UsageError(f"--segments: a mask can have 255 segments, not {len(names)}")
    return names


def _size(size: str | None) -> tuple[int, int] | None:
    from segad_core.errors import UsageError
    from segad_core.images.limits import MAX_PIXELS

    if size is None:
        return None
    found = re.fullmatch(r"([1-9]\d{0,8})x([1-9]\d{0,8})", size)
    if not found:
        raise UsageError(f"--size {size}: must be HxW", "Give height and width in pixels, such as 256x256.")
    height, width = int(found[1]), int(found[2])
    if height * width > MAX_PIXELS:
        raise UsageError(f"--size {size}: exceeds the limit of {MAX_PIXELS} pixels")
    return height, width


def _check_free(paths: tuple[Path, ...], image: Path, force: bool) -> None:
    """Checks that a mask can be written without losing what somebody drew; a link is replaced itself."""
    from segad_core.base.files import is_file, kind_of
    from segad_core.errors import UsageError

    if paths[0].suffix.lower() != ".png":
        raise UsageError(
            f"-o {paths[0]}: must be a PNG, which stores every pixel exactly", "Use a .png suffix."
        )
    for path in paths:
        if not (kind := kind_of(path)):
            continue
        if is_file(image) and is_file(path) and path.samefile(image):
            raise UsageError(f"{path}: is the image itself and would be overwritten", "Choose another -o.")
        if kind not in ("a file", "a symbolic link"):
            raise UsageError(f"{path}: is {kind}, not a file", "Choose another -o.")
        if not force:
            raise UsageError(f"{path}: already exists", "Choose another -o, or overwrite it with --force.")


def _check_preview(path: Path) -> None:
    """Checks that only a preview is overwritten, and never a mask."""
    from segad_core.base.files import kind_of
    from segad_core.errors import UsageError
    from segad_core.images.decode import opened

    if path.suffix.lower() != ".png":
        raise UsageError(f"-o {path}: must be a PNG", "Use a .png suffix.")
    if not (kind := kind_of(path)):
        return
    made_by = None
    if kind == "a file":
        try:
            with opened(path) as image:
                made_by = image.info.get("Software")
        except Exception:  # whatever it is, it is not a preview
            made_by = None
    if made_by != _MADE_BY:
        raise UsageError(f"{path}: already exists and is not a preview", "Choose another -o.")


@contextmanager
def _alone(*paths: Path) -> Iterator[None]:
    """Holds files against other processes, in a folder that is made if necessary."""
    from segad_core.base.locks import held
    from segad_core.errors import UsageError

    with ExitStack() as locks:
        for path in paths:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise UsageError(
                    f"{path}: cannot be written ({error.strerror})", "Choose another -o."
                ) from error
            locks.enter_context(held(path, "Wait until it ends, or choose another -o."))
        yield


def _save(image: Image.Image, path: Path, made_by: str = "") -> None:
    import io

    from PIL.PngImagePlugin import PngInfo

    from segad_core.base.files import write_atomic

    info, data = PngInfo(), io.BytesIO()
    if made_by:
        info.add_text("Software", made_by)
    image.save(data, "png", pnginfo=info)
    try:
        write_atomic(path, data.getvalue())
    except OSError as error:
        from segad_core.errors import UsageError

        raise UsageError(f"{path}: cannot be written ({error.strerror})", "Choose another -o.") from error


def _yaml(path: Path, names: list[str]) -> str:
    import yaml

    plain = {"segmenter": {"use": "static_mask", "params": {"mask": str(path), "segments": names}}}
    return yaml.safe_dump(plain, sort_keys=False, default_flow_style=None, allow_unicode=True, width=1000)


def _about(made: Preview, path: Path) -> list[str]:
    """A description of the preview, in lines."""
    from segad_core.base.text import percent

    width = max(len(name) for _, name, _ in made.shares)
    lines = [
        f"{path}",
        f"segmenter {made.segmenter}, category {made.category}; mean of {made.averaged} of {made.good} good "
        "images",
        f"sample {made.sample.id}, shares of its pixels:",
        *(f"  {label:3}  {name.ljust(width)}  {percent(share):>7}" for label, name, share in made.shares),
    ]
    if made.quality and made.quality.fit is not None:
        lines.append(f"fit: {made.quality.fit:.3f} (0 to 1, by the segmenter's own measure)")
    if made.quality and made.quality.doubt:
        lines.append(f"doubtful: {made.quality.doubt}")
    return [*lines, *(f"note: {note}" for note in made.notes)]
