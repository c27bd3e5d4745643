"""Arrays that others computed, an npy file for each image: which file is whose, and reading it safely."""

from __future__ import annotations

import io
import math
import os
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from segad_core.contracts import Sample
from segad_core.errors import DataError
from segad_core.files import is_file
from segad_core.images.decode import MAX_PIXELS

Names = Literal["release", "path"]
NAMES = (
    "release: good/<stem>.npy or bad/<stem>.npy, by the image's label; path: the image's id, ending in npy"
)

_HEADER = 1 << 14  # bytes; NumPy refuses longer headers itself
_READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}  # 3.0 is for names of fields, which no array of numbers has


@dataclass(eq=False)
class PublishedArrays:
    """A folder of arrays, one for each image, during a pass over the images.

    Attributes:
        folder: where they are.
        names: how a file's name follows from an image.
        what: what one of them is, for messages.
        kinds: the kinds of numbers that one may hold, as NumPy's letters.
    """

    folder: Path
    names: Names
    what: str
    kinds: str
    _owners: dict[Path, str] = field(default_factory=dict, repr=False)

    def read(self, sample: Sample, size: tuple[int, int] | None = None) -> NDArray[Any]:
        """The array (H, W) of an image, with the type that its file has.

        Args:
            sample: the image.
            size: the (H, W) that it must have, if it must have one.

        Raises:
            DataError: it is not there, not sound, of another size, or it is another image's too.
        """
        path = self.path_of(sample)
        owner = self._owners.setdefault(path, sample.id)
        if owner != sample.id:
            raise DataError(
                f"images '{owner}' and '{sample.id}' lead to one {self.what}, {path}: it can't be both's",
                "Use 'names: path', with a file for each image at its id's place."
                if self.names == "release"
                else "Give one of the images another name, and a file of its own.",
            )
        if not is_file(path):
            raise DataError(
                f"image '{sample.id}': there is no {self.what} {path} (names: {self.names})",
                "Restore the file, or correct the folder or 'names' in the recipe, or leave the image out.",
            )
        return read_array(path, self.kinds, size)

    def path_of(self, sample: Sample) -> Path:
        """Where an image's array should be.

        Raises:
            DataError: that can't be said of it.
        """
        place = PurePosixPath(sample.id)
        if self.names == "release":
            if sample.label is None:
                raise DataError(
                    f"image '{sample.id}': is neither good nor bad, and 'names: release' finds its "
                    f"{self.what} by that",
                    "Use 'names: path', or leave doubtful images out of the data set.",
                )
            place = PurePosixPath(("good", "bad")[sample.label], place.name)
        if place.is_absolute() or ".." in place.parts or not place.name:
            raise DataError(
                f"image '{sample.id}': its id leads out of the folder {self.folder}",
                "Ids are paths within the data set: report this to the data set's authors.",
            )
        return self.folder / place.with_suffix(".npy")

    def first(self) -> Path:
        """One of the files, always the same: what is wrong with all is wrong with it.

        Raises:
            DataError: there is none.
        """
        patterns = ("good/*.npy", "bad/*.npy") if self.names == "release" else ("**/*.npy",)
        found = [path for pattern in patterns for path in self.folder.glob(pattern)]
        if not found:
            raise DataError(
                f"{self.folder}: holds no {self.what} ({' or '.join(patterns)})",
                "Name the folder that holds good/ and bad/ in the recipe, or use 'names: path'."
                if self.names == "release"
                else "Correct the folder in the recipe.",
            )
        return min(found)


def read_array(path: Path, kinds: str, size: tuple[int, int] | None = None) -> NDArray[Any]:
    """The array (H, W) of an npy file; a leading or trailing axis of 1 is dropped.

    Type, shape and length are those that the header promises, and are checked before any value is read.

    Args:
        path: of the file.
        kinds: the kinds of numbers that are let through, as NumPy's letters (`f`, `iu`).
        size: the (H, W) that it must have, if it must have one.

    Raises:
        DataError: it is anything else.
    """
    try:
        with path.open("rb") as file:
            head = io.BytesIO(file.read(_HEADER))
            shape, fortran, dtype = _header(head)
            _check(path, shape, dtype, kinds, size, os.fstat(file.fileno()).st_size - head.tell())
            file.seek(head.tell())
            values = np.fromfile(file, dtype, math.prod(shape))
            return values.reshape(_plane(shape), order="F" if fortran else "C")
    except DataError:
        raise
    except Exception as error:  # parsers raise whatever a damaged file makes them stumble over
        raise DataError(
            f"{path}: cannot be read as an npy array ({error})", "Copy it again from its source."
        ) from error


def _header(head: io.BytesIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(head)
    if version not in _READERS:
        raise ValueError(f"of the format's version {version[0]}.{version[1]}")
    shape, fortran, dtype = _READERS[version](head)
    return shape, fortran, dtype


def _plane(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape without its leading or its trailing axis of 1, if it has three."""
    if len(shape) == 3 and 1 in (shape[0], shape[-1]):
        return shape[1:] if shape[0] == 1 else shape[:-1]
    return shape


def _check(
    path: Path,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    kinds: str,
    size: tuple[int, int] | None,
    length: int,
) -> None:
    """Refuses what a header promises, or a number of bytes behind it that does not keep the promise."""
    plane = _plane(shape)
    if dtype.kind not in kinds or dtype.itemsize > 8:
        wanted = " or ".join(
            {"b": "true and false", "i": "integers", "u": "unsigned", "f": "floats"}[k] for k in kinds
        )
        raise DataError(
            f"{path}: holds values of type {dtype}, not {wanted}", "Save it as a plain array of numbers."
        )
    if len(plane) != 2 or min(plane) < 1 or math.prod(plane) > MAX_PIXELS:
        raise DataError(
            f"{path}: is an array of shape {shape}, not one of height x width",
            f"Save one value per pixel, and no more than {MAX_PIXELS} pixels.",
        )
    if size is not None and plane != size:
        raise DataError(
            f"{path}: is {plane[0]} x {plane[1]} pixels (height x width), and the recipe brings images to "
            f"{size[0]} x {size[1]}",
            f"Set image.size to [{plane[0]}, {plane[1]}] in the recipe: maps are never resampled.",
        )
    promised = math.prod(plane) * dtype.itemsize
    if length != promised:
        raise DataError(
            f"{path}: has {length} bytes of values where its header promises {promised}: it is "
            f"{'truncated' if length < promised else 'followed by something else'}",
            "Copy it again from its source.",
        )
