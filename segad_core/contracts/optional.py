"""Optional knowledge: what a component may tell the engine beyond its contract, one protocol per question.

A component that has an answer defines the method or class attribute, and need not inherit the protocol. One
that has none writes nothing: the engine asks through the functions below, which know the default answer. A
segmenter with a note:

    from segad_core.api import Segmenter

    class Guess(Segmenter):
        '''One segment for the whole image, whatever it shows.'''

        def segments(self):
            return ["all"]

        def segment(self, batch):
            return batch.pixels[:1, :, :, 0] * 0

        def notes(self):
            return ["The segmentation is a guess."]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Protocol, cast

from segad_core.contracts.classifier import Classifier
from segad_core.contracts.component import Component
from segad_core.contracts.declared import names_of
from segad_core.contracts.encoder import Encoder
from segad_core.contracts.estimate import Estimate, Shapes
from segad_core.contracts.final_classifier import FinalClassifier
from segad_core.contracts.graph import Example, Graph, Wanted
from segad_core.contracts.learner import Learner
from segad_core.contracts.optional_datasets import HasBadSubsets as HasBadSubsets
from segad_core.contracts.optional_datasets import HasContradictions as HasContradictions
from segad_core.contracts.optional_datasets import HasPublishedCategories as HasPublishedCategories
from segad_core.contracts.optional_datasets import HasPublishedCounts as HasPublishedCounts
from segad_core.contracts.optional_datasets import HasUnread as HasUnread
from segad_core.contracts.optional_datasets import bad_subsets as bad_subsets
from segad_core.contracts.optional_datasets import contradictions as contradictions
from segad_core.contracts.optional_datasets import count_differences as count_differences
from segad_core.contracts.optional_datasets import knows_published_counts as knows_published_counts
from segad_core.contracts.optional_datasets import published_categories as published_categories
from segad_core.contracts.optional_datasets import published_counts as published_counts
from segad_core.contracts.optional_datasets import unread as unread


class HasNotes(Protocol):
    """A component of any kind that readers of the results should know something about."""

    def notes(self) -> Sequence[str]:
        """Sentences that are logged and shown below the table of results."""


class KnowsImagesByName(Protocol):
    """A detector, classifier or segmenter whose output depends on an image's id or label.

    Maps that were computed elsewhere are an example. Ids and labels then enter its keys. It cannot score
    images with generated defects and cannot be bundled.
    """

    knows_images_by_name: ClassVar[bool]
    """True if the output does not follow from an image's content alone."""


class HasPlainFiles(Protocol):
    """A component whose `InputFile` parameters may name files that a bundle does not accept."""

    def plain_file(self, path: Path) -> tuple[str, bytes | Path]:
        """Converts a file that a parameter names to a plain format.

        Bundles accept images, safetensors and npy. Pickles, such as torch's `.pth`, must be converted.

        Args:
            path: the file.

        Returns:
            The suffix of the plain file, such as `.safetensors`; and its content, or the path of a file
            that can be copied as it is.
        """


class Trains(Protocol):
    """A detector that says whether it learns from images."""

    trains: ClassVar[bool]
    """False if `fit` needs no images. A recipe whose detectors do not train sets no images aside for them."""


class ReadsOptionalLayers(Protocol):
    """A learner that reads some layers only where the encoder has them."""

    def optional_layers(self) -> Sequence[str]:
        """Layers that it reads beside those of `layers()`, as far as the encoder has them.

        A recipe is refused if the encoder has none of them and `layers()` is empty.
        """


class KnowsOutputs(Protocol):
    """A classifier that defines `outputs` and can name its scores before it has learnt.

    Parameters of final classifiers are then checked against these names before anything is trained.
    """

    def planned_outputs(self, layers: Sequence[str]) -> Sequence[str]:
        """What `outputs` will return, given the encoder's layers that it reads, optional ones included."""


class NeedsUnseenScores(Protocol):
    """A final classifier that takes a classifier's scores of training images for those of new images.

    If the classifier trains on images that the final classifier learns from, and does not score these out
    of fold, the results say so.
    """

    needs_unseen_scores: ClassVar[bool]
    """True if scores of images that the classifier trained on mislead it."""


class HasEstimate(Protocol):
    """A detector or classifier that can estimate what its training needs."""

    def estimate(self, images: int, size: tuple[int, int], shapes: Shapes) -> Estimate | None:
        """What a training needs; None if unknown.

        Args:
            images: the number of training images.
            size: (height, width) of the images.
            shapes: (C, H, W) of each encoder layer that it reads.
        """


class HasGraph(Protocol):
    """An encoder, detector or classifier that can be exported, to run without its plugin."""

    def graph(self, wanted: Wanted) -> Graph:
        """What it computes as a network, and the arrays that this needs.

        Raises:
            PluginError: it cannot be exported with its parameters.
        """


class RunsGraphs(Protocol):
    """An encoder, detector or classifier that runs graphs of others: `segad export --to` names it."""

    @classmethod
    def replacing(
        cls, component: Component, graphs: Sequence[Example], folder: Path, batch: int | None
    ) -> Component:
        """A component that gives the results of another.

        Args:
            component: the other; of an encoder, `layers` tells what the layers are.
            graphs: its graph; of an encoder, one for each size of images.
            folder: an empty folder for files, which parameters of the new component name. Bundles accept
                images, safetensors, npy, ONNX, and the `.xml` of OpenVINO.
            batch: how many images graphs take at a time; any number if None.

        Raises:
            SegadError: a package is missing, or the network cannot be written in the engine's format.
        """


