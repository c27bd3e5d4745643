"""Training a bundle's classifier again, from the vectors that the bundle keeps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segad_core.base.checked import shown
from segad_core.base.resources import guarded
from segad_core.base.text import size_words
from segad_core.bundle.format.limits import MOST_VECTORS
from segad_core.bundle.format.vectors import NO_FOLD, Described, VectorTable, read_vector_table
from segad_core.bundle.runtime.building import Builder
from segad_core.bundle.runtime.bundle import Bundle
from segad_core.contracts import Run, Sample, VectorClassifier, Vectors
from segad_core.contracts.run import training_entropy
from segad_core.errors import BundleError, SegadError, UsageError
from segad_core.operate.image_table import Image, ImageTable
from segad_core.scoring.supervised import judged_in_chunks, lines_of

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Relearnt:
    """A classifier that was trained again, and its new scores (n, k).

    Attributes:
        alias: its name.
        classifier: trained on all images.
        table: what it learnt from.
        calibration: scores of the calibration images.
        taught: scores of the images that were taught, by digest.
        training: scores for the final classifier's table, by digest: out of fold where the bundle has folds.
    """

    alias: str
    classifier: VectorClassifier
    table: VectorTable
    calibration: Scores
    taught: Mapping[str, Scores]
    training: Mapping[str, Scores]


def vectors_kept(bundle: Bundle) -> tuple[str, VectorTable] | None:
    """The classifier whose vectors a bundle keeps, with these.

    Raises:
        BundleError: the vectors are not valid, or belong to a classifier that does not learn from vectors.
    """
    for alias, classifier in bundle.pipeline.classifiers.items():
        if (table := read_vector_table(bundle.container, alias)) is not None:
            if isinstance(classifier, VectorClassifier):
                return alias, table
            raise BundleError(
                f"{bundle.container.path}: keeps vectors of '{alias}', which learns from images",
                "Make the bundle again with what is installed here.",
            )
    return None


def relearnt(
    bundle: Bundle,
    alias: str,
    known: VectorTable,
    taught: Sequence[tuple[Image, Vectors]],
    times: int,
) -> Relearnt:
    """Trains a classifier again with images that are taught, each counted `times`.

    Raises:
        SegadError: it cannot learn from them.
    """
    widths = {name: block.shape[1] for name, block in known.vectors.items()}
    for _, vectors in taught:
        if (found := {name: block.shape[1] for name, block in vectors.items()}) != widths:
            raise _cannot(
                bundle, alias, ValueError(f"of sizes {widths}, where it describes images by {found}")
            )
    table = _with_taught(known, taught, times)
    if table.size() > MOST_VECTORS:
        raise UsageError(
            f"--times {times}: the vectors to learn from would take more than {size_words(MOST_VECTORS)}",
            "Choose a lower number, or teach fewer images.",
        )
    whole = trained(bundle, alias, table)
    folds = _folds(table) if bundle.pipeline.segad else []  # alone, it needs no scores out of fold
    parts = {fold: trained(bundle, alias, table, without=fold) for fold in folds}
    training: dict[str, Scores] = {}
    for fold, classifier in {NO_FOLD: whole, **parts}.items():
        lines = [i for i, one in enumerate(table.images) if one.scored and one.fold == fold]
        if lines:
            scores = scores_of_vectors(bundle, classifier, table.lines(lines), alias)
            digests = [table.images[i].image.digest for i in lines]
            training |= dict(zip(digests, scores, strict=True))
    own = {image.digest for image, _ in taught}
    lines = [i for i, one in enumerate(table.images) if one.image.digest in own]
    scores = scores_of_vectors(bundle, whole, table.lines(lines), alias)
    return Relearnt(
        alias,
        whole,
        table,
        scores_of_vectors(bundle, whole, table.calibration, alias),
        {table.images[i].image.digest: one for i, one in zip(lines, scores, strict=True)},
        training,
    )


def trained(bundle: Bundle, alias: str, table: VectorTable, without: int = NO_FOLD) -> VectorClassifier:
    """A classifier trained on the images of a table, as in the run that the bundle was made from.

    Args:
        bundle, alias: name it.
        table: the images.
        without: a fold to leave out; -1 for none.
    """
    container, pipeline = bundle.container, bundle.manifest.pipeline
    use = pipeline.classifiers[alias]
    chosen = [
        i
        for i, one in enumerate(table.images)
        if one.learns and (without == NO_FOLD or one.fold != without)
        for _ in range(one.times)
    ]
    images = [table.images[i].image for i in chosen]
    learnt = ImageTable.of(images)
    seed = np.random.SeedSequence(training_entropy(pipeline.seed, pipeline.category, use.use))
    classifier: VectorClassifier = Builder(container, bundle.registry, bundle.device).component(
        "classifiers", use
    )
    try:
        with guarded(f"teaching the classifier '{alias}' of {container.path}"):
            classifier.learn(table.lines(chosen), learnt.labels(), Run(seed, groups=learnt.groups()))
    except SegadError:
        raise
    except Exception as error:  # numbers that are not its own can make a plugin raise anything
        raise _cannot(bundle, alias, error) from error
    return classifier


def scores_of_vectors(bundle: Bundle, classifier: VectorClassifier, vectors: Vectors, alias: str) -> Scores:
    """The scores (n, k) of n images of a bundle's tables.

    Raises:
        SegadError: the classifier cannot score them.
    """
    count = len(next(iter(vectors.values())))
    names = [Sample(f"line {i}", bundle.container.path, None) for i in range(count)]
    try:
        with guarded(f"scoring the tables of {bundle.container.path}"):
            parts = list(judged_in_chunks(classifier, vectors, range(count), names, alias))
            return np.concatenate(parts) if parts else np.empty((0, len(classifier.outputs())))
    except SegadError:
        raise
    except Exception as error:  # as above
        raise _cannot(bundle, alias, error) from error


def _cannot(bundle: Bundle, alias: str, error: Exception) -> BundleError:
    reason = shown(f"{type(error).__name__}: {error}")
    return BundleError(
        f"{bundle.container.path}: its classifier '{alias}' cannot use its vectors ({reason})",
        "Make the bundle again.",
    )


def _folds(table: VectorTable) -> list[int]:
    return sorted({one.fold for one in table.images} - {NO_FOLD})


def _with_taught(known: VectorTable, taught: Sequence[tuple[Image, Vectors]], times: int) -> VectorTable:
    """The table with the images that are taught: each replaces what the same image was labelled before.

    A known image stays in its fold. Others join the fold of their group or, if it has none, the fold with
    the fewest images of their label, and their group, which no training left out before, joins it with them.
    """
    own = {image.digest for image, _ in taught}
    folds = {one.image.digest: one.fold for one in known.images if one.image.digest in own}
    kept = [i for i, one in enumerate(known.images) if one.image.digest not in own]
    images = [known.images[i] for i in kept]
    sizes = Counter((one.image.label, one.fold) for one in images if one.scored)
    of_group = {one.image.group_number: one.fold for one in known.images if one.fold != NO_FOLD}
    for image, _ in taught:
        fold = folds.get(image.digest, NO_FOLD)
        if fold == NO_FOLD and image.group_number is not None:
            fold = of_group.get(image.group_number, NO_FOLD)
        if fold == NO_FOLD and known.folds():
            fold = min(range(known.folds()), key=lambda place: sizes[image.label, place])
        of_group[image.group_number] = fold
        sizes[image.label, fold] += 1
        images.append(Described(image=image, learns=True, fold=fold, times=times))
    images = [
        one.model_copy(update={"fold": of_group.get(number, NO_FOLD)})
        if one.fold == NO_FOLD and (number := one.image.group_number) is not None
        else one
        for one in images
    ]
    old = lines_of(known.vectors, kept)
    new = [vectors for _, vectors in taught]
    vectors = {name: np.concatenate([block, *(one[name] for one in new)]) for name, block in old.items()}
    return VectorTable(images, vectors, known.calibration)
