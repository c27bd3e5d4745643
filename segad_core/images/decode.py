"""The one decoder: turns a file into correct 8-bit RGB, or an error that says why it cannot."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from segad_core.base.decoding import MOST_PAGES, VIEWS, Decoding
from segad_core.errors import DamagedImageError, ImageError
from segad_core.images.bands import bands, turned
from segad_core.images.bayer import demosaiced
from segad_core.images.budget import PIXELS, give_back
from segad_core.images.faults import reading
from segad_core.images.formats import FORMATS
from segad_core.images.levels import check_range, table_of
from segad_core.images.limits import too_large
from segad_core.images.work import check_exif, check_file, check_header, metered, silence

# what Pillow warns about is an error here, or harmless
warnings.filterwarnings("ignore", module=r"PIL\.")
silence()

_PLAIN = ("RGB", "L", "1", "CMYK", "YCbCr", "LAB", "HSV")
_WITH_ALPHA = ("RGBA", "LA", "PA", "La", "RGBa")
_PHOTOMETRIC = 262  # TIFF tag: the meaning of the lowest value
_CHOOSE = (
    " Or set image.page in the recipe: to the number of a page, from 1, or to 'views' if each page is a view "
    "of the part."
)
_SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N")


PLAIN = Decoding()


@dataclass(frozen=True)
class Decoded:
    """An image as RGB.

    Attributes:
        pixels: (H, W, 3) uint8.
        highest: the highest value in the file, if it has 16 bits; None for 8 bits.
    """

    pixels: NDArray[np.uint8]
    highest: int | None = None

    @property
    def scaled(self) -> bool:
        """Whether it was scaled from 16 bits to 8."""
        return self.highest is not None


def decode(path: Path, decoding: Decoding = PLAIN) -> Decoded:
    """Decodes an image file: EXIF orientation applied, grey repeated, 16 bits scaled so that white is 255.

    Raises:
        ImageError: the file is missing, empty, truncated, not an image, too large, would take too long, or
            has no unambiguous meaning in 8-bit RGB (transparent pixels, floating point, several frames), or
            does not fit the decoding.
        ResourceError: the machine failed while it was read.
    """
    with at_full_size(path, decoding) as decoded:
        return decoded


@contextmanager
def at_full_size(path: Path, decoding: Decoding = PLAIN) -> Iterator[Decoded]:
    """As `decode`, for a block that reduces the image (resizes it, digests it) before others are decoded.

    All threads together hold at most `MAX_PIXELS` in such blocks; a block must not decode another image.
    """
    with ExitStack() as held:
        with reading(path):
            page = None if decoding.page == VIEWS else decoding.page
            decoded = _read(path, held.enter_context(_header(path, page)), decoding)
        yield decoded


def decode_resized(path: Path, size: tuple[int, int], decoding: Decoding = PLAIN) -> Decoded:
    """As `decode`, resized to (height, width); never holds more than `MAX_PIXELS`, whatever is decoded."""
    with at_full_size(path, decoding) as decoded:
        return Decoded(resize(decoded.pixels, size), decoded.highest)


def resize(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resizes (H, W, 3) to (height, width) with PIL's antialiased bilinear filter."""
    height, width = size
    if pixels.shape[:2] == (height, width):
        return pixels
    image = Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image)


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """An image file of which only the header has been read, to be decoded in the block.

    Raises:
        ImageError: it cannot be decoded as a single image of reasonable size in reasonable time.
        ResourceError: the machine failed while it was read.
    """
    with reading(path), _header(path) as image:
        yield image


@contextmanager
def _header(path: Path, page: int | None = None) -> Iterator[Image.Image]:
    """The only place where image files are opened; what decoding takes is reserved until the block ends."""
    with metered(path) as file:
        try:
            check_file(path, file, page or 1)
            file.seek(0)
            image: Image.Image = Image.open(file, formats=FORMATS)
        except UnidentifiedImageError as error:
            raise DamagedImageError(
                f"{path}: is not an image that can be read", "Convert it to PNG, or remove it."
            ) from error
        except Image.DecompressionBombError as error:
            raise too_large(path, f"more than {2 * (Image.MAX_IMAGE_PIXELS or 0)} pixels") from error
        _turn_to(path, image, page)
        check_header(path, image, file)
        _check_meaning(path, image)
        with PIXELS.reserved(image.width * image.height):
            yield image


