"""Masks of defects: what they mark, whatever form they have, and what cannot be read as one."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from builders import encoded, picture, png
from described import mask_image, save
from PIL import Image

from segad_core.errors import ImageError
from segad_core.images import read_mask


def _marked(image: Image.Image, path: Path) -> list[tuple[int, int]]:
    save(path, image)
    return [(int(y), int(x)) for y, x in np.argwhere(read_mask(path))]


def test_masks_of_every_kind_mark_the_same_pixel(tmp_path: Path) -> None:
    """Also a single bit, and 16 bits whose value would be 0 in 8."""
    grey, indexed = mask_image(1), Image.fromarray(np.asarray(mask_image(7)), "P")
    indexed.putpalette([9, 9, 9] * 256)
    images = {
        "255.png": mask_image(255),
        "1.png": grey,
        "rgb.png": grey.convert("RGB"),
        "rgba.png": grey.convert("RGBA"),
        "p.png": indexed,
        "bit.png": mask_image(255).convert("1"),
        "16.png": Image.fromarray(np.asarray(grey, np.uint16)),
        "bmp.bmp": grey,
        "tiff.tif": grey,
    }
    for name, image in images.items():
        assert _marked(image, tmp_path / name) == [(3, 5)], name


def _promising(side: int) -> bytes:
    """A PNG whose header promises much, and that has almost no data."""
    return png(struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0), zlib.compress(bytes(1000)))


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_masks_that_cannot_be_read(tmp_path: Path) -> None:
    whole = encoded(Image.fromarray(picture(0)[:, :, 0]), "PNG")
    frames = [mask_image(i) for i in (1, 2)]
    contents = {
        "cut.png": (whole[:900], "is damaged or truncated"),
        "empty.png": (b"", "is empty"),
        "text.png": (b"hello", "is not an image that can be read"),
        "frames.webp": (
            encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]),
            "holds several frames",
        ),
        "huge.png": (_promising(10_001), "is too large to decode"),
        "bomb.png": (_promising(100_000), "is too large to decode"),
    }
    for name, (data, reason) in contents.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ImageError, match=reason) as raised:
            read_mask(tmp_path / name)
        assert raised.value.what.startswith(f"{tmp_path / name}: ")