class HasExportedFiles(Protocol):
    """A final classifier that other programs can run, too."""

    def exported_files(self) -> Mapping[str, bytes]:
        """What it has learnt, in formats of other programs, by file name, such as `forest.onnx`.

        `segad export` puts them into the folder `graphs` of the bundle. Nothing of segad reads them.

        Raises:
            SegadError: a package is missing.
        """


class HasFinalEstimate(Protocol):
    """A final classifier that can estimate the size of its state."""

    def estimate(self) -> Estimate | None:
        """The most that its state takes; None if unknown."""


class HasDownload(Protocol):
    """An encoder that may have to fetch its weights."""

    def to_download(self) -> str | None:
        """Where the weights will be downloaded from; None if they are on this machine."""


class HasSizeCheck(Protocol):
    """An encoder that cannot encode images of every size, such as a vision transformer."""

    def check_size(self, size: tuple[int, int]) -> None:
        """Checks that it can encode images of a size; called before anything is trained.

        Args:
            size: (height, width) of the images.

        Raises:
            PluginError: it cannot; the remedy names sizes that it can.
        """


def notes(component: Component) -> Sequence[str]:
    """Its notes; none by default."""
    return cast(HasNotes, component).notes() if hasattr(component, "notes") else ()


def knows_images_by_name(component: type[Component]) -> bool:
    """Whether its output depends on an image's id or label; False by default."""
    return bool(getattr(component, "knows_images_by_name", False))


def plain_file(component: Component, path: Path) -> tuple[str, bytes | Path]:
    """The suffix and content of a file as it goes into a bundle; the file itself by default."""
    if hasattr(component, "plain_file"):
        return cast(HasPlainFiles, component).plain_file(path)
    return path.suffix.lower(), path


def trains(detector: type[Component]) -> bool:
    """Whether a detector learns from images; True by default."""
    return bool(getattr(detector, "trains", True))


def optional_layers(learner: Learner) -> Sequence[str]:
    """The layers that a learner reads where the encoder has them; none by default."""
    known = hasattr(learner, "optional_layers")
    return cast(ReadsOptionalLayers, learner).optional_layers() if known else ()


def layers_read(learner: Learner, encoder: Encoder | None) -> tuple[str, ...]:
    """The layers of an encoder that a learner reads."""
    wanted = optional_layers(learner)
    known = encoder.layers() if encoder and wanted else {}
    return tuple(dict.fromkeys([*names_of(learner, "layers"), *(name for name in wanted if name in known)]))


def planned_outputs(classifier: Classifier, encoder: Encoder | None) -> Sequence[str] | None:
    """The names of a classifier's scores before it has learnt; None if only its training tells them."""
    if hasattr(classifier, "planned_outputs"):
        return cast(KnowsOutputs, classifier).planned_outputs(layers_read(classifier, encoder))
    return classifier.outputs() if type(classifier).outputs is Classifier.outputs else None


def needs_unseen_scores(final: type[Component]) -> bool:
    """Whether it needs scores of images that the classifier has not seen; False by default."""
    return bool(getattr(final, "needs_unseen_scores", False))


def estimate(learner: Learner, images: int, size: tuple[int, int], shapes: Shapes) -> Estimate | None:
    """What a training needs; None if unknown, which is the default."""
    known = hasattr(learner, "estimate")
    return cast(HasEstimate, learner).estimate(images, size, shapes) if known else None


def final_estimate(final: FinalClassifier) -> Estimate | None:
    """What the state of a final classifier takes at most; None if unknown, which is the default."""
    return cast(HasFinalEstimate, final).estimate() if hasattr(final, "estimate") else None


def exported_files(final: FinalClassifier) -> Mapping[str, bytes]:
    """Files for other programs, by name; none by default."""
    known = hasattr(final, "exported_files")
    return cast(HasExportedFiles, final).exported_files() if known else {}


def to_download(encoder: Encoder) -> str | None:
    """Where an encoder's weights will be downloaded from; None by default."""
    return cast(HasDownload, encoder).to_download() if hasattr(encoder, "to_download") else None


def check_size(encoder: Encoder, size: tuple[int, int]) -> None:
    """Checks that an encoder can encode images of a size (height, width); it can by default."""
    if hasattr(encoder, "check_size"):
        cast(HasSizeCheck, encoder).check_size(size)


def graph(component: Component, wanted: Wanted) -> Graph | None:
    """What a component computes, for export; None if it cannot be exported, which is the default."""
    return cast(HasGraph, component).graph(wanted) if hasattr(component, "graph") else None


def runs_graphs(component: type[Component]) -> bool:
    """Whether it runs graphs of others; False by default."""
    return hasattr(component, "replacing")


def replacing(
    runner: type[Component], component: Component, graphs: Sequence[Example], folder: Path, batch: int | None
) -> Component:
    """A component of a class that runs graphs, in the place of another."""
    return cast(type[RunsGraphs], runner).replacing(component, graphs, folder, batch)
