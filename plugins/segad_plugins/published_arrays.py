"""Arrays that others computed, an npy file for each image, and which file is whose."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from numpy.typing import NDArray

from segad_core.api import DataError, Sample, is_file, read_array

Names = Literal["release", "path"]
NAMES = (
    "release: good/<stem>.npy or bad/<stem>.npy, by the image's label; path: the image's id, ending in npy"
)


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
