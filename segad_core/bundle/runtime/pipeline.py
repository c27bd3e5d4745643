"""A trained setup at work: from batches of images to feature vectors, scores and reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segad_core.base.checked import shown
from segad_core.bundle.format.container import Container
from segad_core.bundle.format.manifest import Pipeline
from segad_core.bundle.format.tables import read_golden
from segad_core.bundle.runtime.building import Builder
from segad_core.contracts import Classifier, Detector, Encoder, FinalClassifier, ImageBatch, Sample
from segad_core.errors import BundleError, PluginError, SegadError, UsageError
from segad_core.images import decode, resize
from segad_core.plugins.registry import Registry
from segad_core.scoring.segmentation import Segmentation
from segad_core.scoring.shapes import layer_shapes
from segad_core.scoring.statistics import Description, checked_maps, checked_scores


@dataclass
class Scored:
    """What a batch came to; arrays have a line for each image that counts.

    Attributes:
        scores: (n,) higher is worse.
        features: (n, d) of a SegAD setup; (n, 0) of a learner alone.
        maps: (n, H, W) by detector.
        segments: (n or 1, H, W) labels; None without SegAD.
        doubts: what is wrong with the segmentation of each image; empty where nothing is.
    """

    scores: NDArray[np.float64]
    features: NDArray[np.float64]
    maps: dict[str, NDArray[np.float32]]
    segments: NDArray[np.uint8] | None
    doubts: list[str]


@dataclass
class TrainedPipeline:
    """Everything that a bundle's pipeline names, built and restored."""

    encoder: Encoder | None
    layers: tuple[str, ...]
    detectors: Mapping[str, Detector]
    classifiers: Mapping[str, Classifier]
    segmentation: Segmentation | None
    descriptions: Sequence[Description]
    image_descriptions: Sequence[Description]
    final: FinalClassifier | None
    names: Sequence[str]

    def run(self, batch: ImageBatch, count: int) -> Scored:
        """Scores the first `count` images of a batch.

        Raises:
            SegadError: naming the image and the plugin; nothing of the batch is scored.
        """
        maps = {alias: checked_maps(d, batch, alias) for alias, d in self.detectors.items()}
        found = {alias: m[:count] for alias, m in maps.items()}
        given = [checked_scores(c, batch, alias)[:count, None] for alias, c in self.classifiers.items()]
        if self.final is None:
            alone = given or [
                d.lines(self.detectors[d.alias], maps[d.alias], batch, batch, count)
                for d in self.image_descriptions
            ]
            return Scored(alone[0][:, 0], np.empty((count, 0)), found, None, [""] * count)
        assert self.segmentation is not None
        features = self._features(maps, given, batch, count)
        scores = np.asarray(self.final.margins(features), np.float64)
        if scores.shape != (count,) or not np.isfinite(scores).all():
            raise PluginError(f"the final classifier gave {scores.shape} scores, or some that are not finite")
        self.segmentation.qualities.clear()
        self.segmentation.note_quality(batch, count)
        doubts = [quality.doubt for quality in self.segmentation.qualities] or [""] * count
        return Scored(scores, features, found, self.segmentation.maps(batch), doubts)

    def feature_names(self) -> list[str]:
        """The names of the entries of feature vectors; none without SegAD."""
        if self.segmentation is None:
            return []
        within = [
            f"{name}.{d.alias}.{statistic}"
            for name in self.segmentation.names
            for d in self.descriptions
            for segment, statistic in d.columns()
            if segment == name
        ]
        whole = [f"image.{d.alias}.{name}" for d in self.image_descriptions for _, name in d.columns()]
        return [*within, *whole, *(f"image.{alias}.score" for alias in self.classifiers)]

    def _features(
        self,
        maps: Mapping[str, NDArray[np.float32]],
        given: Sequence[NDArray[np.float64]],
        batch: ImageBatch,
        count: int,
    ) -> NDArray[np.float64]:
        """Feature vectors in the order of the recipe's rows (`segad_core.rows.feature_table`)."""

        def lines(descriptions: Sequence[Description]) -> list[NDArray[np.float64]]:
            return [
                d.lines(self.detectors[d.alias], maps[d.alias], batch, batch, count) for d in descriptions
            ]

        within = np.stack(lines(self.descriptions), axis=1)  # (n, detectors, segments * statistics)
        assert self.segmentation is not None
        by_segment = within.reshape(count, len(self.descriptions), len(self.segmentation.names), -1)
        ordered = by_segment.transpose(0, 2, 1, 3).reshape(count, -1)
        return np.concatenate([ordered, *lines(self.image_descriptions), *given], axis=1)


