"""Arrays computed elsewhere, one npy file per image, and the mapping from images to files."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from numpy.typing import NDArray

from segad_core.api import DataError, Sample, is_file, is_folder, read_array, subfolders

Names = Literal["release", "path"]
NAMES = "release: good/<stem>.npy or bad/<stem>.npy, by label; path: the image's id with the suffix .npy"


@dataclass(eq=False)
class PublishedArrays:
    """A folder of arrays, one per image. Safe to read from several threads.

    Attributes:
        folder: the folder.
        names: how the image determines the file name.
        what: what an array contains, for messages.
        kinds: allowed kinds of numbers, as NumPy's letters.
    """

    folder: Path
    names: Names
    what: str
    kinds: str
    _owners: dict[Path, str] = field(default_factory=dict, repr=False)

    def read(self, sample: Sample, size: tuple[int, int] | None = None) -> NDArray[Any]:
        """The array (H, W) of an image, with the dtype of its file.

        Args:
            sample: the image.
            size: the required (H, W), if any.

        Raises:
            DataError: the file is missing, invalid, of another size, or already belongs to another image.
        """
        path = self.path_of(sample)
        owner = self._owners.setdefault(path, sample.id)  # atomic: one image gets the file, in any thread
        if owner != sample.id:
            raise DataError(
                f"images '{owner}' and '{sample.id}' have the same {self.what}, {path}",
                "Use 'names: path', with a file for each image at the path given by its id."
                if self.names == "release"
                else "Rename one of the images, and give it its own file.",
            )
        if not is_file(path):
            raise DataError(
                f"image '{sample.id}': {self.what} {path} does not exist (names: {self.names})",
                "Restore the file, correct the folder or 'names' in the recipe, or leave the image out.",
            )
        return read_array(path, self.kinds, size)

    def path_of(self, sample: Sample) -> Path:
        """The expected path of an image's array.

        Raises:
            DataError: the image determines no path within the folder.
        """
        place = PurePosixPath(sample.id)
        if self.names == "release":
            if sample.label is None:
                raise DataError(
                    f"image '{sample.id}': is neither good nor bad, but 'names: release' locates its "
                    f"{self.what} by label",
                    "Use 'names: path', or leave doubtful images out of the data set.",
                )
            place = PurePosixPath(("good", "bad")[sample.label], place.name)
        if place.is_absolute() or ".." in place.parts or not place.name:
            raise DataError(
                f"image '{sample.id}': its id points outside the folder {self.folder}",
                "Ids must be paths within the data set: report this to the data set's authors.",
            )
        return self.folder / place.with_suffix(".npy")

    def first(self) -> Path:
        """One of the files, always the same, to check for faults that all of them share.

        Raises:
            DataError: there are no files, or a folder cannot be read.
        """
        patterns = ("good/*.npy", "bad/*.npy") if self.names == "release" else ("**/*.npy",)
        parts = ("good", "bad") if self.names == "release" else ("",)
        for folder in filter(is_folder, (self.folder / part for part in parts)):
            subfolders(folder)  # says if it cannot be read, which a pattern passes over
        paths = [path for pattern in patterns for path in self.folder.glob(pattern)]
        if not paths:
            raise DataError(
                f"{self.folder}: contains no {self.what} ({' or '.join(patterns)})",
                "In the recipe, name the folder that contains good/ and bad/, or use 'names: path'."
                if self.names == "release"
                else "Correct the folder in the recipe.",
            )
        return min(paths)
