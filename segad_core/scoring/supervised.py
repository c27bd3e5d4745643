"""What classifiers return, checked against their contract: names of scores, vectors, and scores."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from segad_core.contracts import Classifier, ImageBatch, Sample, VectorClassifier, Vectors
from segad_core.contracts.faults import REPORT, at_fault
from segad_core.errors import PluginError
from segad_core.images.tiled_set import overview
from segad_core.scoring.finite import check_finite
from segad_core.scoring.tiled import pooled

JUDGED = 1024
"""Images that are scored from vectors at a time, as a classifier may copy these."""

_OUTPUT = re.compile(r"[A-Za-z0-9_-]{1,100}")


def checked_outputs(classifier: Classifier, name: str) -> list[str]:
    """The names of a trained classifier's scores.

    Raises:
        PluginError: there are none, one is listed twice, or is no valid name.
    """
    outputs, whose = list(classifier.outputs()), at_fault(classifier, "classifier", name)
    valid = all(isinstance(one, str) and _OUTPUT.fullmatch(one) for one in outputs)
    if not outputs or not valid or len(set(outputs)) < len(outputs):
        raise PluginError(f"{whose}: outputs() returned {outputs!r:.200}", REPORT)
    return outputs


def checked_scores(classifier: Classifier, batch: ImageBatch, name: str) -> NDArray[np.float64]:
    """A classifier's scores (N, k), a column for each output.

    Raises:
        PluginError: they have another shape.
        NonFiniteError: a score is not finite; names the image.
    """
    seen = overview(batch) if batch.tiling else batch
    return _columns(classifier, classifier.scores(seen), batch.samples, name)


def judged(
    classifier: VectorClassifier, vectors: Vectors, samples: Sequence[Sample], name: str
) -> NDArray[np.float64]:
    """As `checked_scores`, from the images' vectors."""
    return _columns(classifier, classifier.judge(vectors), samples, name)


def judged_in_chunks(
    classifier: VectorClassifier, vectors: Vectors, lines: Sequence[int], samples: Sequence[Sample], name: str
) -> Iterator[NDArray[np.float64]]:
    """The scores of some lines of vectors, `JUDGED` images at a time; `samples` are those of the lines."""
    for begin in range(0, len(lines), JUDGED):
        some = slice(begin, begin + JUDGED)
        yield judged(classifier, lines_of(vectors, lines[some]), samples[some], name)


def lines_of(vectors: Vectors, chosen: Iterable[int]) -> dict[str, NDArray[np.float32]]:
    """Some lines of vectors."""
    lines = np.array(list(chosen), np.intp)
    return {name: block[lines] for name, block in vectors.items()}


def checked_vectors(classifier: VectorClassifier, batch: ImageBatch, name: str) -> Vectors:
    """What describes a batch; of images in tiles, the mean and the maximum of what describes the tiles.

    Raises:
        PluginError: there is nothing, or something of another shape or type.
        NonFiniteError: a value is not finite; names the image.
    """
    if batch.tiling:
        return pooled(batch, partial(checked_vectors, classifier, name=name))
    vectors, whose = classifier.vectors(batch), at_fault(classifier, "classifier", name)
    for block in vectors.values():
        if not isinstance(block, np.ndarray) or block.dtype != np.float32 or block.shape[:1] != (len(batch),):
            break
        if block.ndim != 2:
            break
        check_finite(block, batch.samples, "a vector", whose)
    else:
        if vectors:
            return vectors
    found = {key: (getattr(b, "dtype", type(b).__name__), np.shape(b)) for key, b in vectors.items()}
    raise PluginError(
        f"{whose}: vectors() returned {found or 'no vectors'} for {len(batch)} images, instead of float32 "
        "arrays (N, D)",
        REPORT,
    )


def _columns(
    classifier: Classifier, returned: NDArray[np.float64], samples: Sequence[Sample], name: str
) -> NDArray[np.float64]:
    scores, outputs = np.asarray(returned, np.float64), checked_outputs(classifier, name)
    whose = at_fault(classifier, "classifier", name)
    if scores.ndim == 1 and len(outputs) == 1:
        scores = scores[:, None]
    if scores.shape != (len(samples), len(outputs)):
        several = "" if len(outputs) == 1 else f", each with {len(outputs)} scores"
        raise PluginError(
            f"{whose}: returned scores of shape {np.shape(returned)} for {len(samples)} images{several}",
            REPORT,
        )
    check_finite(scores, samples, "the score", whose)
    return scores
