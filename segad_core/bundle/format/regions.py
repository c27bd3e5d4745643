"""A bundle's limits of regions: what good parts show at most, by detector and segment."""

from __future__ import annotations

import json
from typing import Annotated

from pydantic import Field, ValidationError

from segad_core.base.checked import Strict, Text, first_of
from segad_core.bundle.format.container import Container
from segad_core.bundle.format.manifest import Name, Pipeline
from segad_core.bundle.format.names import REMEDY
from segad_core.errors import BundleError

FILE = "regions.json"
"""Only there if the recipe asks for regions."""
WHOLE = "image"
"""Stands for the whole map of a detector alone."""


OfMaps = dict[Name, dict[Text, Annotated[float, Field(allow_inf_nan=False)]]]


class Limits(Strict):
    """What good images show at most.

    Attributes:
        good: the share of the good images that does not pass a limit.
        images: how many good images there were.
        limits: by detector and segment; for a detector alone, the segment is `image`.
        views: the same of each view of parts, where views have names; `limits` are then those of all images.
        scale: mm per pixel of the image as it is on disk; None if it is not known.
    """

    good: Annotated[float, Field(gt=0, le=1)]
    images: Annotated[int, Field(ge=1)]
    limits: OfMaps
    views: dict[Text, OfMaps] | None = None
    scale: Annotated[float, Field(gt=0, le=1e6)] | None = None

    def of(self, view: str) -> OfMaps:
        """The limits of a view of a part, or those of all images for one that is not known."""
        return (self.views or {}).get(view, self.limits)


def limits_json(limits: Limits) -> bytes:
    """The limits as a file."""
    return (json.dumps(limits.model_dump(exclude_none=True), indent=1) + "\n").encode()


def read_limits(container: Container) -> Limits | None:
    """A bundle's limits; None if it has none.

    Raises:
        BundleError: they are not valid, or not those of its detectors and segments.
    """
    if FILE not in container.manifest.files:
        return None
    try:
        limits = Limits.model_validate(container.json(FILE), strict=True)
    except ValidationError as error:
        raise BundleError(f"{container.path}: '{FILE}' is not valid {first_of(error)}", REMEDY) from None
    pipeline, of_views = container.manifest.pipeline, limits.views or {}
    wanted, given = _wanted(pipeline), [limits.limits, *of_views.values()]
    strange = {*of_views} - {*(pipeline.parts.views if pipeline.parts else ())}
    if strange or any({name: {*own} for name, own in one.items()} != wanted for one in given):
        raise BundleError(
            f"{container.path}: '{FILE}' has limits of other detectors, segments or views than the bundle",
            REMEDY,
        )
    return limits


def _wanted(pipeline: Pipeline) -> dict[str, set[str]]:
    return {name: {*(pipeline.segments or [WHOLE])} for name in pipeline.detectors}
