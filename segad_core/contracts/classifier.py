"""Classifiers: supervised scores of whole images, the paper's g (section 4).

A minimal classifier, which compares an image's histogram with those of good and bad images:

    import numpy as np

    from segad_core.api import Classifier, Learnt

    class Histograms(Classifier):
        '''Distance to the mean histogram of good images, minus that to the mean histogram of bad ones.'''

        means = Learnt(np.float64, 2, 32)

        def fit(self, images, labels, run):
            histograms = self.histograms(images.pixels())
            self.means = np.stack([histograms[labels == label].mean(axis=0) for label in (0, 1)])

        def scores(self, batch):
            histograms = self.histograms(batch.pixels)
            to_good, to_bad = (np.abs(histograms - mean).sum(axis=1) for mean in self.means)
            return to_good - to_bad

        def histograms(self, pixels):
            return np.stack([np.histogram(image, bins=32, range=(0, 256))[0] for image in pixels])

The engine calls `fit` with labels of both classes only, refuses to use a classifier before it is fitted, and
stores and restores `means`. See `Learnt`.

One that learns from vectors which do not depend on what is learnt derives from `VectorClassifier`: the engine
then describes each image once, for all trainings and for scoring.

    from segad_core.api import VectorClassifier

    class Colours(VectorClassifier):
        '''Distance to the mean colours of good images, minus that to those of bad ones.'''

        brightness = Learnt(np.float32, 2, "brightness.D")
        spread = Learnt(np.float32, 2, "spread.D")

        def outputs(self):
            return ["score", "brightness", "spread"]

        def vectors(self, batch):
            pixels = batch.pixels.reshape(len(batch), -1, 3).astype(np.float32)
            return {"brightness": pixels.mean(axis=1), "spread": pixels.std(axis=1)}

        def learn(self, vectors, labels, run):
            self.brightness = self.means(vectors["brightness"], labels)
            self.spread = self.means(vectors["spread"], labels)

        def judge(self, vectors):
            parts = []
            for name, means in self.state().items():
                to_good, to_bad = (np.abs(vectors[name] - mean).sum(axis=1) for mean in means)
                parts.append(to_good.astype(np.float64) - to_bad)
            return np.stack([sum(parts), *parts], axis=1)

        def means(self, block, labels):
            return [block[labels == label].mean(axis=0) for label in (0, 1)]
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from segad_core.contracts.images import ImageBatch, ImageSet
from segad_core.contracts.learner import Learner, has_both_classes, of_fitted_size
from segad_core.contracts.learnt import check_sizes
from segad_core.contracts.preconditions import requires
from segad_core.contracts.run import Run

Vectors = Mapping[str, NDArray[np.float32]]
"""What describes n images: float32 arrays (n, D) by name, such as one for each layer of the encoder."""


def _of_fitted_width(classifier: Classifier, vectors: Vectors) -> None:
    check_sizes(classifier, "vectors", {f"{name}.D": block.shape[1] for name, block in vectors.items()})


class Classifier(Learner):
    """A supervised classifier of whole images (entry-point group `segad.classifiers`).

    Its score is a row of the table, or one more feature of a SegAD row.
    """

    contract: ClassVar[int] = 1

    def outputs(self) -> Sequence[str]:
        """The names of its scores, once it has learnt; the first is its score as a row of the table.

        In a SegAD row each of them is a feature, such as `image.probe.layer1`; the first is always
        `image.probe.score`. Letters, digits, `_` and `-`; not the name of a statistic of the row. If the
        names are known before the training, `KnowsOutputs` tells them then.
        """
        return ("score",)

    @abstractmethod
    @requires(partial(has_both_classes, "split.classifiers"), "labels")
    def fit(self, images: ImageSet, labels: NDArray[np.int64], run: Run) -> None:
        """Learns to tell good images from bad ones.

        Args:
            images: good and bad images.
            labels: (N,) their labels, 0 for good and 1 for bad; both are there.
            run: seed, progress and checkpoints.

        Raises:
            SegadError: there are too few images.
        """

    @abstractmethod
    @requires(of_fitted_size, "batch")
    def scores(self, batch: ImageBatch) -> NDArray[np.float64]:
        """Unbounded scores, higher for bad images: float64 (N,), or (N, k) if there are k > 1 outputs.

        Do not squash scores into ties.
        """


class VectorClassifier(Classifier):
    """A classifier that describes each image by vectors, whatever it learns, and learns from these alone.

    The engine computes the vectors of a set once, keeps them in the store, and uses them for the trainings of
    all seeds and folds and for scoring. A bundle keeps those of its training images, so that `segad learn`
    can train the classifier again.
    """

    @abstractmethod
    def vectors(self, batch: ImageBatch) -> Vectors:
        """Describes each image by itself; the parameters decide how, and nothing that was learnt.

        Returns:
            Finite float32 arrays (N, D) by name, the same names and widths for all batches.
        """

    @abstractmethod
    @requires(partial(has_both_classes, "split.classifiers"), "labels")
    def learn(self, vectors: Vectors, labels: NDArray[np.int64], run: Run) -> None:
        """Learns to tell good images from bad ones.

        Args:
            vectors: of n good and bad images, in the order that `vectors` gives them; not to be written to.
            labels: (n,) their labels, 0 for good and 1 for bad; both are there.
            run: seed, progress and checkpoints.

        Raises:
            SegadError: there are too few images.
        """

    @abstractmethod
    @requires(_of_fitted_width, "vectors")
    def judge(self, vectors: Vectors) -> NDArray[np.float64]:
        """The scores of n images from their vectors, as `scores` returns them; each image by itself."""

    def fit(self, images: ImageSet, labels: NDArray[np.int64], run: Run) -> None:
        """Describes the images, and learns from that."""
        parts: dict[str, list[NDArray[np.float32]]] = {}
        done = 0
        for batch in images.batches():
            for name, block in self.vectors(batch).items():
                parts.setdefault(name, []).append(block)
            done += len(batch)
            run.progress("images described", done, len(images))
        self.learn({name: np.concatenate(blocks) for name, blocks in parts.items()}, labels, run)

    def scores(self, batch: ImageBatch) -> NDArray[np.float64]:
        """The scores of the batch's vectors."""
        return self.judge(self.vectors(batch))
