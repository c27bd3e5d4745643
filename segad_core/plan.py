"""What must exist for a recipe's table, made from what: tasks of cells, each cell known by its key.

A cell's key is the digest of everything that decides its content: the plugin's code and parameters, the
content of the images in order, the keys it builds on, the preprocessing and the seed. Names of files, of
rows and of detectors are not in it. Cells of one task share one pass over the images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from segad_core.cells import FitCell, FitTask, RowCell, RowTask, StatisticsCell, StatisticsTask, Task
from segad_core.contracts import Detector, Encoder, Sample, Shapes
from segad_core.digest import digest_of
from segad_core.images import Inventory
from segad_core.images.image_set import Preprocessing
from segad_core.recipe import Choice, Recipe, Row
from segad_core.split import Split
from segad_core.store import Store

_SCHEMA = 1
"""Goes up when the engine itself would compute another result from the same inputs."""


@dataclass(frozen=True)
class CategoryPlan:
    """The tasks of one category in an order in which each finds what it needs."""

    category: str
    tasks: tuple[Task, ...]

    def rows(self) -> list[RowTask]:
        """The tasks that end in lines of the table."""
        return [task for task in self.tasks if isinstance(task, RowTask)]


def plan_category(
    recipe: Recipe, category: str, inventory: Inventory, splits: Mapping[int, Split]
) -> CategoryPlan:
    """Plans one category: seeds that share a detector training share its statistics too."""
    planner = _Planner(recipe, category, inventory)
    groups: dict[int, list[int]] = {}
    for seed in splits:
        own = recipe.skeleton.split.detectors.seed
        groups.setdefault(seed if own is None else own, []).append(seed)
    tasks: list[Task] = []
    for fit_seed, seeds in groups.items():
        tasks += planner.group(fit_seed, {seed: splits[seed] for seed in seeds})
    return CategoryPlan(category, tuple(tasks))


class _Planner:
    def __init__(self, recipe: Recipe, category: str, inventory: Inventory) -> None:
        self.recipe = recipe
        self.category = category
        self.inventory = inventory
        self.by_id = {sample.id: sample for sample in inventory.samples}
        skeleton = recipe.skeleton
        self.preprocessing = Preprocessing(skeleton.image.size, skeleton.image.white, skeleton.batch_size)
        self.encoder_identity = encoder_identity(recipe.encoder)

    def group(self, fit_seed: int, splits: Mapping[int, Split]) -> list[Task]:
        """The tasks of the seeds that share one training of each detector."""
        train_ids = {split.detectors for split in splits.values()}
        # a detector seed of its own still meets another test part under each seed where that part is drawn
        if len(train_ids) > 1:
            return [task for seed in splits for task in self.group(fit_seed, {seed: splits[seed]})]
        train = self.samples(next(iter(train_ids)))
        others = self.samples(sorted(self.by_id.keys() - {s.id for s in train}))
        used = self.used_detectors()
        fits = {alias: self.fit_cell(alias, train, fit_seed) for alias in used}
        statistics: dict[str, StatisticsCell] = {}
        lines = {sample.id: i for i, sample in enumerate(others)}
        rows = [
            self.row_task(row, seed, split, fits, others, lines, statistics)
            for seed, split in splits.items()
            for row in self.recipe.rows
        ]
        label = f"{self.category}, seed {', '.join(map(str, splits))}"
        common: dict[str, Any] = {
            "category": self.category,
            "encoder": self.recipe.encoder,
            "preprocessing": self.preprocessing,
        }
        different = tuple({cell.key: cell for cell in fits.values()}.values())  # one for two equal detectors
        fit = FitTask(f"{label}: fit", samples=train, cells=different, **common)
        score = StatisticsTask(
            f"{label}: statistics",
            samples=others,
            cells=tuple(statistics.values()),
            needs=tuple(cell.key for cell in fits.values()),
            **common,
        )
        return [fit, score, *rows]

    def used_detectors(self) -> list[str]:
        """Detectors that some row reads, in the recipe's order."""
        wanted = {alias for row in self.recipe.rows for alias in row.detectors}
        return [alias for alias in self.recipe.detectors if alias in wanted]

    def samples(self, ids: Sequence[str]) -> tuple[Sample, ...]:
        return tuple(self.by_id[i] for i in ids)

    def content(self, samples: Sequence[Sample]) -> list[str]:
        return [self.inventory.facts[sample.id].file for sample in samples]

    def fit_cell(self, alias: str, train: Sequence[Sample], seed: int) -> FitCell:
        choice = self.recipe.detectors[alias]
        # paired across categories and recipes: the seed does not depend on what else a recipe holds
        entropy = (seed, int(digest_of([self.category, choice.provider.qualified])[:16], 16))
        reads_encoder = bool(choice.build(self.category).layers())
        key = digest_of(
            {
                "cell": ["fit", _SCHEMA],
                "detector": choice.identity(self.category),
                "encoder": self.encoder_identity if reads_encoder else None,
                "preprocessing": _plain(self.preprocessing),
                "images": self.content(train),
                "seed": entropy,
            }
        )
        return FitCell(key, alias, choice, entropy)

    def statistics_cell(
        self,
        fit: FitCell,
        segmenter: Choice | None,
        features: tuple[Choice, ...],
        samples: Sequence[Sample],
        cells: dict[str, StatisticsCell],
    ) -> str:
        key = digest_of(
            {
                "cell": ["statistics", _SCHEMA],
                "fit": fit.key,
                "segmenter": segmenter.identity(self.category) if segmenter else None,
                "features": [feature.identity(self.category) for feature in features],
                "images": self.content(samples),
            }
        )
        cells.setdefault(key, StatisticsCell(key, fit, segmenter, features))
        return key

    def row_task(
        self,
        row: Row,
        seed: int,
        split: Split,
        fits: Mapping[str, FitCell],
        samples: Sequence[Sample],
        lines: Mapping[str, int],
        cells: dict[str, StatisticsCell],
    ) -> RowTask:
        def statistics(segmenter: Choice | None, features: tuple[Choice, ...]) -> tuple[str, ...]:
            return tuple(
                self.statistics_cell(fits[alias], segmenter, features, samples, cells)
                for alias in row.detectors
            )

        segment_keys: tuple[str, ...] = ()
        if row.score:
            image_keys = statistics(None, ())
        else:
            segment_keys = statistics(row.segmenter, row.features)
            image_keys = statistics(None, row.image_features) if row.image_features else ()
        train = () if row.score else split.final
        scored = (*split.test, *split.apart)
        labels = tuple(int(self.by_id[i].label or 0) for i in train)
        key = digest_of(
            {
                "cell": ["row", _SCHEMA],
                "statistics": [segment_keys, image_keys],
                "final": row.final.identity(self.category) if row.final else None,
                "train": [lines[i] for i in train],
                "labels": labels,
                "scored": [lines[i] for i in scored],
                "seed": seed,
                # the names of the features are part of what the classifier stores
                "names": row.detectors if not row.score else None,
            }
        )
        return RowTask(
            name=f"{self.category}, seed {seed}: {row.name}",
            category=self.category,
            seed=seed,
            row=row,
            cells=(RowCell(key),),
            train=tuple(lines[i] for i in train),
            train_labels=labels,
            scored=tuple(lines[i] for i in scored),
            scored_ids=scored,
            segment_keys=segment_keys,
            image_keys=image_keys,
            needs=(*segment_keys, *image_keys),
        )


