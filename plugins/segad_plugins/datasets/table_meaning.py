"""From the rows of a table to images: what its columns and values mean, and what is refused in them."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PureWindowsPath
from typing import ClassVar, Literal, cast

from segad_core.api import (
    DataError,
    RecipeError,
    Sample,
    did_you_mean,
    is_file,
    is_folder,
    listed,
    subfolders,
)
from segad_plugins.datasets.beside import guess
from segad_plugins.datasets.table_rows import Table

_ALIASES = {
    "path": "image file filename filepath image_path img_path img picture bild datei dateiname pfad name",
    "label": "class target verdict result status label_index ergebnis klasse urteil befund",
}
"""What columns are called elsewhere, for suggestions."""
_NO_DEFECT = ("", "-", "none", "no", "ok", "good", "normal")
_LABELS: Mapping[str, Literal[0, 1] | None] = {"good": 0, "bad": 1, "doubtful": None}
_ABOVE = 4
"""How many folders above the root a lost image is looked for in."""


@dataclass(frozen=True)
class Meaning:
    """What the columns and the values of a table mean.

    Attributes:
        required: the columns of the path and of the label.
        optional: columns of further knowledge; None for the one of the same name, if there is one.
        labels: values of the label, by meaning.
        splits: values of the split, by meaning.
    """

    OPTIONAL: ClassVar = ("defect", "serial", "view", "lot", "split", "category", "mask", "page")

    required: Mapping[str, str]
    optional: Mapping[str, str | None]
    labels: Mapping[str, Sequence[str]]
    splits: Mapping[str, Sequence[str]]

    def columns(self, table: Table) -> dict[str, str]:
        """The column of each piece of knowledge, in any case; empty where there is none.

        Raises:
            RecipeError: one that is required or named is not there.
        """
        known = {name.casefold(): name for name in reversed(table.columns)}
        found, problems = {}, []
        for name, given in {**self.required, **self.optional}.items():
            if name == "page" and given is None:  # lists have columns of that name for something else
                found[name] = ""
                continue
            wanted = name if given is None else given
            found[name] = wanted if wanted in table.columns else known.get(wanted.casefold(), "")
            if not found[name] and given is not None:
                likely = [known[one] for one in _ALIASES.get(name, "").split() if one in known]
                hint = f" - set {name}: '{likely[0]}'?" if likely else did_you_mean(wanted, table.columns)
                problems.append(f"{table.path} has no column '{wanted}' for the {name}{hint}")
        if problems:
            raise RecipeError(problems, f"Name the columns in the parameters. {table.look()}.")
        return found


def samples_of(table: Table, root: Path, meaning: Meaning) -> dict[str, list[Sample]]:
    """The images of a table by category, in its order.

    Args:
        table: what was read.
        root: the folder that paths are relative to.
        meaning: of columns and values.

    Raises:
        DataError: with every kind of fault, how many rows have it, the first ones, and a look at the table.
    """
    reading = _Reading(table, root, meaning)
    result: dict[str, dict[str, Sample]] = defaultdict(dict)
    places: dict[tuple[str, str], str] = {}
    for where, row in table.rows:
        if (read := reading.sample(where, row)) is None:
            continue
        category, sample = read
        first = places.setdefault((category, sample.id), where)
        if (known := result[category].setdefault(sample.id, sample)) is not sample:
            result[category][sample.id] = reading.joined(known, sample, f"{first} and {where}")
    reading.finish([sample for own in result.values() for sample in own.values()])
    return {category: list(own.values()) for category, own in result.items()}


class _Reading:
    """Turns rows into images, and collects what is wrong with them."""

    def __init__(self, table: Table, root: Path, meaning: Meaning) -> None:
        self.table, self.root = table, root
        self.columns = meaning.columns(table)
        self.labels = _by_value(meaning.labels)
        self.splits = {**_by_value(meaning.splits), "": ""}
        self.faults: dict[str, list[str]] = defaultdict(list)
        self.unknown: dict[str, Counter[str]] = defaultdict(Counter)
        self.lost: list[str] = []
        self.outside = False

    def sample(self, where: str, row: Mapping[str, str]) -> tuple[str, Sample] | None:
        """The category and the image of a row; None if something is wrong with it."""
        text = {name: row[column] if column else "" for name, column in self.columns.items()}
        label = self._known("label", self.labels, text["label"])
        split = self._known("split", self.splits, text["split"])
        place = self._place(where, text["path"], "path")
        mask = self._place(where, text["mask"], "mask") if text["mask"] and label != "good" else ""
        category = text["category"] if self.columns["category"] else self.table.path.stem
        if not category:
            self.faults["an empty category"].append(where)
        defect = "" if text["defect"].casefold() in _NO_DEFECT else text["defect"]
        if label == "good" and defect:
            self.faults["the label of a good image and a type of defect"].append(f"{where}: '{defect}'")
        if label == "good" and text["mask"]:
            self.faults["the label of a good image and a mask of defects"].append(
                f"{where}: '{text['mask']}'"
            )
        page = self._page(where, text["page"]) if self.columns["page"] else None
        if place is None or label is None or split is None or mask is None or not category or page == 0:
            return None
        return category, Sample(
            place if page is None else f"{place}#{page}",
            self.root / place,
            _LABELS[label],
            split=cast(Literal["train", "test"], split) if split else None,
            defect=defect,
            mask=self.root / mask if mask else None,
            group=text["lot"],
            serial=text["serial"],
            view=text["view"],
            page=page,
        )

    def joined(self, one: Sample, other: Sample, where: str) -> Sample:
        """Two rows of one image as one, with the defects of both."""
        if replace(one, defect="") != replace(other, defect=""):
            self.faults["an image that another row describes differently"].append(f"{where}: '{one.id}'")
            return one
        types = [name.strip() for name in f"{one.defect},{other.defect}".split(",") if name.strip()]
        return replace(one, defect=", ".join(dict.fromkeys(types)))

    def finish(self, samples: Sequence[Sample]) -> None:
        """Raises what was found in all rows.

        Raises:
            RecipeError: a label or a split has no meaning.
            DataError: something else is wrong.
        """
        without = [f"'{sample.id}'" for sample in samples if sample.split is None]
        if 0 < len(without) < len(samples):
            self.faults["no split, though others have one"] = without
        problems = [f"{self.table.path}: {_unknown(*one)}" for one in self.unknown.items()]
        problems += [
            f"{self.table.path}: {_rows(len(places))} {what} ({listed(places)})"
            for what, places in self.faults.items()
        ]
        if problems:
            remedies = [_advice(name, counts) for name, counts in self.unknown.items()]
            remedies += [self._root_hint()] if self.lost else []
            remedies += ["Set root to a folder that holds all of them."] if self.outside else []
            kind = RecipeError if self.unknown else DataError
            raise kind(problems, " ".join([*remedies, f"{self.table.look()}."]))

    def _known(self, name: str, words: Mapping[str, str], value: str) -> str | None:
        if (meant := words.get(value.casefold())) is None:
            self.unknown[name][value] += 1
        return meant

    def _place(self, where: str, text: str, name: str) -> str | None:
        """A path within the root, with forward slashes; None if it leads elsewhere or to no file."""
        if not text:
            self.faults[f"an empty {name}"].append(where)
            return None
        plain, root = text.replace("\\", "/"), self.root.absolute()
        if Path(plain).is_relative_to(root):
            plain = Path(plain).relative_to(root).as_posix()
        plain = os.path.normpath(plain).replace("\\", "/")
        if plain.split("/")[0] in ("", "..") or PureWindowsPath(plain).drive:
            self.outside = True
            self.faults[f"a {name} outside the folder {self.root}"].append(f"{where}: '{text}'")
            return None
        for one in (plain, plain.removeprefix("'")):  # segad's own tables neutralise names like formulas
            if is_file(self.root / one):
                return one
        self.lost.append(plain)
        self.faults[f"a {name} that does not exist in {self.root}"].append(f"{where}: '{text}'")
        return None

    def _page(self, where: str, text: str) -> int:
        """A page, from 1; 0 if it is none."""
        page = int(text) if text.isascii() and text.isdigit() and len(text) < 5 else 0
        if page == 0:
            self.faults["a page that is not a number from 1 up"].append(f"{where}: '{text}'")
        return page

    def _root_hint(self) -> str:
        """The folder in which the first lost file exists, if it is near."""
        near = [*self.root.absolute().parents][:_ABOVE]
        near += subfolders(self.root) if is_folder(self.root) else []
        fits = next((folder for folder in near if is_file(folder / self.lost[0])), None)
        return f"Set root: {fits}." if fits else "Set root to the folder that paths are relative to."


def _by_value(meanings: Mapping[str, Sequence[str]]) -> dict[str, str]:
    return {word.strip().casefold(): meant for meant, words in meanings.items() for word in words}


def _unknown(name: str, counts: Counter[str]) -> str:
    """The values of a column that mean nothing, the most frequent first."""
    values = [
        f"'{value}' in {count:,}" if value else f"none in {count:,}" for value, count in counts.most_common()
    ]
    return f"{_rows(counts.total())} no known {name} ({listed(values)})"


def _advice(name: str, counts: Counter[str]) -> str:
    """What values probably mean, as parameters; of 0 and 1 either may be good."""
    values = [value for value in counts if value]
    if name == "split":
        return f"Say what they mean, such as train: [train, '{values[0]}']."
    words = [
        f"{kind}: [{', '.join(repr(v) for v in values if guess(v) == kind)}]"
        for kind in ("good", "bad")
        if any(guess(value) == kind for value in values)
    ]
    if not words and values:
        words = ["good: ['0'] and bad: ['1'], or the other way round"] if {*values} <= {"0", "1"} else []
    if "" in counts:
        words.append("doubtful: [doubtful, ''] for images without a label")
    return f"Say what they mean: {'; '.join(words)}." if words else "Say which are good, bad or doubtful."


def _rows(count: int) -> str:
    return "1 row has" if count == 1 else f"{count:,} rows have"
