"""A bundle's manifest: plain data, checked before anything that it names is opened."""

from __future__ import annotations

from collections.abc import Collection
from math import prod
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    FailFast,
    Field,
    SerializerFunctionWrapHandler,
    StringConstraints,
    ValidationError,
    model_serializer,
    model_validator,
)

from segad_core.base.checked import Digest, Strict, Text, first_of, printable, shown
from segad_core.base.decoding import VIEWS, Bayer, Decoding, PageChoice, Value
from segad_core.base.json_file import parse_json
from segad_core.bundle.format.names import REMEDY
from segad_core.contracts import Fit, Tiles
from segad_core.contracts.frame import LONGEST_SIDE
from segad_core.contracts.tiles import MOST_TILES
from segad_core.errors import BundleError
from segad_core.images.geometry import Size, enlargement
from segad_core.images.image_set import Preprocessing
from segad_core.images.known_sizes import KnownShape, known_shapes
from segad_core.operate.parts import PartRule

FORMAT: Final = 1
"""The format of bundles that this segad writes and reads."""

_OPTIONAL = {
    "sizes",
    "ignore",
    "off",
    "weights",
    "fit",
    "tiles",
    "window",
    "bayer",
    "page",
    "parts",
    "precision",
}
"""Entries of a pipeline that are only written where they say something."""
_MOST_PIXELS = 1 << 27
_DEEPEST = 10


def _shallow(value: Any, left: int = _DEEPEST) -> Any:
    if isinstance(value, str):
        printable(value)
    if left == 0:
        raise ValueError(f"is nested more than {_DEEPEST} deep")
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _shallow(inner, left - 1)
    return value


Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,100}$")]
"""A learner's alias, part of feature names and file names."""
Plugin = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}:[a-z][a-z0-9_]{0,99}$")]
"""A distribution and the name of a plugin in it, never a module."""
Plain = Annotated[dict[str, Any], AfterValidator(_shallow)]

_Side = Annotated[int, Field(ge=16, le=LONGEST_SIDE)]
_Pixels = Annotated[int, Field(ge=1, le=1 << 20)]
_Original = tuple[_Pixels, _Pixels]


class FileFacts(Strict):
    """The digest and size that a file must have before any parser sees it."""

    sha256: Digest
    size: Annotated[int, Field(ge=0, le=1 << 40)]


class PluginUse(Strict):
    """A plugin by its qualified name, the version that it was trained with, and its parameters.

    Attributes:
        files: for each parameter that is a file, the name of the file in the bundle, or several names.
    """

    use: Plugin
    version: Text
    params: Plain = Field(default_factory=dict)
    files: dict[str, Annotated[list[str], Field(min_length=1), FailFast()]] = Field(default_factory=dict)


class ShapeFacts(Strict):
    """Images whose aspect ratios lie in one range: its ends, the most frequent size, and their number."""

    narrowest: _Original
    widest: _Original
    usual: _Original
    images: Annotated[int, Field(ge=1)]


class SizeFacts(Strict):
    """The sizes of the images that a bundle was made from, (height, width) on disk.

    Attributes:
        smallest: the one that is enlarged most.
        shapes: the most frequent first.
    """

    smallest: _Original
    shapes: Annotated[list[ShapeFacts], FailFast(), Field(min_length=1, max_length=1000)]

    @classmethod
    def of(cls, sizes: Collection[Size], frame: Size, fit: Fit) -> SizeFacts:
        """What to keep of the sizes of images, one for each, which are brought to the size `frame`."""
        smallest = max(sorted(sizes), key=lambda size: enlargement(size, frame, fit))
        shapes = [ShapeFacts.model_validate(vars(shape)) for shape in known_shapes(sizes)]
        return cls(smallest=smallest, shapes=shapes)

    def known(self) -> list[KnownShape]:
        """The shapes, to compare others with."""
        return [KnownShape(**dict(shape)) for shape in self.shapes]


class Ignore(Strict):
    """What is never inspected.

    Attributes:
        mask: the name of a file, white where nothing is inspected; empty for none.
        segmenters: those whose segment `ignore` is not inspected; the pipeline's own may be among them.
    """

    mask: Text = ""
    segmenters: Annotated[list[PluginUse], FailFast()] = Field(default_factory=list)


class TileFacts(Strict):
    """Tiles, as in `Tiles`."""

    size: tuple[_Side, _Side]
    overlap: Annotated[float, Field(ge=0.1, le=0.5)]
    train: Annotated[int, Field(ge=1)]
    whole: tuple[_Side, _Side]


