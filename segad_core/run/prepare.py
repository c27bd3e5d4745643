"""From a checked recipe to a plan: data set, inventory, splits and audit, before anything is trained."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from segad_core.base.decoding import Decoding
from segad_core.base.notes import Notes
from segad_core.contracts import Dataset, Progress, Sample, no_progress, optional
from segad_core.errors import DataError, ImageError, RecipeError
from segad_core.images import Facts, Inventory, check_labels, take_inventory
from segad_core.images.cut_off import cut_off
from segad_core.images.frames import check_in_frame
from segad_core.images.levels import unused
from segad_core.images.pages import by_page, file_and_page
from segad_core.recipe import Recipe
from segad_core.recipe.parts_spec import PartsSpec
from segad_core.run.final_checks import check_finals, note_seen_scores
from segad_core.run.ignored import ignoring_of
from segad_core.run.judged_parts import judged_parts, together
from segad_core.run.plan import CategoryPlan, plan_category
from segad_core.run.plugin_checks import announce_download, check_plugins
from segad_core.run.report_sizes import report_sizes
from segad_core.run.unreadable import blamed, report_unreadable
from segad_core.split.alike import report_alike
from segad_core.split.choose import make_splits
from segad_core.split.draw import Fold, Split
from segad_core.split.file import read_splits
from segad_core.split.from_file import check_seeds
from segad_core.split.groups import Groups, find_groups
from segad_core.split.part_splits import make_part_splits, note_unlearnt_views
from segad_core.split.parts import Parts, with_views
from segad_core.split.subsets import Subsets
from segad_core.store.store import Store

log = logging.getLogger("segad.prepare")


@dataclass(frozen=True)
class Prepared:
    """Everything that is known before a run starts.

    Attributes:
        licence: of the data.
        plans: one per category, in the table's order.
        samples: the readable images, by category and id.
        facts: digests and size of each image, by category and id.
        splits: by category and fold.
        unreadable: the images that cannot be read, by category and id.
        groups: the images that are kept together, by category; None where none are.
        parts: the parts that are judged, by category; None where images are.
        notes: sentences that readers of the results should know.
    """

    licence: str
    plans: tuple[CategoryPlan, ...]
    samples: dict[str, dict[str, Sample]]
    facts: dict[str, dict[str, Facts]]
    splits: dict[str, dict[Fold, Split]]
    unreadable: dict[str, dict[str, ImageError]]
    groups: dict[str, Groups | None]
    parts: dict[str, Parts | None] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def lost(self) -> tuple[ImageError, ...]:
        """The errors of the images that cannot be read, in the table's order."""
        return tuple(error for errors in self.unreadable.values() for error in errors.values())

    def resolved(self, recipe: Recipe) -> str:
        """The recipe as YAML, as `Recipe.resolved` writes it, with what was kept together."""
        split = recipe.skeleton.split
        known = {groups is not None for groups in self.groups.values()}
        if split.group is None and len(known) == 1:  # otherwise no single setting says it
            split = split.model_copy(update={"group": known.pop()})
        return replace(recipe, skeleton=recipe.skeleton.model_copy(update={"split": split})).resolved()

    def groups_in_words(self, recipe: Recipe) -> dict[str, str]:
        """What was kept together in each category, or that nothing was."""
        return {c: str(groups) if groups else self._no_groups(recipe, c) for c, groups in self.groups.items()}

    def _no_groups(self, recipe: Recipe, category: str) -> str:
        if recipe.skeleton.split.group is False:
            why = "not kept together"
        elif any(s.group or s.serial for s in self.samples[category].values() if s.label is not None):
            why = "all images are of one group, so nothing could be kept apart"
        else:
            why = "not known"
        return f"{why}; near-identical images may be in both training and test"


def prepare(
    recipe: Recipe,
    store: Store,
    progress: Progress = no_progress,
    device: str = "cpu",
    shown: PartsSpec | None = None,
) -> Prepared:
    """Reads every image, splits, checks for leaks, and plans.

    Args:
        recipe: what to do.
        store: remembers what images are.
        progress: is told how far it is.
        device: where plugins are checked.
        shown: the parts whose images a recipe without `parts` judges one by one: those of other views are not
            used, and that images are counted is meant.

    Raises:
        SegadError: the recipe does not suit the data; nothing has been trained.
    """
    dataset, categories = recipe.open_dataset()
    announce_download(recipe, categories[0])
    check_plugins(recipe, categories, device)
    notes = Notes()
    for sentence in recipe.notes(categories):
        notes.warn(sentence)
    result = Prepared(dataset.licence, (), {}, {}, {}, {}, {})
    file = recipe.skeleton.split.file
    from_file = read_splits(file) if file else {}
    check_seeds(recipe, categories, from_file)
    for place in (None, *categories):
        for sentence in optional.unread(dataset, place):
            notes.warn(sentence)
    plans = []
    for category in categories:
        told = partial(_in_category, progress, category)
        samples, views, left_out = _used(recipe, category, dataset, shown, notes)
        inventory = _examined(recipe, category, samples, store, told)
        with blamed(samples, inventory, category):
            parts = None if shown else judged_parts(recipe, category, samples, views, inventory, notes)
            groups = _grouped(recipe, category, inventory, parts, notes)
            listed = [sample for sample in samples if sample.id in inventory.facts]
            if parts:
                splits = make_part_splits(
                    recipe, category, listed, inventory, parts, from_file, notes, groups
                )
                note_unlearnt_views(category, parts, splits, notes)
            else:
                subsets = _subsets(recipe, category, dataset, left_out)
                splits = make_splits(recipe, category, listed, inventory, subsets, from_file, notes, groups)
        decoding = recipe.skeleton.image.decoding()
        report_alike(category, inventory, splits.values(), decoding, store, notes, told)
        splits = {
            fold: replace(s, unused=tuple(sorted({*s.unused, *left_out}))) for fold, s in splits.items()
        }
        result.samples[category] = {sample.id: sample for sample in inventory.samples}
        result.facts[category] = inventory.facts
        result.splits[category] = splits
        result.unreadable[category] = inventory.unreadable
        result.groups[category] = groups
        result.parts[category] = parts
        plans.append(plan_category(recipe, category, inventory, splits, groups, parts))
    note_seen_scores(recipe, (s for own in result.splits.values() for s in own.values()), notes)
    return replace(result, plans=tuple(plans), notes=tuple(notes.sentences))


