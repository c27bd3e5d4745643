"""What a plugin's author and its users want to know of it: parameters, layers, answers, a recipe."""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from segad_core.contracts import Component, Learner, Parameters, optional, part_pattern
from segad_core.contracts.component import IsInputFile, IsInputFolder
from segad_core.errors import PluginError
from segad_core.plugins.blame import blaming, named
from segad_core.plugins.contract_version import written_for
from segad_core.plugins.listing import LIMIT
from segad_core.plugins.processes import ProcessEnded, in_process
from segad_core.plugins.registry import Provider, Registry
from segad_core.tools.attribute_docs import attribute_docs

PLACES: dict[str, tuple[str | int, ...]] = {
    "datasets": ("dataset",),
    "encoders": ("encoder",),
    "detectors": ("detectors", ""),
    "classifiers": ("classifiers", ""),
    "segmenters": ("segmenter",),
    "features": ("features", 0),
    "final_classifiers": ("final",),
    "defects": ("split", "final", "bad", "use", 0),
    "executors": ("executor",),
    "hooks": ("hooks", 0),
}
"""Where a recipe names a plugin of a kind; an empty name is the alias, which is the recipe's own."""

_WORDS = {
    int: "integer",
    float: "number",
    str: "text",
    bool: "true or false",
    Path: "path",
    types.NoneType: "null",
}
_LIMITS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
_LIMITS_OF_LENGTHS = {"min_length": ">=", "max_length": "<="}
_EXAMPLES = {int: 1, float: 1.0, str: "text", bool: True, Path: "path/to/it"}


def page_of(provider: Provider, name: str) -> dict[str, Any]:
    """Everything to show of a plugin, as plain data; it is imported in a process of its own.

    Args:
        provider: the plugin.
        name: by which a recipe means it.

    Raises:
        PluginError: it cannot be used.
    """
    try:
        found = in_process(partial(_described, provider, name), LIMIT)
    except ProcessEnded as error:
        found = PluginError(f"{provider.described}: {error}", f"Repair or uninstall {provider.distribution}.")
    if isinstance(found, PluginError):
        raise found
    return found


def _described(provider: Provider, name: str) -> dict[str, Any] | PluginError:
    try:
        component: Any = Registry().loaded(provider)
        if isinstance(component, type):  # an observer may be an object
            component = named(component, provider)
        with blaming(provider, "show"):
            return plugin_page(provider, name, component)
    except PluginError as error:
        return error


def plugin_page(provider: Provider, name: str, component: type[Component]) -> dict[str, Any]:
    """The same of a component that is imported.

    Args:
        provider: the plugin.
        name: by which a recipe means it.
        component: what it provides.
    """
    return {
        **provider.plain(),
        "contract": written_for(provider, component),
        "about": inspect.getdoc(component) or "",
        "parameters": list(_parameters(getattr(component, "Params", Parameters))),
        "layers": _layers(component),
        "answers": _answers(component),
        "recipe": snippet(provider, name, component),
    }


def _fields(component: type[Component]) -> dict[str, FieldInfo]:
    """Its parameters; none of a hook that was written before hooks had some."""
    return getattr(component, "Params", Parameters).model_fields


def _parameters(model: type[BaseModel], outer: str = "") -> Iterator[dict[str, Any]]:
    """The fields of a model, each followed by those of models in it: `prompts`, `prompts.points`.

    What they mean is in `Field(description=...)`, or in a string below the field, as for other attributes.
    """
    said = attribute_docs(model)
    for name, field in model.model_fields.items():
        yield {
            "name": outer + name,
            "type": type_words(field),
            "required": field.is_required(),
            "default": None if field.is_required() else _default(field),
            "description": " ".join((field.description or said.get(name, "")).split()),
        }
        for inner in dict.fromkeys(_models(field.annotation)):
            yield from _parameters(inner, f"{outer}{name}.")


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models in a type, such as that in a list of them."""
    if isinstance(annotation, type) and get_origin(annotation) is None and issubclass(annotation, BaseModel):
        yield annotation
    for one in get_args(annotation):
        yield from _models(one)


def _default(field: FieldInfo) -> Any:
    return to_jsonable_python(field.get_default(call_default_factory=True), fallback=str)


def type_words(field: FieldInfo) -> str:
    """The type of a parameter in words, with its bounds: `integer >= 1`."""
    return _in_words(field.annotation, field.metadata)


def _in_words(annotation: Any, metadata: Any = ()) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _in_words(inner[0], (*inner[1:], *metadata))
    bounds = _bounds(metadata, " ", _LIMITS) + _bounds(metadata, ", length ", _LIMITS_OF_LENGTHS)
    for mark, words in ((IsInputFile, "file"), (IsInputFolder, "folder")):
        if any(isinstance(one, mark) for one in metadata):
            return words + bounds
    return _plain_words(annotation, origin, inner) + bounds


def _bounds(metadata: Iterable[Any], before: str, limits: Mapping[str, str]) -> str:
    """The limits that marks of a parameter set: ` >= 1 and <= 9`; empty if there are none."""
    found = [
        f"{sign} {getattr(mark, key)}"
        for mark in metadata
        for key, sign in limits.items()
        if getattr(mark, key, None) is not None
    ]
    return before + " and ".join(found) if found else ""


def _plain_words(annotation: Any, origin: Any, inner: tuple[Any, ...]) -> str:
    if origin in (Union, types.UnionType):
        return " or ".join(_in_words(one) for one in inner)
    if origin is Literal:
        return " or ".join(default_words(one) for one in inner)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"mapping of {_in_words(inner[0])} to {_in_words(inner[1])}"
    if origin is not None:
        words = " and ".join(dict.fromkeys(_in_words(one) for one in inner if one is not ...))
        fixed = origin is tuple and ... not in inner
        return f"list of {words}, length {len(inner)}" if fixed else f"list of {words}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"mapping with {', '.join(annotation.model_fields)}"
    return _WORDS.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _layers(component: type[Component]) -> list[str] | None:
    """The encoder's layers that a learner reads by default; None if its parameters tell, or it is none."""
    needed = [field for field in _fields(component).values() if field.is_required()]
    if needed or not isinstance(component, type) or not issubclass(component, Learner):
        return None
    learner = component()
    return list(
        dict.fromkeys(str.__str__(name) for name in [*learner.layers(), *optional.optional_layers(learner)])
    )


