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
from segad_core.contracts import LearningSegmenter, Sample
from segad_core.contracts.run import training_entropy
from segad_core.images import Inventory
from segad_core.images.image_set import Preprocessing
from segad_core.recipe import Choice, Recipe, Row
from segad_core.run.cells import (
    SCHEMA,
    SCORING,
    Defects,
    FeatureTable,
    FitCell,
    FitTask,
    FittedOn,
    RowCell,
    RowTask,
    ScoresCell,
    ScoresTask,
    Task,
    names_for,
)
from segad_core.run.described import Described
from segad_core.run.statistics_pass import StatisticsPass
from segad_core.split.draw import Fold, Split
from segad_core.split.folds import out_of_fold
from segad_core.split.groups import Groups


@dataclass(frozen=True)
class CategoryPlan:
    """The tasks of one category, ordered so that each follows those that it needs."""

    category: str
    tasks: tuple[Task, ...]

    def rows(self) -> list[RowTask]:
        """The tasks that fill rows of the table."""
        return [task for task in self.tasks if isinstance(task, RowTask)]


def plan_category(
    recipe: Recipe,
    category: str,
    inventory: Inventory,
    splits: Mapping[Fold, Split],
    groups: Groups | None = None,
) -> CategoryPlan:
    """Plans one category: folds that share a detector training also share its statistics."""
    planner = _Planner(recipe, category, inventory, groups)
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


