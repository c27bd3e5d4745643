"""The schema of a recipe: its keys and the names in it, which are checked without importing a plugin."""

from __future__ import annotations

from math import prod
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError

from segad_core.base.decoding import WHITE, Bayer, Decoding, PageChoice, Value
from segad_core.contracts import Tiling
from segad_core.contracts.frame import LONGEST_SIDE, Fit
from segad_core.contracts.tiles import MOST_TILES
from segad_core.plugins.registry import HOOKS
from segad_core.recipe.document import Place
from segad_core.recipe.parts_spec import PartsSpec
from segad_core.recipe.split_spec import BadSpec, ClassifierSplit, SplitSpec
from segad_core.recipe.tiles_spec import TilesSpec
from segad_core.recipe.use import Strict, Use, distinct

_MOST_PIXELS = 1 << 26
_OPTIONAL = ("fit", "tiles")
"""Entries of `image` that are only written where they are not the default."""

AUTO = "auto"
"""The precision that a measurement chooses."""

_Side = Annotated[int, Field(ge=16, le=LONGEST_SIDE)]


def _not_too_large(size: tuple[int, int]) -> tuple[int, int]:
    if size[0] * size[1] > _MOST_PIXELS:
        raise PydanticCustomError("size", f"has {size[0] * size[1]} pixels; the limit is {_MOST_PIXELS}")
    return size


