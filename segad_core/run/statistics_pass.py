"""A pass over images that is being planned: the cells that rows want of it, each once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from segad_core.base.digest import digest_of
from segad_core.contracts import FittedFeature, Sample
from segad_core.recipe import Choice, Row
from segad_core.run.cells import Defects, FeatureTable, FitCell, FittedOn, StatisticsCell, StatisticsTask
from segad_core.run.keys import SCORING, names_for


class StatisticsPass:
    """The statistics that rows want of the same images; a cell that two of them want is there once.

    Args:
        common: what all tasks that read images have in common.
        samples, content: the images and their digests.
        fits: the trained detectors, by name.
        segmenter_fits: the trained segmenters, by the digest of their choice.
        defects: what is put onto the images, if anything.
        fold_fits: with cross-fitted detectors, those that are trained for each fold, by name.
        by_fold: the lines of the images that the detectors of each fold describe.
    """

    def __init__(
        self,
        common: Mapping[str, Any],
        samples: Sequence[Sample],
        content: Sequence[str],
        fits: Mapping[str, FitCell],
        segmenter_fits: Mapping[str, FitCell],
        defects: Defects | None = None,
        fold_fits: Sequence[Mapping[str, FitCell]] = (),
        by_fold: tuple[tuple[int, ...], ...] = (),
    ) -> None:
        self.category: str = common["category"]
        self.fits = fits
        self.fold_fits = fold_fits
        self.segmenter_fits = segmenter_fits
        self._task = {**common, "samples": tuple(samples), "defects": defects, "by_fold": by_fold}
        self._images: dict[str, Any] = {"images": list(content)}
        if defects:
            self._images["defects"] = defects.identity(self.category)
        self._defects = defects
        self._cells: dict[str, StatisticsCell] = {}

    def table(self, row: Row, fitted: FittedOn, source: StatisticsPass | None = None) -> FeatureTable:
        """What a SegAD row reads, without a classifier's scores.

        Args:
            row: of the recipe.
            fitted: what features that learn from good parts are fitted on.
            source: the pass that fits them, where it is not this one.
        """

        def keys(
            segmenter: Choice | None, features: tuple[Choice, ...], whole: bool = False
        ) -> tuple[str, ...]:
            fits = [self.fits[alias] for alias in row.detectors]
            return tuple(self._cell(fit, segmenter, features, fitted, source, whole) for fit in fits)

        # where segments are switched off, the whole map is without them
        within = row.segmenter if row.segmenter and row.segmenter.off else None
        image_keys = keys(within, row.image_features, within is not None) if row.image_features else ()
        return FeatureTable(keys(row.segmenter, row.features), image_keys)

    def score_key(self, detector: str) -> str:
        """The key of a detector's image scores."""
        return self._cell(self.fits[detector], None, ())

    def task(self, name: str) -> StatisticsTask:
        """What makes all cells that were asked for."""
        cells = tuple(self._cells.values())
        needs = [fit.key for cell in cells for fit in (cell.fit, *cell.folds)]
        needs += [cell.fitted.key for cell in cells if cell.fitted and cell.fitted.key]
        needs += [cell.segmenter_fit.key for cell in cells if cell.segmenter_fit]
        if self._defects and self._defects.segmenter_fit:
            needs.append(self._defects.segmenter_fit.key)
        return StatisticsTask(name, cells=cells, needs=tuple(dict.fromkeys(needs)), **self._task)

    def _cell(
        self,
        fit: FitCell,
        segmenter: Choice | None,
        features: tuple[Choice, ...],
        fitted: FittedOn | None = None,
        source: StatisticsPass | None = None,
        whole: bool = False,
    ) -> str:
        places = self._defects.segmenter if self._defects else None  # where defects are put
        inputs: dict[str, Any] = {
            "cell": ["statistics", SCORING],
            "fit": fit.key,
            "segmenter": segmenter.identity(self.category) if segmenter else None,
            "features": [feature.identity(self.category) for feature in features],
            **self._images,
            **names_for(self._task["samples"], fit.learner, segmenter, places),
        }
        segmenter_fit = self.segmenter_fits.get(segmenter.digest(self.category)) if segmenter else None
        if whole:
            inputs["whole"] = True
        if segmenter_fit is not None:
            inputs["segmenter fit"] = segmenter_fit.key
        folds = tuple(fits[fit.alias] for fits in self.fold_fits)
        if folds:
            lines = self._task["by_fold"]
            inputs["folds"] = [[one.key, list(part)] for one, part in zip(folds, lines, strict=True)]
        if fitted is None or not any(issubclass(f.component, FittedFeature) for f in features):
            fitted = None
        else:
            if source is not None:
                fitted = replace(
                    fitted, good=(), key=source._cell(fit, segmenter, features, fitted, whole=whole)
                )
            inputs["fitted on"] = asdict(fitted)
        key = digest_of(inputs)
        cell = StatisticsCell(key, fit, segmenter, features, fitted, segmenter_fit, folds, whole)
        self._cells.setdefault(key, cell)
        return key
