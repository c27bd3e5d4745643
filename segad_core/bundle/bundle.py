"""A bundle at work: images in, verdicts with reasons out, in one stream."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from segad_core.bundle.container import Container
from segad_core.bundle.manifest import Manifest
from segad_core.bundle.operating import OperatingPoint, read_operating_point
from segad_core.bundle.pipeline import Scored, TrainedPipeline, open_pipeline
from segad_core.bundle.tables import ImageTable, read_table
from segad_core.contracts import Array, Encoder, ImageBatch, Sample
from segad_core.errors import SegadError, UsageError
from segad_core.images import decode, resize
from segad_core.registry import Registry

Verdict = Literal["OK", "NG", "UNKNOWN"]
Picture = str | Path | NDArray[np.uint8]
"""An image file, or an image (H, W, 3) uint8 RGB."""


@dataclass(frozen=True)
class Contribution:
    """What one feature added to a score.

    Attributes:
        segment: where; `image` for the whole of it.
        source: the detector or classifier.
        statistic: what of its map, or `score`.
        value: the feature's value.
        amount: added to the margin; positive speaks for NG.
    """

    segment: str
    source: str
    statistic: str
    value: float
    amount: float

    def __str__(self) -> str:
        return f"{self.segment}, {self.source} {self.statistic}, {self.amount:+.2f}"


@dataclass(frozen=True)
class Prediction:
    """What a bundle says of one image.

    Attributes:
        image: its path, or its number where it was given as an array.
        verdict: OK, NG, or UNKNOWN where something failed or is in doubt.
        score: higher is worse; None where there is none.
        reason: in words: what drove an NG, or why nothing can be said.
        contributions: what each feature added, the largest first; empty for setups without SegAD and where
            they were not asked for.
    """

    image: str
    verdict: Verdict
    score: float | None
    reason: str = ""
    contributions: tuple[Contribution, ...] = ()


@dataclass(frozen=True)
class Inspection:
    """A prediction and what it was made from, for overlays; empty where nothing could be scored.

    Attributes:
        pixels: (H, W, 3) at the bundle's size.
        maps: (H, W) by detector.
        segments: (H, W) labels, or None.
        features: (d,) its feature vector.
    """

    prediction: Prediction
    pixels: NDArray[np.uint8] | None = None
    maps: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    segments: NDArray[np.uint8] | None = None
    features: NDArray[np.float64] | None = None


class Bundle:
    """A trained setup, ready to inspect images.

    Use `Bundle.load`. An example:

        bundle = Bundle.load("bracket.segad")
        for prediction in bundle.predict(["part1.png", "part2.png"]):
            print(prediction.image, prediction.verdict, prediction.reason)
    """

    def __init__(self, container: Container, pipeline: TrainedPipeline) -> None:
        self.container = container
        self.pipeline = pipeline
        self.operating_point: OperatingPoint = read_operating_point(container)

    @classmethod
    def load(cls, path: str | Path, device: str = "auto", third_parties: bool = True) -> Bundle:
        """Loads a bundle: every file is verified before it is parsed, and no code in it can run.

        Args:
            path: a folder or a zip.
            device: `auto`, `cpu` or `cuda`.
            third_parties: whether plugins that do not come with segad may be used.

        Raises:
            BundleError: it is damaged, tampered with, of another format, or names what is not installed.
        """
        container = Container(Path(path))
        container.verify()
        return cls(container, open_pipeline(container, Registry(third_parties), device))

    @property
    def manifest(self) -> Manifest:
        """What the bundle says of itself."""
        return self.container.manifest

    def calibration(self) -> ImageTable:
        """The test images, which trained nothing: features, scores and labels."""
        return read_table(self.container, "calibration")

    def predict(self, images: Iterable[Picture], explain: bool = True) -> list[Prediction]:
        """Predictions of images, in their order; what cannot be read or scored is UNKNOWN, with the reason.

        Args:
            images: paths, or arrays (H, W, 3) uint8 RGB.
            explain: whether to work out what each feature added.
        """
        return [found.prediction for found in self.inspect(images, explain)]

    def inspect(self, images: Iterable[Picture], explain: bool = True) -> Iterator[Inspection]:
        """The same as a stream, with maps and features: memory does not grow with the number of images.

        The next batch is decoded while this one is scored.
        """
        numbered, size = enumerate(images), self.manifest.pipeline.batch_size
        with ThreadPoolExecutor(max_workers=2) as pool:
            pending = [pool.submit(self._open, n, image) for n, image in islice(numbered, size)]
            while pending:
                opened = [one.result() for one in pending]
                pending = [pool.submit(self._open, n, image) for n, image in islice(numbered, size)]
                found = self._inspect([one for one in opened if not one.problem], explain)
                yield from (found.pop(0) if not one.problem else _unknown(one) for one in opened)

    def close(self) -> None:
        """Lets go of the bundle's files."""
        self.container.close()

    def _open(self, number: int, image: Picture) -> _Opened:
        """An image decoded and brought to size, or why it cannot be."""
        given = self.manifest.pipeline
        name = str(number) if isinstance(image, np.ndarray) else str(image)
        sample = Sample(name, Path(name), None)
        try:
            whole = _whole(image, given.white)
            if self.pipeline.segmentation is not None:
                size = (whole.shape[0], whole.shape[1])
                self.pipeline.segmentation.segmenter.check_sizes({size}, given.size)
            return _Opened(sample, image, resize(whole, given.size))
        except SegadError as error:
            return _Opened(sample, image, problem=_one_line(error))

    def _inspect(self, opened: Sequence[_Opened], explain: bool) -> list[Inspection]:
        """Scores images together; if that fails, each by itself, so that one cannot spoil the others."""
        if not opened:
            return []
        batch, count = self._batch(opened)
        try:
            scored = self.pipeline.run(batch, count)
        except Exception as error:  # a plugin may raise anything: no part is OK because something failed
            if len(opened) > 1:
                return [one for single in opened for one in self._inspect([single], explain)]
            problem = (
                _one_line(error) if isinstance(error, SegadError) else f"{type(error).__name__}: {error}"
            )
            return [_unknown(replace(opened[0], problem=problem))]
        return [self._inspection(one, scored, i, explain) for i, one in enumerate(opened)]

    def _batch(self, opened: Sequence[_Opened]) -> tuple[ImageBatch, int]:
        """A batch of the size that the setup was trained with: how networks round depends on it."""
        filled = [*opened, *[opened[-1]] * (self.manifest.pipeline.batch_size - len(opened))]
        pixels = np.stack([one.pixels for one in filled if one.pixels is not None])
        whole = {one.sample.id: one.image for one in opened}

        def load(sample: Sample) -> NDArray[np.uint8]:
            return _whole(whole[sample.id], self.manifest.pipeline.white)

        encoder, layers = self.pipeline.encoder, self.pipeline.layers
        encode = None if encoder is None else partial(_encode, encoder, layers)
        return ImageBatch([one.sample for one in filled], pixels, encode, load), len(opened)

    def _inspection(self, opened: _Opened, scored: Scored, i: int, explain: bool) -> Inspection:
        score, doubt = float(scored.scores[i]), scored.doubts[i]
        reject = score >= self.operating_point.threshold
        found = self._contributions(scored.features[i]) if explain and self.pipeline.final else ()
        verdict: Verdict = "NG" if reject else "UNKNOWN" if doubt else "OK"
        drivers = "; ".join(str(one) for one in found[:_REASONS] if one.amount > 0) if reject else ""
        reason = "; ".join(
            part for part in (drivers, f"segmentation in doubt: {doubt}" * bool(doubt)) if part
        )
        segments = scored.segments
        return Inspection(
            Prediction(opened.sample.id, verdict, score, reason, found),
            opened.pixels,
            {alias: maps[i] for alias, maps in scored.maps.items()},
            None if segments is None else segments[i if len(segments) > 1 else 0],
            scored.features[i],
        )

    def _contributions(self, features: NDArray[np.float64]) -> tuple[Contribution, ...]:
        assert self.pipeline.final is not None
        amounts = self.pipeline.final.contributions(features[None])[0, :-1]
        parted = [name.split(".", 2) for name in self.pipeline.names]
        found = [
            Contribution(segment, source, statistic, float(value), float(amount))
            for (segment, source, statistic), value, amount in zip(parted, features, amounts, strict=True)
        ]
        return tuple(sorted(found, key=lambda one: -one.amount))


_REASONS = 3
"""How many features a reason names."""


@dataclass(frozen=True, eq=False)
class _Opened:
    sample: Sample
    image: Picture
    pixels: NDArray[np.uint8] | None = None
    problem: str = ""


def _unknown(opened: _Opened) -> Inspection:
    return Inspection(Prediction(opened.sample.id, "UNKNOWN", None, opened.problem))


def _encode(encoder: Encoder, layers: tuple[str, ...], pixels: NDArray[np.uint8]) -> Mapping[str, Array]:
    return encoder.encode(pixels, layers)


def _whole(image: Picture, white: int) -> NDArray[np.uint8]:
    """An image as it is on disk, or as it was given."""
    if not isinstance(image, np.ndarray):
        return decode(Path(image), white).pixels
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise UsageError(
            f"an image of shape {image.shape} and type {image.dtype}, not (H, W, 3) uint8 RGB",
            "Convert it before.",
        )
    return image


def _one_line(error: SegadError) -> str:
    return f"{error.what}: {error.remedy}" if error.remedy else error.what
