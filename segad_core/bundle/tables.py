"""The tables of a bundle: what the final classifier learnt from, and what tells how good it is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, StringConstraints, TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load

from segad_core.bundle.container import Container
from segad_core.checkpoints import to_bytes
from segad_core.errors import BundleError


class Image(BaseModel):
    """What is known of an image that a table has a line of.

    Attributes:
        digest: of its bytes; of an artificial defect, of the image that it was put onto.
        label: 0 good, 1 bad.
        defect, unseen, group: as in `Sample`.
        taught: whether it was taught after the bundle was made.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    digest: Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
    label: Literal[0, 1]
    defect: str = ""
    unseen: bool = False
    group: str = ""
    taught: bool = False


_IMAGES = TypeAdapter(list[Image])


@dataclass(frozen=True)
class ImageTable:
    """Feature vectors and scores of images, a line each.

    Attributes:
        images: what is known of each.
        features: (n, d); (n, 0) where the setup has none.
        scores: (n,).
    """

    images: Sequence[Image]
    features: NDArray[np.float64]
    scores: NDArray[np.float64]

    def labels(self) -> NDArray[np.int64]:
        """(n,) 0 good, 1 bad."""
        return np.array([image.label for image in self.images], np.int64)

    def files(self, name: str) -> dict[str, bytes]:
        """The table as files of a bundle."""
        plain = [image.model_dump() for image in self.images]
        return {
            f"{name}.safetensors": to_bytes({"features": self.features, "scores": self.scores}),
            f"{name}.json": json.dumps(plain, indent=0).encode(),
        }


def read_table(container: Container, name: str) -> ImageTable:
    """A table that `ImageTable.files` wrote.

    Raises:
        BundleError: it is not one.
    """
    try:
        images = _IMAGES.validate_python(json.loads(container.read(f"{name}.json")))
        arrays = load(container.read(f"{name}.safetensors"))
        features, scores = _numbers(arrays, "features", 2), _numbers(arrays, "scores", 1)
        if not len(images) == len(features) == len(scores):
            raise ValueError(f"{len(images)} images, {len(features)} lines and {len(scores)} scores")
    except (ValueError, ValidationError, SafetensorError, RecursionError) as error:
        raise BundleError(
            f"{container.path}: '{name}' is no table ({str(error).splitlines()[0]})", "Make it again."
        ) from error
    return ImageTable(images, features, scores)


def _numbers(arrays: Mapping[str, Any], name: str, dimensions: int) -> NDArray[np.float64]:
    array: NDArray[np.float64] | None = arrays.get(name)
    if array is None or array.dtype != np.float64 or array.ndim != dimensions:
        raise ValueError(f"'{name}' is not {dimensions}-dimensional float64")
    if not np.isfinite(array).all():
        raise ValueError(f"'{name}' has numbers that are not finite")
    return array
