"""The folder of a run: what was asked, where it ran, the figures, the score of every image, the table."""

from __future__ import annotations

import csv
import importlib.metadata
import io
import json
import logging
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout

from segad_core.base.files import write_atomic
from segad_core.contracts import Sample
from segad_core.errors import StoreError
from segad_core.evaluate import Figures, compare, comparison_csv, results_frame, results_text
from segad_core.recipe import Recipe
from segad_core.run.prepare import Prepared
from segad_core.split.draw import Fold
from segad_core.split.file import splits_json

log = logging.getLogger("segad.run")

_LIBRARIES = (
    *("numpy", "pandas", "pillow", "scipy", "numba", "torch", "torchvision", "timm"),
    *("segment-anything", "xgboost"),
)
_RESULTS = (
    *("results.csv", "scores.csv", "table.md", "comparison.csv"),
    *("unreadable.csv", "segmentations.csv"),
)
_MAP_COLUMNS = ("category", "segmenter", "image", "fit", "doubt")
_SCORE_COLUMNS = ("category", "seed", "held_out", "row", "image", "label", "defect", "unseen", "score")


@dataclass(frozen=True)
class ScoredImage:
    """One line of `scores.csv`."""

    category: str
    fold: Fold
    row: str
    sample: Sample
    score: float

    def cells(self) -> tuple[str, ...]:
        """The line's cells; the label of a doubtful image is empty, the score keeps every digit."""
        label = "" if self.sample.label is None else str(self.sample.label)
        fold = (str(self.fold.seed), self.fold.held_out)
        known = (self.category, *fold, self.row, self.sample.id, label, self.sample.defect)
        return (*known, str(int(self.sample.unseen)), repr(self.score))


@dataclass(frozen=True)
class SegmentedImage:
    """One line of `segmentations.csv`: how well a segmentation map fits its image, and what is wrong."""

    category: str
    segmenter: str
    image: str
    fit: float | None
    doubt: str

    def cells(self) -> tuple[str, ...]:
        """The line's cells."""
        fit = "" if self.fit is None else f"{self.fit:.4f}"
        return (self.category, self.segmenter, self.image, fit, self.doubt)


class _LogFile(logging.FileHandler):
    """A log that stops nothing where it cannot be written: what matters is written elsewhere, and checked."""

    def handleError(self, record: logging.LogRecord) -> None:
        pass


class RunFolder:
    """A run's folder, held against a second run of the same recipe while it is open."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(path / ".lock")
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise StoreError(
                f"another run is writing to {path}", "Wait for it, or name another folder with --runs."
            ) from error
        except OSError as error:
            raise self._failure(error) from error
        self._handler: logging.Handler | None = None

    def __enter__(self) -> RunFolder:
        try:
            self._handler = _LogFile(self.path / "run.log", "w", "utf-8", errors="backslashreplace")
        except OSError as error:
            self._lock.release()
            raise self._failure(error) from error
        self._handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logging.getLogger("segad").addHandler(self._handler)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._handler is not None:
            logger = logging.getLogger("segad")
            if error is not None:  # for the log alone: the terminal is told by who catches it
                what = {"name": logger.name, "levelno": logging.ERROR, "levelname": "ERROR"}
                self._handler.handle(logging.makeLogRecord({**what, "msg": f"the run stopped: {error}"}))
            logger.removeHandler(self._handler)
            self._handler.close()
        self._lock.release()

    def begin(self, recipe: Recipe, prepared: Prepared, device: str) -> None:
        """Writes what is known before the work starts; results of an earlier run are taken away."""
        try:
            for stale in _RESULTS:
                (self.path / stale).unlink(missing_ok=True)
            for part in self.path.glob(".*.part"):  # what a killed run was writing
                part.unlink()
        except OSError as error:
            raise self._failure(error) from error
        self._write("recipe.resolved.yaml", recipe.resolved())
        self._write("environment.json", json.dumps(environment(recipe, device), indent=1) + "\n")
        self._write("splits.json", splits_json(prepared.splits))
        lost = [(c, i, e.what) for c, errors in prepared.unreadable.items() for i, e in errors.items()]
        if lost:
            self._write("unreadable.csv", _csv(("category", "image", "reason"), lost))

    def write_results(self, figures: Sequence[Figures], scores: Sequence[ScoredImage]) -> None:
        """Writes the figures and scores of the rows finished so far."""
        self._write("results.csv", results_frame(figures).to_csv(index=False))
        self._write("scores.csv", _csv(_SCORE_COLUMNS, [image.cells() for image in scores]))

    def finish(
        self,
        recipe: Recipe,
        figures: Sequence[Figures],
        prepared: Prepared,
        maps: Sequence[SegmentedImage],
    ) -> str:
        """Writes the tables, the figures beside published ones, and how well the segmentation maps fit.

        Returns:
            The tables.
        """
        if maps:
            self._write("segmentations.csv", _csv(_MAP_COLUMNS, [image.cells() for image in maps]))
        if recipe.published is not None:
            self._write("comparison.csv", comparison_csv(compare(figures, recipe.published)))
        text = results_text(
            recipe.skeleton.title or recipe.name,
            figures,
            published=recipe.published,
            notes=prepared.notes,
            unreadable=sum(map(len, prepared.unreadable.values())),
            licence=prepared.licence,
        )
        if doubtful := [image for image in maps if image.doubt]:
            log.warning(
                "%d of %d segmentation maps are doubtful: see %s (the first: image '%s', %s)",
                len(doubtful),
                len(maps),
                self.path / "segmentations.csv",
                doubtful[0].image,
                doubtful[0].doubt,
            )
            text += (
                f"\n{len(doubtful)} of {len(maps)} segmentation maps are doubtful: see segmentations.csv.\n"
            )
        self._write("table.md", text)
        return text

    def _write(self, name: str, text: str) -> None:
        try:
            write_atomic(self.path / name, text)
        except OSError as error:
            raise self._failure(error) from error

    def _failure(self, error: OSError) -> StoreError:
        return StoreError(
            f"the run folder {self.path} cannot be written: {error.strerror or error}",
            "Free some space or correct its permissions, or name another folder with --runs.",
        )


def environment(recipe: Recipe, device: str) -> dict[str, Any]:
    """Versions, processor and device: where something was computed."""
    choices = [recipe.dataset, recipe.encoder, recipe.executor, recipe.segmenter]
    choices += [*recipe.detectors.values(), *recipe.classifiers.values()]
    for row in recipe.rows:
        choices += [row.segmenter, *row.features, *row.image_features, *row.defects, row.final]
    plugins = {f"{c.provider.kind}/{c.provider.qualified}": c.provider.version for c in choices if c}
    return {
        "segad": importlib.metadata.version("segad"),
        "plugins": dict(sorted(plugins.items())),
        "libraries": {name: _version(name) for name in _LIBRARIES},
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "device": device,
    }


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _csv(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(lines)
    return buffer.getvalue()