class ImageSpec(Strict):
    """How images are brought to the detectors' size.

    Attributes:
        size: height and width in pixels; the aspect ratio is kept (unlike in paper section 5) if `fit` does.
        resize: PIL's bilinear filter, antialiased.
        white: the value of white in 16-bit images, which are scaled to 8 bits.
        tiles: detectors see tiles of the image; None: they see it whole.
        fit: `stretch`; or the ratio is kept: `pad` adds grey that is ignored, `crop` cuts the longer side.
        window: the values that become black and white, instead of 0 and white; others are cut off.
        bayer: the pattern of raw images.
        page: of TIFF files with several, from 1; or `views`: each page is a view of the part.
        scale: mm per pixel of the images as they are on disk, for the areas of regions.
    """

    size: Annotated[tuple[_Side, _Side], AfterValidator(_not_too_large)] = (256, 256)
    resize: Literal["pil_bilinear"] = "pil_bilinear"
    white: Annotated[int, Field(ge=255, le=65535)] = 65535
    scale: Annotated[float, Field(gt=0, le=1e6)] | None = None
    fit: Fit = "stretch"
    tiles: TilesSpec | None = None
    window: tuple[Value, Value] | None = None
    bayer: Bayer | None = None
    page: PageChoice | None = None

    @model_validator(mode="after")
    def _tiles_fit(self) -> ImageSpec:
        if self.tiles and any(t > s for t, s in zip(self.tiles.size, self.size, strict=True)):
            raise PydanticCustomError(
                "tiles",
                f"'tiles.size' {[*self.tiles.size]} is larger than 'size' {[*self.size]}, which is divided",
            )
        if self.tiles and (count := prod(Tiling(self.size, self.tiles.plain(), 1).grid)) > MOST_TILES:
            raise PydanticCustomError("tiles", f"there are {count} tiles; the limit is {MOST_TILES}")
        return self

    @model_serializer(mode="wrap")
    def _without_defaults(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Resolved recipes without something optional are what they were before there was such a thing."""
        plain: dict[str, Any] = handler(self)
        fields = type(self).model_fields
        return {n: v for n, v in plain.items() if n not in _OPTIONAL or getattr(self, n) != fields[n].default}

    @model_validator(mode="after")
    def _one_range(self) -> ImageSpec:
        if self.window is not None and self.window[0] >= self.window[1]:
            raise PydanticCustomError("row", "window: must be two values, the lower one first")
        if self.window is not None and "white" in self.model_fields_set and self.white != WHITE:
            raise PydanticCustomError(
                "row", "window: says what is white, so 'white' does not apply: remove one"
            )
        return self

    def decoding(self) -> Decoding:
        """How images are read."""
        return Decoding(self.white, self.window, self.bayer, self.page)


class RegionsSpec(Strict):
    """Boxes and areas in the predictions of bundles; `true` is short for the defaults, `false` for none.

    Attributes:
        good: the share of good images that shows nothing above the limits in a segment.
    """

    good: Annotated[float, Field(ge=0.5, le=1)] = 0.99

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: object) -> object:
        return {} if value is True else value


class ClassifierUse(Use):
    """A classifier, optionally with its own split and with out-of-fold scores for its training images.

    Attributes:
        out_of_fold: the number of folds; null or 0 for none. By default 5 for a classifier that learns from
            vectors and feeds a SegAD row, and none for others.
    """

    split: ClassifierSplit | None = None
    out_of_fold: Literal[0] | Annotated[int, Field(ge=2, le=100)] | None = None


_SEGAD_KEYS = ("segmenter", "features", "image_features", "classifier", "bad", "final", "segments")


class RowSpec(Strict):
    """A setup to measure: a single score, or detectors + SegAD. Absent keys take the recipe's values.

    A row with `mean_of` measures nothing itself: its figures are the means of other rows' figures.

    Attributes:
        segments: how much what a segment adds to the score counts, by name: 0 switches it off, and the others
            count once.
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
    segments: dict[str, Annotated[float, Field(ge=0, le=100)]] | None = None

    @model_validator(mode="before")
    @classmethod
    def _all(cls, value: object) -> object:
        if isinstance(value, dict) and value.get("detectors") == "all":
            return {**value, "detectors": ["all"]}
        return value

    @model_validator(mode="after")
    def _one_kind(self) -> RowSpec:
        if self.mean_of and len(set(self.mean_of)) < len(self.mean_of):
            raise PydanticCustomError("row", "'mean_of' lists a row twice")
        kinds = [key for key in ("score", "detectors", "mean_of") if getattr(self, key) is not None]
        if len(kinds) != 1:
            raise PydanticCustomError(
                "row",
                "a row needs exactly one of 'score' (one detector or classifier alone), 'detectors' "
                "(detectors + SegAD) and 'mean_of' (other rows)",
            )
        unused = [key for key in _SEGAD_KEYS if getattr(self, key)]
        if self.detectors is None and unused:
            raise PydanticCustomError("row", f"'{unused[0]}' does not apply to a '{kinds[0]}' row: remove it")
        if self.bad is not None and self.bad.origin != "generated":
            raise PydanticCustomError(
                "row", "a row's 'bad' must be 'from: generated'; real bad images are chosen in 'split'"
            )
        return self


class Skeleton(Strict):
    """A whole recipe.

    Attributes:
        precision: of frozen and trained networks; None for float32, `auto` for what a measurement decides.
        parts: how several images of a part make one verdict; None to judge each image.
        ignore: a mask of what is never inspected, white on black: for all categories, or by category.
        regions: what bundles learn about regions of defects; None for nothing.
        hooks: observers of the run, which decide no result.
        compare_with: published figures to compare with: a shipped name such as `paper/vad_highshot`, or a
            file.
    """

    segad: Literal[1]
    title: str = ""
    dataset: Use
    categories: Annotated[list[str], Field(min_length=1), AfterValidator(distinct)] | None = None
    image: ImageSpec = ImageSpec()
    batch_size: Annotated[int, Field(ge=1, le=1024)] = 16
    encoder: Use | None = None
    precision: Literal["auto", "float32", "bfloat16"] | None = None
    parts: PartsSpec | None = None
    split: SplitSpec = SplitSpec()
    detectors: dict[str, Use] = {}
    classifiers: dict[str, ClassifierUse] = {}
    segmenter: Use | None = None
    ignore: str | dict[str, str] | None = None
    regions: RegionsSpec | None = None
    features: list[Use] = []
    image_features: list[Use] = []
    final: Use | None = None
    executor: Use = Use(use="serial")
    hooks: list[Use] = []
    compare_with: str | None = None
    rows: Annotated[list[RowSpec], Field(min_length=1)]

    @model_validator(mode="before")
    @classmethod
    def _all(cls, value: object) -> object:
        if isinstance(value, dict) and value.get("categories") == "all":
            return {key: v for key, v in value.items() if key != "categories"}
        return value

    @field_validator("regions", mode="before")
    @classmethod
    def _off(cls, value: object) -> object:
        return None if value is False else value


def ignore_masks(skeleton: Skeleton) -> dict[Place, str]:
    """The masks of what is never inspected, by their places in a recipe."""
    given = skeleton.ignore
    if isinstance(given, dict):
        return {("ignore", category): mask for category, mask in given.items()}
    return {} if given is None else {("ignore",): given}


def uses_in(skeleton: Skeleton) -> list[tuple[str, Place, Use]]:
    """Every plugin that a recipe names: its kind, its place, and how it is used."""
    uses: list[tuple[str, Place, Use | None]] = [
        ("datasets", ("dataset",), skeleton.dataset),
        ("encoders", ("encoder",), skeleton.encoder),
        ("executors", ("executor",), skeleton.executor),
    ]
    uses += [(HOOKS, ("hooks", n), use) for n, use in enumerate(skeleton.hooks)]
    uses += [("detectors", ("detectors", alias), use) for alias, use in skeleton.detectors.items()]
    uses += [("classifiers", ("classifiers", alias), use) for alias, use in skeleton.classifiers.items()]
    uses += _generators(("split", "final", "bad"), skeleton.split.final.bad)
    holders: list[tuple[Place, Skeleton | RowSpec]] = [((), skeleton)]
    holders += [(("rows", i), row) for i, row in enumerate(skeleton.rows)]
    for place, holder in holders:
        uses.append(("segmenters", (*place, "segmenter"), holder.segmenter))
        uses.append(("final_classifiers", (*place, "final"), holder.final))
        for key in ("features", "image_features"):
            uses += [("features", (*place, key, n), use) for n, use in enumerate(getattr(holder, key) or [])]
        if isinstance(holder, RowSpec):
            uses += _generators((*place, "bad"), holder.bad)
    return [(kind, place, use) for kind, place, use in uses if use is not None]


def _generators(place: Place, bad: BadSpec | None) -> list[tuple[str, Place, Use | None]]:
    return [("defects", (*place, "use", n), use) for n, use in enumerate(bad.use if bad else [])]
