"""Any folder of good and bad images."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from segad_core.api import (
    DataError,
    Dataset,
    InputFolder,
    Parameters,
    PartName,
    PartPattern,
    RecipeError,
    Sample,
    did_you_mean,
    image_files,
    is_folder,
    listed,
    quoted,
    subfolders,
)
from segad_plugins.datasets.beside import Unread, guess, images, label_folders, other_formats, unread_in

_EXPECTED = """\
Expected layout (names of images and defects are free; parts in [] are optional):
    ROOT/[CATEGORY/][train/]good/*.png
    ROOT/[CATEGORY/][train/]bad/[DEFECT/]*.png
    ROOT/[CATEGORY/][test/]good/*.png
    ROOT/[CATEGORY/][test/]bad/[DEFECT/]*.png"""


class Folder(Dataset):
    """Any folder with good/ and bad/, or with train/ and test/ that contain them; sub-folders are categories.

    Sub-folders of the bad folder are defect types; a comma in the name of one becomes a semicolon, since
    commas separate several types. A root that itself contains good/ (or train/ or test/) is one category,
    named after the root. Every file with an image suffix is included, readable or not; unreadable images are
    reported. Links are followed once; hidden files are skipped. Images in other folders are not read, and
    `segad datasets check` and every run say so.

    If paths name the production lot (`lot7/`, `2026-03-02_0815.png`) or the part (`part0042_top.png`), set
    `lot` or `serial` to extract it. Images of one lot or part are then kept together, and a threshold can be
    tested on lots that were not used to set it. If they name part and view (`SN0042_A.png`), set `part`
    instead of `serial`; it has to fit every image.
    """

    class Params(Parameters):
        """Location of the images, and names of the folders."""

        root: InputFolder = Field(description="folder of the data set")
        good: str = Field("good", description="name of the folders of good images")
        bad: str = Field("bad", description="name of the folders of bad images")
        lot: str | None = Field(
            None,
            description="regular expression whose first group extracts the lot from an image's path within "
            "the category, such as '(lot[0-9]+)'; an image without a match has no lot",
        )
        serial: str | None = Field(
            None,
            description="regular expression whose first group extracts the part's serial from an image's "
            "path within the category, such as 'part([0-9]+)', where there are several images of a part",
        )

        part: str | None = Field(
            None,
            description=r"regular expression with the groups `serial` and, if paths name them, `view` and "
            r"`lot`, such as '(?P<serial>SN\d+)_(?P<view>[A-Z])'; every image has to match it",
        )

        @field_validator("part")
        @classmethod
        def _finds_parts(cls, pattern: str | None) -> str | None:
            if pattern is not None:
                PartPattern(pattern)
            return pattern

        @model_validator(mode="after")
        def _names_once(self) -> Self:
            groups = PartPattern(self.part).groups if self.part else ()
            for name in ("serial", "lot"):
                if name in groups and getattr(self, name) is not None:
                    raise ValueError(f"'part' finds the {name} already: remove '{name}'")
            return self

        @field_validator("lot", "serial")
        @classmethod
        def _has_a_group(cls, pattern: str | None, info: ValidationInfo) -> str | None:
            try:
                if pattern is not None and not re.compile(pattern).groups:
                    raise ValueError(f"has no group: put parentheses around what names the {info.field_name}")
            except re.error as error:
                raise ValueError(f"is not a regular expression ({error})") from error
            return pattern

    params: Params

    def categories(self) -> Sequence[str]:
        root = self.params.root
        if self._parts(root):
            return (root.resolve().name,)
        names = [folder.name for folder in subfolders(root) if self._parts(folder)]
        if not names:
            raise RecipeError(
                f"data set folder: {root} contains no category: neither it nor any of its folders contains "
                f"'{self.params.good}' or '{self.params.bad}'{self._what_is_there()}",
                _EXPECTED,
            )
        return names

    def samples(self, category: str) -> Sequence[Sample]:
        root = self.params.root
        home = root if self._parts(root) else root / category
        samples = [sample for part in self._parts(home) for sample in self._part(home, part)]
        return _with_parts(samples, self.params.part, category) if self.params.part else samples

    def part_pattern(self) -> str:
        """How paths name the parts."""
        return self.params.part or ""

    def unread(self, category: str | None) -> Sequence[str]:
        root = self.params.root
        undivided = bool(self._parts(root))
        if category is None:
            found = [] if undivided else unread_in(root, (), self.categories())
            return [self._sentence(root, one, "is not in a category: no") for one in found]
        home = root if undivided else root / category
        samples = self.samples(category)
        found = unread_in(home, [sample.path for sample in samples])
        others = other_formats(home)
        labels = {("good", "bad")[sample.label or 0] for sample in samples}
        named = {one.folder.rpartition("/")[2] for one in found}
        return [
            *(self._sentence(home, one, self._advice(home, one.folder, labels, named)) for one in found),
            *others,
        ]

    def _parts(self, home: Path) -> list[Literal["train", "test"] | None]:
        """The official parts of a category: train and test, or None if it is undivided."""
        parts: tuple[Literal["train", "test"] | None, ...] = (None, "train", "test")
        names = (self.params.good, self.params.bad)
        present = [part for part in parts if any((home / (part or "") / name).is_dir() for name in names)]
        if None in present and len(present) > 1:
            raise DataError(
                f"data set folder: {home} contains both '{names[0]}' or '{names[1]}' and '{present[1]}/'",
                "Move either all images or none into train/ and test/.",
            )
        return present

    def _part(self, home: Path, part: Literal["train", "test"] | None) -> Iterator[Sample]:
        base = home / part if part else home
        labels: tuple[tuple[str, Literal[0, 1]], ...] = ((self.params.good, 0), (self.params.bad, 1))
        for name, label in labels:
            for path in image_files(base / name):
                inside = path.relative_to(base / name).parent
                defect = inside.as_posix().replace(",", ";") if label == 1 and inside != Path() else ""
                image_id = path.relative_to(home).as_posix()
                lot, serial = (_first(p, image_id) for p in (self.params.lot, self.params.serial))
                yield Sample(image_id, path, label, split=part, defect=defect, group=lot, serial=serial)

    def _sentence(self, home: Path, one: Unread, advice: str) -> str:
        where = home if one.folder == "." else home / one.folder
        place = "directly in it, or in folders of no label, " if one.partly else ""
        return f"{where}: {images(one.images)} {place}not read; {advice}"

    def _advice(self, home: Path, folder: str, read: set[str], others: set[str]) -> str:
        """What a folder probably is, and what to do about it.

        Args:
            home: of the category.
            folder: its path in that.
            read: the labels that are read.
            others: the names of all folders that are not read; a parameter can name one of a label.
        """
        *above, name = folder.split("/")
        part = guess(above[0]) if above and above[0] not in ("train", "test") else None
        if part in ("train", "test"):
            do = f"move its images into '{part}'" if is_folder(home / part) else f"rename it '{part}'"
            return f"'{above[0]}' looks like the {part} part: {do}"
        kind = guess(name)
        for label, wanted in (("good", self.params.good), ("bad", self.params.bad)):
            alike = name.casefold() == wanted.casefold()
            if kind != label and not alike:
                continue
            why = "differs only in case" if alike else f"its name looks like {label} images"
            if label in read:
                return f"{why}: move them into '{wanted}'"
            if len([other for other in others if guess(other) == label]) > 1:
                return f"{why}, as do others: move it to '{'/'.join([*above, wanted, name])}'"
            return f"{why}: set {label}: '{name}', or rename it '{wanted}'"
        if kind == "masks":
            return "its name looks like masks, which this data set does not use"
        inside = "/".join([*above, self.params.bad, name])
        hint = did_you_mean(name.casefold(), [self.params.good, self.params.bad])
        return f"if they show a kind of defect, move them to '{inside}'{hint}"

    def _what_is_there(self) -> str:
        """Folders that look like those of good and bad images, and the parameters to set for them."""
        found = label_folders(self.params.root)
        own = (self.params.good, self.params.bad)  # deeper than a category's
        words: dict[str, str] = {}
        for (kind, name), count in found.items():
            if name not in own and kind not in words:
                words[kind] = f"{kind}: '{name}' ({images(count)})"
            elif name not in own:
                words[kind] += f" and move the {images(count)} of '{name}' into it"
        return f". It contains folders that look like them: set {', '.join(words.values())}" if words else ""


def _with_parts(samples: Sequence[Sample], text: str, category: str) -> list[Sample]:
    """The samples with the serial, the view and the lot that a pattern finds in each path.

    Raises:
        DataError: it finds none in some of them.
    """
    pattern = PartPattern(text)
    found = [(sample, pattern.find(sample.id)) for sample in samples]
    if lost := [sample.id for sample, name in found if name is None]:
        raise DataError(
            f"data set folder: in category '{category}', the pattern part: '{text}' does not fit "
            f"{len(lost)} of {len(samples)} images: {listed(quoted(lost))}",
            "Correct the pattern so that it finds a serial"
            + " and a view" * ("view" in pattern.groups)
            + " in every path, or move images elsewhere that show no part.",
        )
    return [_named(sample, name, "lot" in pattern.groups) for sample, name in found if name]


def _named(sample: Sample, name: PartName, with_lot: bool) -> Sample:
    lot = name.lot if with_lot else sample.group
    return replace(sample, group=lot, serial=name.serial, view=name.view)


def _first(pattern: str | None, name: str) -> str:
    """What a pattern's first group finds in an image's path, or an empty string."""
    match = re.search(pattern, name) if pattern else None
    return (match[1] or "") if match else ""