def _turn_to(path: Path, image: Image.Image, page: int | None) -> None:
    """Turns to a page of a TIFF file, from 1; files of other formats have one."""
    several, is_tiff = getattr(image, "is_animated", False), image.format == "TIFF"
    if page is None or not is_tiff:
        if several:
            choose = _CHOOSE * is_tiff
            raise ImageError(
                f"{path}: holds several frames", f"Save the frame that counts as a single image.{choose}"
            )
        if (page or 1) > 1:
            raise ImageError(
                f"{path}: has no page {page}, because it is not a TIFF file",
                "Correct image.page in the recipe.",
            )
        return
    if page > MOST_PAGES:
        raise ImageError(f"{path}: has more than {MOST_PAGES} pages", "Save those that count as a file.")
    if page > 1:
        try:
            image.seek(page - 1)
        except EOFError as error:
            raise ImageError(
                f"{path}: has no page {page}", "Correct image.page in the recipe, or the file."
            ) from error


def _check_meaning(path: Path, image: Image.Image) -> None:
    halved = any(";16" in str(tile.args) for tile in getattr(image, "tile", ()))
    if halved and image.mode not in (*_SIXTEEN_BIT, "I"):
        raise ImageError(
            f"{path}: has 16-bit colour channels, of which half the bits would be lost",
            "Save it with 8 bits per channel, or as a grey image of 16 bits.",
        )


def _read(path: Path, image: Image.Image, decoding: Decoding) -> Decoded:
    """Decodes an image; its own memory is freed before that of the result doubles."""
    if image.mode not in (*_PLAIN, *_WITH_ALPHA, *_SIXTEEN_BIT, "P"):
        raise ImageError(
            f"{path}: holds '{image.mode}' pixels, whose black and white levels are unknown",
            "Save it with 8 or 16 bits per channel.",
        )
    image.load()
    check_exif(path, image)
    orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    highest = None
    if image.mode in _SIXTEEN_BIT or decoding.bayer:
        pixels, highest = _grey(path, image, decoding)
    else:
        pixels = _rgb(path, image)
        if decoding.window is not None:
            check_range(path, int(pixels.min()), int(pixels.max()), decoding, depth=8)
            pixels = table_of(decoding)[pixels]
    image.close()
    give_back(pixels.size)
    pixels = turned(pixels, orientation)
    pixels.setflags(write=False)
    return Decoded(pixels, highest)


def _grey(path: Path, image: Image.Image, decoding: Decoding) -> tuple[NDArray[np.uint8], int | None]:
    """Grey of 16 bits, or a raw image, as RGB; and the highest value of 16 bits."""
    if getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == 0 and image.mode in _SIXTEEN_BIT:
        raise ImageError(
            f"{path}: is a 16-bit image whose lowest value is white (WhiteIsZero)",
            "Save it with black as the lowest value.",
        )
    depth = 16 if image.mode in _SIXTEEN_BIT else 8
    if decoding.bayer and ((depth == 8 and image.mode != "L") or min(image.size) < 2):
        raise ImageError(
            f"{path}: holds {image.width} x {image.height} '{image.mode}' pixels, not those of a raw image",
            "Remove image.bayer from the recipe, or pass the camera's raw images (grey of 8 or 16 bits).",
        )
    scale = depth == 16 or decoding.window is not None
    table = table_of(decoding) if scale else np.arange(256, dtype=np.uint8)
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    raw = np.empty(pixels.shape[:2] if decoding.bayer else (0, 0), np.uint16)
    ends: list[int] = []
    for place, band in bands(image):
        grey = np.asarray(band.convert("I") if depth == 16 else band)
        ends += [int(grey.min()), int(grey.max())]
        if decoding.bayer:
            raw[place] = grey
        else:
            pixels[place] = table[grey][..., None]
    check_range(path, min(ends), max(ends), decoding, depth)
    for rows, colours in demosaiced(raw, decoding.bayer) if decoding.bayer else ():
        pixels[rows] = table[colours]
    return pixels, max(ends) if depth == 16 else None


def _rgb(path: Path, image: Image.Image) -> NDArray[np.uint8]:
    transparent = image.mode in _WITH_ALPHA or "transparency" in image.info
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    for place, band in bands(image):
        if transparent:
            band = band.convert("RGBA")
            if np.asarray(band.getchannel("A")).min() < 255:
                raise ImageError(
                    f"{path}: has transparent pixels, and what is behind them is unknown",
                    "Save it without an alpha channel.",
                )
        pixels[place] = np.asarray(band.convert("RGB"))
    return pixels
