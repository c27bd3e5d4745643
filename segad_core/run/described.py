"""Plans how images reach learners, and the vectors of classifiers that learn from these alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from segad_core.base.digest import digest_of
from segad_core.contracts import Encoder, Sample, VectorClassifier, optional
from segad_core.images import Inventory
from segad_core.images.image_set import Preprocessing
from segad_core.recipe import Choice, Recipe, encoder_identity
from segad_core.run.cells import Task, VectorLines, VectorsCell, VectorsTask
from segad_core.run.ignored import Ignoring
from segad_core.run.keys import SCHEMA, names_for, plain_preprocessing


@dataclass(frozen=True)
class Described:
    """The images of a category as learners see them.

    Attributes:
        recipe, category, inventory, preprocessing, ignore: as planned.
        cells: the vectors of all images, by the classifier that reads them.
    """

    recipe: Recipe
    category: str
    inventory: Inventory
    preprocessing: Preprocessing
    ignore: Ignoring | None = None
    cells: dict[str, VectorsCell] = field(init=False)

    def __post_init__(self) -> None:
        made = {
            alias: self._cell(alias, choice)
            for alias, choice in self.recipe.learners().items()
            if issubclass(choice.component, VectorClassifier)
        }
        object.__setattr__(self, "cells", made)

    def given_to(self, alias: str, choice: Choice) -> dict[str, Any]:
        """How images reach a training: as vectors, or as they are."""
        return {"vectors": cell.key} if (cell := self.cells.get(alias)) else self._seen_through(choice)

    def _seen_through(self, choice: Choice) -> dict[str, Any]:
        """The encoder if a learner reads one, and the preprocessing."""
        return {
            "encoder": self._encoder_identity if self._reads_encoder(choice) else None,
            "preprocessing": plain_preprocessing(self.preprocessing, self.ignore),
        }

    def reads_features(self, alias: str, choice: Choice) -> bool:
        """Whether a training reads the encoder's features of whole images, and not as vectors."""
        return alias not in self.cells and self.preprocessing.tiles is None and self._reads_encoder(choice)

    def _reads_encoder(self, choice: Choice) -> bool:
        return bool(optional.layers_read(choice.build(self.category), self._encoder))

    def tasks(self) -> list[Task]:
        """The task that describes all images to all such classifiers, if there are any."""
        cells = tuple({cell.key: cell for cell in self.cells.values()}.values())
        if not cells:
            return []
        name, samples, encoder = (
            f"{self.category}: vectors",
            tuple(self.inventory.samples),
            self.recipe.encoder,
        )
        return [VectorsTask(name, self.category, samples, encoder, self.preprocessing, self.ignore, cells)]

    def of(self, alias: str, samples: Sequence[Sample]) -> dict[str, Any]:
        """Where a classifier's task finds the vectors of its images; nothing if it reads images."""
        if (cell := self.cells.get(alias)) is None:
            return {"needs": ()}
        vectors = VectorLines(cell.key, tuple(self._places[sample.id] for sample in samples))
        return {"vectors": vectors, "needs": (cell.key,)}

    def _cell(self, alias: str, choice: Choice) -> VectorsCell:
        samples = self.inventory.samples
        inputs = {
            "cell": ["vectors", SCHEMA],
            "classifier": choice.identity(self.category),
            **self._seen_through(choice),
            "images": [self.inventory.facts[sample.id].file for sample in samples],
            **names_for(samples, choice),
        }
        return VectorsCell(digest_of(inputs), alias, choice)

    @cached_property
    def _places(self) -> dict[str, int]:
        return {sample.id: line for line, sample in enumerate(self.inventory.samples)}

    @cached_property
    def _encoder(self) -> Encoder | None:
        return self.recipe.encoder.build() if self.recipe.encoder else None

    @cached_property
    def _encoder_identity(self) -> dict[str, Any] | None:
        return encoder_identity(self.recipe.encoder)
