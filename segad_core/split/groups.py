"""Groups: images of one lot or of one part, of which no two serve different purposes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from segad_core.base.connected import connected
from segad_core.base.notes import Notes
from segad_core.contracts import Sample
from segad_core.errors import DataError, RecipeError
from segad_core.images import Inventory
from segad_core.recipe.split_spec import Group
from segad_core.split.draw import Split


@dataclass(frozen=True)
class Groups:
    """Which images of a category stay together.

    Attributes:
        of: the number of each labelled image's group; exact copies of an image share its group.
        names: the lots and serials of each group, for messages; none for an image without a name.
        lots, serials: how many of them are kept together; 0 for what is not.
        unnamed: images that have no name and are on their own.
    """

    of: Mapping[str, int]
    names: Mapping[int, tuple[str, ...]]
    lots: int
    serials: int
    unnamed: int

    def numbers(self, images: Iterable[str]) -> tuple[int, ...]:
        """The groups of some images, numbered from 0 in the order of their first images."""
        numbers: dict[int, int] = {}
        return tuple(numbers.setdefault(self.of[image], len(numbers)) for image in images)

    def name(self, group: int) -> str:
        """A group in words: its lots and serials, the first of them if they are many."""
        names = self.names[group]
        return f"{names[0]} and {len(names) - 1} more" if len(names) > 2 else " and ".join(names)

    def __str__(self) -> str:
        parts = [f"{self.lots} lot{'s' * (self.lots != 1)}"] * bool(self.lots)
        parts += [f"{self.serials} part{'s' * (self.serials != 1)} by serial number"] * bool(self.serials)
        text = f"{' and '.join(parts)}, kept together"
        if self.unnamed:
            text += f"; {self.unnamed} image{'s have' if self.unnamed > 1 else ' has'} no group"
        return text


def find_groups(wanted: Group, category: str, inventory: Inventory, notes: Notes) -> Groups | None:
    """The groups that a recipe's `split.group` keeps together; None if it keeps none together.

    Args:
        wanted: True for all that the data names; None for that where it names any; `lot` for the lots, and
            the images of one serial with them; `serial` for the serials alone; False for none.
        category: of the images.
        inventory: its readable images.
        notes: for the reader of the results.

    Raises:
        RecipeError: the data names nothing of what is wanted.
    """
    labelled = [sample for sample in inventory.samples if sample.label is not None]
    lots = {s.group for s in labelled if s.group} if wanted != "serial" else set()
    serials = {s.serial for s in labelled if s.serial}
    if wanted is False or (wanted is None and not lots and not serials):
        return None
    if not (lots if wanted == "lot" else serials if wanted == "serial" else lots or serials):
        what = {"lot": "no lot", "serial": "no serial"}.get(str(wanted), "neither lots nor serials")
        raise RecipeError(
            f"split.group is {str(wanted).lower()}, but the data names {what} in category '{category}'",
            "Name them, as the parameters 'lot' and 'serial' of the data set folder do, or set "
            "split.group: false.",
        )
    named = [list(_names(sample, with_lot=bool(lots))) for sample in labelled]
    copies = [("pixels", inventory.facts[sample.id].pixels) for sample in labelled]
    numbers = connected([[*own, copy] for own, copy in zip(named, copies, strict=True)])
    if wanted is None and len(set(numbers)) == 1:
        if lots and len(serials) > 1:
            notes.warn(f"category '{category}': lots connect all images, so only parts are kept together")
            return find_groups("serial", category, inventory, notes)
        notes.warn(
            f"category '{category}': all images belong to one group, so groups cannot be kept apart: "
            "near-identical images may be in both training and test"
        )
        return None
    names: dict[int, dict[str, None]] = {number: {} for number in numbers}
    for number, own in zip(numbers, named, strict=True):
        names[number] |= {f"{kind} '{name}'": None for kind, name in own}
    return Groups(
        of={sample.id: number for sample, number in zip(labelled, numbers, strict=True)},
        names={number: tuple(own) for number, own in names.items()},
        lots=len(lots),
        serials=len(serials),
        unnamed=sum(not own for own in named),
    )


def _names(sample: Sample, with_lot: bool) -> Iterator[tuple[str, str]]:
    if with_lot and sample.group:
        yield "lot", sample.group
    if sample.serial:
        yield "serial", sample.serial


def explained(error: DataError, groups: Groups, parts: bool) -> DataError:
    """An error of a draw, with what groups may have to do with it; the images of a part cannot be divided."""
    more = f"Groups are kept together ({groups})"
    more += "." if parts else "; split.group: false draws single images."
    return DataError(error.what, f"{error.remedy} {more}" if error.remedy else more)


def report_divided(
    category: str, groups: Groups, splits: Iterable[Split], from_test: bool, notes: Notes
) -> None:
    """Notes groups that serve two purposes, and images that serve none so that their group does not.

    Args:
        category: for messages.
        groups: of its images.
        splits: of the category. Official ones and files are as they are.
        from_test: whether bad images are taken out of the test.
        notes: for the reader of the results.
    """
    leaking, shared, left = dict[int, None](), dict[int, None](), 0
    for split in splits:
        test, detectors, final = (
            dict.fromkeys(groups.of[i] for i in ids) for ids in (split.test, split.detectors, split.final)
        )
        leaking |= dict.fromkeys(g for g in test if g in detectors or g in final)
        folds = [{groups.of[i] for i in fold} for fold in split.detector_folds]
        shared |= dict.fromkeys(
            g for g in detectors if (sum(g in own for own in folds) > 1 if folds else g in final)
        )
        left = max(left, sum(from_test and groups.of.get(i) in final for i in split.unused))
    for found, where, so in (
        (leaking, "both training and test, as the split is given", ", so results may be optimistic"),
        (shared, "the training of both the detectors and the final classifier", ""),
    ):
        if found:
            count = f"{len(found)} groups have" if len(found) > 1 else "1 group has"
            sentence = f"{count} images in {where} (the first: {groups.name(next(iter(found)))}){so}"
            (notes.warn if so else notes.tell)(f"category '{category}': {sentence}")
    if left:
        count = f"{left} images are" if left > 1 else "1 image is"
        notes.tell(f"category '{category}': {count} not tested, because others of the group are learnt from")
