"""A bundle's operating point, and the calibration images that it is set on."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import ValidationError

from segad_core.base.checked import first_of
from segad_core.bundle.format.container import Container
from segad_core.bundle.format.names import REMEDY
from segad_core.bundle.format.tables import read_table
from segad_core.bundle.format.vectors import images_learnt_from
from segad_core.bundle.format.writing import Content, replace_bundle
from segad_core.errors import BundleError
from segad_core.operate.image_table import Image, ImageTable
from segad_core.operate.operating_point import OperatingPoint, plain
from segad_core.operate.parts import by_part, without_parts

FILE = "operating.json"


@dataclass(frozen=True)
class Calibration:
    """The images, or the parts, that a bundle's threshold is set on.

    Attributes:
        table: those that nothing was trained on.
        learnt: how many are left out because the bundle has learnt from them since.
    """

    table: ImageTable
    learnt: int


def calibration_table(container: Container) -> Calibration:
    """A bundle's calibration images, without those that it has learnt from since.

    Raises:
        BundleError: a table is missing or not valid.
    """
    tested = judged_units(container, read_table(container, "calibration"))
    table = untaught(container, read_table(container, "calibration"), images_learnt_from(container))
    return Calibration(table, len(tested.images) - len(table.images))


def judged_units(container: Container, table: ImageTable) -> ImageTable:
    """A table of images as one of what the bundle judges: images or parts."""
    return by_part(table) if container.manifest.pipeline.parts else table


def untaught(container: Container, table: ImageTable, images: Iterable[Image]) -> ImageTable:
    """The units of a table of images without those that some images show."""
    if container.manifest.pipeline.parts:
        return by_part(without_parts(table, images))
    return table.without(images)


def operating_json(point: OperatingPoint) -> bytes:
    """The operating point as a file."""
    return (json.dumps(plain(point), indent=1) + "\n").encode()


def read_operating_point(container: Container) -> OperatingPoint:
    """A bundle's operating point.

    Raises:
        BundleError: the file does not hold a valid one.
    """
    try:
        return OperatingPoint.model_validate(container.json(FILE), strict=True)
    except ValidationError as error:
        raise BundleError(
            f"{container.path}: '{FILE}' is not a valid operating point {first_of(error)}", REMEDY
        ) from None


def store_operating_point(container: Container, point: OperatingPoint) -> bool:
    """Replaces a bundle's operating point and keeps everything else; returns whether anything changed.

    Of a folder, no other file is read or copied; a zip is copied once. A bundle that is replaced is closed:
    whoever calls this holds it with `base.locks.held`, and has read it after that.

    Raises:
        BundleError: the bundle does not match its manifest, or cannot be replaced.
        ResourceError: the machine failed.
    """
    data = operating_json(point)
    if container.read(FILE) == data:
        return False
    contents: dict[str, Content] = {name: container.member(name) for name in container.manifest.files}
    replace_bundle(container, contents | {FILE: data})
    return True
