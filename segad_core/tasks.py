"""The tasks themselves: functions of plain data that write cells to the store and return their keys."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import singledispatch

import numpy as np
from numpy.typing import NDArray

from segad_core.cells import FitTask, RowTask, StatisticsCell, StatisticsTask, Task
from segad_core.contracts import Detector, Feature, FinalClassifier, ImageBatch, Progress, Segmenter
from segad_core.digest import digest_of
from segad_core.errors import NonFiniteError, PluginError
from segad_core.fitting import files_of, fit, open_images, restored
from segad_core.segments import SegmentOrder
from segad_core.store import Store


def execute(task: Task, store: Store, device: str, progress: Progress) -> tuple[str, ...]:
    """Makes those of a task's cells that the store lacks; returns the keys of all."""
    missing = sorted(cell.key for cell in task.cells if store.get(cell.key) is None)
    if missing:
        with ExitStack() as locks:  # all of them, in one order: other tasks may want some of these cells
            for key in missing:
                locks.enter_context(store.lock(key))
            if not all(store.has(key) for key in missing):  # another process may have made them meanwhile
                _make(task, store, device, progress)
    return tuple(cell.key for cell in task.cells)


@singledispatch
def _make(task: Task, store: Store, device: str, progress: Progress) -> None:
    raise TypeError(f"no such task: {type(task).__name__}")


_make.register(FitTask, fit)


@dataclass(eq=False)
class _Segmentation:
    """A segmenter during a pass: its names, and the order of the last map that held for all images."""

    segmenter: Segmenter
    name: str
    names: Sequence[str]
    last: tuple[NDArray[np.uint8], SegmentOrder] | None = None

    def order(self, batch: ImageBatch, i: int) -> SegmentOrder:
        """The order of the i-th image's segmentation map; a map that stays is ordered once."""
        if self not in batch.memo:
            batch.memo[self] = self._maps(batch)
        maps: NDArray[np.uint8] = batch.memo[self]
        try:
            if len(maps) > 1:
                return SegmentOrder.of(maps[i], len(self.names))
            if self.last is None or self.last[0] is not maps:  # compared once a batch, not once an image
                same = self.last is not None and np.array_equal(self.last[0], maps)
                order = self.last[1] if self.last and same else SegmentOrder.of(maps[0], len(self.names))
                self.last = (maps, order)
            return self.last[1]
        except ValueError as error:
            raise PluginError(f"segmenter '{self.name}', image '{batch.samples[i].id}': {error}") from error

    def _maps(self, batch: ImageBatch) -> NDArray[np.uint8]:
        maps = np.asarray(self.segmenter.segment(batch))
        size = batch.pixels.shape[1:3]
        if maps.dtype != np.uint8 or maps.shape not in ((len(batch), *size), (1, *size)):
            raise PluginError(
                f"segmenter '{self.name}' gave maps of shape {maps.shape} and type {maps.dtype}, not "
                f"{(len(batch), *size)} uint8"
            )
        return maps


@dataclass
class _Pass:
    """One cell being filled during a pass: what it needs beside the maps, and the lines so far."""

    cell: StatisticsCell
    segmentation: _Segmentation | None
    features: list[Feature]
    columns: list[tuple[str, str]]
    lines: list[NDArray[np.float64]] = field(default_factory=list)


@_make.register
def _statistics(task: StatisticsTask, store: Store, device: str, progress: Progress) -> None:
    missing = [cell for cell in task.cells if not store.has(cell.key)]
    detectors = {c.fit.key: restored(c.fit, store, task.category, device) for c in missing}
    segmentations = _segmentations(missing, task.category, device)
    passes = [_open_pass(cell, segmentations, task.category, device) for cell in missing]
    images = open_images(task, list(detectors.values()), device, progress)
    done = 0
    for batch in images.batches():
        for fit_key, detector in detectors.items():
            own = [p for p in passes if p.cell.fit.key == fit_key]
            _score_batch(batch, detector, own)
        done += len(batch)
        progress("images scored", done, len(task.samples))
    for filled in passes:
        values = np.concatenate(filled.lines)
        columns = json.dumps(filled.columns).encode()
        store.put(filled.cell.key, "statistics", {"values.npy": _npy(values), "columns.json": columns})


def _segmentations(cells: Sequence[StatisticsCell], category: str, device: str) -> dict[str, _Segmentation]:
    """One segmenter for each that the cells name, by its identity: it sees each batch once."""
    found: dict[str, _Segmentation] = {}
    for choice in (cell.segmenter for cell in cells if cell.segmenter):
        key = digest_of(choice.identity(category))
        if key not in found:
            segmenter: Segmenter = choice.build(category, device)
            found[key] = _Segmentation(segmenter, choice.provider.name, list(segmenter.segments()))
    return found


def _open_pass(
    cell: StatisticsCell, segmentations: Mapping[str, _Segmentation], category: str, device: str
) -> _Pass:
    features: list[Feature] = [choice.build(category, device) for choice in cell.features]
    own = segmentations[digest_of(cell.segmenter.identity(category))] if cell.segmenter else None
    statistics = [name for feature in features for name in feature.statistics()] or ["score"]
    return _Pass(cell, own, features, [(s, n) for s in (own.names if own else ["image"]) for n in statistics])