def open_pipeline(container: Container, registry: Registry, device: str) -> TrainedPipeline:
    """Builds and restores what a bundle names, and tries it on an image; files are verified before parsing.

    Raises:
        BundleError: it names what is not installed, or holds what cannot be taken up.
    """
    try:
        pipeline = _built(container, Builder(container, registry, device))
        _try_out(container, pipeline)
    except (BundleError, UsageError):  # the latter: there is no such device
        raise
    except SegadError as error:
        raise BundleError(f"{container.path}: cannot be taken up: {error.what}", error.remedy) from error
    except Exception as error:  # whatever plugins stumble over that are given what is not their own
        what = f"{container.path}: cannot be taken up: {type(error).__name__}: {shown(error)}"
        raise BundleError(what, "Make the bundle again with what is installed here.") from error
    return pipeline


def _built(container: Container, build: Builder) -> TrainedPipeline:
    given = container.manifest.pipeline
    _check_parts(container, given)
    detectors = {alias: build.learner("detectors", alias, use) for alias, use in given.detectors.items()}
    classifiers = {
        alias: build.learner("classifiers", alias, use) for alias, use in given.classifiers.items()
    }
    learners = [*detectors.values(), *classifiers.values()]
    layers = tuple(dict.fromkeys(layer for learner in learners for layer in learner.layers()))
    encoder = build.encoder() if layers else None
    for detector in detectors.values():
        detector.check(given.size, layer_shapes(detector, encoder, given.size))
    image_features = [build.component("features", use) for use in given.image_features]
    final = segmentation = None
    descriptions: list[Description] = []
    if given.segmenter and given.final:
        segmenter = build.component("segmenters", given.segmenter)
        segmentation = Segmentation(segmenter, given.segmenter.use, list(segmenter.segments()))
        features = [build.component("features", use) for use in given.features]
        descriptions = [Description(alias, segmentation, features) for alias in detectors]
        final = build.final(given.final)
    pipeline = TrainedPipeline(
        encoder=encoder,
        layers=layers,
        detectors=detectors,
        classifiers=classifiers,
        segmentation=segmentation,
        descriptions=descriptions,
        image_descriptions=[
            Description(alias, None, image_features) for alias in detectors if given.score or image_features
        ],
        final=final,
        names=given.names,
    )
    segments = list(segmentation.names) if segmentation else []
    if segments != given.segments or pipeline.feature_names() != given.names:
        raise BundleError(
            f"{container.path}: its plugins have other segments or features here than those that it names",
            "Install the versions of the plugins that the bundle names.",
        )
    return pipeline


def _check_parts(container: Container, given: Pipeline) -> None:
    """That the manifest names the parts of one setup."""
    learners = [*given.detectors, *given.classifiers]
    parts = (given.segmenter, given.final, given.features)
    if given.score:
        sound = len(learners) == 1 and not any(parts)
    else:
        sound = bool(given.detectors) and len(given.classifiers) <= 1 and all(parts)
    if not sound or len(set(learners)) < len(learners):
        raise BundleError(
            f"{container.path}: its manifest does not name the parts of one setup", "Make the bundle again."
        )


def _try_out(container: Container, pipeline: TrainedPipeline) -> None:
    """Scores a golden image: a state that does not fit is found here, not part by part on the line."""
    given, golden = container.manifest.pipeline, read_golden(container)
    if not golden:
        raise BundleError(f"{container.path}: holds no golden image", "Make the bundle again.")
    path, encoder = container.file(golden[0].file), pipeline.encoder
    whole = decode(path, given.white).pixels
    batch = ImageBatch(
        [Sample(golden[0].file, path, None)],
        resize(whole, given.size)[None],
        None if encoder is None else lambda pixels: encoder.encode(pixels, pipeline.layers),
        lambda _: whole,
    )
    pipeline.run(batch, 1)
