"""The one decoder: a file becomes 8-bit RGB correctly, or an error that says why it cannot."""

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
"""Larger images are refused from their header, before any pixel is decoded."""

# what Pillow warns of is an error here, or harmless
warnings.filterwarnings("ignore", module=r"PIL\.")

_FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF", "PPM")
"""Pillow knows many more, among them some that start other programs (EPS)."""

_PLAIN = ("RGB", "L", "1", "CMYK", "YCbCr", "LAB", "HSV")
_WITH_ALPHA = ("RGBA", "LA", "PA", "La", "RGBa")
_PHOTOMETRIC = 262  # of TIFF: what the least value means
_SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N")


@dataclass(frozen=True)
class Decoded:
    """An image as (H, W, 3) uint8 RGB, and whether its 16 bits were scaled down to 8."""

    pixels: NDArray[np.uint8]
    scaled: bool = False


def decode(path: Path, white: int = 65535) -> Decoded:
    """Decodes an image file: EXIF orientation applied, grey repeated, 16 bits scaled so that `white` is 255.

    Raises:
        ImageError: the file is missing, empty, truncated, not an image, too large, or holds what has no
            one meaning in 8-bit RGB (transparent pixels, floating point, several frames).
    """
    try:
        if path.stat().st_size == 0:
            raise ImageError(f"{path}: the file is empty", "Copy it again from its source, or remove it.")
        with opened(path) as image:
            image.load()
            form, decoded = image.format, _to_rgb(path, image, white)
        if form == "PNG":
            with opened(path) as image:
                image.verify()  # the checksums, which loading passes over
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
    except Exception as error:  # Pillow's parsers raise whatever a damaged file makes them stumble over
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
    """An image file of which only the header was read; the one place where an image file is opened.

    Raises:
        ImageError: the header alone says that it cannot be decoded as one picture of sane size.
        Exception: whatever a damaged file makes Pillow's parsers stumble over, here or while it is decoded.
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
        raise ImageError(f"{path}: holds {frames} frames", "Save the one that counts as a single image.")
    halved = any(";16" in str(tile.args) for tile in getattr(image, "tile", ()))
    if halved and image.mode not in (*_SIXTEEN_BIT, "I"):
        raise ImageError(
            f"{path}: holds colours of 16 bits, of which half would be cut off",
            "Save it with 8 bits per channel, or as a grey image of 16 bits.",
        )


def _check_end(path: Path) -> None:
    """That the last scan of a JPEG has an end: what was lost of it, Pillow decodes as grey.

    Raises:
        ImageError: it has none.
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
            f"{path}: holds 16 bits of which the least is white (WhiteIsZero)",
            "Save it with black as the least value.",
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
                f"{path}: has transparent pixels, and what lies behind them is unknown",
                "Save it without an alpha channel.",
            )
    elif image.mode not in (*_PLAIN, "P"):
        raise ImageError(
            f"{path}: holds '{image.mode}' pixels, whose black and white are unknown",
            "Save it with 8 or 16 bits per channel.",
        )
    return Decoded(np.asarray(image.convert("RGB")))
