"""A trained setup at work: from batches of images to feature vectors, scores and reasons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from segad_core.base.checked import shown
from segad_core.base.resources import guarded
from segad_core.bundle.format.container import Container
from segad_core.bundle.format.manifest import Pipeline
from segad_core.bundle.format.tables import read_golden, read_table
from segad_core.bundle.runtime.building import Builder
from segad_core.bundle.runtime.made_with import AUTO, compare_threads, given_precision
from segad_core.bundle.runtime.opened import Opened, batch_of
from segad_core.bundle.runtime.scored import Read, Scored
from segad_core.contracts import (
    Classifier,
    Encoder,
    FinalClassifier,
    ImageBatch,
    Learner,
    LearningSegmenter,
    Sample,
    Segmenter,
    VectorClassifier,
    optional,
)
from segad_core.contracts.faults import REPORT, at_fault
from segad_core.contracts.segmenter import IGNORE
from segad_core.errors import BundleError, PluginError, ResourceError, SegadError, StoreError, UsageError
from segad_core.images import at_full_size
from segad_core.images.frames import framed
from segad_core.plugins.registry import Registry
from segad_core.scoring.batch import NamedDetector, ScoredBatch, ScoringPass
from segad_core.scoring.ignored import Ignored
from segad_core.scoring.layout import FeatureLayout
from segad_core.scoring.margins import checked_margins
from segad_core.scoring.segmentation import NamedSegmenter
from segad_core.scoring.shapes import layer_shapes
from segad_core.scoring.statistics import MapStatistics
from segad_core.scoring.supervised import checked_outputs, checked_scores, checked_vectors, judged
from segad_core.scoring.tiled import size_seen
from segad_core.scoring.views import usual, view_names


@dataclass(frozen=True)
class SegAD:
    """What SegAD adds to the detectors: segments, the layout of feature vectors, and the final classifier.

    Attributes:
        views: of a part, whose features are one vector side by side; empty where images are judged.
        stands_in: (views * d,) for the features of a view that is missing; None if none may be.
    """

    segmenter: NamedSegmenter
    layout: FeatureLayout
    final: FinalClassifier
    views: tuple[str, ...] = ()
    stands_in: NDArray[np.float64] | None = None

    def names(self) -> list[str]:
        """The names of what the final classifier reads."""
        return view_names(self.layout.names(), self.views)

    def scores(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """The scores (n,) of feature vectors (n, d), or of those of all views.

        Raises:
            PluginError: the final classifier returns something else.
        """
        scores = checked_margins(self.final, features)
        if not np.isfinite(scores).all():
            whose, one = at_fault(self.final, "final classifier", ""), scores[~np.isfinite(scores)][0]
            raise PluginError(f"{whose}: a score is not finite ({one})", REPORT)
        return scores

    def features(self, scored: ScoredBatch, given: list[NDArray[np.float64]]) -> NDArray[np.float64]:
        """Feature vectors (n, d) of a batch, of which classifiers gave scores (n, k)."""
        detectors = len(self.layout.detectors)
        scores = given[0] if given else None
        return self.layout.vectors(scored.values[:detectors], scored.values[detectors:], scores)


@dataclass(frozen=True)
class TrainedPipeline:
    """Everything that a bundle's pipeline names, built and restored; keeps nothing of a batch.

    Attributes:
        encoder: None where no learner reads it.
        layers: of the encoder, that learners read.
        scoring: the detectors, and what is computed from their maps.
        classifiers: by name.
        segad: None for a learner alone.
        ignored: says what is never inspected; None if everything is.
    """

    encoder: Encoder | None
    layers: tuple[str, ...]
    scoring: ScoringPass
    classifiers: Mapping[str, Classifier]
    segad: SegAD | None
    ignored: Ignored | None = None

    @property
    def names(self) -> list[str]:
        """The names of the features; none without SegAD."""
        return self.segad.names() if self.segad else []

    @property
    def learners(self) -> list[str]:
        """The names of the detectors and classifiers."""
        return [*self.scoring.detectors, *self.classifiers]

    def run(self, batch: ImageBatch) -> Scored:
        """Scores a batch.

        Raises:
            SegadError: naming the image and the plugin; nothing of the batch is scored.
        """
        return self.finished(self.read(batch))

    def read(self, batch: ImageBatch) -> Read:
        """The first half of `run`: all that networks do."""
        if self.ignored is not None:
            batch = batch.ignoring(self.ignored(batch))
        describers = {
            name: partial(checked_vectors, one, name=name)
            for name, one in self.classifiers.items()
            if isinstance(one, VectorClassifier)
        }
        read = self.scoring.read(batch, describers)
        scores = [
            judged(one, read.vectors[name], batch.samples, name)
            if isinstance(one, VectorClassifier)
            else checked_scores(one, batch, name)
            for name, one in self.classifiers.items()
        ]
        return Read(read, scores, batch.pixels, batch.ignored)

    def finished(self, read: Read) -> Scored:
        """The second half of `run`: statistics and the final score. It may run while others are read."""
        scored, given, count = self.scoring.computed(read.batch), read.scores, len(read.pixels)
        seen = (dict(scored.vectors), read.pixels, read.ignored)
        if self.segad is None:
            alone = given or scored.values
            return Scored(alone[0][:, 0], np.empty((count, 0)), scored.maps, None, [""] * count, *seen)
        features = self.segad.features(scored, given)
        scores = None if self.segad.views else self.segad.scores(features)
        segments = scored.segments[self.segad.segmenter]
        return Scored(scores, features, scored.maps, segments.maps, segments.doubts(count), *seen)


def open_pipeline(
    container: Container, registry: Registry, device: str, precision: str = AUTO, tried: bool = True
) -> TrainedPipeline:
    """Builds and restores what a bundle names; files are verified before parsing.

    Args:
        container: of the bundle.
        registry, device: where plugins come from, and where networks run.
        precision: of networks.
        tried: whether it is tried on an image.

    Raises:
        BundleError: it names what is not installed, or cannot be loaded.
    """
    given = given_precision(container, precision)
    with _loading(container):
        pipeline = _built(container, Builder(container, registry, device, given))
        if not read_golden(container):
            raise BundleError(f"{container.path}: holds no golden image", "Make the bundle again.")
        if pipeline.segad and pipeline.segad.views:
            pipeline.segad.scores(np.zeros((1, len(container.manifest.pipeline.names))))
    if tried:
        score_golden(container, pipeline)
    compare_threads(container)
    return pipeline


def score_golden(container: Container, pipeline: TrainedPipeline) -> None:
    """Scores a golden image: a state that does not fit is found here, not part by part on the line.

    Raises:
        BundleError: it cannot be scored.
    """
    given, golden = container.manifest.pipeline, read_golden(container)[0]
    with _loading(container):
        path = container.file(golden.file)
        with at_full_size(path, given.decoding.of_page(golden.page)) as decoded:
            pixels, frame = framed(decoded.pixels, given.size, given.fit or "stretch")
        opened = Opened(Sample(golden.file, path, None, page=golden.page), path, pixels, frame)
        pipeline.run(batch_of([opened], given, pipeline.encoder, pipeline.layers))


@contextmanager
def _loading(container: Container) -> Iterator[None]:
    """What goes wrong in the block is wrong with the bundle."""
    try:
        with container.naming("loading"), guarded(f"loading {container.path}"):
            yield
    except (BundleError, StoreError, UsageError, ResourceError):  # UsageError: there is no such device
        raise
    except SegadError as error:
        what = f"{container.path}: cannot be loaded: {container.named(error.what)}"
        raise BundleError(what, error.remedy) from error
    except Exception as error:  # whatever plugins stumble over that are given what is not their own
        reason = shown(container.named(f"{type(error).__name__}: {error}"))
        what = f"{container.path}: cannot be loaded: {reason}"
        raise BundleError(what, "Make the bundle again with what is installed here.") from error


def _built(container: Container, build: Builder) -> TrainedPipeline:
    given = container.manifest.pipeline
    _check_parts(container, given)
    detectors = {alias: build.learner("detectors", alias, use) for alias, use in given.detectors.items()}
    classifiers = {
        alias: build.learner("classifiers", alias, use) for alias, use in given.classifiers.items()
    }
    segmenter = build.segmenter(given.segmenter) if given.segmenter else None
    learnt = [segmenter] if isinstance(segmenter, LearningSegmenter) else []
    learners: list[Learner] = [*detectors.values(), *classifiers.values(), *learnt]
    reads = any(learner.layers() or optional.optional_layers(learner) for learner in learners)
    encoder = build.encoder() if reads else None
    layers = tuple(dict.fromkeys(n for one in learners for n in optional.layers_read(one, encoder)))
    for learner in [*detectors.values(), *learnt]:
        size = size_seen(type(learner), given.preprocessing())
        learner.check(size, layer_shapes(learner, encoder, size))
    segad, statistics = _segad(build, given, classifiers, segmenter)
    known = {str(given.segmenter): segmenter} if segmenter else {}
    pipeline = TrainedPipeline(
        encoder=encoder,
        layers=layers,
        scoring=ScoringPass({alias: NamedDetector(alias, d) for alias, d in detectors.items()}, statistics),
        classifiers=classifiers,
        segad=segad,
        ignored=build.ignored(given.ignore, known) if given.ignore else None,
    )
    segments = list(segad.segmenter.segments) if segad else []
    if segments != given.segments or pipeline.names != given.names:
        raise BundleError(
            f"{container.path}: its plugins have other segments or features here than those that it names",
            "Install the versions of the plugins that the bundle names.",
        )
    if segad and segad.views and given.parts and given.parts.missing == "allow":
        learnt_from = read_table(container, "training")
        gaps = usual(learnt_from.features, learnt_from.labels(), given.names)
        return replace(pipeline, segad=replace(segad, stands_in=gaps))
    return pipeline


def _segad(
    build: Builder, given: Pipeline, classifiers: Mapping[str, Classifier], built: Segmenter | None
) -> tuple[SegAD | None, list[MapStatistics]]:
    """What SegAD adds, and what is computed from the detectors' maps: of segments, then of whole maps."""
    detectors = list(given.detectors)
    if not given.segmenter or not built or not given.final:  # a score alone; classifiers have no maps
        return None, [MapStatistics(alias, alias, None, []) for alias in detectors]
    ignoring = IGNORE not in given.segments  # it had features in bundles of before
    segmenter = NamedSegmenter(built, given.segmenter.use, given.off or (), ignoring)
    features = build.features("features", given.features, detectors)
    image_features = build.features("image_features", given.image_features, detectors)
    within = [MapStatistics(alias, alias, segmenter, features[alias]) for alias in detectors]
    inside = segmenter if given.off else None  # the whole map is without what is switched off
    whole = [MapStatistics(a, a, inside, image_features[a], whole=bool(given.off)) for a in detectors]
    if not given.image_features:
        whole = []
    layout = FeatureLayout(
        segmenter.segments,
        detectors,
        within[0].statistics(),
        whole[0].statistics() if whole else [],
        next(iter(classifiers), ""),
        [output for name, one in classifiers.items() for output in checked_outputs(one, name)],
    )
    return SegAD(segmenter, layout, build.final(given.final), given.together()), [*within, *whole]


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
