"""The one decoder: turns a file into correct 8-bit RGB, or an error that says why it cannot."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from segad_core.errors import ImageError

MAX_PIXELS = 100_000_000
"""Larger images are rejected by their header, before any pixel is decoded."""

# what Pillow warns about is an error here, or harmless
warnings.filterwarnings("ignore", module=r"PIL\.")

_FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF", "PPM")
"""Pillow supports many more, some of which start other programs (EPS)."""

_PLAIN = ("RGB", "L", "1", "CMYK", "YCbCr", "LAB", "HSV")
_WITH_ALPHA = ("RGBA", "LA", "PA", "La", "RGBa")
_PHOTOMETRIC = 262  # TIFF tag: the meaning of the lowest value
_SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N")


@dataclass(frozen=True)
class Decoded:
    """An image as (H, W, 3) uint8 RGB, and whether it was scaled from 16 bits to 8."""

    pixels: NDArray[np.uint8]
    scaled: bool = False


def decode(path: Path, white: int = 65535) -> Decoded:
    """Decodes an image file: EXIF orientation applied, grey repeated, 16 bits scaled so that `white` is 255.

    Raises:
        ImageError: the file is missing, empty, truncated, not an image, too large, or has no unambiguous
            meaning in 8-bit RGB (transparent pixels, floating point, several frames).
    """
    try:
        if path.stat().st_size == 0:
            raise ImageError(f"{path}: the file is empty", "Copy it again from its source, or remove it.")
        with opened(path) as image:
            image.load()
            form, decoded = image.format, _to_rgb(path, image, white)
        if form == "PNG":
            with opened(path) as image:
                image.verify()  # the checksums, which loading skips
        elif form == "JPEG":
            _check_end(path)
        return decoded
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(
            f"{path}: is not an image that can be read", "Convert it to PNG, or remove it."
        ) from error
    except Image.DecompressionBombError as error:
        raise _too_large(path, f"more than {2 * (Image.MAX_IMAGE_PIXELS or 0)} pixels") from error
    except FileNotFoundError as error:
        raise ImageError(f"{path}: there is no such file", "Restore it, or correct the path.") from error
    except PermissionError as error:
        raise ImageError(f"{path}: may not be read", "Correct its permissions.") from error
    except Exception as error:  # a damaged file can make Pillow's parsers raise anything
        raise ImageError(
            f"{path}: is damaged or truncated ({error})", "Copy it again from its source, or remove it."
        ) from error


def resize(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resizes (H, W, 3) to (height, width) with PIL's antialiased bilinear filter."""
    height, width = size
    if pixels.shape[:2] == (height, width):
        return pixels
    image = Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image)


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """An image file of which only the header has been read; the only place where image files are opened.

    Raises:
        ImageError: according to its header, it cannot be decoded as a single image of reasonable size.
        Exception: a damaged file can make Pillow's parsers raise anything, here or while decoding.
    """
    with path.open("rb") as file:
        image: Image.Image = Image.open(file, formats=_FORMATS)
        _check_header(path, image)
        yield image


def _check_header(path: Path, image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise _too_large(path, f"{image.width} x {image.height} pixels")
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        raise ImageError(f"{path}: holds {frames} frames", "Save the frame that counts as a single image.")
    halved = any(";16" in str(tile.args) for tile in getattr(image, "tile", ()))
    if halved and image.mode not in (*_SIXTEEN_BIT, "I"):
        raise ImageError(
            f"{path}: has 16-bit colour channels, of which half the bits would be lost",
            "Save it with 8 bits per channel, or as a grey image of 16 bits.",
        )


def _check_end(path: Path) -> None:
    """Checks that the last scan of a JPEG has an end: Pillow decodes what is missing as grey.

    Raises:
        ImageError: the end is missing.
    """
    data = path.read_bytes()
    if data.find(b"\xff\xd9", data.rfind(b"\xff\xda")) < 0:
        raise ImageError(
            f"{path}: is damaged or truncated (its end is missing)",
            "Copy it again from its source, or remove it.",
        )


def _too_large(path: Path, what: str) -> ImageError:
    return ImageError(
        f"{path}: is too large to decode ({what}; the limit is {MAX_PIXELS} pixels)",
        "Crop or shrink it, or remove it.",
    )


def _to_rgb(path: Path, image: Image.Image, white: int) -> Decoded:
    if image.mode in _SIXTEEN_BIT and getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == 0:
        raise ImageError(
            f"{path}: is a 16-bit image whose lowest value is white (WhiteIsZero)",
            "Save it with black as the lowest value.",
        )
    image = ImageOps.exif_transpose(image)
    if image.mode in _SIXTEEN_BIT:
        grey = np.asarray(image.convert("I"), np.float64)
        if grey.max(initial=0) > white:
            raise ImageError(
                f"{path}: has the value {int(grey.max())}, above the recipe's white of {white}",
                "Raise image.white in the recipe.",
            )
        scaled = np.rint(grey * (255.0 / white)).astype(np.uint8)
        return Decoded(np.repeat(scaled[:, :, None], 3, axis=2), scaled=True)
    if image.mode in _WITH_ALPHA or "transparency" in image.info:
        image = image.convert("RGBA")
        if np.asarray(image.getchannel("A")).min() < 255:
            raise ImageError(
                f"{path}: has transparent pixels, and what is behind them is unknown",
                "Save it without an alpha channel.",
            )
    elif image.mode not in (*_PLAIN, "P"):
        raise ImageError(
            f"{path}: holds '{image.mode}' pixels, whose black and white levels are unknown",
            "Save it with 8 or 16 bits per channel.",
        )
    return Decoded(np.asarray(image.convert("RGB")))
