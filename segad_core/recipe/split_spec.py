"""The part of a recipe that says which image serves which purpose."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from segad_core.base.strict_types import number_in
from segad_core.recipe.use import Strict, Use, distinct


def _share_or_count(value: object) -> object:
    value = number_in(value)
    if isinstance(value, float):
        valid = 0 <= value < 1
    else:
        valid = value == "rest" or (isinstance(value, int) and not isinstance(value, bool) and value >= 0)
    if valid:
        return value
    raise PydanticCustomError(
        "share", "must be a share from 0 to below 1, such as 0.5, a whole number of images, or 'rest'"
    )


def _one_or_several(value: object) -> object:
    """An amount, or a list of them; a list of one is that one."""
    if not isinstance(value, list | tuple):
        return _share_or_count(value)
    given = distinct([_share_or_count(one) for one in value])
    numbers = given[:-1] if given[-1:] == ["rest"] else given
    one_kind = len({type(one) for one in numbers}) == 1 or given == ["rest"]
    if not given or "rest" in numbers or not one_kind or numbers != sorted(numbers) or 0 in numbers:
        raise PydanticCustomError(
            "share", "must list counts or shares above 0, the smallest first; 'rest' may come last"
        )
    return given if len(given) > 1 else given[0]


Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
Amount = Annotated[int | float | Literal["rest"], BeforeValidator(_share_or_count)]
"""Part of a pool of images: a share (0.5), a count (10), or everything that is left (`rest`)."""

Amounts = Annotated[
    int | float | Literal["rest"] | list[int | float | Literal["rest"]], BeforeValidator(_one_or_several)
]
"""An amount, or several, in ascending order."""


Group = bool | Literal["lot", "serial"] | None
"""Which images are kept together: all groups that the data names (True), lots, serials or none (False)."""


class TestSpec(Strict):
    """The images set aside for the test, before all others, if the data set has no official test part."""

    __test__ = False
    good: Amount
    bad: Amount


class DetectorSplit(Strict):
    """The good images that detectors train on; with a seed of their own, one training serves all seeds.

    With folds, the final classifier learns from the same good images: each is described by detectors that
    train on the other folds. Then they are all good training images unless `good` says otherwise.
    """

    good: Amount = 0.5
    seed: Seed | None = None
    folds: Annotated[int, Field(ge=2, le=10)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _all_serve_both(cls, value: object) -> object:
        if isinstance(value, dict) and value.get("folds") is not None:
            return {"good": "rest", **value}
        return value


class BadSpec(Strict):
    """The bad images that the final classifier trains on.

    They come from the training part; from the test part; from the data set's published subsets of its
    training part, where the n-th seed takes the n-th subset; or they are generated: one artificial defect on
    each of the final classifier's good images, by one of the generators in `use`. Several amounts repeat
    everything for each of them, with the same test images.
    """

    origin: Literal["train", "test", "subsets", "generated"] = Field("train", alias="from")
    amount: Amounts = "rest"
    use: list[Use] = []

    def amounts(self) -> dict[str, Amount]:
        """The amounts by their names, ascending; a single one has no name."""
        several = self.amount if isinstance(self.amount, list) else []
        return {str(one): one for one in several} or {"": self.amount}  # type: ignore[dict-item]

    @model_validator(mode="after")
    def _one_origin(self) -> BadSpec:
        if (self.origin == "generated") != bool(self.use):
            raise PydanticCustomError(
                "row",
                "'use' lists generators of defects, and goes together with 'from: generated'",
            )
        if self.origin == "generated" and self.amount != "rest":
            raise PydanticCustomError(
                "row",
                "'amount' does not apply to 'from: generated', which makes one per good image: remove it",
            )
        return self


class FinalSplit(Strict):
    """The images that the final classifier trains on."""

    good: Amount = "rest"
    bad: BadSpec = BadSpec()


class ClassifierSplit(Strict):
    """The images that a classifier trains on, out of those of the detectors and the final classifier.

    The paper takes 80% (section 4.1), so that the final classifier meets images that g has not seen.
    """

    good: Amount = 0.8
    bad: Amount = 0.8


class SplitSpec(Strict):
    """Which image serves which purpose (paper section 4.1); drawn again for each seed.

    Attributes:
        order: what is shuffled: the images sorted by name, or in the order in which the data set lists them.
        hold_out: `defects` repeats everything once for each defect type, with that type held out of training.
        file: a `splits.json` written by a run, used instead of drawing.
        leave_out: ids of images, by category, to exclude from training and test, such as duplicates.
        group: which images are kept together; None for all groups where the data names any.
    """

    seeds: Annotated[list[Seed], Field(min_length=1), AfterValidator(distinct)] = [0]
    order: Literal["name", "listed"] = "name"
    hold_out: Literal["defects"] | None = None
    file: Path | None = None
    leave_out: dict[str, list[str]] = {}
    group: Group = None
    test: TestSpec | None = None
    detectors: DetectorSplit = DetectorSplit()
    final: FinalSplit = FinalSplit()
    classifiers: ClassifierSplit = ClassifierSplit()

    @model_validator(mode="after")
    def _drawn_or_given(self) -> SplitSpec:
        drawn = sorted(self.model_fields_set - {"file", "seeds", "leave_out", "group"})
        if self.file is not None and drawn:
            raise PydanticCustomError("row", f"'file' replaces drawing a split: remove {', '.join(drawn)}")
        if self.detectors.folds and self.final.good != "rest":
            raise PydanticCustomError(
                "row",
                "with 'detectors.folds', the final classifier learns from the detectors' good images: remove "
                "'final.good'",
            )
        if self.test is not None and self.final.bad.origin == "subsets":
            raise PydanticCustomError(
                "row",
                "'test' draws a new test part, but 'subsets' are of the official training part: remove one",
            )
        return self
