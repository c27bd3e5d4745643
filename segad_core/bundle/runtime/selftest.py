"""Verifying a bundle: golden images and tables are scored again and compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segad_core.base.digest import array_digest, digest_of
from segad_core.bundle.format.appearance import read_appearance
from segad_core.bundle.format.operating_point import calibration_table
from segad_core.bundle.format.tables import Golden, read_golden, read_table
from segad_core.bundle.format.vectors import VectorTable
from segad_core.bundle.runtime.building import scores_of
from segad_core.bundle.runtime.bundle import Bundle
from segad_core.bundle.runtime.golden import GoldenUnit, predictions, units_of
from segad_core.bundle.runtime.opening import whole
from segad_core.bundle.runtime.prediction import Verdict, side
from segad_core.bundle.runtime.relearning import scores_of_vectors, vectors_kept
from segad_core.contracts import VectorClassifier
from segad_core.errors import BundleError, DataError, ImageError
from segad_core.operate.image_table import ImageTable
from segad_core.operate.operating_point import operating_point

TOLERANCE = 0.01
"""Share of the range of the golden scores: processors and library versions round differently."""
TOLERANCE_OF_EXPORTS = 0.001
"""The same of the range of the calibration scores, of exported bundles; nearer to the threshold than that, a
verdict may turn."""


@dataclass(frozen=True)
class GoldenResult:
    """A golden image, scored again.

    Attributes:
        file: its name in the bundle.
        label: 0 good, 1 bad.
        expected, found: scores; found is None if there is none, and `reason` says why.
        was, now: the verdicts for these scores at the bundle's threshold.
    """

    file: str
    label: int
    expected: float
    found: float | None
    was: Verdict
    now: Verdict
    reason: str


@dataclass(frozen=True)
class Verification:
    """The result of verifying a bundle.

    Attributes:
        files: how many files match their digests in the manifest.
        golden: the golden images.
        largest: the largest difference between golden scores.
        tolerated: the largest difference that is tolerated.
        table: the largest difference between calibration scores; None without a final classifier.
        problems: what is wrong; empty if the bundle is sound.
    """

    files: int
    golden: Sequence[GoldenResult]
    largest: float
    tolerated: float
    table: float | None
    problems: Sequence[str]


def verify(bundle: Bundle) -> Verification:
    """Checks every digest, scores the golden images again, and compares scores and verdicts.

    Raises:
        BundleError: a file is not what was written, or a table is malformed.
    """
    container = bundle.container
    container.verify()
    container.text("recipe.yaml")
    container.json("splits.json")
    units, threshold = units_of(read_golden(container)), bundle.operating_point.threshold
    with container.naming("verifying"):
        found = predictions(bundle, units)
    golden = [
        GoldenResult(
            unit.name,
            one.label,
            one.score,
            prediction.score,
            side(one.score, threshold),
            prediction.verdict if prediction.score is None else side(prediction.score, threshold),
            container.named(prediction.reason) if prediction.score is None else "",
        )
        for unit, prediction in zip(units, found, strict=True)
        for one in unit.images[:1]
    ]
    tolerated = tolerated_difference(bundle, [one.expected for one in golden])
    margin = tolerated if is_exported(bundle) else -1.0
    largest = max((abs(one.found - one.expected) for one in golden if one.found is not None), default=0.0)
    problems = [
        f"{one.file}: is {one.now}, but was {one.was} when the bundle was made{': ' * bool(one.reason)}"
        f"{one.reason}"
        for one in golden
        if one.now != one.was and (one.found is None or abs(one.expected - threshold) > margin)
    ]
    if largest > tolerated:
        problems.append(f"golden scores differ by up to {largest:.3g}; the tolerance is {tolerated:.3g}")
    problems += [*_point_problems(bundle), *_claim_problems(bundle, units)]
    table = _tables(bundle)
    if table is not None and table > tolerated:
        problems.append(
            f"the final classifier's scores on the calibration table differ by up to {table:.3g}; "
            f"the tolerance is {tolerated:.3g}"
        )
    return Verification(len(bundle.manifest.files), golden, largest, tolerated, table, problems)


def is_exported(bundle: Bundle) -> bool:
    """Whether the golden scores are those of another bundle, which was exported."""
    return "export" in bundle.manifest.provenance.environment


def tolerated_difference(bundle: Bundle, golden: Sequence[float]) -> float:
    """How far a score may be from what it was.

    Args:
        bundle: one that was exported holds the calibration scores of the original.
        golden: the scores of the golden images.
    """
    if is_exported(bundle):
        return TOLERANCE_OF_EXPORTS * float(np.ptp(bundle.calibration().scores))
    return TOLERANCE * float(np.ptp(golden)) if len(golden) else 0.0


def _point_problems(bundle: Bundle) -> list[str]:
    """What is wrong with the operating point: the rule is applied to the calibration table again."""
    table, stored = calibration_table(bundle.container).table, bundle.operating_point
    try:
        point = operating_point(table, stored.rule)
    except DataError as error:
        return [f"the operating point cannot be derived from the calibration table: {error.what}"]
    if point.threshold != stored.threshold:
        return [
            f"the threshold {stored.threshold:.6g} is not the one that its rule '{stored.rule}' gives on the "
            f"calibration table, {point.threshold:.6g}"
        ]
    return [] if point == stored else ["the operating point does not match the calibration table"]


def _claim_problems(bundle: Bundle, units: Sequence[GoldenUnit]) -> list[str]:
    """What the bundle says of itself, and is not so."""
    container, manifest = bundle.container, bundle.manifest
    read_appearance(container)
    kept, tables = vectors_kept(bundle), [read_table(container, "calibration")]
    if manifest.pipeline.final is not None:
        tables.append(read_table(container, "training"))
    images = [image for table in tables for image in table.images]
    learnt = [image for table in tables[1:] for image in table.images]
    problems = []
    if kept is not None:
        problems += _vector_problems(bundle, *kept, tables)
        described = [one.image for one in kept[1].images]
        images += described
        learnt += [] if len(tables) > 1 else described
    taught = {one.digest for one in learnt if one.taught}
    splits = manifest.provenance.splits
    if splits and splits != digest_of(container.text("splits.json")):
        problems.append("the digest of the split in the manifest is not that of 'splits.json'")
    if len(taught) != manifest.provenance.learnt:
        problems.append(
            f"the manifest says that {manifest.provenance.learnt} images were taught, but its tables "
            f"have {len(taught)}"
        )
    tested = {one.digest for one in tables[0].images}
    labels = {(one.digest, one.label) for one in images if not one.artificial}
    for unit in units:
        if unit.digest not in tested:
            problems.append(f"{unit.name}: is not one of the calibration images")
        elif any((unit.digest, one.label) not in labels for one in unit.images):
            problems.append(f"{unit.name}: has another label in the tables")
        elif not all(_has_digest(bundle, one) for one in unit.images):
            problems.append(f"{unit.name}: is another image than the calibration image that it stands for")
    return problems


def _vector_problems(
    bundle: Bundle, alias: str, kept: VectorTable, tables: Sequence[ImageTable]
) -> list[str]:
    """What is wrong with the vectors of a classifier: they are scored again, and compared with the tables.

    Args:
        bundle: restored.
        alias: names the classifier.
        kept: its vectors.
        tables: of the calibration images and, with a final classifier, of its training images.
    """
    classifier, calibration = bundle.pipeline.classifiers[alias], tables[0]
    assert isinstance(classifier, VectorClassifier)
    found = scores_of_vectors(bundle, classifier, kept.calibration, alias)
    stored = calibration.features[:, -found.shape[1] :] if len(tables) > 1 else calibration.scores[:, None]
    found = found[:, : stored.shape[1]]
    problems = []
    off, room = np.abs(found - stored).max(initial=0.0), TOLERANCE * np.ptp(stored, axis=0).max(initial=0.0)
    if off > room:
        problems.append(
            f"the scores of classifier '{alias}' from its vectors differ from the calibration table by up to "
            f"{off:.3g}; the tolerance is {room:.3g}"
        )
    labels = {one.image.digest: one.image.label for one in kept.images}
    learnt = {one.image.digest for one in kept.images if one.learns and not one.image.taught}
    if secret := learnt.intersection(one.digest for one in calibration.images):
        problems.append(f"the classifier '{alias}' learnt from {len(secret)} of the calibration images")
    training = [one for table in tables[1:] for one in table.images if not one.artificial]
    if strays := [one for one in training if labels.get(one.digest) != one.label]:
        problems.append(
            f"the vectors of classifier '{alias}' lack {len(strays)} of the images in the training table, or "
            "label them otherwise"
        )
    return problems


def _has_digest(bundle: Bundle, golden: Golden) -> bool:
    """Whether a golden image has the pixels of its digest; one that cannot be read is reported elsewhere."""
    try:
        how = bundle.manifest.pipeline.decoding.of_page(golden.page)
        pixels = whole(bundle.container.file(golden.file), how)
    except ImageError:
        return True
    return array_digest(pixels) == golden.digest


def _tables(bundle: Bundle) -> float | None:
    """The largest difference from the scores in the calibration table."""
    calibration, segad = read_table(bundle.container, "calibration"), bundle.pipeline.segad
    if segad is None:
        return None
    read_table(bundle.container, "training")
    if not len(calibration.images):
        raise BundleError(f"{bundle.container.path}: has no calibration images", "Make the bundle again.")
    found = scores_of(bundle.container, segad.final, calibration.features)
    return float(np.abs(found - calibration.scores).max())