class _Planner:
    def __init__(self, recipe: Recipe, category: str, inventory: Inventory, groups: Groups | None) -> None:
        self.recipe = recipe
        self.groups = groups
        self.category = category
        self.inventory = inventory
        self.by_id = {sample.id: sample for sample in inventory.samples}
        skeleton = recipe.skeleton
        self.preprocessing = Preprocessing(skeleton.image.size, skeleton.image.white, skeleton.batch_size)
        self.described = Described(recipe, category, inventory, self.preprocessing)

    def group(self, fit_seed: int, splits: Mapping[Fold, Split]) -> list[Task]:
        """The tasks of the folds that share one training of each detector."""
        train_ids = list(dict.fromkeys(split.detectors for split in splits.values()))
        # with a fixed detector seed, the images still differ by fold where the test set is drawn
        if len(train_ids) > 1:
            parts = [{fold: s for fold, s in splits.items() if s.detectors == ids} for ids in train_ids]
            return [task for part in parts for task in self.group(fit_seed, part)]
        train = self.samples(train_ids[0])
        others = self.samples(sorted(self.by_id.keys() - {s.id for s in train}))
        lines = {sample.id: i for i, sample in enumerate(others)}
        learners = self.recipe.learners()
        fits = {
            alias: self.fit_cell(alias, choice, train, fit_seed)
            for alias, choice in self.recipe.detectors.items()
            if alias in learners
        }
        segmenter_fits = {
            choice.digest(self.category): self.fit_cell(
                f"segmenter {choice.provider.name}", choice, train, fit_seed
            )
            for choice in self.recipe.learning_segmenters()
        }
        label = f"{self.category}, seed {', '.join(str(seed) for seed in {fold.seed: 0 for fold in splits})}"
        real = StatisticsPass(self.common(), others, self.content(others), fits, segmenter_fits)
        tasks: list[Task] = []
        rows: list[Task] = []
        for fold, split in splits.items():
            scores: dict[str, str] = {}
            for alias in [alias for alias in self.recipe.classifiers if alias in learners]:
                own, scores[alias] = self.classifier_tasks(alias, fold, split, others, lines)
                tasks += own
            generated: dict[str, StatisticsPass] = {}
            rows += [self.row_task(r, fold, split, lines, real, generated, scores) for r in self.recipe.rows]
            tasks += [p.task(f"{self.category}, seed {fold}: generated defects") for p in generated.values()]
        if fits:
            trained = [*fits.values(), *segmenter_fits.values()]
            different = {cell.key: cell for cell in trained}.values()  # equal detectors share one
            fit = {"samples": train, "groups": self.groups_of(train), **self.common()}
            tasks = [
                FitTask(f"{label}: fit", cells=tuple(different), **fit),
                real.task(f"{label}: statistics"),
                *tasks,
            ]
        return [*tasks, *rows]

    def common(self) -> dict[str, Any]:
        """What all tasks that read images have in common."""
        return {
            "category": self.category,
            "encoder": self.recipe.encoder,
            "preprocessing": self.preprocessing,
        }

    def samples(self, ids: Sequence[str]) -> tuple[Sample, ...]:
        return tuple(self.by_id[i] for i in ids)

    def content(self, samples: Sequence[Sample]) -> list[str]:
        return [self.inventory.facts[sample.id].file for sample in samples]

    def groups_of(self, samples: Sequence[Sample]) -> tuple[int, ...]:
        """The group of each of these images; empty where groups are not known."""
        return self.groups.numbers(sample.id for sample in samples) if self.groups else ()

    def fit_cell(
        self, alias: str, choice: Choice, train: Sequence[Sample], seed: int, labels: Sequence[int] = ()
    ) -> FitCell:
        entropy = training_entropy(seed, self.category, choice.provider.qualified)
        kind = "segmenter" if issubclass(choice.component, LearningSegmenter) else "detector"
        inputs = {
            "cell": ["fit", SCHEMA],
            kind if not labels else "classifier": choice.identity(self.category),
            **self.described.given_to(alias, choice),
            "images": self.content(train),
            "seed": entropy,
            **names_for(train, choice),
        }
        if labels:
            inputs["labels"] = list(labels)
        if groups := self.groups_of(train):
            inputs["groups"] = list(groups)
        return FitCell(digest_of(inputs), alias, choice, entropy)

    def classifier_tasks(
        self, alias: str, fold: Fold, split: Split, others: Sequence[Sample], lines: Mapping[str, int]
    ) -> tuple[list[Task], str]:
        """The trainings of a classifier, the task that scores all images but the detectors', and its key.

        With `out_of_fold` an image that the final classifier learns from is scored by a training without it.
        """
        choice, count = self.recipe.classifiers[alias], self.recipe.skeleton.classifiers[alias].out_of_fold
        name, seed = f"{self.category}, seed {fold}: {alias}", fold.seed
        labels = {i: int(self.by_id[i].label or 0) for i in split.classifiers[alias]}
        pixels = {i: self.inventory.facts[i].pixels for i in (*labels, *split.final)}
        groups = self.groups.of if self.groups else None
        parts = out_of_fold(labels, split.final, pixels, count, seed, groups) if count else []
        tasks: list[Task] = []
        scored_by: list[tuple[FitCell, tuple[int, ...]]] = []
        for left_out in [frozenset[str](), *parts]:
            ids = [i for i in labels if i not in left_out]
            train, given = self.samples(ids), tuple(labels[i] for i in ids)
            cell = self.fit_cell(alias, choice, train, seed, given)
            title = f"{name}, fold {len(tasks)} of {len(parts)}" if left_out else name
            fit = {"samples": train, "groups": self.groups_of(train), **self.common()}
            tasks.append(
                FitTask(title, cells=(cell,), labels=given, **self.described.of(alias, train), **fit)
            )
            scored_by.append((cell, tuple(lines[i] for i in split.final if i in left_out)))
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
            train = split.final
            good = tuple(i for i in train if self.by_id[i].label == 0)
            fitted = FittedOn(tuple(lines[i] for i in good), fold.seed)
            table = replace(real.table(row, fitted), scores_key=scores.get(row.classifier, ""))
            if row.defects:
                train = good
                damaged = self.defective(row, fold.seed, good, real, generated)
                defective = damaged.table(row, fitted, real)
        labels = tuple(int(self.by_id[i].label or 0) for i in train)
        scored = (*split.test, *split.doubtful)
        groups = self.groups_of(self.samples(train))
        inputs = {
            "cell": ["row", SCORING],
            "statistics": [table.segment_keys, table.image_keys],
            "final": row.final.identity(self.category) if row.final else None,
            "train": [lines[i] for i in train],
            "labels": labels,
            "scored": [lines[i] for i in scored],
            "seed": fold.seed,
            # the final classifier stores the names of the features
            "names": row.learners() if not row.score else None,
            "scores": table.scores_key,
            "generated": defective.keys() if defective else None,
            **({"groups": list(groups)} if groups else {}),
        }
        return RowTask(
            name=f"{self.category}, seed {fold}: {row.name}",
            category=self.category,
            **fold._asdict(),
            row=row,
            cells=(RowCell(digest_of(inputs)),),
            train=tuple(lines[i] for i in train),
            train_labels=labels,
            train_groups=groups,
            scored=tuple(lines[i] for i in scored),
            scored_ids=scored,
            table=table,
            generated=defective,
            needs=(*table.keys(), *(defective.keys() if defective else ())),
        )

    def defective(
        self,
        row: Row,
        seed: int,
        good: Sequence[str],
        real: StatisticsPass,
        generated: dict[str, StatisticsPass],
    ) -> StatisticsPass:
        """The pass over good images with artificial defects; rows with the same defects share it.

        Defects lie on the segments of the recipe's segmenter, so that rows with others compare; on those of
        the row's own where the recipe has none.
        """
        segmenter = self.recipe.segmenter or row.segmenter
        assert segmenter is not None
        # the same for all categories: the defect depends on the content of the image
        segmenter_fit = real.segmenter_fits.get(segmenter.digest(self.category))
        defects = Defects(row.defects, segmenter, seed, segmenter_fit)
        name = digest_of(defects.identity(self.category))
        if name not in generated:
            samples = self.samples(good)
            generated[name] = StatisticsPass(
                self.common(), samples, self.content(samples), real.fits, real.segmenter_fits, defects
            )
        return generated[name]
