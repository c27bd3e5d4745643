"""The skeleton of a recipe: its shape and the names in it, checked without importing a plugin."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from segad_core.plugins.registry import suggest
from segad_core.recipe.document import Document, Place


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Use(_Strict):
    """A plugin by name, with its parameters; `name` alone is short for `{use: name}`.

    A `version` pins the distribution that provides it, as a resolved recipe does.
    """

    use: str
    version: str | None = None
    params: dict[str, Any] = {}
    per_category: dict[str, dict[str, Any]] = {}

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: object) -> object:
        if isinstance(value, str):
            return {"use": value}
        if not isinstance(value, dict | Use):
            raise PydanticCustomError("use", "is neither the name of a plugin nor {use: NAME, params: ...}")
        return value


class ImageSpec(_Strict):
    """How images come to the detectors' size.

    Attributes:
        size: height and width in pixels; the aspect ratio is not kept (paper section 5).
        resize: PIL's bilinear filter, antialiased.
        white: the value that is white in images of 16 bits, which are scaled to 8.
    """

    size: tuple[Annotated[int, Field(ge=16, le=4096)], Annotated[int, Field(ge=16, le=4096)]] = (256, 256)
    resize: Literal["pil_bilinear"] = "pil_bilinear"
    white: Annotated[int, Field(ge=255, le=65535)] = 65535


def _share_or_count(value: object) -> object:
    if value == "rest":
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PydanticCustomError("share", "is neither a share between 0 and 1, a count, nor 'rest'")
    if not (0 <= value < 1 if isinstance(value, float) else value >= 0):
        raise PydanticCustomError(
            "share", "a share lies between 0 and 1, as in 0.5; a count is a whole number; 'rest' takes all"
        )
    return value


Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
Amount = Annotated[int | float | Literal["rest"], BeforeValidator(_share_or_count)]
"""Some of a pool of images: a share of it (0.5), a count (10), or all that is left (`rest`)."""


class TestSpec(_Strict):
    """The images set aside for the test, first of all, where the data set has no official test part."""

    __test__ = False
    good: Amount
    bad: Amount


class DetectorSplit(_Strict):
    """The good images that detectors train on; with a seed of its own, one training serves all seeds."""

    good: Amount = 0.5
    seed: Seed | None = None


class BadSpec(_Strict):
    """The bad images that the final classifier trains on.

    From the training part; from the test part; from the data set's published subsets of its training part,
    the n-th seed taking the n-th; or generated: one artificial defect on each of its good images, by one of
    the generators in `use`.
    """

    origin: Literal["train", "test", "subsets", "generated"] = Field("train", alias="from")
    amount: Amount = "rest"
    use: list[Use] = []

    @model_validator(mode="after")
    def _one_origin(self) -> BadSpec:
        if (self.origin == "generated") != bool(self.use):
            raise PydanticCustomError(
                "row", "'use' names the generators of defects where the bad images are 'from: generated'"
            )
        if self.origin == "generated" and self.amount != "rest":
            raise PydanticCustomError(
                "row", "one defect is generated for each good image: 'amount' has no meaning here"
            )
        return self


class FinalSplit(_Strict):
    """The images that the final classifier trains on."""

    good: Amount = "rest"
    bad: BadSpec = BadSpec()


class ClassifierSplit(_Strict):
    """The images that a classifier trains on: of the detectors' and the final classifier's, not the test's.

    The paper takes 80 % (section 4.1), so that the final classifier meets images that g has not seen.
    """

    good: Amount = 0.8
    bad: Amount = 0.8


class ClassifierUse(Use):
    """A classifier, with a split of its own and, if wanted, scores from folds that it was not trained on."""

    split: ClassifierSplit | None = None
    out_of_fold: Annotated[int, Field(ge=2, le=100)] | None = None


def _distinct(values: list[Any]) -> list[Any]:
    twice = [value for i, value in enumerate(values) if value in values[:i]]
    if twice:
        raise PydanticCustomError("row", "{value} stands there twice", {"value": repr(twice[0])})
    return values


class SplitSpec(_Strict):
    """Which image serves which purpose (paper section 4.1); drawn anew for each seed.

    Attributes:
        order: what a draw shuffles: the images sorted by name, or in the order in which the data set lists
            them.
        hold_out: `defects` runs everything once more for each type of defect, from which nothing learns
            then, so that the test meets it unseen.
        file: a `splits.json` that a run wrote, to be used again instead of drawing.
        leave_out: ids of images, by category, that train and test nothing: such as one of two that are alike.
    """

    seeds: Annotated[list[Seed], Field(min_length=1), AfterValidator(_distinct)] = [0]
    order: Literal["name", "listed"] = "name"
    hold_out: Literal["defects"] | None = None
    file: Path | None = None
    leave_out: dict[str, list[str]] = {}
    test: TestSpec | None = None
    detectors: DetectorSplit = DetectorSplit()
    final: FinalSplit = FinalSplit()
    classifiers: ClassifierSplit = ClassifierSplit()

    @model_validator(mode="after")
    def _drawn_or_given(self) -> SplitSpec:
        drawn = sorted(self.model_fields_set - {"file", "seeds", "leave_out"})
        if self.file is not None and drawn:
            raise PydanticCustomError("row", f"with 'file' nothing is drawn: take out {', '.join(drawn)}")
        if self.test is not None and self.final.bad.origin == "subsets":
            raise PydanticCustomError(
                "row", "'subsets' are of the official training part: 'test', which draws another, is too much"
            )
        return self


_SEGAD_ALONE = ("segmenter", "features", "image_features", "classifier", "bad", "final")


class RowSpec(_Strict):
    """A setup to measure: one score alone, or detectors + SegAD; what is absent is the recipe's default.

    With `mean_of` it measures nothing itself: its figures are the means of other rows' figures.
    """

    name: str
    mean_of: Annotated[list[str], Field(min_length=1)] | None = None
    score: str | None = None
    detectors: Annotated[list[str], Field(min_length=1)] | None = None
    classifier: str | None = None
    bad: BadSpec | None = None
    segmenter: Use | None = None
    features: Annotated[list[Use], Field(min_length=1)] | None = None
    image_features: list[Use] | None = None
    final: Use | None = None

    @model_validator(mode="before")
    @classmethod
    def _all(cls, value: object) -> object:
        if isinstance(value, dict) and value.get("detectors") == "all":
            return {**value, "detectors": ["all"]}
        return value

    @model_validator(mode="after")
    def _one_kind(self) -> RowSpec:
        if self.mean_of and len(set(self.mean_of)) < len(self.mean_of):
            raise PydanticCustomError("row", "'mean_of' names a row twice")
        kinds = [key for key in ("score", "detectors", "mean_of") if getattr(self, key) is not None]
        if len(kinds) != 1:
            raise PydanticCustomError(
                "row",
                "a row has either 'score' (one detector or classifier alone), 'detectors' "
                "(detectors + SegAD) or 'mean_of' (other rows)",
            )
        own = [key for key in _SEGAD_ALONE if getattr(self, key)]
        if self.detectors is None and own:
            raise PydanticCustomError("row", f"a row with '{kinds[0]}' has no {own[0]} of its own")
        if self.bad is not None and self.bad.origin != "generated":
            raise PydanticCustomError(
                "row", "a row's 'bad' can only be 'from: generated'; the split says which real ones there are"
            )
        return self


class Skeleton(_Strict):
    """A whole recipe.

    Attributes:
        compare_with: published figures to show beside the measured ones: a shipped name such as
            `paper/vad_highshot`, or a file.
    """

    segad: Literal[1]
    title: str = ""
    dataset: Use
    categories: Annotated[list[str], Field(min_length=1), AfterValidator(_distinct)] | None = None
    image: ImageSpec = ImageSpec()
    batch_size: Annotated[int, Field(ge=1, le=1024)] = 16
    encoder: Use | None = None
    split: SplitSpec = SplitSpec()
    detectors: dict[str, Use] = {}
    classifiers: dict[str, ClassifierUse] = {}
    segmenter: Use | None = None
    features: list[Use] = []
    image_features: list[Use] = []
    final: Use | None = None
    executor: Use = Use(use="serial")
    compare_with: str | None = None
    rows: Annotated[list[RowSpec], Field(min_length=1)]

    @model_validator(mode="before")
    @classmethod
    def _all(cls, value: object) -> object:
        if isinstance(value, dict) and value.get("categories") == "all":
            return {key: v for key, v in value.items() if key != "categories"}
        return value


def check(model: type[BaseModel], data: Any, document: Document, place: Place = (), **context: Any) -> Any:
    """Validates data that stands at a place of a recipe.

    Returns:
        The model, or the list of problems as sentences.
    """
    try:
        return model.model_validate(data, context=context)
    except ValidationError as error:
        return [_sentence(model, e, document, place) for e in error.errors(include_url=False)]


def _sentence(model: type[BaseModel], error: Any, document: Document, place: Place) -> str:
    location = tuple(part for part in error["loc"] if not _is_tag(part))
    where = (*place, *location)
    kind, given = error["type"], error.get("input")
    if kind == "extra_forbidden":  # the key itself may look like a tag: it comes from the recipe
        parents, unknown = tuple(part for part in error["loc"][:-1] if not _is_tag(part)), error["loc"][-1]
        hint = suggest(str(unknown), _fields_at(model, parents))
        own = (*place, *parents)
        return document.problem((*own, unknown), f"there is no '{unknown}' here{hint}", shown=own)
    if kind == "missing" and isinstance(location[-1], int):
        return document.problem(where[:-1], f"has too few values: number {location[-1] + 1} is missing")
    if kind == "missing":
        return document.problem(where[:-1], f"'{location[-1]}' is missing")
    if kind in ("share", "row", "use", "value_error"):
        return document.problem(where, str(error["msg"]).removeprefix("Value error, "))
    shown = "" if isinstance(given, dict | list) else f" (it is {given!r})"
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        return document.problem(where, f"is not a mapping{shown}")
    message = str(error["msg"])
    return document.problem(where, message[:1].lower() + message[1:] + shown)


def _is_tag(part: object) -> bool:
    """Whether pydantic put a part of a location in to name a branch of a union or a function."""
    return isinstance(part, str) and ("[" in part or part in ("int", "float", "str"))


def _fields_at(model: type[BaseModel], location: Place) -> list[str]:
    for part in location:
        field = next((f for n, f in model.model_fields.items() if part in (n, f.alias)), None)
        if field is not None:
            inner = _models_in(field.annotation)
            model = inner[0] if inner else model
    return [field.alias or name for name, field in model.model_fields.items()]


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models_in(inner)]
