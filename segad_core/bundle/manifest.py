"""What a bundle says of itself: plain data, checked before anything that it names is looked at."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

FORMAT = 1
"""Of bundles; another one is refused."""

Digest = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,100}$")]
"""Of a learner: part of feature names and of file names."""

_Side = Annotated[int, Field(ge=16, le=4096)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class FileFacts(_Strict):
    """A file of the bundle: what it must be before any parser sees it."""

    sha256: Digest
    size: Annotated[int, Field(ge=0)]


class PluginUse(_Strict):
    """A plugin by its full name, the version that trained it, and its parameters.

    Attributes:
        files: of each parameter that is a file, its name in the bundle (several where it holds several).
    """

    use: Annotated[str, StringConstraints(max_length=200)]
    version: str
    params: dict[str, Any] = {}
    files: dict[str, list[str]] = {}


class Pipeline(_Strict):
    """From an image to a score: what is built, in the order of a row's features.

    Attributes:
        size, white, batch_size: how images come to the learners.
        encoder_digest: of the encoder's weights; they are in the bundle where the recipe names their file.
        score: one learner alone, without SegAD.
        features, image_features: as in a row.
        segments: the segmenter's names.
        names: of the features, in order; none with `score`.
    """

    category: str
    row: str
    seed: int
    size: tuple[_Side, _Side]
    white: Annotated[int, Field(ge=255, le=65535)]
    batch_size: Annotated[int, Field(ge=1, le=1024)]
    encoder: PluginUse | None = None
    encoder_digest: str = ""
    detectors: dict[Name, PluginUse] = {}
    classifiers: dict[Name, PluginUse] = {}
    score: bool = False
    segmenter: PluginUse | None = None
    features: list[PluginUse] = []
    image_features: list[PluginUse] = []
    final: PluginUse | None = None
    segments: list[str] = []
    names: list[str] = []


class Provenance(_Strict):
    """Where a bundle comes from.

    Attributes:
        dataset: the data set's plugin.
        licence: of the data; golden images in the bundle are under it.
        data: digest of all images' digests.
        splits: digest of the split.
        learnt: how many images were taught since the bundle was made.
        environment: versions, processor, device.
    """

    segad: str
    dataset: str
    licence: str = ""
    data: str = ""
    splits: str = ""
    learnt: int = 0
    environment: dict[str, Any] = {}


class Manifest(_Strict):
    """The whole."""

    format: Literal[1]
    pipeline: Pipeline
    provenance: Provenance
    files: dict[str, FileFacts]
