"""A pass over images that is being planned: the cells that rows want of it, each once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from segad_core.base.digest import digest_of
from segad_core.contracts import Sample
from segad_core.recipe import Choice, Row
from segad_core.run.cells import (
    SCORING,
    Defects,
    FeatureTable,
    FitCell,
    StatisticsCell,
    StatisticsTask,
    names_for,
)


class StatisticsPass:
    """The statistics that rows want of the same images; a cell that two of them want is there once.

    Args:
        common: what all tasks that look at images are told.
        samples, content: the images and their digests.
        fits: the trained detectors, by name.
        defects: what is put onto the images, if anything.
    """

    def __init__(
        self,
        common: Mapping[str, Any],
        samples: Sequence[Sample],
        content: Sequence[str],
        fits: Mapping[str, FitCell],
        defects: Defects | None = None,
    ) -> None:
        self.category: str = common["category"]
        self.fits = fits
        self._task = {**common, "samples": tuple(samples), "defects": defects}
        self._images: dict[str, Any] = {"images": list(content)}
        if defects:
            self._images["defects"] = defects.identity(self.category)
        self._places = defects.segmenter if defects else None  # where defects are put
        self._cells: dict[str, StatisticsCell] = {}

    def table(self, row: Row) -> FeatureTable:
        """What a SegAD row reads, without a classifier's scores."""
        image_keys = self.keys(row.detectors, None, row.image_features) if row.image_features else ()
        return FeatureTable(self.keys(row.detectors, row.segmenter, row.features), image_keys)

    def keys(
        self, detectors: Sequence[str], segmenter: Choice | None, features: tuple[Choice, ...]
    ) -> tuple[str, ...]:
        """The keys of a cell per detector."""
        return tuple(self._cell(self.fits[alias], segmenter, features) for alias in detectors)

    def task(self, name: str) -> StatisticsTask:
        """What makes all cells that were asked for."""
        return StatisticsTask(
            name,
            cells=tuple(self._cells.values()),
            needs=tuple({cell.fit.key: None for cell in self._cells.values()}),
            **self._task,
        )

    def _cell(self, fit: FitCell, segmenter: Choice | None, features: tuple[Choice, ...]) -> str:
        key = digest_of(
            {
                "cell": ["statistics", SCORING],
                "fit": fit.key,
                "segmenter": segmenter.identity(self.category) if segmenter else None,
                "features": [feature.identity(self.category) for feature in features],
                **self._images,
                **names_for(self._task["samples"], fit.learner, segmenter, self._places),
            }
        )
        self._cells.setdefault(key, StatisticsCell(key, fit, segmenter, features))
        return key
