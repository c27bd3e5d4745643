"""Inspecting images with a bundle: images in, verdicts with reasons out, as a stream."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from segad_core.base.digest import digest_of
from segad_core.base.parallel import free_core, threads
from segad_core.base.resources import guarded
from segad_core.bundle.format.container import Container
from segad_core.bundle.format.manifest import Manifest
from segad_core.bundle.format.operating_point import read_operating_point
from segad_core.bundle.format.regions import read_limits
from segad_core.bundle.format.tables import read_table
from segad_core.bundle.runtime.levels import Levels
from segad_core.bundle.runtime.opened import Opened, problem_of, sample_of, unknown
from segad_core.bundle.runtime.opening import Picture, check_several, full_size
from segad_core.bundle.runtime.part_list import part_names
from segad_core.bundle.runtime.part_names import PartNames
from segad_core.bundle.runtime.pipeline import TrainedPipeline, open_pipeline, score_golden
from segad_core.bundle.runtime.prediction import (
    ONE_VIEW,
    Contribution,
    Inspection,
    Prediction,
    Verdict,
    in_short,
    parted_view,
    side,
)
from segad_core.bundle.runtime.reasons import Amounts, Explained, amounts_of, explained
from segad_core.bundle.runtime.regions import Located, located
from segad_core.bundle.runtime.scored import Read, Scored
from segad_core.bundle.runtime.settling import once_written
from segad_core.bundle.runtime.sizes import checked_size
from segad_core.bundle.runtime.stream import Reader, decoded, finished, one_by_one, read_ahead, reader, sound
from segad_core.bundle.runtime.taking import MAX_WAIT, taking
from segad_core.contracts import Frame, Sample
from segad_core.errors import ResourceError, UsageError
from segad_core.images.frames import framed
from segad_core.operate.image_table import ImageTable
from segad_core.operate.operating_point import OperatingPoint
from segad_core.plugins.registry import Registry

log = logging.getLogger("segad.bundle")

__all__ = ["Bundle", "Contribution", "Inspection", "Picture", "Prediction", "Verdict"]


class Bundle:
    """A trained setup, ready to inspect images.

    Use `Bundle.load`. An example:

        with Bundle.load("bracket.segad") as bundle:
            for prediction in bundle.predict(["part1.png", "part2.png"]):
                print(prediction.image, prediction.verdict, prediction.reason)
    """

    def __init__(
        self,
        container: Container,
        pipeline: TrainedPipeline,
        registry: Registry,
        device: str,
        names: PartNames | None,
        tried: bool = True,
    ) -> None:
        self.container, self._tried = container, tried
        self.pipeline = pipeline
        self.registry, self.device = registry, device
        self.operating_point: OperatingPoint = read_operating_point(container)
        self.limits = read_limits(container)
        segments = self.manifest.pipeline.segments
        self._levels = Levels(self.manifest.pipeline.decoding)
        self.part_names = names
        views = pipeline.segad.views if pipeline.segad else ()
        self.features = [parted_view(name, views, segments, pipeline.learners) for name in pipeline.names]

    @classmethod
    def load(
        cls,
        path: str | Path,
        device: str = "auto",
        third_parties: bool = True,
        parts: str | Path | None = None,
        precision: str = "auto",
        try_out: bool = True,
    ) -> Bundle:
        """Loads a bundle: every file is verified before it is parsed, and none of its content can run.

        Args:
            path: a folder or a zip.
            device: `auto`, `cpu` or `cuda`.
            third_parties: whether plugins that do not come with segad may be used.
            parts: a CSV file with path, serial and view of each image, where paths do not name parts.
            precision: of networks, `float32` or `bfloat16`; `auto` for what the bundle was made in.
            try_out: whether a golden image is scored now, and not once another image cannot be scored.

        Raises:
            BundleError: it is damaged, tampered with, in another format, or needs something not installed.
            UsageError: the list of parts cannot be used, or the bundle judges images.
        """
        container = Container(Path(path))
        try:
            container.verify()
            given, known = container.manifest.pipeline, Registry(third_parties)
            names = part_names(given.parts, parts, given.by_page)
            opened = open_pipeline(container, known, device, precision, try_out)
            return cls(container, opened, known, device, names, try_out)
        except BaseException:
            container.close()
            raise

    @property
    def manifest(self) -> Manifest:
        """The bundle's manifest."""
        return self.container.manifest

    @property
    def digest(self) -> str:
        """Identifies the bundle: every file in it counts, including the operating point."""
        return digest_of(self.manifest.model_dump(mode="json"))

    def calibration(self) -> ImageTable:
        """The calibration images, which nothing was trained on: features, scores and labels."""
        return read_table(self.container, "calibration")

    def predict(self, images: Iterable[Picture], explain: bool = True) -> list[Prediction]:
        """Predicts images, in order; one that cannot be read or scored is UNKNOWN, with the reason.

        Args:
            images: paths, or arrays (H, W, 3) uint8 RGB.
            explain: whether to return each feature's contribution; reasons are given regardless.

        Raises:
            UsageError: a single image was passed instead of several, or the bundle judges parts.
            ResourceError: the machine failed: no memory, no file handles, a broken disk.
        """
        if self.part_names is not None:
            what = f"{self.container.path}: judges parts, and images alone have no verdict"
            raise UsageError(what, "Use predict_parts(bundle, images).")
        return [found.prediction for found in self.inspect(images, explain, None)]

    def inspect(
        self, images: Iterable[Picture], explain: bool = True, max_wait: float | None = MAX_WAIT
    ) -> Iterator[Inspection]:
        """Like `predict`, but as a stream with maps and features; memory does not grow with the images.

        A bundle that judges parts is accepted, too: the verdicts are then on images, not on their parts.

        Batches are taken from `images`, decoded, read by the networks and judged, each step while others work
        on other batches, as far as cores are free; at most three are in memory, and no verdict waits for
        images that come after its batch. Images are scored in batches of the size that the bundle
        was trained with, the last one as it comes.

        Args:
            images: paths, or arrays (H, W, 3) uint8 RGB, from a list or from anything slower.
            explain: as in `predict`.
            max_wait: how many seconds the first image of a batch waits for others to come; a batch that is
                not full by then is scored as it is, and its scores agree within rounding. None: until the
                batch is full. Lists and other collections are never waited for.

        Raises:
            UsageError: a single image was passed.
            ResourceError: as for `predict`.
        """
        return one_by_one(self.batches(images, explain, max_wait))

    def batches(
        self, images: Iterable[Picture], explain: bool = True, max_wait: float | None = MAX_WAIT
    ) -> Iterator[list[Inspection]]:
        """Like `inspect`, by batches, as soon as each is scored."""
        check_several(images)
        return self._stream(images, explain, None if isinstance(images, Collection) else max_wait)

    def close(self) -> None:
        """Closes the bundle's files."""
        self.container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _stream(
        self, images: Iterable[Picture], explain: bool, max_wait: float | None
    ) -> Iterator[list[Inspection]]:
        # a camera may reuse the memory of an array
        own = (np.array(image) if isinstance(image, np.ndarray) else image for image in images)
        given, size = self.manifest.pipeline, self.manifest.pipeline.preprocessing().at_once
        one, read = isinstance(images, Collection) and len(images) <= size, reader(given, self.pipeline)
        ahead, open_one = not one and free_core(self.device), self._open
        with (
            taking(enumerate(own), size, max_wait) as take,
            ThreadPoolExecutor(threads()) as pool,
            closing(read_ahead(decoded(take, lambda *a: pool.submit(open_one, *a)), read, ahead)) as batches,
        ):
            for opened, done in batches:
                found = iter(self._inspect(sound(opened), explain, read, done))
                yield [unknown(one) if one.problem else next(found) for one in opened]

    def _open(self, number: int, image: Picture) -> Opened:
        """An image, decoded and resized, or why that failed."""
        opened = Opened(sample_of(number, image, self.manifest.pipeline.by_page), image)
        try:
            with guarded(f"reading {opened.sample.id}"):
                pixels, frame, original = once_written(partial(self._pixels, opened), opened.sample.path)
                return replace(opened, pixels=pixels, frame=frame, original=original)
        except ResourceError:
            raise
        except Exception as error:  # whatever it is, it affects this image alone
            return replace(opened, problem=self._problem(opened.sample, error))

    def _pixels(self, opened: Opened) -> tuple[NDArray[np.uint8], Frame | None, tuple[int, int]]:
        given = self.manifest.pipeline
        with full_size(opened.source, given.decoding.of_page(opened.sample.page), self._levels.see) as pixels:
            original = checked_size(pixels, given, self.pipeline)
            return *framed(pixels, given.size, given.fit or "stretch"), original

    def _problem(self, sample: Sample, error: Exception) -> str:
        """What went wrong with an image; a file of the bundle has its name there, not that of its copy."""
        return self.container.named(problem_of(sample, error))

    def _inspect(
        self, opened: Sequence[Opened], explain: bool, read: Reader, done: Read | Exception | None = None
    ) -> list[Inspection]:
        """Judges images together, which have been read or not; if that fails, each alone."""
        if not opened:
            return []
        try:
            scored = finished(self.pipeline, opened, read(opened) if done is None else done)
        except Exception as error:  # one of them cannot spoil the others, and a failure is never OK
            if len(opened) > 1:
                return [one for single in opened for one in self._inspect([single], explain, read)]
            if isinstance(error, ResourceError):  # not the image is at fault
                raise
            if not self._tried:  # is it the bundle?
                self._tried = True
                score_golden(self.container, self.pipeline)
            return [unknown(replace(opened[0], problem=self._problem(opened[0].sample, error)))]
        amounts = self._amounts(scored, explain)
        return [self._inspection(one, scored, i, explain, amounts) for i, one in enumerate(opened)]

    def _amounts(self, scored: Scored, explain: bool) -> dict[int, Amounts]:
        """What each feature added to the scores that are explained, by image."""
        if scored.scores is None or self.pipeline.segad is None:
            return {}
        chosen = np.flatnonzero(explain | (scored.scores >= self.operating_point.threshold))
        found = amounts_of(self.pipeline.segad.final, scored.features[chosen])
        return dict(zip(chosen.tolist(), found, strict=True))

    def _inspection(
        self, opened: Opened, scored: Scored, i: int, explain: bool, amounts: Mapping[int, Amounts]
    ) -> Inspection:
        doubt = f"doubtful segmentation: {scored.doubts[i]}" if scored.doubts[i] else ""
        if scored.scores is None:
            return self._view(opened, scored, i, doubt)
        score, threshold = float(scored.scores[i]), self.operating_point.threshold
        reject = side(score, threshold) == "NG"
        found, unexplained = self._explained(opened, scored, i, amounts[i]) if i in amounts else ((), "")
        verdict: Verdict = "NG" if reject else "UNKNOWN" if doubt else "OK"
        said = [in_short(found) or f"score {score:.4g}, NG from {threshold:.4g}"] if reject else []
        where = self._located(opened, scored, i) if reject else Located()
        reason = "; ".join(filter(None, [*said, where.missing, doubt, unexplained]))
        told = Prediction(opened.sample.id, verdict, score, reason, found if explain else (), where.regions)
        return scored.inspection(i, told, doubt, where.boxes)

    def _view(self, opened: Opened, scored: Scored, i: int, doubt: str) -> Inspection:
        """One of the views that are judged together; where an NG would pass what good parts show."""
        where = self._located(opened, scored, i)
        told = Prediction(opened.sample.id, "UNKNOWN", None, ONE_VIEW, regions=where.regions)
        return scored.inspection(i, told, doubt, where.boxes)

    def _located(self, opened: Opened, scored: Scored, i: int) -> Located:
        if self.limits is None:
            return Located()
        maps, words = scored.maps_of(i), partial(self._problem, opened.sample)
        given, view = self.manifest.pipeline, ""
        if self.part_names and self.limits.views:
            view = self.part_names.of(opened.sample.id).view
        return located(maps, scored.labels(i), given, self.limits, opened.original, words, view)

    def _explained(self, opened: Opened, scored: Scored, i: int, amounts: Amounts) -> Explained:
        assert self.pipeline.segad is not None
        peaks = scored.peaks(i, self.pipeline.segad.segmenter.segments)
        words = partial(self._problem, opened.sample)
        return explained(amounts, scored.features[i], self.features, peaks, words)
