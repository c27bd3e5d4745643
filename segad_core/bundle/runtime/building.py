"""Builds the components of a bundle from installed plugins and restores them from verified files."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from segad_core.base.checked import first_of, shown
from segad_core.base.distribution_code import OWN, WHOLE, own_distribution
from segad_core.base.resources import guarded
from segad_core.bundle.format.container import Container
from segad_core.bundle.format.manifest import Ignore, PluginUse
from segad_core.bundle.format.plain_files import PLAIN_ENDINGS, wrong_with_file
from segad_core.bundle.format.states import FINAL, SEGMENTER, read_feature_states, read_final_state
from segad_core.bundle.format.tables import read_arrays
from segad_core.bundle.runtime.made_with import made_in
from segad_core.contracts import (
    Component,
    Encoder,
    Feature,
    FinalClassifier,
    LearningSegmenter,
    Segmenter,
    optional,
)
from segad_core.contracts.component import IsInputFile, IsInputFolder, has_mark
from segad_core.contracts.precision import set_precision, supports_precision
from segad_core.errors import BundleError, PluginError, ResourceError, StoreError, UsageError
from segad_core.images.ignored import read_ignored
from segad_core.plugins.registry import Registry
from segad_core.scoring.fitted import is_fitted, restore_features
from segad_core.scoring.ignored import Ignored
from segad_core.scoring.segmentation import NamedSegmenter
from segad_core.scoring.views import without_views
from segad_core.scoring.weighted import weighted

log = logging.getLogger("segad.bundle")

_AGAIN = "Make the bundle again with what is installed here."


@dataclass
class Builder:
    """Builds components from installed plugins; a bundle names plugins but never brings one.

    Attributes:
        precision: of networks; empty for what the bundle was made in.
    """

    container: Container
    registry: Registry
    device: str
    precision: str = ""

    def component(self, kind: str, use: PluginUse) -> Any:
        """A new component, with its files from the bundle."""
        path = self.container.path
        try:
            provider = self.registry.find(kind, use.use)
            component = self.registry.component(provider)
        except PluginError as error:
            distribution = use.use.partition(":")[0]
            remedy = (
                f"Install {distribution} {use.version} if you trust it; segad installs nothing by itself."
            )
            if distribution == OWN != own_distribution():  # beside each other, one breaks the other
                remedy = f"Use what 'segad export' made of it, or: {WHOLE}"
            raise BundleError(
                f"{path}: needs plugin '{use.use}' {use.version} ({kind}): {error.what}", remedy
            ) from error
        if provider.version != use.version:
            log.warning(
                "%s: was made with %s %s, but %s is installed; `segad bundle verify` checks whether "
                "scores are the same",
                path,
                provider.distribution,
                use.version,
                provider.version,
            )
        if optional.knows_images_by_name(component):
            raise BundleError(
                f"{path}: '{use.use}' knows images only by name and cannot score new ones", _AGAIN
            )
        built = component(self._params(component, use), self.device)
        if supports_precision(component):
            set_precision(built, self.precision or made_in(self.container))
        return built

    def _params(self, component: type[Component], use: PluginUse) -> Any:
        fields = component.Params.model_fields
        params = dict(use.params)
        for name, info in fields.items():
            is_path = has_mark(info, IsInputFile) or has_mark(info, IsInputFolder)
            if is_path and params.get(name) not in (None, []):
                raise BundleError(
                    f"{self.container.path}: '{use.use}' names a path outside the bundle in '{name}'",
                    "Do not use this bundle.",
                )
        for name, files in use.files.items():
            if name not in fields or not has_mark(fields[name], IsInputFile):
                raise BundleError(
                    f"{self.container.path}: '{use.use}' has no file '{name}'", "Make the bundle again."
                )
            if any(PurePosixPath(file).suffix not in PLAIN_ENDINGS for file in files):
                raise BundleError(
                    f"{self.container.path}: '{use.use}' has a file in '{name}' that could hold code",
                    "Do not use this bundle.",
                )
            places = [str(self._plain(file, f"'{use.use}', {name}")) for file in files]
            params[name] = places if isinstance(use.params.get(name), list) else places[0]
        try:
            return component.Params.model_validate(params)
        except ValidationError as error:
            raise BundleError(
                f"{self.container.path}: '{use.use}' rejects its parameters {first_of(error)}",
                f"Install version {use.version}, which the bundle names.",
            ) from None

    def _plain(self, file: str, whose: str) -> Path:
        """A file of a plain format, by its content too."""
        place = self.container.file(file)
        if wrong := wrong_with_file(place.suffix, place):
            raise BundleError(
                f"{self.container.path}: {whose}: the file '{file}' {wrong}", "Do not use this bundle."
            )
        return place

    def encoder(self) -> Encoder:
        """The encoder, with the weights used for training.

        Raises:
            BundleError: the bundle names none, or the weights differ here.
        """
        given = self.container.manifest.pipeline
        if given.encoder is None:
            raise BundleError(f"{self.container.path}: needs an encoder but names none", _AGAIN)
        encoder: Encoder = self.component("encoders", given.encoder)
        if missing := optional.to_download(encoder):
            raise BundleError(
                f"{self.container.path}: the encoder's weights are not on this machine ({missing}), and "
                "loading a bundle never downloads anything",
                "Download them first, or make the bundle from a recipe that names their file.",
            )
        in_bundle = bool(given.encoder.files)  # then the digest of the file is proof enough
        if not in_bundle and encoder.digest() != given.encoder_digest:
            raise BundleError(
                f"{self.container.path}: the weights of encoder '{given.encoder.use}' differ from "
                "those used for training",
                "Install the same weights, or make the bundle from a recipe that names their file.",
            )
        return encoder

    def learner(self, kind: str, alias: str, use: PluginUse) -> Any:
        """A trained detector or classifier."""
        learner, name = self.component(kind, use), f"{kind}/{alias}.safetensors"
        self._restore(learner, read_arrays(self.container, name), name)
        return learner

    def segmenter(self, use: PluginUse) -> Segmenter:
        """The segmenter, with what it has learnt from good images."""
        segmenter: Segmenter = self.component("segmenters", use)
        if isinstance(segmenter, LearningSegmenter):
            self._restore(segmenter, read_arrays(self.container, SEGMENTER), SEGMENTER)
        return segmenter

    def ignored(self, given: Ignore, known: Mapping[str, Segmenter]) -> Ignored:
        """What is never inspected.

        Args:
            given: as the manifest says it.
            known: segmenters that are built already, by what the manifest says of them.
        """
        mask = None
        if given.mask:
            if PurePosixPath(given.mask).suffix not in PLAIN_ENDINGS:
                raise BundleError(
                    f"{self.container.path}: the mask 'ignore' is a file that could hold code",
                    "Do not use this bundle.",
                )
            mask = read_ignored(self._plain(given.mask, "the mask 'ignore'"))
        built = [(known.get(str(use)) or self.component("segmenters", use), use) for use in given.segmenters]
        return Ignored(mask, [NamedSegmenter(segmenter, use.use) for segmenter, use in built])

    def features(
        self, kind: str, uses: Sequence[PluginUse], detectors: Sequence[str]
    ) -> dict[str, list[Feature]]:
        """The features of each detector, with what they have learnt from good parts."""
        states = read_feature_states(self.container, kind, detectors)
        built: dict[str, list[Feature]] = {}
        for detector in detectors:
            built[detector] = [self.component("features", use) for use in uses]
            if is_fitted(built[detector]):
                state = states.get(detector, {})
                with self._restoring(f"{kind}/{detector}.safetensors"):
                    restore_features(built[detector], state)
        return built

    def new_final(self, use: PluginUse) -> FinalClassifier:
        """The final classifier before it learns, with the weights of segments."""
        given = self.container.manifest.pipeline
        names = without_views(given.names, given.together())
        return weighted(self.component("final_classifiers", use), names, given.weights or {})

    def final(self, use: PluginUse) -> FinalClassifier:
        """The trained final classifier, tried on a feature vector."""
        final = self.new_final(use)
        self._restore(final, read_final_state(self.container), FINAL)
        width = len(self.container.manifest.pipeline.names)
        with self._restoring(FINAL):
            contributions = final.contributions(np.zeros((1, width)))
            margin = np.asarray(final.margins(np.zeros((1, width))))
        parts = np.zeros((1, width + 1)) if contributions is None else np.asarray(contributions)
        finite = np.isfinite(margin).all() and np.isfinite(parts).all()
        if margin.shape != (1,) or parts.shape != (1, width + 1) or not finite:
            raise BundleError(
                f"{self.container.path}: '{FINAL}' gives no finite score for its features", _AGAIN
            )
        return final

    def _restore(self, component: Any, state: Mapping[str, Any], name: str) -> None:
        with self._restoring(name):
            component.restore(state)

    @contextmanager
    def _restoring(self, name: str) -> Iterator[None]:
        """Names the file whose content a plugin stumbles over."""
        try:
            with guarded(f"restoring '{name}' of {self.container.path}"):
                yield
        except (
            UsageError,
            StoreError,
            ResourceError,
        ):  # the state is not to blame
            raise
        except Exception as error:  # a state that is not its own can make a plugin raise anything
            raise self._refused(name, error) from error

    def _refused(self, name: str, error: Exception) -> BundleError:
        what = getattr(error, "what", "") or f"{type(error).__name__}: {error}"
        reason = shown(self.container.named(what))
        remedy = getattr(error, "remedy", "") or _AGAIN
        return BundleError(f"{self.container.path}: '{name}' cannot be restored: {reason}", remedy)


def scores_of(
    container: Container, final: FinalClassifier, features: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The scores (n,) of a table's features (n, d).

    Raises:
        BundleError: the final classifier cannot score them.
    """
    try:
        with guarded(f"scoring the tables of {container.path}"):
            scores = np.asarray(final.margins(features), np.float64)
    except ResourceError:
        raise
    except Exception as error:  # numbers that are not its own can make a plugin raise anything
        reason = shown(f"{type(error).__name__}: {error}")
        raise BundleError(
            f"{container.path}: its final classifier cannot score its tables ({reason})", _AGAIN
        ) from error
    if scores.shape != (len(features),) or not np.isfinite(scores).all():
        raise BundleError(f"{container.path}: its final classifier gives scores that are not finite", _AGAIN)
    return scores