def _answers(component: type[Component]) -> dict[str, Any]:
    """The optional knowledge that it has: the value of an attribute, or None for a method."""
    found = {}
    for asked in (*vars(optional).values(), *vars(part_pattern).values()):
        if isinstance(asked, type) and getattr(asked, "_is_protocol", False):
            names = {*getattr(asked, "__annotations__", ()), *vars(asked)}
            for name in (one for one in names if not one.startswith("_") and hasattr(component, one)):
                value = getattr(component, name)
                found[name] = value if isinstance(value, bool) else None
    return dict(sorted(found.items()))


def snippet(provider: Provider, name: str, component: type[Component]) -> str:
    """How a recipe uses it, in YAML: with what is required, or else with the first default as an example."""
    fields = _fields(component)
    params = {key: _example(field) for key, field in fields.items() if field.is_required()}
    if not params:
        defaults = ((key, _default(field)) for key, field in fields.items())
        params = dict([one for one in defaults if one[1] is not None][:1])
    held: Any = {"use": name, **({"params": params} if params else {})}
    for part in reversed(PLACES[provider.kind]):
        held = [held] if isinstance(part, int) else {part or provider.name: held}
    if provider.kind == "defects":
        held["split"]["final"]["bad"] = {"from": "generated", **held["split"]["final"]["bad"]}
    text: str = yaml.safe_dump(held, sort_keys=False, default_flow_style=None, allow_unicode=True)
    return text


def _example(field: FieldInfo) -> Any:
    """A value for a parameter that has no default."""
    return _of_type(field.annotation)


def _of_type(annotation: Any) -> Any:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated or origin in (Union, types.UnionType):
        return _of_type(inner[0])
    if origin is Literal:
        return inner[0]
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {_of_type(inner[0]): _of_type(inner[1])}
    if origin is tuple and ... not in inner:
        return [_of_type(one) for one in inner]
    if origin is not None:
        return [_of_type(inner[0])]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        needed = {n: f for n, f in annotation.model_fields.items() if f.is_required()}
        return {name: _example(field) for name, field in needed.items()}
    return _EXAMPLES.get(annotation, "VALUE")


def default_words(value: Any) -> str:
    """A value as in YAML, in one line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True)
    return " ".join(text.replace("\n...", "").split())


def page_lines(page: Mapping[str, Any]) -> list[str]:
    """The same as lines of text."""
    lines = [*page["about"].splitlines(), "", "parameters:" if page["parameters"] else "no parameters"]
    width = max((len(one["name"]) for one in page["parameters"]), default=0)
    for one in page["parameters"]:
        default = "required" if one["required"] else f"default {default_words(one['default'])}"
        about = f": {one['description']}" if one["description"] else ""
        lines.append(f"  {one['name'].ljust(width)}  {one['type']}, {default}{about}")
    if page["layers"]:
        lines += ["", f"layers of the encoder that it reads by default: {', '.join(page['layers'])}"]
    if page["answers"]:
        told = [name if value is None else f"{name} = {value}" for name, value in page["answers"].items()]
        lines += ["", f"optional answers: {', '.join(told)}"]
    lines += ["", f"written for version {page['contract']} of the contract of {page['kind']}"]
    return [*lines, "", "in a recipe:", *(f"  {line}" for line in page["recipe"].splitlines())]
