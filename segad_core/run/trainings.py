"""The trainings of a category: a cell for each learner on given images, and tasks that share images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from segad_core.base.digest import digest_of
from segad_core.contracts import LearningSegmenter, Sample
from segad_core.contracts.run import training_entropy
from segad_core.images import Inventory
from segad_core.images.image_set import Preprocessing
from segad_core.recipe import Choice, Recipe, Row
from segad_core.run.cells import FitCell, FitTask
from segad_core.run.described import Described
from segad_core.run.ignored import ignoring_of
from segad_core.run.keys import SCHEMA, names_for
from segad_core.run.units import Units, part_units
from segad_core.split.groups import Groups
from segad_core.split.parts import Parts


def preprocessing_of(recipe: Recipe) -> Preprocessing:
    """How a recipe's images reach its learners."""
    image = recipe.skeleton.image
    tiles = image.tiles.plain() if image.tiles else None
    return Preprocessing(image.size, image.decoding(), recipe.skeleton.batch_size, image.fit, tiles)


class Trainings:
    """The trainings of a category's learners, and what all its tasks have in common."""

    def __init__(
        self,
        recipe: Recipe,
        category: str,
        inventory: Inventory,
        groups: Groups | None,
        parts: Parts | None = None,
    ) -> None:
        self.recipe = recipe
        self.groups = groups
        self.parts = parts
        self.category = category
        self.inventory = inventory
        self.by_id = {sample.id: sample for sample in inventory.samples}
        self.preprocessing = preprocessing_of(recipe)
        self.ignore = ignoring_of(recipe, category)
        self.described = Described(recipe, category, inventory, self.preprocessing, self.ignore)

    def fit_task(self, name: str, images: tuple[Sample, ...], cells: Sequence[FitCell]) -> FitTask:
        """Trains detectors and segmenters on good images; equal ones are trained once."""
        different = tuple({cell.key: cell for cell in cells}.values())
        return FitTask(name, samples=images, cells=different, groups=self.groups_of(images), **self.common())

    def classifier_fits(
        self, name: str, alias: str, labels: Mapping[str, int], parts: Sequence[frozenset[str]], seed: int
    ) -> list[FitTask]:
        """The trainings of a classifier on all images but those of each part; the first part is empty."""
        whole, choice = self.samples(tuple(labels)), self.recipe.classifiers[alias]
        tasks: list[FitTask] = []
        for number, left_out in enumerate(parts):
            train = tuple(sample for sample in whole if sample.id not in left_out)
            given = tuple(labels[sample.id] for sample in train)
            cell = self.fit_cell(alias, choice, train, seed, given, whole if left_out else ())
            if cell.lines:
                tasks[0] = replace(tasks[0], cells=(*tasks[0].cells, cell))
                continue
            title = f"{name}, fold {number} of {len(parts) - 1}" if left_out else name
            fit = {"samples": train, "groups": self.groups_of(train), **self.common()}
            tasks.append(
                FitTask(title, cells=(cell,), labels=given, **self.described.of(alias, train), **fit)
            )
        return tasks

    def common(self) -> dict[str, Any]:
        """What all tasks that read images have in common."""
        return {
            "category": self.category,
            "encoder": self.recipe.encoder,
            "preprocessing": self.preprocessing,
            "ignore": self.ignore,
        }

    def samples(self, ids: Sequence[str]) -> tuple[Sample, ...]:
        return tuple(self.by_id[i] for i in ids)

    def content(self, samples: Sequence[Sample]) -> list[str]:
        return [self.inventory.facts[sample.id].file for sample in samples]

    def groups_of(self, samples: Sequence[Sample]) -> tuple[int, ...]:
        """The group of each of these images; empty where groups are not known."""
        return self.groups.numbers(sample.id for sample in samples) if self.groups else ()

    def units(self, row: Row, lines: Mapping[str, int], *several: Sequence[str]) -> list[Units]:
        """What a row learns from or scores, given some images: these, or the parts that they show."""
        if self.parts and self.parts.verdict == "together" and not row.score:
            return [part_units(self.parts, images, lines, self.groups) for images in several]
        return [
            Units(
                tuple(images),
                tuple(lines[i] for i in images),
                tuple(int(self.by_id[i].label or 0) for i in images),
                self.groups.numbers(i for i in images if i in self.groups.of) if self.groups else (),
            )
            for images in several
        ]

    def fit_cell(
        self,
        alias: str,
        choice: Choice,
        train: Sequence[Sample],
        seed: int,
        labels: Sequence[int] = (),
        whole: Sequence[Sample] = (),
    ) -> FitCell:
        """A training.

        Args:
            alias, choice: the learner.
            train: what it learns from.
            seed: of the recipe.
            labels: of these images; empty for learners from good images.
            whole: for the training of a fold, the images of all folds. A learner that reads the encoder's
                features of whole images takes them from one pass over all of these.
        """
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
        lines: tuple[int, ...] = ()
        if whole and self.described.reads_features(alias, choice):
            # features have the last digits of the batch that they were computed in
            inputs["encoded with"] = self.content(whole)
            place = {sample.id: line for line, sample in enumerate(whole)}
            lines = tuple(place[sample.id] for sample in train)
        return FitCell(digest_of(inputs), alias, choice, entropy, lines)
