"""Operating points: a threshold, and what it means in parts."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, FailFast, Field

from segad_core.errors import DataError
from segad_core.operate.binomial import Count, Proportion, proportion
from segad_core.operate.image_table import ImageTable
from segad_core.operate.thresholds import Rule, at_or_above, bad_share, choose, cost, curve


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


def plain(point: BaseModel) -> dict[str, Any]:
    """As JSON has it: what a rule or a table has not is left out."""
    return point.model_dump(exclude_none=True)
