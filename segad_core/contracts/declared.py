"""What a plugin declares that could not work: defaults that its own limits refuse, and texts for tuples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from segad_core.contracts.component import Parameters
from segad_core.contracts.learnt import described
from segad_core.errors import PluginError

_LIMITS = ("greater_than", "less_than", "multiple_of", "too_short", "too_long", "string_")
_NO_LIMIT = ("string_type", "string_sub_type", "string_unicode")


def wrong_with_params(component: type[Any]) -> list[str]:
    """What is wrong with the parameters of a plugin's class: no `Parameters`, or defaults out of limits.

    Types of defaults are not checked: `files: list[str] = None` has always worked.
    """
    name, params = component.__name__, component.Params
    if not (isinstance(params, type) and issubclass(params, Parameters)):
        return [f"{name}.Params is not a subclass of segad_core.api.Parameters"]
    defaults = {
        field.alias or key: field.get_default(call_default_factory=True, validated_data={})
        for key, field in params.model_fields.items()
        if not field.is_required()
    }
    try:
        params.model_validate(defaults)
    except ValidationError as error:
        return [
            f"{name}.Params: the default of '{one['loc'][0]}' is {one['input']!r}, but its "
            f"{one['msg'][:1].lower()}{one['msg'][1:]}"
            for one in error.errors(include_url=False, include_context=False)
            if len(one["loc"]) == 1 and one["loc"][0] in defaults and _is_limit(one["type"])
        ]
    except Exception:
        return []  # a validator of the plugin that needs more than defaults
    return []


def _is_limit(kind: str) -> bool:
    return kind.startswith(_LIMITS) and kind not in _NO_LIMIT


def names_of(component: Any, method: str) -> Sequence[str]:
    """The names that a method of a plugin returns.

    Raises:
        PluginError: it returns a text, which would be taken for the names of its letters.
    """
    names: Sequence[str] = getattr(component, method)()
    if isinstance(names, str):
        raise PluginError(
            f"{described(component)}: {method}() returns a text, not a tuple", f'Return ("{names}",).'
        )
    return names
