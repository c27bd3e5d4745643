"""Label images: pixels that are numbers with a meaning, never colours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segad_core.errors import ImageError
from segad_core.images.decode import check_header


def read_labels(path: Path) -> NDArray[np.uint8]:
    """The labels (H, W) uint8 of an indexed or grey image, or of an npy array of whole numbers.

    Raises:
        ImageError: the file cannot be read, holds colours, or labels outside 0 to 255.
    """
    try:
        labels = _read_npy(path) if path.suffix.lower() == ".npy" else _read_image(path)
    except ImageError:
        raise
    except Exception as error:  # parsers raise whatever a damaged file makes them stumble over
        raise ImageError(
            f"{path}: cannot be read as labels ({error})", "Save it as an indexed or grey PNG, or as npy."
        ) from error
    if labels.ndim != 2 or labels.size == 0 or labels.dtype.kind not in "iub":
        raise ImageError(
            f"{path}: is an array of shape {labels.shape} and type {labels.dtype}, not of labels (H, W)",
            "Save one whole number per pixel.",
        )
    if labels.min() < 0 or labels.max() > 255:
        raise ImageError(f"{path}: has labels outside 0 to 255", "Number the segments from 0.")
    return labels.astype(np.uint8)


def _read_npy(path: Path) -> NDArray[np.generic]:
    with path.open("rb") as file:
        array: NDArray[np.generic] = np.lib.format.read_array(file, allow_pickle=False)
        return array


def _read_image(path: Path) -> NDArray[np.generic]:
    with path.open("rb") as file:
        image: Image.Image = Image.open(file)
        check_header(path, image)
        if image.mode not in ("P", "L", "1"):
            raise ImageError(
                f"{path}: holds '{image.mode}' colours, not labels",
                "Save it as an indexed PNG (palette) or a grey one whose values are labels.",
            )
        return np.asarray(image)
