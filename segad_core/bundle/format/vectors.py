"""What a bundle keeps of a classifier that learns from vectors, so that `learn` can train it again.

An optional part of the format: bundles that were made before have none.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import FailFast, Field, ValidationError

from segad_core.base.checked import Strict, Text, first_of
from segad_core.base.formats import arrays_to_bytes
from segad_core.base.text import size_words
from segad_core.bundle.format.container import Container
from segad_core.bundle.format.limits import MOST_VECTORS
from segad_core.bundle.format.names import REMEDY
from segad_core.bundle.format.tables import read_arrays, read_table
from segad_core.contracts import Vectors
from segad_core.errors import BundleError
from segad_core.operate.image_table import Image
from segad_core.scoring.supervised import lines_of

NO_FOLD = -1
MOST_FOLDS = 100
MOST_TIMES = 1000
_PARTS = ("training", "calibration")


class Described(Strict):
    """An image that the classifier or the final classifier learns from.

    Attributes:
        image: as in the tables.
        learns: whether the classifier learns from it.
        fold: a training leaves out the images of this fold, and scores those of the final classifier's table;
            -1: none does, and the training on all scores it.
        scored: whether it is in the final classifier's table; bundles without this field have folds for such
            images only.
        times: how often it counts.
    """

    image: Image
    learns: bool
    fold: Annotated[int, Field(ge=NO_FOLD, lt=MOST_FOLDS)] = NO_FOLD
    scored: bool = True
    times: Annotated[int, Field(ge=1, le=MOST_TIMES)] = 1


class _List(Strict):
    blocks: Annotated[list[Text], FailFast(), Field(min_length=1, max_length=1000)]
    images: Annotated[list[Described], FailFast()]


@dataclass(frozen=True)
class VectorTable:
    """The vectors of n images to learn from, and of the calibration images in the order of their table.

    Attributes:
        images: the n images, in the order in which the classifier learns from them.
        vectors: theirs, (n, D) by name.
        calibration: those of the calibration images.
    """

    images: Sequence[Described]
    vectors: Vectors
    calibration: Vectors

    def of(self, images: Sequence[Image]) -> VectorTable:
        """The table with other facts about its images."""
        described = zip(self.images, images, strict=True)
        return replace(self, images=[one.model_copy(update={"image": image}) for one, image in described])

    def folds(self) -> int:
        """The number of folds; 0 if the final classifier's table is not made out of fold."""
        return 1 + max((one.fold for one in self.images), default=NO_FOLD)

    def size(self) -> int:
        """The bytes of all vectors to learn from, each as often as it counts."""
        times = sum(one.times for one in self.images)
        return times * sum(4 * int(block.shape[1]) for block in self.vectors.values())

    def lines(self, chosen: Iterable[int]) -> Vectors:
        """The vectors of some of the images."""
        return lines_of(self.vectors, chosen)


def vector_files(alias: str, table: VectorTable) -> dict[str, bytes]:
    """A classifier's vectors as files of a bundle."""
    listed = _List(blocks=[*table.vectors], images=[*table.images])
    arrays: Mapping[str, NDArray[np.float32]] = {
        f"{part}/{name}": block
        for part, blocks in zip(_PARTS, (table.vectors, table.calibration), strict=True)
        for name, block in blocks.items()
    }
    return {
        _name(alias, "json"): json.dumps(listed.model_dump(exclude_none=True), indent=0).encode(),
        _name(alias, "safetensors"): arrays_to_bytes(arrays),
    }


def read_vector_table(container: Container, alias: str) -> VectorTable | None:
    """What `vector_files` wrote; None if the bundle has no vectors of the classifier.

    Raises:
        BundleError: the files hold anything else.
    """
    files = [_name(alias, ending) for ending in ("json", "safetensors")]
    if not set(files) & set(container.manifest.files):
        return None
    listed = _read_list(container, files[0])
    arrays = read_arrays(container, files[1])
    counts = (len(listed.images), len(read_table(container, "calibration").images))
    found: list[dict[str, NDArray[np.float32]]] = []
    for part, count in zip(_PARTS, counts, strict=True):
        blocks = {name: arrays.pop(f"{part}/{name}", np.empty(0)) for name in listed.blocks}
        for name, block in blocks.items():
            width = found[0][name].shape[1] if found else block.shape[-1] if block.ndim else 0
            if block.dtype != np.float32 or block.shape != (count, width):
                raise BundleError(
                    f"{container.path}: '{files[1]}' has {block.shape} {block.dtype} in {part}/{name!a:.150} "
                    f"for {count} images",
                    REMEDY,
                )
        found.append(blocks)
    if arrays or len(set(listed.blocks)) < len(listed.blocks):
        raise BundleError(f"{container.path}: '{files[1]}' has more than '{files[0]}' lists", REMEDY)
    digests = [one.image.digest for one in listed.images]
    folds = {digest: one.fold for digest, one in zip(digests, listed.images, strict=True)}
    if any(one.fold != folds[digest] for digest, one in zip(digests, listed.images, strict=True)):
        raise BundleError(f"{container.path}: '{files[0]}' has an image in two folds", REMEDY)
    table = VectorTable(listed.images, *found)
    if table.size() > MOST_VECTORS:
        raise BundleError(
            f"{container.path}: '{files[0]}' counts images so often that they take more than "
            f"{size_words(MOST_VECTORS)}",
            REMEDY,
        )
    return table


def images_learnt_from(container: Container) -> list[Image]:
    """The images that a bundle learnt from, beside those of its detectors, as far as it keeps a record.

    Raises:
        BundleError: the record is not valid.
    """
    if "training.json" in container.manifest.files:
        return list(read_table(container, "training").images)
    names = [_name(alias, "json") for alias in container.manifest.pipeline.classifiers]
    lists = [_read_list(container, name) for name in names if name in container.manifest.files]
    return [one.image for listed in lists for one in listed.images]


def _read_list(container: Container, name: str) -> _List:
    try:
        return _List.model_validate(container.json(name))
    except ValidationError as error:
        raise BundleError(f"{container.path}: '{name}' is not valid {first_of(error)}", REMEDY) from None


def _name(alias: str, ending: str) -> str:
    return f"vectors/{alias}.{ending}"
