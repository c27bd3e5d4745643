"""What a bundle says of itself: plain data, checked before anything that it names is looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    FailFast,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from segad_core.base.checked import Digest, Strict, Text, first_of, printable, shown
from segad_core.base.json_file import parse_json
from segad_core.bundle.format.members import REMEDY
from segad_core.errors import BundleError
from segad_core.images.folder import SUFFIXES

FORMAT: Final = 1
"""Of bundles; another one is refused."""

PLAIN_ENDINGS = (*SUFFIXES, ".safetensors", ".npy")
"""Of files that parameters name: formats that hold numbers, and no code."""

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
"""Of a learner: part of feature names and of file names."""
Plugin = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}:[a-z][a-z0-9_]{0,99}$")]
"""A distribution and a plugin's name in it: never a module."""
Plain = Annotated[dict[str, Any], AfterValidator(_shallow)]

_Side = Annotated[int, Field(ge=16, le=4096)]


class FileFacts(Strict):
    """A file of the bundle: what it must be before any parser sees it."""

    sha256: Digest
    size: Annotated[int, Field(ge=0, le=1 << 40)]


class PluginUse(Strict):
    """A plugin by its full name, the version that trained it, and its parameters.

    Attributes:
        files: of each parameter that is a file, its name in the bundle (several where it holds several).
    """

    use: Plugin
    version: Text
    params: Plain = Field(default_factory=dict)
    files: dict[str, Annotated[list[str], Field(min_length=1), FailFast()]] = Field(default_factory=dict)


class Pipeline(Strict):
    """From an image to a score: what is built, in the order of a row's features.

    Attributes:
        size, white, batch_size: how images come to the learners.
        encoder_digest: of the encoder's weights; they are in the bundle where the recipe names their file.
        score: one learner alone, without SegAD.
        features, image_features: as in a row.
        segments: the segmenter's names.
        names: of the features, in order; none with `score`.
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

    @model_validator(mode="after")
    def _fits_in_memory(self) -> Self:
        if self.batch_size * self.size[0] * self.size[1] > _MOST_PIXELS:
            raise ValueError(f"a batch has more than {_MOST_PIXELS} pixels")
        return self


class Provenance(Strict):
    """Where a bundle comes from.

    Attributes:
        dataset: the data set's plugin.
        licence: of the data; golden images in the bundle are under it.
        data: digest of all images' digests.
        splits: digest of the split.
        learnt: how many images were taught since the bundle was made.
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
    """The whole."""

    format: Literal[1]
    pipeline: Pipeline
    provenance: Provenance
    files: dict[str, FileFacts]


def parse_manifest(path: Path, data: bytes) -> Manifest:
    """The manifest of the bundle at `path`.

    Raises:
        BundleError: it is of another format, or none.
    """
    try:
        found = parse_json(data)
        number = found.get("format") if isinstance(found, dict) else None
        if type(number) is int and number != FORMAT:
            age, remedy = ("n older", "Make the bundle again with this segad.")
            if number > FORMAT:
                age, remedy = " newer", "Install a newer segad."
            raise BundleError(f"{path}: is of a{age} format than {FORMAT}, which this segad reads", remedy)
        return Manifest.model_validate_json(data)  # which alone takes lists for tuples, and nothing else
    except ValidationError as error:
        raise BundleError(f"{path}: its manifest is wrong {first_of(error)}", REMEDY) from None
    except ValueError as error:
        raise BundleError(f"{path}: its manifest is no JSON ({shown(error)})", REMEDY) from error
