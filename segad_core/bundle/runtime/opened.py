"""Images on their way through a bundle: opened, or why not."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segad_core.bundle.format.manifest import Pipeline
from segad_core.bundle.runtime.opening import Picture, whole
from segad_core.bundle.runtime.prediction import Inspection, Prediction
from segad_core.contracts import Encoder, Frame, ImageBatch, Sample
from segad_core.errors import SegadError
from segad_core.images.encoding import encoded
from segad_core.images.frames import padding
from segad_core.images.pages import file_and_page


@dataclass(frozen=True, eq=False)
class Opened:
    sample: Sample
    image: Picture
    pixels: NDArray[np.uint8] | None = None
    frame: Frame | None = None
    original: tuple[int, int] = (0, 0)
    problem: str = ""

    @property
    def source(self) -> Picture:
        """The file, or the array."""
        return self.image if self.sample.page is None else self.sample.path


def sample_of(number: int, image: Picture, by_page: bool = False) -> Sample:
    """The sample that plugins are given; two images share one only if they are the same file.

    With `by_page`, a name may end in `#PAGE`.
    """
    if isinstance(image, str | os.PathLike):
        name = os.fspath(image)
        file, page = file_and_page(name) if by_page else (name, None)
        return Sample(name, Path(file), None, page=page)
    return Sample(str(number), Path(f"array {number}"), None)


def unknown(opened: Opened) -> Inspection:
    return Inspection(Prediction(opened.sample.id, "UNKNOWN", None, opened.problem), opened.pixels)


def batch_of(
    opened: Sequence[Opened], given: Pipeline, encoder: Encoder | None, layers: tuple[str, ...]
) -> ImageBatch:
    """Images that could be opened, as a batch.

    Args:
        opened: the images, at their size.
        given: how they were brought there.
        encoder, layers: where features come from; None if nothing reads any.
    """
    pixels = np.stack([one.pixels for one in opened if one.pixels is not None])
    frames = [one.frame for one in opened if one.frame is not None]
    images = {one.sample: one for one in opened}

    def load(sample: Sample) -> NDArray[np.uint8]:
        return whole(images[sample].source, given.decoding.of_page(sample.page))

    return ImageBatch(
        [one.sample for one in opened],
        pixels,
        None if encoder is None else partial(encoded, encoder, layers),
        load,
        ignored=padding(frames) if frames else None,
        frames=frames or None,
        tiling=given.preprocessing().tiling,
    )


def problem_of(sample: Sample, error: Exception) -> str:
    """What went wrong with an image, in one line, with the remedy."""
    if not isinstance(error, SegadError):
        return " ".join(f"{type(error).__name__}: {error}. Report it to the plugin's authors.".split())
    what = error.what.removeprefix(f"{sample.path}: ")
    return " ".join((f"{what}. {error.remedy}" if error.remedy else what).split())
