"""Operating points: a threshold, and what it means in parts."""

from __future__ import annotations

import json
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from segad_core.bundle.container import Container
from segad_core.bundle.tables import ImageTable
from segad_core.errors import BundleError


class Rule(BaseModel):
    """How a threshold is chosen.

    Attributes:
        kind: which of the others counts.
        catch: share of the bad that has to be caught.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["catch"]
    catch: Annotated[float, Field(gt=0, le=1)] = 0.95


class OperatingPoint(BaseModel):
    """A threshold: scores at or above it are NG."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    rule: Rule
    threshold: float


def operating_point(tested: ImageTable, rule: Rule) -> OperatingPoint:
    """The threshold that a rule comes to on images that trained nothing."""
    bad = np.sort(tested.scores[tested.labels() == 1])[::-1]
    return OperatingPoint(rule=rule, threshold=float(bad[int(np.ceil(rule.catch * len(bad))) - 1]))


def operating_json(point: OperatingPoint) -> bytes:
    """The operating point as a file."""
    return json.dumps(point.model_dump(), indent=1).encode()


def read_operating_point(container: Container) -> OperatingPoint:
    """A bundle's operating point.

    Raises:
        BundleError: it is not one.
    """
    try:
        return OperatingPoint.model_validate_json(container.read("operating.json"))
    except ValueError as error:
        first = str(error).splitlines()[0]
        raise BundleError(
            f"{container.path}: 'operating.json' is no operating point ({first})", ""
        ) from error
