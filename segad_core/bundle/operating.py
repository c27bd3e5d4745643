"""Operating points: a threshold, and what it means in parts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, FailFast, Field

from segad_core.bundle.binomial import Count, Proportion, proportion
from segad_core.bundle.container import MOST_TEXT, Container
from segad_core.bundle.tables import ImageTable, read_table
from segad_core.bundle.thresholds import Rule, at_or_above, bad_share, choose, cost, curve, first_problem
from segad_core.bundle.writing import replace_bundle
from segad_core.errors import BundleError, DataError
from segad_core.json_file import parse_json

__all__ = [
    "Lot",
    "Lots",
    "OperatingPoint",
    "Rule",
    "calibration_table",
    "measure",
    "operating_json",
    "operating_point",
    "read_operating_point",
    "store_operating_point",
]

FILE = "operating.json"


class _Plain(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Lot(_Plain):
    """A lot, at the threshold that the rule comes to without it."""

    group: str
    threshold: float
    caught: Count
    rejected: Count


class Lots(_Plain):
    """What to expect of a lot that is not among the calibration images: each is measured without itself.

    Attributes:
        named: how many lots there are; nothing is measured with fewer than two.
        unnamed: how many images belong to none; they help to set every threshold.
        measured: lot by lot, by name.
        without: lots of which the others have no bad, or no good, images to set a threshold by.
    """

    named: Annotated[int, Field(ge=0)]
    unnamed: Annotated[int, Field(ge=0)]
    measured: Annotated[list[Lot], FailFast()] = []
    without: Annotated[list[str], FailFast()] = []

    def caught(self) -> Count:
        """Of the bad images in all measured lots."""
        return _pooled([lot.caught for lot in self.measured])

    def rejected(self) -> Count:
        """Of the good images in all measured lots."""
        return _pooled([lot.rejected for lot in self.measured])


class OperatingPoint(_Plain):
    """A threshold: scores at or above it are NG. And what it does to the images that it was set on.

    Attributes:
        rule: how it was chosen.
        caught: of the bad images.
        rejected: of the good ones.
        seen, unseen: of the bad images whose type of defect was learnt from, or not; None where there is
            nothing unseen.
        lots: between lots.
        bad: with a cost, the share of bad parts that it is expected over.
        cost: expected per part.
    """

    rule: Rule
    threshold: float
    caught: Proportion
    rejected: Proportion
    seen: Proportion | None = None
    unseen: Proportion | None = None
    lots: Lots
    bad: Annotated[float, Field(gt=0, lt=1)] | None = None
    cost: Annotated[float, Field(ge=0)] | None = None


def operating_point(tested: ImageTable, rule: Rule) -> OperatingPoint:
    """The threshold that a rule comes to on images that trained nothing, and what it means.

    Raises:
        DataError: the rule needs bad, or good, images, and there are none.
    """
    return measure(tested, rule, _threshold(tested.scores, tested.labels(), rule))


def measure(tested: ImageTable, rule: Rule, threshold: float) -> OperatingPoint:
    """What a threshold means on images that trained nothing; the rule only says where it comes from.

    Raises:
        DataError: there are no images.
    """
    labels = tested.labels()
    if not len(labels):
        raise DataError("there are no calibration images", "Fit with labelled images in the test set.")
    reject, bad = tested.scores >= threshold, labels == 1
    unseen = bad & np.array([image.unseen for image in tested.images], bool)
    caught, rejected = _share(reject, bad), _share(reject, ~bad)
    share = expected = None
    if rule.kind == "cost" and caught.of and rejected.of:
        share = float(bad_share(rule, caught.of, rejected.of))
        missed = caught.of - caught.count
        expected = float(cost(rule, caught.of, missed, rejected.of, rejected.count))
    return OperatingPoint(
        rule=rule,
        threshold=threshold,
        caught=caught,
        rejected=rejected,
        seen=_share(reject, bad & ~unseen) if unseen.any() and (bad & ~unseen).any() else None,
        unseen=_share(reject, unseen) if unseen.any() else None,
        lots=_lots(tested, labels, rule.model_copy(update={"bad": share})),
        bad=share,
        cost=expected,
    )


def _threshold(scores: NDArray[np.float64], labels: NDArray[np.int64], rule: Rule) -> float:
    if not len(scores):
        raise DataError("there are no calibration images", "Fit with labelled images in the test set.")
    found = curve(scores, labels)
    return float(found.thresholds[choose(found, rule)])


def _lots(tested: ImageTable, labels: NDArray[np.int64], rule: Rule) -> Lots:
    groups = np.array([image.group for image in tested.images], dtype=object)
    names = sorted(set(groups) - {""})
    measured, without = list[Lot](), list[str]()
    for name in names if len(names) > 1 else ():
        here = groups == name
        try:
            threshold = _threshold(tested.scores[~here], labels[~here], rule)
        except DataError:
            without.append(name)
            continue
        scores, bad = tested.scores[here], labels[here] == 1
        caught, rejected = _count(scores[bad], threshold), _count(scores[~bad], threshold)
        measured.append(Lot(group=name, threshold=threshold, caught=caught, rejected=rejected))
    return Lots(named=len(names), unnamed=int((groups == "").sum()), measured=measured, without=without)


def _count(scores: NDArray[np.float64], threshold: float) -> Count:
    return Count(count=int(at_or_above(scores, np.array([threshold]))[0]), of=len(scores))


def _pooled(counts: list[Count]) -> Count:
    return Count(count=sum(one.count for one in counts), of=sum(one.of for one in counts))


def _share(reject: NDArray[np.bool_], among: NDArray[np.bool_]) -> Proportion:
    return proportion(int((reject & among).sum()), int(among.sum()))


@dataclass(frozen=True)
class Calibration:
    """What thresholds of a bundle are set from.

    Attributes:
        table: images that trained nothing.
        learnt: how many were left out because they were taught since.
    """

    table: ImageTable
    learnt: int


def calibration_table(container: Container) -> Calibration:
    """A bundle's calibration images, without those that its final classifier has learnt from since.

    Raises:
        BundleError: a table is missing or none.
    """
    tested = read_table(container, "calibration")
    if "training.json" not in container.manifest.files:  # a learner alone: nothing can be taught
        return Calibration(tested, 0)
    table = tested.without(read_table(container, "training"))
    return Calibration(table, len(tested.images) - len(table.images))


def operating_json(point: OperatingPoint) -> bytes:
    """The operating point as a file."""
    return (json.dumps(plain(point), indent=1) + "\n").encode()


def plain(point: BaseModel) -> dict[str, Any]:
    """As JSON has it: what a rule or a table has not is left out."""
    return point.model_dump(exclude_none=True)


def read_operating_point(container: Container) -> OperatingPoint:
    """A bundle's operating point.

    Raises:
        BundleError: it is not one.
    """
    data = container.read(FILE, MOST_TEXT)
    try:
        parse_json(data)  # refuses keys that stand there twice, and numbers that are none
        return OperatingPoint.model_validate_json(data, strict=True)
    except ValueError as error:
        raise BundleError(
            f"{container.path}: '{FILE}' is no operating point ({first_problem(error)})",
            "Get the bundle again from where it was made; do not use it as it is.",
        ) from error


def store_operating_point(container: Container, point: OperatingPoint) -> bool:
    """Writes a bundle's operating point, all else as it was; says whether anything had to be written.

    Raises:
        BundleError: the bundle is not what was written, or cannot be replaced.
    """
    data = operating_json(point)
    if container.read(FILE) == data:
        return False
    contents: dict[str, bytes | Path] = {name: container.kept(name) for name in container.manifest.files}
    replace_bundle(container.path.resolve(), container.manifest, contents | {FILE: data})
    return True