class Pipeline(Strict):
    """Everything that leads from an image to a score.

    Attributes:
        size, white, batch_size: how images are decoded and batched.
        window, bayer, page: as in `Decoding`; absent where the recipe does not set them.
        encoder_digest: digest of the encoder's weights, which are in the bundle if the recipe names a file.
        score: whether the row is one learner alone, without SegAD.
        features, image_features: the statistics, as in the recipe's row.
        segments: the names of the segments.
        ignore: what is never inspected; None if everything is.
        off: the segments that are switched off; None if none is.
        weights: how much what a segment adds to the score counts, where that is not once.
        names: the names of the features, in order; empty with `score`.
        sizes: of the images that it was made from; None in bundles that do not know.
        fit: how images are brought to their size; None if they are stretched.
        parts: how the images of a part make one verdict; None where each image is judged.
        tiles: that detectors see; None if they see whole images.
        precision: of networks; None for float32.
    """

    category: Text
    row: Text
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)]
    size: tuple[_Side, _Side]
    white: Annotated[int, Field(ge=255, le=65535)]
    batch_size: Annotated[int, Field(ge=1, le=1024)]
    encoder: PluginUse | None = None
    encoder_digest: Text = ""
    detectors: dict[Name, PluginUse] = Field(default_factory=dict)
    classifiers: dict[Name, PluginUse] = Field(default_factory=dict)
    score: bool = False
    segmenter: PluginUse | None = None
    features: Annotated[list[PluginUse], FailFast()] = Field(default_factory=list)
    image_features: Annotated[list[PluginUse], FailFast()] = Field(default_factory=list)
    final: PluginUse | None = None
    segments: Annotated[list[Text], FailFast()] = Field(default_factory=list)
    names: Annotated[list[Text], FailFast()] = Field(default_factory=list)
    sizes: SizeFacts | None = None
    fit: Literal["pad", "crop"] | None = None
    tiles: TileFacts | None = None
    ignore: Ignore | None = None
    off: list[Text] | None = Field(None, min_length=1, max_length=255)
    weights: dict[Text, Annotated[float, Field(gt=0, le=100)]] | None = None
    window: tuple[Value, Value] | None = None
    bayer: Bayer | None = None
    page: PageChoice | None = None
    parts: PartRule | None = None
    precision: Literal["bfloat16"] | None = None

    def together(self) -> tuple[str, ...]:
        """The views of a part whose features are one vector; empty where images, or views, are judged."""
        return tuple(self.parts.views) if self.parts and self.parts.verdict == "together" else ()

    @model_serializer(mode="wrap")
    def _without_absent(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Bundles without something optional are what they were before there was such a thing."""
        plain: dict[str, Any] = handler(self)
        return {name: value for name, value in plain.items() if value is not None or name not in _OPTIONAL}

    @property
    def decoding(self) -> Decoding:
        """How images are read."""
        return Decoding(self.white, self.window, self.bayer, self.page)

    @property
    def by_page(self) -> bool:
        """Whether each page of a file is an image, which is called `FILE#PAGE`."""
        return self.page == VIEWS

    @model_validator(mode="after")
    def _fits_in_memory(self) -> Self:
        how = self.preprocessing()
        seen = [self.size, *([self.tiles.size, self.tiles.whole] if self.tiles else [])]
        if self.tiles and any(t > s for t, s in zip(self.tiles.size, self.size, strict=True)):
            raise ValueError("tiles are larger than images")
        if how.tiling and prod(how.tiling.grid) > MOST_TILES:
            raise ValueError(f"an image has more than {MOST_TILES} tiles")
        counts = (how.at_once, self.batch_size, self.batch_size)
        if any(n * height * width > _MOST_PIXELS for n, (height, width) in zip(counts, seen, strict=False)):
            raise ValueError(f"a batch has more than {_MOST_PIXELS} pixels")
        if self.window is not None and self.window[0] >= self.window[1]:
            raise ValueError("the window ends before it begins")
        return self

    def preprocessing(self) -> Preprocessing:
        """How images are brought to learners."""
        tiles = Tiles(**dict(self.tiles)) if self.tiles else None
        return Preprocessing(self.size, self.decoding, self.batch_size, self.fit or "stretch", tiles)


class Provenance(Strict):
    """The origin of a bundle.

    Attributes:
        segad: the version of segad that made it.
        dataset: the plugin that read the data set.
        licence: the licence of the data, and so of the golden images in the bundle.
        data: digest of the digests of all images.
        splits: digest of the split.
        learnt: how many images the bundle has learnt from since it was made.
        environment: versions, processor, device.
    """

    segad: Text
    dataset: Text
    licence: Text = ""
    data: Text = ""
    splits: Text = ""
    learnt: Annotated[int, Field(ge=0)] = 0
    environment: Plain = Field(default_factory=dict)


class Manifest(Strict):
    """The format, the pipeline, its origin, and every file with its digest."""

    format: Annotated[int, Field(ge=FORMAT, le=FORMAT)]
    pipeline: Pipeline
    provenance: Provenance
    files: dict[str, FileFacts]


def parse_manifest(path: Path, data: bytes) -> Manifest:
    """Parses the manifest of the bundle at `path`.

    Raises:
        BundleError: it has another format, or is not valid.
    """
    try:
        value = parse_json(data)
        number = value.get("format") if isinstance(value, dict) else None
        if type(number) is int and number != FORMAT:
            remedy = "Make the bundle again with this version of segad."
            if number > FORMAT:
                remedy = "Install a newer version of segad."
            raise BundleError(f"{path}: has format {number}; this version of segad reads {FORMAT}", remedy)
        return Manifest.model_validate_json(data)  # unlike model_validate, accepts lists for tuples
    except ValidationError as error:
        raise BundleError(f"{path}: the manifest is not valid {first_of(error)}", REMEDY) from None
    except ValueError as error:
        raise BundleError(f"{path}: the manifest is not valid JSON ({shown(error)})", REMEDY) from error
