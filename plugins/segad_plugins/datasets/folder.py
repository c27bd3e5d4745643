"""Any folder of good and bad images."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from segad_core.api import (
    DataError,
    Dataset,
    InputFolder,
    Parameters,
    RecipeError,
    Sample,
    image_files,
    subfolders,
)

log = logging.getLogger("segad.plugins")

_EXPECTED = """\
It should look like this (names of images and defects are free; what is in [] may be absent):
    ROOT/[CATEGORY/][train/]good/*.png
    ROOT/[CATEGORY/][train/]bad/[DEFECT/]*.png
    ROOT/[CATEGORY/][test/]good/*.png
    ROOT/[CATEGORY/][test/]bad/[DEFECT/]*.png"""


class Folder(Dataset):
    """Any folder with good/ and bad/, or with train/ and test/ that hold them; categories are sub-folders.

    Sub-folders of the bad folder are types of defect; a comma in the name of one becomes a semicolon, since
    commas part several types. A root that holds good/ (or train/ or test/) itself
    is one category, named after the root. Every file with an image's ending is taken, whether it can be
    read or not: what cannot is reported. Links are followed once; hidden files are left out.

    Where names tell what was made together (`lot7/`, `2026-03-02_0815.png`), `lot` finds it: a threshold can
    then be tried on lots that had no part in setting it.
    """

    class Params(Parameters):
        """Where the images are, and what the folders are called."""

        root: InputFolder = Field(description="the folder of the data set")
        good: str = Field("good", description="name of the folders of good images")
        bad: str = Field("bad", description="name of the folders of bad images")
        lot: str | None = Field(
            None,
            description="regular expression: what its first group finds in an image's path below the "
            "category, as '(lot[0-9]+)', is its lot; an image in which it finds nothing has none",
        )

        @field_validator("lot")
        @classmethod
        def _has_a_group(cls, lot: str | None) -> str | None:
            try:
                if lot is not None and not re.compile(lot).groups:
                    raise ValueError("has no group: put parentheses around what names the lot")
            except re.error as error:
                raise ValueError(f"is no regular expression ({error})") from error
            return lot

    params: Params

    def categories(self) -> Sequence[str]:
        root = self.params.root
        if self._parts(root):
            return (root.resolve().name,)
        found = [folder.name for folder in subfolders(root) if self._parts(folder)]
        if not found:
            raise RecipeError(
                f"data set folder: no category in {root}: neither it nor a folder in it holds "
                f"'{self.params.good}' or '{self.params.bad}'",
                _EXPECTED,
            )
        for folder in subfolders(root):
            if folder.name not in found and image_files(folder):
                log.warning(
                    "data set folder: %s holds images and is left out: it has no '%s' and no '%s' folder",
                    folder,
                    self.params.good,
                    self.params.bad,
                )
        return found

    def samples(self, category: str) -> Sequence[Sample]:
        root = self.params.root
        home = root if self._parts(root) else root / category
        return [sample for part in self._parts(home) for sample in self._part(home, part)]

    def _parts(self, home: Path) -> list[Literal["train", "test"] | None]:
        """The official parts that a category has: train and test, or none where it is undivided."""
        parts: tuple[Literal["train", "test"] | None, ...] = (None, "train", "test")
        names = (self.params.good, self.params.bad)
        found = [part for part in parts if any((home / (part or "") / name).is_dir() for name in names)]
        if None in found and len(found) > 1:
            raise DataError(
                f"data set folder: {home} holds both '{names[0]}' or '{names[1]}' and '{found[1]}/'",
                "Move all images into train/ and test/, or none.",
            )
        return found

    def _part(self, home: Path, part: Literal["train", "test"] | None) -> Iterator[Sample]:
        base = home / part if part else home
        labels: tuple[tuple[str, Literal[0, 1]], ...] = ((self.params.good, 0), (self.params.bad, 1))
        for name, label in labels:
            for path in image_files(base / name):
                inside = path.relative_to(base / name).parent
                defect = inside.as_posix().replace(",", ";") if label == 1 and inside != Path() else ""
                known = path.relative_to(home).as_posix()
                yield Sample(known, path, label, split=part, defect=defect, group=self._lot(known))

    def _lot(self, name: str) -> str:
        """The lot that an image's path names."""
        found = re.search(self.params.lot, name) if self.params.lot else None
        return (found[1] or "") if found else ""
