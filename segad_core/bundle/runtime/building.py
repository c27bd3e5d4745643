"""Components of a bundle: built from plugins that are installed, restored from files that are verified."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from segad_core.base.checked import first_of, shown
from segad_core.bundle.format.container import Container
from segad_core.bundle.format.manifest import PLAIN_ENDINGS, PluginUse
from segad_core.bundle.format.states import FINAL, read_feature_states, read_final_state
from segad_core.bundle.format.tables import read_arrays
from segad_core.contracts import Component, Encoder, Feature, FinalClassifier, optional
from segad_core.contracts.component import IsInputFile, IsInputFolder, has_mark
from segad_core.errors import BundleError, PluginError, UsageError
from segad_core.plugins.registry import Registry
from segad_core.scoring.fitted import is_fitted, restore_features

log = logging.getLogger("segad.bundle")

_AGAIN = "Make the bundle again with what is installed here."


@dataclass
class Builder:
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
        if optional.knows_images_by_name(component):
            raise BundleError(
                f"{path}: '{use.use}' knows images by their names alone, and cannot look at new ones", _AGAIN
            )
        return component(self._params(component, use), self.device)

    def _params(self, component: type[Component], use: PluginUse) -> Any:
        fields = component.Params.model_fields
        params = dict(use.params)
        for name, info in fields.items():
            is_path = has_mark(info, IsInputFile) or has_mark(info, IsInputFolder)
            if is_path and params.get(name) not in (None, []):
                raise BundleError(
                    f"{self.container.path}: '{use.use}' names a path outside of the bundle in '{name}'",
                    "Do not use it as it is.",
                )
        for name, files in use.files.items():
            if name not in fields or not has_mark(fields[name], IsInputFile):
                raise BundleError(
                    f"{self.container.path}: '{use.use}' has no file '{name}'", "Make the bundle again."
                )
            if any(PurePosixPath(file).suffix not in PLAIN_ENDINGS for file in files):
                raise BundleError(
                    f"{self.container.path}: '{use.use}' has a file in '{name}' that could hold code",
                    "Do not use it as it is.",
                )
            places = [str(self.container.file(file)) for file in files]
            params[name] = places if isinstance(use.params.get(name), list) else places[0]
        try:
            return component.Params.model_validate(params)
        except ValidationError as error:
            raise BundleError(
                f"{self.container.path}: '{use.use}' refuses its parameters {first_of(error)}",
                f"Install the version that the bundle names, {use.version}.",
            ) from None

    def encoder(self) -> Encoder:
        """The encoder, with the weights that everything was trained with.

        Raises:
            BundleError: there is none, or it has others here.
        """
        given = self.container.manifest.pipeline
        if given.encoder is None:
            raise BundleError(f"{self.container.path}: names no encoder, and needs one", _AGAIN)
        encoder: Encoder = self.component("encoders", given.encoder)
        if missing := optional.to_download(encoder):
            raise BundleError(
                f"{self.container.path}: the encoder's weights are not on this machine ({missing}), and "
                "loading a bundle fetches nothing",
                "Fetch them before, or make the bundle from a recipe that names their file.",
            )
        in_bundle = bool(given.encoder.files)  # then its own digest says that they are the same
        if not in_bundle and encoder.digest() != given.encoder_digest:
            raise BundleError(
                f"{self.container.path}: the weights of encoder '{given.encoder.use}' here are not those "
                "that it was trained with",
                "Install the same weights, or make the bundle from a recipe that names their file.",
            )
        return encoder

    def learner(self, kind: str, alias: str, use: PluginUse) -> Any:
        """A detector or classifier as its training left it."""
        learner, name = self.component(kind, use), f"{kind}/{alias}.safetensors"
        self._restore(learner, read_arrays(self.container, name), name)
        return learner

    def features(
        self, kind: str, uses: Sequence[PluginUse], detectors: Sequence[str]
    ) -> dict[str, list[Feature]]:
        """The features of each detector, with what they learnt from good parts."""
        states = read_feature_states(self.container, kind, detectors)
        built: dict[str, list[Feature]] = {}
        for detector in detectors:
            built[detector] = [self.component("features", use) for use in uses]
            if is_fitted(built[detector]):
                state = states.get(detector, {})
                try:
                    restore_features(built[detector], state)
                except Exception as error:  # whatever a state that is not its own makes a plugin stumble over
                    raise self._refused(f"{kind}/{detector}.safetensors", error) from error
        return built

    def final(self, use: PluginUse) -> FinalClassifier:
        """The final classifier as its training left it, tried on a feature vector."""
        final: FinalClassifier = self.component("final_classifiers", use)
        self._restore(final, read_final_state(self.container), FINAL)
        width = len(self.container.manifest.pipeline.names)
        try:
            contributions = final.contributions(np.zeros((1, width)))
            margin = np.asarray(final.margins(np.zeros((1, width))))
        except Exception as error:  # whatever a plugin stumbles over
            raise self._refused(FINAL, error) from error
        parts = np.zeros((1, width + 1)) if contributions is None else np.asarray(contributions)
        finite = np.isfinite(margin).all() and np.isfinite(parts).all()
        if margin.shape != (1,) or parts.shape != (1, width + 1) or not finite:
            raise BundleError(
                f"{self.container.path}: '{FINAL}' gives no finite score of its features", _AGAIN
            )
        return final

    def _restore(self, component: Any, state: Mapping[str, Any], name: str) -> None:
        try:
            component.restore(state)
        except UsageError:  # it is not the state: there is no such device
            raise
        except Exception as error:  # whatever a state that is not its own makes a plugin stumble over
            raise self._refused(name, error) from error

    def _refused(self, name: str, error: Exception) -> BundleError:
        reason = shown(getattr(error, "what", "") or f"{type(error).__name__}: {error}")
        remedy = getattr(error, "remedy", "") or _AGAIN
        return BundleError(f"{self.container.path}: '{name}' cannot be taken up: {reason}", remedy)


def scores_of(
    container: Container, final: FinalClassifier, features: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The scores (n,) of a table's features (n, d).

    Raises:
        BundleError: the final classifier cannot score them.
    """
    try:
        scores = np.asarray(final.margins(features), np.float64)
    except Exception as error:  # whatever numbers that are none of its own make a plugin stumble over
        reason = shown(f"{type(error).__name__}: {error}")
        raise BundleError(
            f"{container.path}: its final classifier cannot score its tables ({reason})", _AGAIN
        ) from error
    if scores.shape != (len(features),) or not np.isfinite(scores).all():
        raise BundleError(f"{container.path}: its final classifier gives scores that are not finite", _AGAIN)
    return scores
