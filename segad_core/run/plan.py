"""Plans a recipe's table as tasks made of cells; each cell is identified by its key.

A cell's key is the digest of everything that decides its content: the plugin's code and parameters, the
content of the images in order, the keys it builds on, the preprocessing and the seed. Names of files, of
rows and of detectors are not in it. Cells of one task share one pass over the images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from segad_core.base.digest import digest_of
from segad_core.contracts import Sample
from segad_core.images import Inventory
from segad_core.recipe import Recipe, Row
from segad_core.run.cells import (
    Defects,
    FeatureTable,
    FittedOn,
    RowCell,
    RowTask,
    ScoresCell,
    ScoresTask,
    Task,
)
from segad_core.run.ignored import Ignoring
from segad_core.run.keys import SCORING, names_for
from segad_core.run.lines import lines_of
from segad_core.run.statistics_pass import StatisticsPass
from segad_core.run.tile_costs import tiles_in_words, tiles_seen
from segad_core.run.trainings import Trainings
from segad_core.split.draw import Fold, Split
from segad_core.split.folds import out_of_fold
from segad_core.split.groups import Groups
from segad_core.split.parts import Parts


@dataclass(frozen=True)
class CategoryPlan:
    """The tasks of one category, ordered so that each follows those that it needs."""

    category: str
    tasks: tuple[Task, ...]

    def rows(self) -> list[RowTask]:
        """The tasks that fill rows of the table."""
        return [task for task in self.tasks if isinstance(task, RowTask)]

    def ignored(self) -> Ignoring | None:
        """What is never inspected; None if everything is."""
        return next((task.ignore for task in self.tasks if not isinstance(task, RowTask)), None)

    def tiles_in_words(self) -> list[str]:
        """How images are divided, and what sees which of it; empty without tiles."""
        return tiles_in_words([task for task in self.tasks if not isinstance(task, RowTask)])

    def tiles_of(self, tasks: Sequence[Task]) -> str:
        """How many tiles go through networks in these tasks, to be added to the number of images."""
        count = sum(tiles_seen(task) for task in tasks if not isinstance(task, RowTask))
        return f" ({count} tiles)" if count else ""


def plan_category(
    recipe: Recipe,
    category: str,
    inventory: Inventory,
    splits: Mapping[Fold, Split],
    groups: Groups | None = None,
    parts: Parts | None = None,
) -> CategoryPlan:
    """Plans one category: folds that share a detector training also share its statistics."""
    planner = _Planner(recipe, category, inventory, groups, parts)
    sharing: dict[int, list[Fold]] = {}
    for fold in splits:
        sharing.setdefault(splits[fold].detectors_seed, []).append(fold)
    tasks: list[Task] = planner.described.tasks()
    made: set[str] = set()
    for fit_seed, folds in sharing.items():
        for task in planner.group(fit_seed, {fold: splits[fold] for fold in folds}):
            keys = {cell.key for cell in task.cells}
            if isinstance(task, RowTask) or not keys <= made:  # two classifiers may share one training
                tasks.append(task)
            made |= keys
    return CategoryPlan(category, tuple(tasks))


class _Planner(Trainings):
    def group(self, fit_seed: int, splits: Mapping[Fold, Split]) -> list[Task]:
        """The tasks of the folds that share one training of each detector."""
        parts: dict[Any, dict[Fold, Split]] = {}
        for fold, split in splits.items():
            parts.setdefault(split.trainings(), {})[fold] = split
        # with a fixed detector seed, the images still differ by fold where the test set is drawn
        if len(parts) > 1:
            return [task for part in parts.values() for task in self.group(fit_seed, part)]
        train, *folds = map(self.samples, next(iter(parts)))
        table = lines_of(self.by_id, splits)
        others = self.samples(table.images)
        learners = self.recipe.learners()
        own = {alias: choice for alias, choice in self.recipe.detectors.items() if alias in learners}
        fits = {alias: self.fit_cell(alias, choice, train, fit_seed) for alias, choice in own.items()}
        fold_fits = [
            {
                alias: self.fit_cell(alias, choice, part, fit_seed, whole=train)
                for alias, choice in own.items()
            }
            for part in folds
        ]
        segmenter_fits = {
            choice.digest(self.category): self.fit_cell(
                f"segmenter {choice.provider.name}", choice, train, fit_seed
            )
            for choice in self.recipe.learning_segmenters()
        }
        label = f"{self.category}, seed {', '.join(str(seed) for seed in {fold.seed: 0 for fold in splits})}"
        real = StatisticsPass(
            self.common(),
            others,
            self.content(others),
            fits,
            segmenter_fits,
            fold_fits=fold_fits,
            by_fold=table.by_fold,
        )
        tasks: list[Task] = []
        rows: list[Task] = []
        for fold, split in splits.items():
            lines = table.of[fold]
            scores: dict[str, str] = {}
            for alias in [alias for alias in self.recipe.classifiers if alias in learners]:
                made, scores[alias] = self.classifier_tasks(alias, fold, split, others, lines)
                tasks += made
            generated: dict[str, StatisticsPass] = {}
            rows += [self.row_task(r, fold, split, lines, real, generated, scores) for r in self.recipe.rows]
            tasks += [p.task(f"{self.category}, seed {fold}: generated defects") for p in generated.values()]
        if fits:
            together = [cell for cells in fold_fits for cell in cells.values() if cell.lines]
            at_once = [*fits.values(), *segmenter_fits.values(), *together]
            trainings = [self.fit_task(f"{label}: fit", train, at_once)]
            for i, (images, cells) in enumerate(zip(folds, fold_fits, strict=True)):
                title = f"{label}: fit, fold {i + 1} of {len(folds)}"
                if apart := [cell for cell in cells.values() if not cell.lines]:
                    trainings.append(self.fit_task(title, images, apart))
            tasks = [*trainings, real.task(f"{label}: statistics"), *tasks]
        return [*tasks, *rows]

    def classifier_tasks(
        self, alias: str, fold: Fold, split: Split, others: Sequence[Sample], lines: Mapping[str, int]
    ) -> tuple[list[Task], str]:
        """The trainings of a classifier, the task that scores all images but the detectors', and its key.

        With `out_of_fold` an image that the final classifier learns from is scored by a training without it.
        """
        choice, count = self.recipe.classifiers[alias], self.recipe.skeleton.classifiers[alias].out_of_fold
        name, seed = f"{self.category}, seed {fold}: {alias}", fold.seed
        learnt = [i for i in split.classifiers[alias] if self.by_id[i].label is not None]
        labels = {i: int(self.by_id[i].label or 0) for i in learnt}
        pixels = {i: self.inventory.facts[i].pixels for i in (*labels, *split.final)}
        groups = self.groups.of if self.groups else None
        parts = out_of_fold(labels, split.final, pixels, count, seed, groups) if count else []
        parts = [frozenset[str](), *parts]
        tasks = self.classifier_fits(name, alias, labels, parts, seed)
        trained = [cell for task in tasks for cell in task.cells]
        scored_by = [
            (cell, tuple(lines[i] for i in split.final if i in left_out))
            for cell, left_out in zip(trained, parts, strict=True)
        ]
        folded = {line for _, part in scored_by for line in part}
        scored_by[0] = (scored_by[0][0], tuple(line for line in range(len(others)) if line not in folded))
        key = digest_of(
            {
                "cell": ["scores", SCORING],
                "parts": [[cell.key, list(part)] for cell, part in scored_by],
                "images": self.content(others),
                **names_for(others, choice),
            }
        )
        given_vectors = self.described.of(alias, others)
        score = ScoresTask(
            f"{name}: scores",
            samples=tuple(others),
            cells=(ScoresCell(key),),
            parts=tuple(scored_by),
            needs=(*(cell.key for cell, _ in scored_by), *given_vectors.pop("needs")),
            **given_vectors,
            **self.common(),
        )
        return [*tasks, score], key

    def row_task(
        self,
        row: Row,
        fold: Fold,
        split: Split,
        lines: Mapping[str, int],
        real: StatisticsPass,
        generated: dict[str, StatisticsPass],
        scores: Mapping[str, str],
    ) -> RowTask:
        train: tuple[str, ...] = ()
        defective: FeatureTable | None = None
        if row.score and row.classifier:
            table = FeatureTable((), scores_key=scores[row.classifier])
        elif row.score:
            table = FeatureTable((), scores_key=real.score_key(row.detectors[0]))
        else:
            # a doubtful image may show a bad part
            train = tuple(i for i in split.final if self.by_id[i].label is not None)
            good = tuple(i for i in train if self.by_id[i].label == 0)
            fitted = FittedOn(tuple(lines[i] for i in good), fold.seed)
            table = replace(real.table(row, fitted), scores_key=scores.get(row.classifier, ""))
            if row.defects:
                train = good
                damaged = self.defective(row, fold.seed, good, split, real, generated)
                defective = damaged.table(row, fitted, real)
        learnt, tested = self.units(row, lines, train, (*split.test, *split.doubtful))
        inputs = {
            "cell": ["row", SCORING],
            "statistics": [table.segment_keys, table.image_keys],
            "final": row.final.identity(self.category) if row.final else None,
            "train": list(learnt.lines),
            "labels": learnt.labels,
            "scored": list(tested.lines),
            "seed": fold.seed,
            # the final classifier stores the names of the features
            "names": row.learners() if not row.score else None,
            "scores": table.scores_key,
            "generated": defective.keys() if defective else None,
            **({"weights": sorted(row.weights)} if row.weights else {}),
            **({"groups": list(learnt.groups)} if learnt.groups else {}),
            **({"views": list(learnt.views)} if learnt.views else {}),
        }
        return RowTask(
            name=f"{self.category}, seed {fold}: {row.name}",
            category=self.category,
            **fold._asdict(),
            row=row,
            cells=(RowCell(digest_of(inputs)),),
            train=learnt.lines,
            train_labels=learnt.labels,
            train_groups=learnt.groups,
            views=learnt.views,
            part_images=(*split.test, *split.doubtful) if learnt.views else (),
            scored=tested.lines,
            scored_ids=tested.names,
            table=table,
            generated=defective,
            needs=(*table.keys(), *(defective.keys() if defective else ())),
        )

    def defective(
        self,
        row: Row,
        seed: int,
        good: Sequence[str],
        split: Split,
        real: StatisticsPass,
        generated: dict[str, StatisticsPass],
    ) -> StatisticsPass:
        """The pass over good images with artificial defects; rows with the same defects share it.

        Defects lie on the segments of the recipe's segmenter, so that rows with others compare; on those of
        the row's own where the recipe has none.
        """
        segmenter = self.recipe.segmenter or row.segmenter
        assert segmenter is not None
        if row.off():
            segmenter = replace(segmenter, off=row.off())
        # the same for all categories: the defect depends on the content of the image
        segmenter_fit = real.segmenter_fits.get(segmenter.digest(self.category))
        defects = Defects(row.defects, segmenter, seed, segmenter_fit)
        name = digest_of(defects.identity(self.category))
        if name not in generated:
            samples = self.samples(good)
            folds = [{*fold} for fold in split.detector_folds]
            generated[name] = StatisticsPass(
                self.common(),
                samples,
                self.content(samples),
                real.fits,
                real.segmenter_fits,
                defects,
                real.fold_fits,
                tuple(tuple(i for i, image in enumerate(good) if image in fold) for fold in folds),
            )
        return generated[name]