def _score_batch(batch: ImageBatch, detector: Detector, passes: Sequence[_Pass]) -> None:
    alias = passes[0].cell.fit.alias
    maps = np.asarray(detector.anomaly_maps(batch))
    expected = (len(batch), *batch.pixels.shape[1:3])
    if maps.shape != expected or maps.dtype != np.float32:
        raise PluginError(
            f"detector '{alias}' gave maps {maps.shape} of {maps.dtype}, not {expected} of float32"
        )
    _stop_non_finite(maps.reshape(len(batch), -1), batch, f"the anomaly map of detector '{alias}'")
    for own in passes:
        if own.features:
            lines = np.stack([_describe(own, batch, maps[i], i) for i in range(len(batch))])
        else:
            lines = np.asarray(detector.image_scores(batch, maps), np.float64).reshape(len(batch), 1)
        if lines.shape[1] != len(own.columns):
            names = ", ".join(name for _, name in own.columns)
            raise PluginError(f"detector '{alias}': {lines.shape[1]} features for the names {names}")
        for column, (segment, name) in enumerate(own.columns):
            feature = f"the feature '{segment}.{alias}.{name}'"
            what = feature if own.features else f"the image score of detector '{alias}'"
            _stop_non_finite(lines[:, column : column + 1], batch, what)
        own.lines.append(lines)


def _describe(own: _Pass, batch: ImageBatch, anomaly_map: NDArray[np.float32], i: int) -> NDArray[np.float64]:
    """The statistics of one map: a line ordered by segment, then by statistic."""
    if own.segmentation is None:
        order = SegmentOrder.whole(anomaly_map.size)
    else:
        order = own.segmentation.order(batch, i)
    values = order.group(anomaly_map)
    return np.concatenate([feature.compute(values) for feature in own.features], axis=1).reshape(-1)


@_make.register
def _row(task: RowTask, store: Store, device: str, progress: Progress) -> None:
    key = task.cells[0].key
    scored, train = list(task.scored), list(task.train)
    if task.row.score:
        values, _ = _read(store, task.image_keys[0])
        scores, files = values[scored, 0], {}
    else:
        features, names = _feature_table(task, store)
        assert task.row.final is not None
        final: FinalClassifier = task.row.final.build(task.category, device)
        final.fit(features[train], names, np.array(task.train_labels, np.int64), task.seed)
        scores = np.asarray(final.margins(features[scored]), np.float64)
        files = {**final.state(), "names.json": json.dumps(names).encode()}
    if scores.shape != (len(scored),):
        raise PluginError(f"{task.name}: {scores.shape} scores for {len(scored)} images")
    if not np.isfinite(scores).all():
        image = task.scored_ids[int(np.flatnonzero(~np.isfinite(scores))[0])]
        source = task.row.detectors[0] if task.row.final is None else task.row.final.provider.name
        raise NonFiniteError(
            f"{task.name}: the score that '{source}' gave image '{image}' is not finite",
            "Look at the image; if it is sound, the plugin is at fault: report it to its authors.",
        )
    store.put(key, "row", {"scores.npy": _npy(scores), **files})


def _feature_table(task: RowTask, store: Store) -> tuple[NDArray[np.float64], list[str]]:
    """The feature vectors of a row, and the names of their entries.

    Order (that of the official code): for each segment, for each detector, each statistic; then for each
    detector the features of its whole map.
    """
    aliases = task.row.detectors
    tables = [_read(store, key) for key in task.segment_keys]
    columns = tables[0][1]
    segments = list(dict.fromkeys(segment for segment, _ in columns))
    parts, names = [], []
    for segment in segments:
        own = [i for i, (name, _) in enumerate(columns) if name == segment]
        for alias, (values, _) in zip(aliases, tables, strict=True):
            parts.append(values[:, own])
            names += [f"{segment}.{alias}.{columns[i][1]}" for i in own]
    for alias, key in zip(aliases, task.image_keys, strict=bool(task.image_keys)):
        values, image_columns = _read(store, key)
        parts.append(values)
        names += [f"image.{alias}.{statistic}" for _, statistic in image_columns]
    return np.concatenate(parts, axis=1), names


def read_scores(task: RowTask, store: Store) -> NDArray[np.float64]:
    """The scores that a finished row task left, in the order of its `scored_ids`."""
    return _load(files_of(store, task.cells[0].key)["scores.npy"])


def _read(store: Store, key: str) -> tuple[NDArray[np.float64], list[tuple[str, str]]]:
    files = files_of(store, key)
    return _load(files["values.npy"]), [(s, n) for s, n in json.loads(files["columns.json"])]


def _stop_non_finite(values: NDArray[np.floating], batch: ImageBatch, what: str) -> None:
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        image = batch.samples[int(np.flatnonzero(~finite)[0])].id
        raise NonFiniteError(
            f"{what} is not finite for image '{image}'",
            "Look at the image; if it is sound, the plugin is at fault: report it to its authors.",
        )


def _npy(array: NDArray[np.float64]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _load(data: bytes) -> NDArray[np.float64]:
    array: NDArray[np.float64] = np.load(io.BytesIO(data), allow_pickle=False)
    return array
