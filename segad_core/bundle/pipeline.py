"""A trained setup at work: from batches of images to feature vectors, scores and reasons."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load

from segad_core.bundle.container import Container
from segad_core.bundle.manifest import PluginUse
from segad_core.contracts import Classifier, Component, Detector, Encoder, FinalClassifier, ImageBatch
from segad_core.contracts.component import IsInputFile, IsInputFolder, has_mark
from segad_core.describe import Description, checked_maps, checked_scores
from segad_core.errors import BundleError, PluginError
from segad_core.registry import Registry
from segad_core.segmentation import Segmentation

log = logging.getLogger("segad.bundle")


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
    _columns: list[int] | None = field(default=None, repr=False)

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
        features = np.concatenate([ordered, *lines(self.image_descriptions), *given], axis=1)
        if features.shape[1] != len(self.names):
            raise BundleError(
                f"the pipeline gives {features.shape[1]} features, and the bundle was trained on "
                f"{len(self.names)}",
                "Install the versions of the plugins that the bundle names.",
            )
        return features


def open_pipeline(container: Container, registry: Registry, device: str) -> TrainedPipeline:
    """Builds and restores what a bundle names; every file is verified before anything parses it.

    Raises:
        BundleError: it names what is not installed, or holds what cannot be taken up.
    """
    given = container.manifest.pipeline
    build = _Builder(container, registry, device)
    detectors = {
        alias: build.learner("detectors", use, f"detectors/{alias}.safetensors")
        for alias, use in given.detectors.items()
    }
    classifiers = {
        alias: build.learner("classifiers", use, f"classifiers/{alias}.safetensors")
        for alias, use in given.classifiers.items()
    }
    learners = [*detectors.values(), *classifiers.values()]
    layers = tuple(dict.fromkeys(layer for learner in learners for layer in learner.layers()))
    encoder = build.component("encoders", given.encoder) if given.encoder and layers else None
    if encoder is not None and encoder.digest() != given.encoder_digest:
        raise BundleError(
            f"{container.path}: the weights of encoder '{given.encoder and given.encoder.use}' here are not "
            "those that it was trained with",
            "Install the same weights, or make the bundle from a recipe that names their file.",
        )
    final = segmentation = None
    descriptions: list[Description] = []
    image_features = [build.component("features", use) for use in given.image_features]
    if not given.score:
        if given.segmenter is None or given.final is None or not given.detectors or not given.features:
            raise BundleError(f"{container.path}: its manifest lacks parts of a setup", "Make it again.")
        segmenter = build.component("segmenters", given.segmenter)
        names = list(segmenter.segments())
        if names != given.segments:
            raise BundleError(
                f"{container.path}: the segmenter's segments are {', '.join(names)}, and it was trained with "
                f"{', '.join(given.segments)}",
                "Install the version of the plugin that the bundle names.",
            )
        segmentation = Segmentation(segmenter, given.segmenter.use, names)
        features = [build.component("features", use) for use in given.features]
        descriptions = [Description(alias, segmentation, features) for alias in detectors]
        final = build.final(given.final)
    wanted = detectors if given.score or image_features else {}
    return TrainedPipeline(
        encoder=encoder,
        layers=layers,
        detectors=detectors,
        classifiers=classifiers,
        segmentation=segmentation,
        descriptions=descriptions,
        image_descriptions=[Description(alias, None, image_features) for alias in wanted],
        final=final,
        names=given.names,
    )


@dataclass
class _Builder:
    """Builds components that are installed here; a bundle can name a plugin, never bring or fetch one."""

    container: Container
    registry: Registry
    device: str

    def component(self, kind: str, use: PluginUse) -> Any:
        """A fresh component, with its files from the bundle."""
        path = self.container.path
        try:
            provider = self.registry.find(kind, use.use)
            component = self.registry.component(provider)
        except PluginError as error:
            distribution = use.use.partition(":")[0]
            raise BundleError(
                f"{path}: needs the plugin '{use.use}' {use.version} ({kind}): {error.what}",
                f"Install {distribution} {use.version}, if you trust it: segad installs nothing by itself.",
            ) from error
        if provider.version != use.version:
            log.warning(
                "%s: was made with %s %s, and %s is installed: `segad bundle verify` says whether scores are "
                "the same",
                path,
                provider.distribution,
                use.version,
                provider.version,
            )
        return component(self._params(component, use), self.device)

    def _params(self, component: type[Component], use: PluginUse) -> Any:
        fields = component.Params.model_fields
        params = dict(use.params)
        for name, files in use.files.items():
            if name not in fields or not has_mark(fields[name], IsInputFile):
                raise BundleError(
                    f"{self.container.path}: '{use.use}' has no file '{name}'", "Make the bundle again."
                )
            places = [str(self.container.file(file)) for file in files]
            params[name] = places if isinstance(use.params.get(name), list) else places[0]
        for name, info in fields.items():
            plain = has_mark(info, IsInputFile) and name not in use.files
            if (plain or has_mark(info, IsInputFolder)) and params.get(name) is not None:
                raise BundleError(
                    f"{self.container.path}: '{use.use}' names a path outside of the bundle in '{name}'",
                    "Do not use it as it is.",
                )
        try:
            return component.Params.model_validate(params)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise BundleError(
                f"{self.container.path}: '{use.use}' refuses its parameters: "
                f"{'.'.join(map(str, first['loc']))}: {first['msg']}",
                f"Install the version that the bundle names, {use.version}.",
            ) from error

    def learner(self, kind: str, use: PluginUse, name: str) -> Any:
        """A detector or classifier as its training left it."""
        learner, data = self.component(kind, use), self.container.read(name)
        try:
            state = load(data)
        except (SafetensorError, ValueError, KeyError, TypeError) as error:
            raise BundleError(f"{self.container.path}: '{name}' holds no state ({error})", _AGAIN) from error
        for entry, array in state.items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                what = f"{self.container.path}: '{name}' has numbers in '{entry}' that are not finite"
                raise BundleError(what, _AGAIN)
        self._restore(learner, state, name)
        return learner

    def final(self, use: PluginUse) -> FinalClassifier:
        """The final classifier as its training left it."""
        final: FinalClassifier = self.component("final_classifiers", use)
        files = {
            name.removeprefix("final/"): self.container.read(name)
            for name in self.container.manifest.files
            if name.startswith("final/")
        }
        self._restore(final, files, "final/")
        return final

    def _restore(self, component: Any, state: Mapping[str, Any], name: str) -> None:
        try:
            component.restore(state)
        except Exception as error:  # whatever a state that is not its own makes a plugin stumble over
            reason = getattr(error, "what", "") or f"{type(error).__name__}: {error}"
            what = f"{self.container.path}: '{name}' cannot be taken up: {reason}"
            raise BundleError(what, _AGAIN) from error


_AGAIN = "Make the bundle again with what is installed here."
