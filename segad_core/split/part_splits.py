"""Splits of parts: each part serves one purpose with all its images, and amounts count parts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from segad_core.base.digest import digest_of
from segad_core.base.notes import Notes
from segad_core.contracts import Sample
from segad_core.errors import DataError, LeakageError
from segad_core.images import Facts, Inventory, audit
from segad_core.recipe import Recipe
from segad_core.split.choose import make_splits
from segad_core.split.draw import Fold, Split
from segad_core.split.file import Splits
from segad_core.split.groups import Groups
from segad_core.split.parts import Parts


def make_part_splits(
    recipe: Recipe,
    category: str,
    listed: Sequence[Sample],
    inventory: Inventory,
    parts: Parts,
    from_file: Splits,
    notes: Notes,
    groups: Groups | None,
) -> dict[Fold, Split]:
    """As `make_splits`, of parts: drawn as if a part were one image, and then with all its images.

    Parts that are UNKNOWN, because they lack a view, serve no purpose.

    Args:
        recipe, category, notes: as in `make_splits`.
        listed: the readable images, in the order in which the data set lists them.
        inventory: their content.
        parts: what they show.
        from_file: the splits of the recipe's file, of images; empty if it names none.
        groups: the images that are kept together.

    Raises:
        SegadError: as `make_splits`; or a file of splits divides a part.
    """
    judged = {part.sample.id: part for part in parts.judged()}
    order = dict.fromkeys(s.serial for s in listed if s.serial in judged)
    samples = [judged[serial].sample for serial in order]
    facts = {serial: _facts(inventory.facts[i.id] for i in p.images) for serial, p in judged.items()}
    whole = Inventory(sorted(samples, key=lambda s: s.id), facts, lost=inventory.lost)
    given = {
        category: {
            fold: _of_parts(split, parts, judged.keys(), f"split.file: category '{category}', seed {fold}")
            for fold, split in from_file.get(category, {}).items()
        }
    }
    try:
        drawn = make_splits(
            recipe,
            category,
            samples,
            whole,
            {},
            given if from_file else from_file,
            notes,
            groups and _part_groups(groups, parts),
        )
    except LeakageError:
        raise
    except DataError as error:
        remedy = f"{error.remedy} With 'parts', counts are of parts, not images."
        raise type(error)(error.what, remedy.strip()) from None
    splits = {}
    for fold, split in drawn.items():
        splits[fold] = _of_images(split, parts, inventory)
        audit(splits[fold].purposes(), inventory.facts, f"category '{category}', seed {fold}")
    return splits


def note_unlearnt_views(category: str, parts: Parts, splits: Mapping[Fold, Split], notes: Notes) -> None:
    """Warns of views in which no bad part to learn from shows its defect, where all views are one vector.

    That is known where images of bad parts are labelled one by one: some of them are good.
    """
    told = set[tuple[str, ...]]()
    for fold, split in splits.items() if parts.verdict == "together" else ():
        bad = [image for part in parts.shown(split.final) if part.sample.label for image in part.images]
        shown = {image.view for image in bad if image.label == 1}
        lacking = tuple(view for view in parts.views if view not in shown)
        if not bad or not lacking or lacking in told:
            continue
        told.add(lacking)
        notes.warn(
            f"category '{category}', seed {fold}: no bad part to learn from shows a defect in view "
            f"{', '.join(lacking)}, so with parts.verdict: together nothing is learnt of defects there: use "
            "'worst', or more bad parts"
        )


def _facts(images: Iterable[Facts]) -> Facts:
    """The content of a part: that of its images."""
    own = list(images)
    files, pixels = (digest_of(sorted(getattr(one, kind) for one in own)) for kind in ("file", "pixels"))
    return Facts(files, pixels, scaled=any(one.scaled for one in own), size=own[0].size)


def _part_groups(groups: Groups, parts: Parts) -> Groups:
    """Groups of images as groups of parts."""
    of = {parts.serials[image]: number for image, number in groups.of.items()}
    return replace(groups, of=of)


def _of_images(split: Split, parts: Parts, inventory: Inventory) -> Split:
    """A split of parts as one of their images."""

    def images(serials: Iterable[str]) -> tuple[str, ...]:
        return tuple(sorted(image.id for serial in serials for image in parts.by_serial[serial].images))

    purposes = {p: images(getattr(split, p)) for p in ("detectors", "final", "test", "doubtful")}
    used = {image for ids in purposes.values() for image in ids}
    return replace(
        split,
        **purposes,  # type: ignore[arg-type]
        unused=tuple(s.id for s in inventory.samples if s.id not in used),
        classifiers={alias: images(serials) for alias, serials in split.classifiers.items()},
        detector_folds=tuple(map(images, split.detector_folds)),
    )


def _of_parts(split: Split, parts: Parts, judged: Iterable[str], context: str) -> Split:
    """A split of images, from a file, as one of parts; names that the data set lacks stay.

    Raises:
        DataError: a part serves two purposes.
    """
    known = set(judged)

    def serials(images: Sequence[str]) -> tuple[str, ...]:
        names = dict.fromkeys(parts.serials.get(image, image) for image in images)
        return tuple(n for n in names if n in known or (n not in parts.by_serial and n not in lost))

    lost = {serial for serial in parts.serials.values() if serial not in parts.by_serial}
    purposes = {p: serials(getattr(split, p)) for p in ("detectors", "final", "test", "doubtful")}
    seen: dict[str, str] = {}
    pairs: Mapping[str, tuple[str, ...]] = purposes
    if split.detector_folds:  # whose good images are both
        pairs = {purpose: own for purpose, own in purposes.items() if purpose != "detectors"}
    for purpose, own in pairs.items():
        for serial in own:
            if (other := seen.setdefault(serial, purpose)) != purpose:
                raise DataError(
                    f"{context}: images of part '{serial}' are in '{other}' and in '{purpose}'",
                    "Name a file of splits of parts, or draw them.",
                )
    return replace(
        split,
        **purposes,  # type: ignore[arg-type]
        unused=serials(split.unused),
        classifiers={alias: serials(images) for alias, images in split.classifiers.items()},
        detector_folds=tuple(map(serials, split.detector_folds)),
    )
