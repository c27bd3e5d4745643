"""What every plugin is: a class with checked parameters and a constructor that only stores them."""

from __future__ import annotations

from abc import ABC
from pathlib import Path
from typing import Annotated, ClassVar, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationInfo
from pydantic.fields import FieldInfo


class Parameters(BaseModel):
    """Base of every plugin's `Params`: unknown keys are errors, values do not change once checked."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _relative_to_recipe(path: Path, info: ValidationInfo) -> Path:
    base: Path | None = (info.context or {}).get("base")
    return path if base is None or path.is_absolute() else base / path


class IsInputFile:
    """Marks a parameter as a file whose content, not its name, decides the result."""


class IsInputFolder:
    """Marks a parameter as a folder whose files, not its name, decide the result."""


class DecidesNothing:
    """Marks a parameter that decides no result: one that is a check, a note or a matter of speed."""


InputFile = Annotated[Path, AfterValidator(_relative_to_recipe), IsInputFile()]
"""A file named by a recipe, relative to the recipe's folder; its digest goes into every key."""

InputFolder = Annotated[Path, AfterValidator(_relative_to_recipe), IsInputFolder()]
"""A folder named by a recipe, relative to the recipe's folder; the digests of its files go into every key."""


def has_mark(field: FieldInfo, mark: type) -> bool:
    """Whether a parameter has one of the marks above, also where it may be absent."""
    found = [*field.metadata, *(m for inner in get_args(field.annotation) for m in get_args(inner)[1:])]
    return any(isinstance(m, mark) for m in found)


class Component(ABC):  # noqa: B024 (what must be defined differs by kind)
    """Base of every plugin.

    A subclass declares `class Params(Parameters)` where it has parameters, and a docstring whose first
    line says what it is. The constructor does no work: what is slow happens when the component is used.

    Args:
        params: the checked parameters.
        device: `auto`, `cpu` or `cuda`; for plugins that can use an accelerator.
    """

    Params: ClassVar[type[Parameters]] = Parameters

    def __init__(self, params: Parameters | None = None, device: str = "cpu") -> None:
        self.params = self.Params() if params is None else params
        self.device = device
