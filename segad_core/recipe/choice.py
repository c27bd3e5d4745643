"""A plugin that a recipe chose: imported, with checked parameters."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from secrets import token_hex
from typing import Any

from pydantic import BaseModel

from segad_core.base.code_digest import code_digest, unreadable
from segad_core.base.digest import digest_of, file_digest, folder_digest
from segad_core.base.files import is_file
from segad_core.contracts import Component, Parameters
from segad_core.contracts.component import DecidesNothing, IsInputFile, IsInputFolder, has_mark
from segad_core.contracts.precision import FLOAT32, set_precision, supports_precision
from segad_core.errors import RecipeError
from segad_core.plugins.registry import Provider

log = logging.getLogger("segad.plugins")


@dataclass(frozen=True)
class Choice:
    """A plugin with its checked parameters, for all categories and for single ones.

    Attributes:
        off: of a segmenter, the segments that a row switches off.
        precision: of its networks; float32 for plugins that support no other.
    """

    provider: Provider
    component: type[Component]
    params: Parameters | None
    per_category: dict[str, Parameters] = field(default_factory=dict)
    off: tuple[str, ...] = ()
    precision: str = FLOAT32

    def params_for(self, category: str) -> Parameters:
        """The parameters for a category.

        Raises:
            RecipeError: the recipe has parameters for other categories only.
        """
        params = self.per_category.get(category, self.params)
        if params is None:
            raise RecipeError(
                f"'{self.provider.name}' has no parameters for '{category}', only for "
                f"{', '.join(self.per_category)}",
                f"Add '{category}' to its per_category, or remove the category from the recipe.",
            )
        return params

    def build(self, category: str = "", device: str = "cpu") -> Any:
        """A fresh component for a category."""
        component = self.component(self.params_for(category), device)
        set_precision(component, self.precision)
        return component

    def at(self, precision: str) -> Choice:
        """The choice with networks in this precision, if it supports it; otherwise as it is."""
        able = supports_precision(self.component)
        return replace(self, precision=precision) if able else self

    def identity(self, category: str = "") -> dict[str, Any]:
        """What determines the component's results: name, code, parameters, and the contents of input files.

        Files are read only at the first call for a category, because a checkpoint can have gigabytes.
        """
        if category not in self._identities:
            self._identities[category] = {
                "plugin": self.provider.qualified,
                "code": self.code,
                "params": _identity_of(self.params_for(category)),
                **({"off": list(self.off)} if self.off else {}),
                **({"precision": self.precision} if self.precision != FLOAT32 else {}),
            }
        return self._identities[category]

    def digest(self, category: str = "") -> str:
        """The digest of `identity`: equal for choices that give equal results."""
        return digest_of(self.identity(category))

    @cached_property
    def _identities(self) -> dict[str, dict[str, Any]]:
        return {}

    @cached_property
    def code(self) -> str:
        """The digest of the plugin's code; if that cannot be read, one that no other process has."""
        digest = code_digest(self.component, self.provider.distribution)
        if not (unknown := unreadable(self.component)):
            return digest
        log.warning(
            "%s: results are computed anew by each command, as a change of its code could not be seen: no "
            "source of %s is found",
            self.provider.described,
            ", ".join(unknown),
        )
        return digest_of([digest, token_hex(16)])

    def plain(self) -> dict[str, Any]:
        """The choice in a resolved recipe: with its full name and every default."""
        text: dict[str, Any] = {"use": self.provider.qualified, "version": self.provider.version}
        if self.params is not None:
            text["params"] = self.params.model_dump(mode="json")
        if self.per_category:
            text["per_category"] = {c: p.model_dump(mode="json") for c, p in self.per_category.items()}
        return text


def _identity_of(params: BaseModel) -> dict[str, Any]:
    """The parameters that determine results, as plain data; input files and folders by their contents."""
    plain = params.model_dump(mode="json")
    for name, info in type(params).model_fields.items():
        if has_mark(info, DecidesNothing):
            del plain[name]
        elif has_mark(info, IsInputFolder):
            plain[name] = [folder_digest(path) for path in paths_in(getattr(params, name))]
        elif has_mark(info, IsInputFile):
            plain[name] = [
                file_digest(path) if is_file(path) else None for path in paths_in(getattr(params, name))
            ]
    return plain


def paths_in(value: Path | Iterable[Path] | None) -> list[Path]:
    """The paths in a parameter: one, several or none."""
    return [] if value is None else [value] if isinstance(value, Path) else list(value)


def encoder_identity(choice: Choice | None) -> dict[str, Any] | None:
    """What determines an encoder's results: its code, parameters and weights."""
    return {"choice": choice.identity(), "weights": choice.build().digest()} if choice else None