def _used(
    recipe: Recipe, category: str, dataset: Dataset, shown: PartsSpec | None, notes: Notes
) -> tuple[list[Sample], tuple[str, ...], set[str]]:
    """The images of a category that the recipe uses, the views of its parts, and the images it leaves out."""
    listed = dataset.samples(category)
    _check_ids(listed, category)
    if differences := optional.count_differences(dataset, category, listed):
        notes.warn(f"category '{category}' differs from the published one: {'; '.join(differences)}")
    listed = by_page(listed, recipe.skeleton.image.decoding())
    left_out = _left_out(recipe, category, listed)
    samples = [sample for sample in listed if sample.id not in left_out]
    views: tuple[str, ...] = ()
    if spec := recipe.skeleton.parts or shown:
        samples, views = with_views(spec, category, samples, notes)
        if together(recipe):
            check_finals(recipe, category, views)
    return samples, views, left_out


def _examined(
    recipe: Recipe, category: str, samples: Sequence[Sample], store: Store, told: Progress
) -> Inventory:
    """What images are, with warnings of what may be wrong with them.

    Raises:
        SegadError: the same image has two labels, or a mask does not fit the images.
    """
    image = recipe.skeleton.image
    inventory = take_inventory(samples, image.decoding(), store, told)
    report_unreadable(inventory, category)
    _report_scaled(inventory, category, image.decoding())
    report_sizes(category, inventory, image)
    check_labels(inventory.samples, inventory.facts, f"category '{category}'")
    sizes = {facts.size for facts in inventory.facts.values()}
    for segmenter in recipe.segmenters():  # before any detector is trained
        check_in_frame(segmenter.build(category).check_sizes, sizes, image.size, image.fit)
    if ignore := ignoring_of(recipe, category):
        check_in_frame(ignore.check_sizes, sizes, image.size, image.fit)
    return inventory


def _grouped(
    recipe: Recipe, category: str, inventory: Inventory, parts: Parts | None, notes: Notes
) -> Groups | None:
    """The images that are kept together, if any are."""
    labelled = replace(inventory, samples=parts.labelled(inventory.samples)) if parts else inventory
    groups = find_groups(recipe.skeleton.split.group, category, labelled, notes)
    if groups:
        log.info("category '%s': %s", category, groups)
    return groups


def _in_category(progress: Progress, category: str, what: str, done: int, total: int, note: str = "") -> None:
    progress(f"{category}: {what}", done, total, note)


def _check_ids(samples: Sequence[Sample], category: str) -> None:
    seen: set[str] = set()
    for sample in samples:
        if sample.id in seen:
            raise DataError(
                f"category '{category}': the data set lists the image '{sample.id}' twice",
                "The ids of a category must be unique: report this to the authors of the data set.",
            )
        seen.add(sample.id)


def _left_out(recipe: Recipe, category: str, samples: Sequence[Sample]) -> set[str]:
    """The images that the recipe leaves out, of a file all its pages; all must exist."""
    files = {s.id: file_and_page(s.id)[0] for s in samples if s.page is not None}
    known = {*files.values(), *(sample.id for sample in samples)}
    wanted = recipe.skeleton.split.leave_out.get(category, [])
    problems = [
        recipe.document.problem(
            ("split", "leave_out", category, i), f"category '{category}' has no image '{image}'"
        )
        for i, image in enumerate(wanted)
        if image not in known
    ]
    if problems:
        raise RecipeError(problems)
    return {*wanted} - {*files.values()} | {image for image, file in files.items() if file in wanted}


def _subsets(recipe: Recipe, category: str, dataset: Dataset, left_out: set[str]) -> Subsets:
    """The published subsets of bad images, if the recipe learns from them."""
    if recipe.skeleton.split.final.bad.origin != "subsets":
        return {}
    published = optional.bad_subsets(dataset, category)
    return {name: [one for one in images if one not in left_out] for name, images in published.items()}


def _report_scaled(inventory: Inventory, category: str, decoding: Decoding) -> None:
    if told := cut_off(inventory.samples, decoding):
        log.warning("category '%s': %s: correct image.window if it matters", category, told)
    scaled = {image: facts.highest or 0 for image, facts in inventory.facts.items() if facts.scaled}
    if not scaled:
        return
    highest = max(scaled.values())
    how, remedy = "the recipe's window", ""
    if decoding.window and highest > decoding.window[1]:
        high = decoding.window[1]
        remedy = f", and all above {high} is saturated: raise the end of image.window if it matters"
    if decoding.window is None:
        how = f"{decoding.white} as white"
        remedy = "; if white has another value in these images, set image.white in the recipe"
    log.warning(
        "category '%s': %d image%s of 16 bits (the first: '%s') scaled to 8 bits with %s; %s",
        category,
        len(scaled),
        "s" * (len(scaled) > 1),
        next(iter(scaled)),
        how,
        unused(highest, decoding) or f"the highest value found is {highest}{remedy}",
    )
