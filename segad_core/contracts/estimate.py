"""Estimates of what a training needs, for `segad check`, for warnings about disk space, and for the log.

They are optional. A detector or classifier defines the method `estimate` (see `HasEstimate`):

    from segad_core.api import Estimate, Shapes

    def estimate(self, images: int, size: tuple[int, int], shapes: Shapes) -> Estimate:
        values = sum(channels * height * width for channels, height, width in shapes.values())
        return Estimate(state=8 * values, memory=12 * values, work=f"{images:,} images, once")

Keys in the store hold the code of a plugin's modules, so a corrected formula there would train everything
again. Put long formulas into a module that the plugin does not import, and name the function:

    from segad_core.api import estimated_by

    estimate = estimated_by("some_package.estimates:estimate_detector")
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

Shapes = Mapping[str, tuple[int, int, int]]
"""(C, H, W) of each encoder layer that a learner reads."""


@dataclass(frozen=True)
class Estimate:
    """What a training needs at most, in bytes, and how much work it is.

    Attributes:
        state: what `state` will return.
        memory: of the training at a time, beside the images and features that the engine holds.
        temporary: files in the temporary folder, such as those of `scratch_array`.
        per_image: memory for each image of a batch: while scoring, or while `fit` goes through batches where
            that needs more than `memory`.
        artifacts: what `Run.artifact` keeps beside the state.
        work: in words, such as `4.1 M parameters, 40,000 image-steps, 1.2 GMAC each`; may be empty.
        vectors: the vectors of one image, for a `VectorClassifier`.
    """

    state: int
    memory: int = 0
    temporary: int = 0
    per_image: int = 0
    artifacts: int = 0
    work: str = ""
    vectors: int = 0


def estimated_by(function: str) -> Callable[..., Estimate | None]:
    """A method `estimate` whose formulas are in another module, which is part of no key in the store.

    Args:
        function: `module:function`; called with the component and the arguments of `estimate`.
    """

    def estimate(self: Any, *arguments: Any) -> Estimate | None:
        module, _, name = function.partition(":")
        result: Estimate | None = getattr(import_module(module), name)(self, *arguments)
        return result

    return estimate
