"""From a checked recipe to a plan: data set, inventory, splits and audit, before anything is trained."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from segad_core.base.decoding import VIEWS, Decoding
from segad_core.base.notes import Notes
from segad_core.contracts import Learner, Progress, Sample, no_progress, optional
from segad_core.contracts.segmenter import inspected
from segad_core.errors import DataError, ImageError, RecipeError
from segad_core.images import Facts, Inventory, check_labels, take_inventory
from segad_core.images.frames import check_in_frame
from segad_core.images.levels import unused
from segad_core.images.pages import by_page, file_and_page
from segad_core.recipe import Recipe
from segad_core.recipe.parts_spec import PartsSpec
from segad_core.run.final_checks import check_finals, note_seen_scores
from segad_core.run.ignored import ignoring_of
from segad_core.run.judged_parts import judged_parts, together
from segad_core.run.plan import CategoryPlan, plan_category
from segad_core.run.report_sizes import report_sizes
from segad_core.run.segment_checks import check_segments
from segad_core.run.trainings import preprocessing_of
from segad_core.run.unreadable import blamed, report_unreadable
from segad_core.scoring.shapes import layer_shapes
from segad_core.scoring.tiled import size_seen
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
    _announce_download(recipe, categories[0])
    for category in categories:
        _check_learners(recipe, category, categories, device)
        for segmenter in recipe.segmenters():  # raises an error early if it cannot work
            segmenter.build(category).segments()
        _check_generators(recipe, category)
        if not together(recipe):
            check_finals(recipe, category)
    check_segments(recipe, categories)
    notes = Notes()
    for sentence in recipe.notes(categories):
        notes.warn(sentence)
    result = Prepared(dataset.licence, (), {}, {}, {}, {}, {})
    split = recipe.skeleton.split
    from_file = read_splits(split.file) if split.file else {}
    check_seeds(recipe, categories, from_file)
    for place in (None, *categories):
        for sentence in optional.unread(dataset, place):
            notes.warn(sentence)
    plans = []
    for category in categories:
        samples = dataset.samples(category)
        _check_ids(samples, category)
        if differences := optional.count_differences(dataset, category, samples):
            notes.warn(f"category '{category}' differs from the published one: {'; '.join(differences)}")
        if recipe.skeleton.image.page == VIEWS:
            samples = by_page(samples)
        left_out = _left_out(recipe, category, samples)
        samples = [sample for sample in samples if sample.id not in left_out]
        views: tuple[str, ...] = ()
        if spec := recipe.skeleton.parts or shown:
            samples, views = with_views(spec, category, samples, notes)
            if together(recipe):
                check_finals(recipe, category, views)
        image = recipe.skeleton.image
        decoding = image.decoding()
        told = partial(_in_category, progress, category)
        inventory = take_inventory(samples, decoding, store, told)
        report_unreadable(inventory, category)
        _report_scaled(inventory, category, decoding)
        report_sizes(category, inventory, image)
        check_labels(inventory.samples, inventory.facts, f"category '{category}'")
        sizes = {facts.size for facts in inventory.facts.values()}
        for segmenter in recipe.segmenters():  # before any detector is trained
            check_in_frame(segmenter.build(category).check_sizes, sizes, image.size, image.fit)
        if ignore := ignoring_of(recipe, category):
            check_in_frame(ignore.check_sizes, sizes, image.size, image.fit)
        with blamed(samples, inventory, category):
            listed = [sample for sample in samples if sample.id in inventory.facts]
            wanted = split.final.bad.origin == "subsets"
            subsets = _without(left_out, optional.bad_subsets(dataset, category)) if wanted else {}
            parts = None if shown else judged_parts(recipe, category, samples, views, inventory, notes)
            labelled = replace(inventory, samples=parts.labelled(inventory.samples)) if parts else inventory
            groups = find_groups(split.group, category, labelled, notes)
            if groups:
                log.info("category '%s': %s", category, groups)
            if parts:
                splits = make_part_splits(
                    recipe, category, listed, inventory, parts, from_file, notes, groups
                )
                note_unlearnt_views(category, parts, splits, notes)
            else:
                splits = make_splits(recipe, category, listed, inventory, subsets, from_file, notes, groups)
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


def _announce_download(recipe: Recipe, category: str) -> None:
    """Warns that the encoder will download weights, though not yet: all results may be in the store."""
    if recipe.encoder is None:
        return
    encoder = recipe.encoder.build(category)
    choices = [*recipe.learners().values(), *recipe.learning_segmenters()]
    learners = [choice.build(category) for choice in choices]
    if not any(optional.layers_read(learner, encoder) for learner in learners):
        return
    if missing := optional.to_download(encoder):
        log.warning("the encoder's weights are not on this machine: %s will be downloaded for them", missing)


def _check_learners(recipe: Recipe, category: str, categories: Sequence[str], device: str) -> None:
    """Checks the detectors, classifiers and learning segmenters that rows use, before any image is read.

    Learners with the same parameters as in an earlier category have been checked there.
    """
    encoder = recipe.encoder.build() if recipe.encoder else None
    how = preprocessing_of(recipe)
    before = categories[: categories.index(category)]
    for choice in [*recipe.learners().values(), *recipe.learning_segmenters()]:
        if any(choice.params_for(earlier) is choice.params_for(category) for earlier in before):
            continue
        learner: Learner = choice.build(category, device)
        size = size_seen(choice.component, how)
        if encoder and optional.layers_read(learner, encoder):
            optional.check_size(encoder, size)
        learner.check(size, layer_shapes(learner, encoder, size))


def _check_generators(recipe: Recipe, category: str) -> None:
    """Checks that generators of defects can use the segments."""
    for row in recipe.rows:
        segmenter = recipe.segmenter or row.segmenter
        for choice in row.defects:
            assert segmenter is not None  # a row that learns from anything has one
            names = inspected(segmenter.build(category).segments(), row.off())
            choice.build(category).check(names)


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


def _without(left_out: set[str], subsets: Subsets) -> Subsets:
    return {name: [image for image in images if image not in left_out] for name, images in subsets.items()}


def _report_scaled(inventory: Inventory, category: str, decoding: Decoding) -> None:
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
