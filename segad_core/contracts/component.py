"""What all plugins have in common: checked parameters, and a constructor that only stores them.

Parameters of a plugin with a file and a number:

    from pydantic import Field

    from segad_core.api import InputFile, Parameters

    class Params(Parameters):
        '''What a recipe can set.'''

        weights: InputFile | None = Field(None, description="a local file instead of the published weights")
        epochs: int = Field(200, ge=1, description="passes over the training images")
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, ConfigDict, ValidationInfo
from pydantic.fields import FieldInfo

from segad_core.base.strict_types import StrictTypes
from segad_core.contracts.learnt import Learnt, declared_fields, learnt_state, restore_learnt
from segad_core.contracts.preconditions import inherit_preconditions


class Parameters(StrictTypes):
    """Base of every plugin's `Params`, a pydantic model: unknown keys are errors, values are immutable.

    Numbers, booleans and strings are not converted: `true` and `"20"` are not valid as `epochs: int`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


SHIPPED = "segad:"
"""Begins the name of a file that comes with segad, such as `segad:masks/elpv_mono.png`."""


def shipped_file(name: str) -> Path:
    """The path of a file that comes with segad."""
    return Path(str(resources.files("segad_recipes"))) / name


def _relative_to_recipe(path: Path, info: ValidationInfo) -> Path:
    if (name := path.as_posix()).startswith(SHIPPED):
        return shipped_file(name.removeprefix(SHIPPED))
    base: Path | None = (info.context or {}).get("base")
    return path if base is None or path.is_absolute() else base / path


class IsInputFile:
    """Marks a parameter as a file whose content decides the result."""


class IsInputFolder:
    """Marks a parameter as a folder whose files decide the result."""


class DecidesNothing:
    """Marks a parameter that affects no result, such as a check, a note or a number of threads.

    Write `threads: Annotated[int, DecidesNothing()] = 1`; the value is then part of no key in the store.
    """


InputFile = Annotated[Path, AfterValidator(_relative_to_recipe), IsInputFile()]
"""A parameter that names a file, relative to the recipe's folder; `segad:NAME` is one that comes with segad.

Keys in the store hold its digest.
"""

InputFolder = Annotated[Path, AfterValidator(_relative_to_recipe), IsInputFolder()]
"""A parameter that names a folder, relative to the recipe's folder. Keys hold the digest of its files."""


SUPER_INIT = "call super().__init__(params, device)"
"""What a constructor has to do that leaves a component without its parameters."""


def has_mark(field: FieldInfo, mark: type) -> bool:
    """Whether a parameter has one of the marks above, optional ones included."""
    found = [*field.metadata, *(m for inner in get_args(field.annotation) for m in get_args(inner)[1:])]
    return any(isinstance(m, mark) for m in found)


class Component(ABC):  # noqa: B024 (what must be defined differs by kind)
    """Base of every plugin.

    A subclass has a docstring whose first line describes it in `segad list-plugins --check`, and declares
    `class Params(Parameters)` if it has parameters. The constructor only stores its arguments: files are read
    and networks are built when the component is used.

    Args:
        params: the checked parameters; the defaults if None.
        device: `auto`, `cpu` or `cuda`, for plugins that can use a GPU.
    """

    Params: ClassVar[type[Parameters]] = Parameters
    """Its parameters; the base is that of a plugin without any."""

    contract: ClassVar[int] = 1
    """The version of its kind's contract: in a plugin that which it is written for, 1 if it says nothing."""

    _described_as = ""  # how messages call it, where it comes from a registry

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        inherit_preconditions(cls)

    def __init__(self, params: Parameters | None = None, device: str = "cpu") -> None:
        self.params = self.Params() if params is None else params
        self.device = device


class Stateful(ABC):  # noqa: B024 (both methods are abstract where no field is declared)
    """A component that learns, and stores what it learnt as named arrays.

    After `restore(state())`, a fresh instance with the same parameters gives bit-identical results. A state
    can hold a file of a plain format as an array of its bytes (uint8).

    One that declares what it learns as fields, `Learnt`, has both methods. Any other has to define them.
    """

    _declared_fields: ClassVar[tuple[Learnt[Any], ...]] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._declared_fields = declared_fields(cls)
        if cls._declared_fields:
            for name, method in (("state", _learnt_state), ("restore", _restore_learnt)):
                if getattr(getattr(cls, name), "__isabstractmethod__", False):
                    setattr(cls, name, method)

    def state(self) -> Mapping[str, NDArray[np.generic]]:
        """Everything that was learnt, as named arrays: by default the declared fields.

        Raises:
            SegadError: it is not fitted.
        """
        return learnt_state(self)

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Restores what `state` returned: by default the declared fields.

        Raises:
            SegadError: the state is incomplete, or belongs to other parameters.
        """
        restore_learnt(self, state)

    if not TYPE_CHECKING:  # which cannot know that fields complete a class
        state, restore = abstractmethod(state), abstractmethod(restore)


def _learnt_state(component: Stateful) -> Mapping[str, NDArray[np.generic]]:
    return learnt_state(component)


def _restore_learnt(component: Stateful, state: Mapping[str, NDArray[np.generic]]) -> None:
    restore_learnt(component, state)
