"""Parts: the images of one serial, which are one unit in splits, figures and verdicts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from segad_core.base.notes import Notes
from segad_core.base.text import listed, quoted
from segad_core.contracts import Sample
from segad_core.contracts.dataset import WORDS, Label
from segad_core.errors import DataError, RecipeError
from segad_core.images import Inventory
from segad_core.recipe.parts_spec import PartsSpec

_OF_IMAGES = "Name them, as the parameter 'part' of the data set folder does, or remove 'parts'."
_OF_FILES = r"Say which part a file shows, such as part: '(?P<serial>[^/]+)\.tif' of the data set folder."


@dataclass(frozen=True)
class Part:
    """The readable images of one serial.

    Attributes:
        sample: stands for the part, with the serial as its id. It is bad if any of its images is, otherwise
            doubtful if any is, or if one that cannot be read is not good; it has the defects of all. It is
            unseen if any of its images is.
        images: the samples, by view and then by id.
        missing: the views without a readable image.
    """

    sample: Sample
    images: tuple[Sample, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True)
class Parts:
    """The parts of a category.

    Attributes:
        views: that a part has, in order; empty if the data names none.
        verdict, missing: as in the recipe.
        by_serial: the parts.
        serials: of each image of the data set, readable or not.
    """

    views: tuple[str, ...]
    verdict: Literal["worst", "together"]
    missing: Literal["unknown", "allow"]
    by_serial: Mapping[str, Part]
    serials: Mapping[str, str]

    def judged(self) -> list[Part]:
        """The parts that get a score: with `unknown`, those that have all views."""
        return [p for p in self.by_serial.values() if self.missing == "allow" or not p.missing]

    def of(self, image: str) -> Part:
        """The part that an image shows."""
        return self.by_serial[self.serials[image]]

    def labelled(self, samples: Sequence[Sample]) -> list[Sample]:
        """Samples that are labelled as their parts are."""
        return [_as_part(sample, self.of(sample.id).sample) for sample in samples]

    def shown(self, images: Iterable[str]) -> list[Part]:
        """The parts that some images show, in the order of first appearance."""
        return [self.by_serial[serial] for serial in dict.fromkeys(self.serials[image] for image in images)]

    def by_view(self, part: Part) -> list[str | None]:
        """The first image of each view of a part; None for a view that it lacks."""
        return [next((i.id for i in part.images if i.view == view), None) for view in self.views]

    def plain(self) -> dict[str, Any]:
        """What decides which parts there are and how they are judged."""
        images = [[s.id, s.serial, s.view] for part in self.by_serial.values() for s in part.images]
        return {"verdict": self.verdict, "missing": self.missing, "views": self.views, "images": images}

    def __str__(self) -> str:
        counts = Counter(part.sample.label for part in self.by_serial.values())
        kinds = ", ".join(f"{counts[label]} {word}" for label, word in WORDS.items() if counts[label])
        views = f"views {', '.join(self.views)}" if self.views else "views not named, so none can be missing"
        return f"{len(self.by_serial)} ({kinds}), {views}"

    def lacking(self) -> str:
        """Which parts lack a view, and what becomes of them; empty if none does."""
        parts = [part for part in self.by_serial.values() if part.missing]
        if not parts:
            return ""
        named = listed([f"{part.sample.id} ({', '.join(part.missing)})" for part in parts])
        so = "judged by the others" if self.missing == "allow" else "UNKNOWN, so not used"
        count = f"{len(parts)} of {len(self.by_serial)} parts lack{'s' * (len(parts) == 1)} a view"
        rare = self._rare() if len(parts) > len(self.by_serial) / 2 else []
        keep = [view for view in self.views if view not in rare]
        only = f"; few have {listed(rare)}, so name the views that count: parts.views: [{', '.join(keep)}]"
        return f"{count} ({so}): {named}{only if rare and keep else ''}"

    def _rare(self) -> list[str]:
        """The views that most parts lack."""
        lacking = Counter(view for part in self.by_serial.values() for view in part.missing)
        return [view for view in self.views if lacking[view] > len(self.by_serial) / 2]

    def divided_by_lots(self) -> str:
        """Which serials occur in several lots, and so may be of several parts; empty if none does."""
        several = {
            serial: lots
            for serial, part in self.by_serial.items()
            if len(lots := sorted({image.group for image in part.images} - {""})) > 1
        }
        first = [f"{serial} (lots {', '.join(lots)})" for serial, lots in several.items()]
        return self._doubtful(first, "in several lots: if serials are used again, name the lot in the serial")

    def with_views_again(self) -> str:
        """Which parts have several images of a view, and so may be several parts; empty if none has."""
        first = []
        for serial, part in self.by_serial.items():
            if again := views_again(image.view for image in part.images):
                first.append(f"{serial} ({again})")
        return self._doubtful(first, "with several images of a view, all of which count")

    def mixed(self) -> str:
        """Which bad parts have good images, too; empty if none has."""
        mixed = [s for s, part in self.by_serial.items() if {0, 1} <= {image.label for image in part.images}]
        if not mixed:
            return ""
        bad = sum(part.sample.label == 1 for part in self.by_serial.values())
        have, count = ("has", "counts") if len(mixed) == 1 else ("have", "count")
        return f"{len(mixed)} of {bad} bad parts {have} good images, too, and {count} as bad: {listed(mixed)}"

    def _doubtful(self, first: Sequence[str], what: str) -> str:
        if not first:
            return ""
        count = f"{len(first)} of {len(self.by_serial)} serials, each judged as one part, "
        are = "is" if len(first) == 1 else "are"
        return f"{count}{are} {what}: {listed(first)}"


def with_views(
    spec: PartsSpec, category: str, samples: Sequence[Sample], notes: Notes
) -> tuple[list[Sample], tuple[str, ...]]:
    """The images of the views that count, and these views.

    Raises:
        RecipeError: the data names no parts, or not all of them, or lacks a view that the recipe lists.
    """
    unnamed = [sample.id for sample in samples if not sample.serial]
    if unnamed:
        raise RecipeError(
            f"category '{category}': parts are to be judged, but {len(unnamed)} of {len(samples)} images "
            f"have no serial: {listed(quoted(unnamed))}",
            _OF_IMAGES if samples[0].page is None else _OF_FILES,
        )
    counts = Counter(sample.view for sample in samples)
    found = tuple(view for _, view in sorted({(_order(s), s.view) for s in samples if s.view}))
    if found and counts[""]:
        blank = [sample.id for sample in samples if not sample.view]
        raise RecipeError(
            f"category '{category}': {len(blank)} of {len(samples)} images have no view, and others have: "
            f"{listed(quoted(blank))}",
            "Name the view of every image, or of none.",
        )
    if not found and (spec.views or spec.verdict == "together"):
        raise RecipeError(
            f"category '{category}': the data names no views",
            r"Name them, as part: '(?P<serial>SN\d+)_(?P<view>[A-Z])' of the data set folder does, or remove "
            "parts.views and use parts.verdict: worst.",
        )
    views = tuple(spec.views) if spec.views else found
    if absent := [view for view in views if view not in counts]:
        raise RecipeError(
            f"category '{category}': parts.views lists {listed(quoted(absent))}, of which there is no image",
            f"The data has the views {', '.join(found)}.",
        )
    ignored = {view: counts[view] for view in found if view not in views}
    if ignored:
        others = ", ".join(f"{view} ({count})" for view, count in ignored.items())
        notes.warn(f"category '{category}': parts.views leaves out the images of other views: {others}")
    return [sample for sample in samples if sample.view not in ignored], views


def _order(sample: Sample) -> tuple[str, int]:
    """Where a view stands among others: pages of a file by their numbers."""
    return (sample.view, 0) if sample.page is None else (sample.view.rpartition("#")[0], sample.page)


def find_parts(
    spec: PartsSpec,
    category: str,
    samples: Sequence[Sample],
    views: tuple[str, ...],
    inventory: Inventory,
    official: bool,
    notes: Notes,
) -> Parts:
    """The parts of a category, from its readable images.

    Args:
        spec: of the recipe.
        category: for messages.
        samples: all images of the views that count.
        views: these views.
        inventory: the readable ones.
        official: whether the data set's official split counts.
        notes: for the reader of the results.

    Raises:
        DataError: a part is divided by the official split, or has two images of a view although all views are
            one vector.
    """
    place = {view: i for i, view in enumerate(views)}
    known: dict[str, list[Sample]] = {}
    for sample in sorted(samples, key=lambda s: (s.serial, place.get(s.view, 0), s.id)):
        known.setdefault(sample.serial, []).append(sample)
    parts = {
        serial: _part(readable, views, own)
        for serial, own in known.items()
        if (readable := [sample for sample in own if sample.id in inventory.facts])
    }
    if official:
        _check_undivided(category, parts)
    if spec.verdict == "together":
        _check_single(category, parts)
    found = Parts(views, spec.verdict, spec.missing, parts, {s.id: s.serial for s in samples})
    told = (found.lacking(), found.divided_by_lots(), found.with_views_again(), found.mixed())
    for sentence in filter(None, told):
        notes.warn(f"category '{category}': {sentence}")
    return found


def views_again(views: Iterable[str]) -> str:
    """Which named views a part has several images of, from the view of each; empty if none."""
    counts = Counter(filter(None, views))
    return ", ".join(f"{view}: {count} images" for view, count in counts.items() if count > 1)


def note_uncounted(category: str, samples: Sequence[Sample], notes: Notes) -> None:
    """Warns that images are counted, although some of them show the same part."""
    counts = Counter(s.serial for s in samples if s.serial)
    if several := [serial for serial, count in counts.items() if count > 1]:
        have = "has" if len(several) == 1 else "have"
        notes.warn(
            f"category '{category}': {len(several)} of {len(counts)} parts {have} several images (the first: "
            f"{several[0]!r}), and every figure counts images: set 'parts' in the recipe to judge and count "
            "parts"
        )


def _part(images: Sequence[Sample], views: Sequence[str], known: Sequence[Sample]) -> Part:
    """A part, from its readable images and all that are `known`: what cannot be read may show the defect."""
    label: Label = 1 if any(sample.label == 1 for sample in images) else None
    if all(sample.label == 0 for sample in known):
        label = 0
    defects = dict.fromkeys(name for sample in images for name in sample.defects())
    if label is None:
        defects = dict.fromkeys(s.defect for s in images if s.label is None and s.defect)
    splits = {sample.split for sample in images}
    first = images[0]
    sample = replace(
        first,
        id=first.serial,
        label=label,
        split=splits.pop() if len(splits) == 1 else None,
        defect=",".join(defects),
        unseen=any(s.unseen for s in images),
        mask=None,
        group=next((s.group for s in images if s.group), ""),
        view="",
    )
    shown = {s.view for s in images}
    return Part(sample, tuple(images), tuple(view for view in views if view not in shown))


def _as_part(sample: Sample, part: Sample) -> Sample:
    return replace(sample, label=part.label, defect=part.defect, unseen=part.unseen, split=part.split)


def _check_undivided(category: str, parts: Mapping[str, Part]) -> None:
    divided = [s for s, part in parts.items() if len({image.split for image in part.images}) > 1]
    if divided:
        raise DataError(
            f"category '{category}': {len(divided)} of {len(parts)} parts have images in both training and "
            f"test: {listed(quoted(divided))}",
            "Put all images of a part into one of them, or draw a test of parts: split: {test: {good: 0.25, "
            "bad: 0.5}}.",
        )


def _check_single(category: str, parts: Mapping[str, Part]) -> None:
    for serial, part in parts.items():
        views = Counter(image.view for image in part.images)
        view, count = views.most_common(1)[0]
        if count > 1:
            named = [image.id for image in part.images if image.view == view]
            raise DataError(
                f"category '{category}': part '{serial}' has {count} images of view '{view}': "
                f"{listed(quoted(named))}",
                "Give each its own view, leave some out with split.leave_out, or use parts.verdict: worst.",
            )