def encoder_identity(choice: Choice | None) -> dict[str, Any] | None:
    """What decides an encoder's results: its code, its parameters and its weights."""
    return {"choice": choice.identity(), "weights": choice.build().digest()} if choice else None


def _plain(preprocessing: Preprocessing) -> dict[str, Any]:
    return {
        "size": list(preprocessing.size),
        "resize": "pil_bilinear",
        "white": preprocessing.white,
        "batch_size": preprocessing.batch_size,
    }


def fit_costs(task: FitTask, store: Store) -> dict[str, str]:
    """What the trainings that the store lacks will take, by detector, where that can be said."""
    encoder = task.encoder.build() if task.encoder else None
    costs = {
        cell.alias: fit_cost(
            cell.detector.build(task.category), len(task.samples), encoder, task.preprocessing.size
        )
        for cell in task.cells
        if not store.has(cell.key)
    }
    return {alias: cost for alias, cost in costs.items() if cost}


def fit_cost(detector: Detector, images: int, encoder: Encoder | None, size: tuple[int, int]) -> str:
    """What a detector says its training will take; nothing where it doesn't."""
    return detector.cost(images, size, layer_shapes(detector, encoder, size))


def layer_shapes(detector: Detector, encoder: Encoder | None, size: tuple[int, int]) -> Shapes:
    """(C, H, W) of each encoder layer that a detector reads, for images of a size."""
    layers = encoder.layers() if encoder else {}
    return {
        name: (layers[name].channels, -(-size[0] // layers[name].stride), -(-size[1] // layers[name].stride))
        for name in detector.layers()
    }
