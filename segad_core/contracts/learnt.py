"""What a plugin has learnt, as declared fields: the engine does the rest.

    import numpy as np

    from segad_core.api import Detector, Learnt

    class Gaussian(Detector):
        '''Distance of each pixel's colour to the mean of the good images there, in standard deviations.'''

        mean = Learnt(np.float32, "H", "W", 3)
        deviation = Learnt(np.float32, "H", "W", 3)

        def fit(self, images, run):
            self.mean = images.pixels().mean(axis=0)
            self.deviation = images.pixels().std(axis=0) + 2

        def anomaly_maps(self, batch):
            return (np.abs(batch.pixels - self.mean) / self.deviation).mean(axis=-1)

A field that is read before it is set raises `NotFittedError`. What is assigned becomes an array of the
declared type, and must have the declared shape. `state` and `restore` come from the fields.

A size is a number, or a name: sizes of the same name are equal in all fields of a plugin. Some names are
those of what the plugin is given, which must then have the size that it had in the fit:

| name | what it is | of |
| --- | --- | --- |
| `H`, `W` | height and width of the images | detectors, classifiers, learning segmenters |
| `layer2.C`, `layer2.H`, `layer2.W` | channels, height and width of an encoder layer | the same |
| `colours.D` | width of the vectors called `colours` | vector classifiers |
| `D` | number of features | final classifiers |
| `L` | number of segments | fitted features |
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from itertools import chain
from typing import Any, Generic, Self, TypeVar, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from segad_core.errors import NotFittedError, PluginError

Scalar = TypeVar("Scalar", bound=np.generic)

Size = int | str

_REFIT = "It belongs to other parameters or to another version of the plugin: fit the plugin again."


class Learnt(Generic[Scalar]):
    """A field of a plugin for an array that it learns.

    Args:
        dtype: the type of its numbers: floats, integers or booleans.
        shape: its sizes, as numbers or names; none for a single number, an array of shape ().
    """

    def __init__(self, dtype: type[Scalar], *shape: Size) -> None:
        self.dtype: np.dtype[Scalar] = np.dtype(dtype)
        self.shape = shape
        self.name = ""
        if self.dtype.kind not in "biuf":
            raise TypeError(f"what is learnt is floats, integers or booleans, not {self.dtype}")
        for size in shape:
            if isinstance(size, str) and "." in size and not size.endswith((".C", ".H", ".W", ".D")):
                raise TypeError(
                    f"'{size}' is not a size: a name with a dot is LAYER.C, LAYER.H or LAYER.W of an "
                    "encoder's layer, or NAME.D of vectors"
                )

    def __set_name__(self, owner: type, name: str) -> None:
        if self.name:
            raise TypeError(f"{owner.__name__}: '{self.name}' and '{name}' need a Learnt of their own each")
        self.name = name

    def __str__(self) -> str:
        return _text(self.dtype, self.shape)

    @overload
    def __get__(self, component: None, owner: type) -> Self: ...

    @overload
    def __get__(self, component: object, owner: type) -> NDArray[Scalar]: ...

    def __get__(self, component: Any, owner: type) -> Self | NDArray[Scalar]:
        if component is None:
            return self
        learnt: NDArray[Scalar] | None = vars(component).get(self.name)
        if learnt is None:
            raise NotFittedError(
                f"{described(component)}: is not fitted yet: '{self.name}' is not set",
                "fit() or restore() has to set it first.",
            )
        return learnt

    def __set__(self, component: Any, value: ArrayLike) -> None:
        given = np.asarray(value)
        declared = f"{described(component)}: '{self.name}' is declared as {self}"
        if given.dtype.kind not in "biuf" or _disagreement({self: given}):
            raise PluginError(f"{declared}, not as {_text(given.dtype, given.shape)}")
        array = given if given.dtype == self.dtype else self._converted(given, declared)
        vars(component)[self.name] = array

    def _converted(self, given: NDArray[Any], declared: str) -> NDArray[Scalar]:
        """An array of the declared type; `declared` begins the error if that cannot hold a value."""
        with np.errstate(over="ignore", invalid="ignore"):
            array = given.astype(self.dtype)
        floats = self.dtype.kind == "f"
        lost = np.isinf(array) & ~np.isinf(given) if floats else np.not_equal(array, given)
        if lost.any():
            otherwise = "bring it into range" if floats else "round it, and replace what is not finite"
            raise PluginError(
                f"{declared}, which cannot hold {given[lost][0]}",
                f"Declare {self.name} with a type that can, such as np.{given.dtype}, or {otherwise} before.",
            )
        return array


def described(component: Any) -> str:
    """A plugin as messages call it: with kind and distribution if it comes from a registry."""
    return str(getattr(component, "_described_as", "")) or type(component).__name__


def declared_fields(component: type) -> tuple[Learnt[Any], ...]:
    """What a plugin declares that it learns."""
    names = dict.fromkeys(chain.from_iterable(vars(cls) for cls in reversed(component.__mro__)))
    found = (inspect.getattr_static(component, name) for name in names)
    return tuple(one for one in found if isinstance(one, Learnt))


def learnt_state(component: Any) -> dict[str, NDArray[Any]]:
    """What a plugin has learnt, by the names of its fields.

    Raises:
        NotFittedError: a field is not set.
        PluginError: sizes of the same name differ.
    """
    state = {field: field.__get__(component, type(component)) for field in _fields(component)}
    if wrong := _disagreement(state):
        raise PluginError(f"{described(component)}: {wrong}")
    return {field.name: array for field, array in state.items()}


def restore_learnt(component: Any, state: Mapping[str, NDArray[Any]]) -> None:
    """Sets the fields of a plugin to what `learnt_state` returned.

    Raises:
        PluginError: an array is missing, unknown, or not as its field declares. Nothing is set then.
    """
    declared = {field.name: field for field in _fields(component)}
    problems = [f"the state has no '{name}'" for name in declared if name not in state]
    problems += [f"the state has '{name}', which is not declared" for name in state if name not in declared]
    given = {field: np.asarray(state[name]) for name, field in declared.items() if name in state}
    for field, array in given.items():
        if array.dtype != field.dtype or _disagreement({field: array}):
            found = _text(array.dtype, array.shape)
            problems.append(f"'{field.name}' of the state is {found}, but is declared as {field}")
    if not problems and (wrong := _disagreement(given)):
        problems.append(wrong)
    if problems:
        raise PluginError([f"{described(component)}: {one}" for one in problems], _REFIT)
    for field, array in given.items():
        vars(component)[field.name] = array


def check_sizes(component: Any, what: str, given: Mapping[str, int]) -> None:
    """Checks that what a fitted plugin is given has the sizes that it had in the fit.

    Args:
        component: a plugin; one that declares no fields, or is not fitted, is not checked.
        what: it is given, in the plural.
        given: its sizes by name.

    Raises:
        PluginError: a size differs.
    """
    learnt = {
        size: length
        for field in _fields(component)
        if field.name in vars(component)
        for size, length in zip(field.shape, vars(component)[field.name].shape, strict=True)
        if isinstance(size, str)
    }
    names = [name for name in given if name in learnt]
    if any(learnt[name] != given[name] for name in names):
        sizes, found = (", ".join(f"{name} = {of[name]}" for name in names) for of in (learnt, given))
        raise PluginError(
            f"{described(component)}: was fitted to {what} of another size: {sizes}, but here {found}",
            f"Use {what} of the size that it was fitted to, or fit it again.",
        )


def declared_sizes(component: Any) -> set[str]:
    """The names of sizes in the fields of a plugin."""
    return {size for field in _fields(component) for size in field.shape if isinstance(size, str)}


def _fields(component: Any) -> tuple[Learnt[Any], ...]:
    """What a plugin declares; nothing of one that does not learn."""
    fields: tuple[Learnt[Any], ...] = getattr(component, "_declared_fields", ())
    return fields


def _disagreement(arrays: Mapping[Learnt[Any], NDArray[Any]]) -> str:
    """How arrays differ from their fields in numbers of dimensions or in sizes; empty if they do not."""
    known: dict[str, tuple[int, str]] = {}
    for field, array in arrays.items():
        text = f"'{field.name}' has the shape {array.shape}"
        if len(field.shape) != array.ndim:
            return f"{text}, but is declared as {field}"
        for size, length in zip(field.shape, array.shape, strict=True):
            expected, other = (size, "") if isinstance(size, int) else known.setdefault(size, (length, text))
            if length != expected:
                return f"{text}, but is declared as {field}" + (f", and {other}" if other != text else "")
    return ""


def _text(dtype: np.dtype[Any], shape: tuple[Size, ...]) -> str:
    """Such as `float32 (H, W, 3)`."""
    return f"{dtype} ({', '.join(map(str, shape))})"
