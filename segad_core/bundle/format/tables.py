"""The tables of a bundle: training images, calibration images, and the images of the self-test."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import FailFast, Field, TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load

from segad_core.base.checked import Digest, Strict, Text, first_of, shown
from segad_core.base.decoding import Page
from segad_core.base.formats import arrays_to_bytes
from segad_core.base.resources import guarded
from segad_core.bundle.format.container import Container
from segad_core.bundle.format.limits import MOST_GOLDEN
from segad_core.bundle.format.names import REMEDY
from segad_core.errors import BundleError
from segad_core.images.pages import page_name
from segad_core.operate.image_table import Image, ImageTable, Label

GOLDEN = "golden.json"

_MOST_HEADER = 4 << 20
"""Limit on the bytes that name the arrays of a file; a network's have some 100,000."""


class Golden(Strict):
    """An image of the self-test: its file in the bundle, its label, and its expected score.

    Of one that is judged together with others, part and view; label and score are then those of the part.
    The page, where each page of a file is an image.
    """

    file: Text
    digest: Digest
    label: Label
    score: float
    serial: Text | None = None
    view: Text | None = None
    page: Page | None = None

    @property
    def name(self) -> str:
        """As a bundle takes it, but for the folder: the file, or file and page."""
        return self.file if self.page is None else page_name(self.file, self.page)


def golden_json(images: Sequence[Golden]) -> bytes:
    """The list of self-test images as a file."""
    return json.dumps([one.model_dump(exclude_none=True) for one in images], indent=1).encode()


_IMAGES = TypeAdapter(Annotated[list[Image], FailFast()])
_GOLDEN = TypeAdapter(Annotated[list[Golden], FailFast(), Field(max_length=MOST_GOLDEN)])


def table_files(table: ImageTable, name: str) -> dict[str, bytes]:
    """A table as two files of a bundle."""
    plain = [image.model_dump(exclude_none=True) for image in table.images]
    return {
        f"{name}.safetensors": arrays_to_bytes({"features": table.features, "scores": table.scores}),
        f"{name}.json": json.dumps(plain, indent=0).encode(),
    }


def read_table(container: Container, name: str) -> ImageTable:
    """A table that `table_files` wrote.

    Raises:
        BundleError: the files hold no valid table, or it has other features than the manifest.
    """
    images = _rows(container, f"{name}.json", _IMAGES)
    arrays, width = read_arrays(container, f"{name}.safetensors"), len(container.manifest.pipeline.names)
    table = {entry: arrays.get(entry, np.empty(0, bool)) for entry in ("features", "scores")}
    features, scores = table["features"], table["scores"]
    if (
        (features.ndim, scores.ndim) != (2, 1)
        or any(array.dtype != np.float64 or len(array) != len(images) for array in table.values())
        or (width and features.shape[1] != width)
    ):
        shapes = ", ".join(f"{entry} {array.shape} {array.dtype}" for entry, array in table.items())
        raise BundleError(
            f"{container.path}: '{name}' has {shapes} for {len(images)} images and {width} features", REMEDY
        )
    return ImageTable(images, features, scores)


def read_golden(container: Container) -> Sequence[Golden]:
    """The images of the self-test, with their expected scores.

    Raises:
        BundleError: the list is not valid, or names a file that is not a golden image of the bundle.
    """
    listed = _rows(container, GOLDEN, _GOLDEN)
    for golden in listed:
        if golden.file not in container.manifest.files or not golden.file.startswith("golden/"):
            raise BundleError(
                f"{container.path}: '{GOLDEN}' names {golden.file!a:.150}, which is not a golden image",
                REMEDY,
            )
    if len({golden.name for golden in listed}) < len(listed):
        raise BundleError(f"{container.path}: '{GOLDEN}' lists an image twice", REMEDY)
    return listed


def read_arrays(container: Container, name: str) -> dict[str, NDArray[Any]]:
    """The named arrays of a safetensors file; all numbers are finite.

    Raises:
        BundleError: the file holds anything else.
    """
    data = container.read(name)
    try:
        if int.from_bytes(data[:8], "little") > _MOST_HEADER:
            raise ValueError(f"its header has more than {_MOST_HEADER >> 20} MiB")
        with guarded(f"reading '{name}' of {container.path}"):
            arrays: dict[str, NDArray[Any]] = load(data)
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(
            f"{container.path}: '{name}' is not a valid safetensors file ({shown(error)})", REMEDY
        ) from error
    for entry, array in arrays.items():
        if array.dtype.kind not in "biuf":
            raise BundleError(
                f"{container.path}: '{name}' has the type {array.dtype} in '{shown(entry)}'", REMEDY
            )
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise BundleError(
                f"{container.path}: '{name}' has numbers that are not finite in '{shown(entry)}'", REMEDY
            )
    return arrays


def _rows(container: Container, name: str, adapter: TypeAdapter[list[Any]]) -> list[Any]:
    try:
        return adapter.validate_python(container.json(name))
    except ValidationError as error:
        raise BundleError(f"{container.path}: '{name}' is not valid {first_of(error)}", REMEDY) from None
