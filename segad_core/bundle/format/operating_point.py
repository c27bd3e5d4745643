"""The operating point in a bundle: read, written, and the calibration images that it is set on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from segad_core.base.json_file import parse_json
from segad_core.bundle.format.container import MOST_TEXT, Container
from segad_core.bundle.format.tables import read_table
from segad_core.bundle.format.writing import replace_bundle
from segad_core.errors import BundleError
from segad_core.operate.image_table import ImageTable
from segad_core.operate.operating_point import OperatingPoint, plain
from segad_core.operate.thresholds import first_problem

FILE = "operating.json"


@dataclass(frozen=True)
class Calibration:
    """What thresholds of a bundle are set from.

    Attributes:
        table: images that trained nothing.
        learnt: how many were left out because they were taught since.
    """

    table: ImageTable
    learnt: int


def calibration_table(container: Container) -> Calibration:
    """A bundle's calibration images, without those that its final classifier has learnt from since.

    Raises:
        BundleError: a table is missing or none.
    """
    tested = read_table(container, "calibration")
    if "training.json" not in container.manifest.files:  # a learner alone: nothing can be taught
        return Calibration(tested, 0)
    table = tested.without(read_table(container, "training"))
    return Calibration(table, len(tested.images) - len(table.images))


def operating_json(point: OperatingPoint) -> bytes:
    """The operating point as a file."""
    return (json.dumps(plain(point), indent=1) + "\n").encode()


def read_operating_point(container: Container) -> OperatingPoint:
    """A bundle's operating point.

    Raises:
        BundleError: it is not one.
    """
    data = container.read(FILE, MOST_TEXT)
    try:
        parse_json(data)  # refuses keys that stand there twice, and numbers that are none
        return OperatingPoint.model_validate_json(data, strict=True)
    except ValueError as error:
        raise BundleError(
            f"{container.path}: '{FILE}' is no operating point ({first_problem(error)})",
            "Get the bundle again from where it was made; do not use it as it is.",
        ) from error


def store_operating_point(container: Container, point: OperatingPoint) -> bool:
    """Writes a bundle's operating point, all else as it was; says whether anything had to be written.

    Raises:
        BundleError: the bundle is not what was written, or cannot be replaced.
    """
    data = operating_json(point)
    if container.read(FILE) == data:
        return False
    contents: dict[str, bytes | Path] = {name: container.kept(name) for name in container.manifest.files}
    replace_bundle(container.path.resolve(), container.manifest, contents | {FILE: data})
    return True
