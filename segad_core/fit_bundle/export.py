"""Exports: bundles in which graphs take the place of networks, and which run without what trained these."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from segad_core.base.formats import arrays_to_bytes
from segad_core.base.leftovers import scratch_folder, temporary_folder
from segad_core.bundle.format.manifest import Manifest, Pipeline, PluginUse
from segad_core.bundle.format.states import EXPORTED
from segad_core.bundle.format.writing import Content, check_free, write_bundle
from segad_core.bundle.runtime.bundle import Bundle
from segad_core.bundle.runtime.selftest import is_exported
from segad_core.contracts import Component, Encoder, Example, Learner, Stateful, Wanted, optional, to_numpy
from segad_core.errors import BundleError, PluginError, UsageError
from segad_core.fit_bundle.parity import Parity, calibration_images, compared
from segad_core.fit_bundle.pipeline import use_of
from segad_core.images.encoding import encoded
from segad_core.images.geometry import Size
from segad_core.plugins.blame import blaming
from segad_core.plugins.provider import Provider, singular
from segad_core.scoring.tiled import size_seen

Place = tuple[str, str]
"""The kind of a plugin, and its alias in the bundle; an encoder has none."""

_KINDS = ("encoders", "detectors", "classifiers")


@dataclass(frozen=True)
class Exported:
    """What an export did.

    Attributes:
        replaced, kept: the plugins that became graphs, and those that are as they were, by qualified name.
        parity: how the results compare.
    """

    replaced: Sequence[str]
    kept: Sequence[str]
    parity: Parity


@dataclass
class _Changes:
    """What becomes of a bundle: other plugins, and their files."""

    uses: dict[Place, PluginUse] = field(default_factory=dict)
    contents: dict[str, Content] = field(default_factory=dict)
    encoder_digest: str = ""


def export(
    bundle: Bundle, engine: str, out: Path, batch: int | None, images: Sequence[Path], alone: bool
) -> Exported:
    """Writes a bundle in which graphs take the place of networks, if it gives the same results.

    Args:
        bundle: the original.
        engine: the name of the plugins that run graphs, such as `onnx`.
        out: the new bundle; must not exist yet.
        batch: how many images graphs take at a time; any number if None.
        images: those among them that are calibration images are compared, beside the golden images.
        alone: whether it has to run without the libraries that only training needs.

    Raises:
        UsageError: no plugin of that name runs graphs, or none of the images is a calibration image.
        BundleError: the results differ, and nothing is written; or `out` exists.
        SegadError: a network cannot be exported.
    """
    check_free(out)
    runners, calibration = _runners(bundle, engine), calibration_images(bundle, images)
    out.parent.mkdir(parents=True, exist_ok=True)
    with scratch_folder() as scratch, temporary_folder(out) as fresh:
        changes, place = _changes(bundle, runners, scratch, batch), fresh / out.name
        write_bundle(place, _manifest(bundle, engine, changes), _contents(bundle, changes))
        parity = compared(bundle, place, calibration, alone)
        if parity.problems:
            raise BundleError(
                f"{bundle.container.path}: is not exported: {'; '.join(parity.problems)}", parity.remedy
            )
        check_free(out)
        place.rename(out)
    uses = dict(_uses(bundle.manifest.pipeline))
    replaced = {uses[one].use for one in changes.uses}
    return Exported(sorted(replaced), sorted({use.use for use in uses.values()} - replaced), parity)


def _changes(bundle: Bundle, runners: Mapping[str, Provider], scratch: Path, batch: int | None) -> _Changes:
    """What becomes of a bundle; new files are in a scratch folder.

    Raises:
        BundleError: nothing in it can be exported.
        SegadError: a network cannot be exported.
    """
    changes = _Changes()
    for place, component, graphs in _graphs(bundle):
        folder = scratch / "-".join(filter(None, place))
        folder.mkdir()
        _replace(bundle, runners[place[0]], place, component, graphs, folder, batch, changes)
    if not changes.uses:
        path = bundle.container.path
        if is_exported(bundle):
            raise BundleError(f"{path}: is exported already", "Export the bundle that it was made from.")
        raise BundleError(
            f"{path}: none of its plugins can be exported",
            "They run where they are installed, as they are here.",
        )
    if bundle.pipeline.segad:
        files = optional.exported_files(bundle.pipeline.segad.final)
        changes.contents |= {f"{EXPORTED}{name}": content for name, content in files.items()}
    return changes


def _contents(bundle: Bundle, changes: _Changes) -> Mapping[str, Content]:
    """The files of the new bundle."""
    gone = {name for place in changes.uses for name in _files(bundle.manifest.pipeline, place)}
    kept = {name: bundle.container.member(name) for name in bundle.manifest.files if name not in gone}
    return {**kept, **changes.contents}


def _runners(bundle: Bundle, engine: str) -> Mapping[str, Provider]:
    """The plugins of an engine, by kind.

    Raises:
        UsageError: one is missing, or runs no graphs.
    """
    registry, found = bundle.registry, dict[str, Provider]()
    for kind in _KINDS:
        try:
            provider = registry.find(kind, engine)
            if not optional.runs_graphs(registry.component(provider)):
                raise PluginError(f"{provider.described} does not run graphs")
        except PluginError as error:
            remedy = error.remedy or "Name onnx, openvino, or another plugin that runs graphs."
            raise UsageError(f"--to {engine}: {error.what}", remedy) from error
        found[kind] = provider
    return found


def _graphs(bundle: Bundle) -> Iterator[tuple[Place, Component, Sequence[Example]]]:
    """The components that have graphs, with these; of the encoder, one for each size of images."""
    pipeline, given = bundle.pipeline, bundle.manifest.pipeline
    how, encoder, sizes = given.preprocessing(), pipeline.encoder, set[Size]()
    ignoring = given.ignore is not None or given.fit == "pad"
    learners = [("detectors", name, one.detector) for name, one in pipeline.scoring.detectors.items()]
    learners += [("classifiers", name, one) for name, one in pipeline.classifiers.items()]  # type: ignore[misc]
    for kind, name, learner in learners:
        size = size_seen(type(learner), how)
        if graph := optional.graph(learner, Wanted(size, ignoring=ignoring)):
            yield (kind, name), learner, [_example(bundle, graph, Wanted(size, ignoring=ignoring))]
        if optional.layers_read(learner, encoder):
            sizes.add(size)
    segmenter = pipeline.segad.segmenter.segmenter if pipeline.segad else None
    if isinstance(segmenter, Learner) and optional.layers_read(segmenter, encoder):
        sizes.add(size_seen(type(segmenter), how))
    if encoder is None:
        return
    every = [Wanted(size, pipeline.layers) for size in sorted(sizes)]
    graphs = [_example(bundle, graph, one) for one in every if (graph := optional.graph(encoder, one))]
    if graphs:
        yield ("encoders", ""), encoder, graphs


def _example(bundle: Bundle, graph: Any, wanted: Wanted) -> Example:
    """A graph with what it may be given of one image."""
    pixels, encoder = np.zeros((1, *wanted.size, 3), np.uint8), bundle.pipeline.encoder
    given: dict[str, Any] = {"pixels": pixels, "ignored": np.zeros((1, *wanted.size), bool)}
    read = [name for name in bundle.pipeline.layers if name in graph.inputs]
    if encoder is not None and read:
        given |= {n: np.array(to_numpy(one)) for n, one in encoded(encoder, read, pixels).items()}
    return Example(graph, wanted, {name: array for name, array in given.items() if name in graph.inputs})


def _replace(
    bundle: Bundle,
    provider: Provider,
    place: Place,
    component: Component,
    graphs: Sequence[Example],
    folder: Path,
    batch: int | None,
    changes: _Changes,
) -> None:
    """Puts a plugin that runs graphs into the place of a component."""
    runner = bundle.registry.component(provider)
    kind, alias = place
    try:
        for one in graphs:
            if unknown := set(one.graph.inputs) - {*one.inputs, *one.graph.constants}:
                raise PluginError(f"the graph reads '{min(unknown)}', which is neither given nor a constant")
        with blaming(provider, "replacing"):
            found = optional.replacing(runner, component, graphs, folder, batch)
    except PluginError as error:  # of the network, whose plugin it does not know
        given = dict(_uses(bundle.manifest.pipeline))[place]
        named = f"{singular(kind)} '{given.use}'{f' as {alias!r}' * bool(alias)}"
        raise type(error)(f"{named}: {error.what}", error.remedy) from error
    use, files = use_of(provider, found, "-".join(filter(None, (singular(kind), alias))))
    changes.uses[place] = use
    changes.contents |= files
    if isinstance(found, Encoder):
        changes.encoder_digest = found.digest()
    elif isinstance(found, Stateful):
        changes.contents[_state(place)] = arrays_to_bytes(dict(found.state()))


def _manifest(bundle: Bundle, engine: str, changes: _Changes) -> Manifest:
    given, provenance = bundle.manifest.pipeline, bundle.manifest.provenance
    uses = {place: changes.uses.get(place, use) for place, use in _uses(given)}
    pipeline = given.model_copy(
        update={
            "encoder": uses.get(("encoders", "")),
            "encoder_digest": changes.encoder_digest or given.encoder_digest,
            **{k: {name: uses[k, name] for name in getattr(given, k)} for k in ("detectors", "classifiers")},
        }
    )
    environment = {**provenance.environment, "export": {"engine": engine, "of": bundle.digest}}
    return bundle.manifest.model_copy(
        update={
            "pipeline": pipeline,
            "provenance": provenance.model_copy(update={"environment": environment}),
        }
    )


def _uses(given: Pipeline) -> Iterator[tuple[Place, PluginUse]]:
    """The plugins of a pipeline, with their places."""
    if given.encoder:
        yield ("encoders", ""), given.encoder
    for kind in ("detectors", "classifiers"):
        yield from (((kind, name), use) for name, use in getattr(given, kind).items())
    for kind in ("features", "image_features"):
        yield from (((kind, str(i)), use) for i, use in enumerate(getattr(given, kind)))
    for kind in ("segmenter", "final"):
        if use := getattr(given, kind):
            yield (kind, ""), use


def _files(given: Pipeline, place: Place) -> set[str]:
    """The files in a bundle of a plugin that is replaced."""
    use = dict(_uses(given))[place]
    return {_state(place), *(name for names in use.files.values() for name in names)}


def _state(place: Place) -> str:
    return "/".join(place) + ".safetensors"
