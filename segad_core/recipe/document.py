"""YAML as segad reads it: safe, bounded, without duplicate keys, and with a line number for every value."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from segad_core.errors import RecipeError, UsageError

MAX_BYTES = 1_000_000
MAX_DEPTH = 20
MAX_NODES = 20_000

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")

Place = tuple[str | int, ...]


@dataclass
class Document:
    """Plain data read from a recipe, and where each value stands.

    Attributes:
        source: the file's name as the user gave it.
        data: the recipe as dictionaries, lists and scalars.
        lines: the line of each value, by its place in the data.
        overrides: the places that `--set` changed, with the words it was given.
    """

    source: str
    data: dict[str, Any]
    lines: dict[Place, int] = field(default_factory=dict)
    overrides: dict[Place, str] = field(default_factory=dict)

    def problem(self, place: Sequence[str | int], message: str) -> str:
        """One problem as a sentence: `file:line: path: what is wrong`."""
        path = tuple(place)
        for end in range(len(path), -1, -1):
            if path[:end] in self.overrides:
                return f"--set {self.overrides[path[:end]]}: {message}"
            if path[:end] in self.lines:
                where = dotted(path)
                return f"{self.source}:{self.lines[path[:end]]}: {where + ': ' if where else ''}{message}"
        return f"{self.source}: {message}"


def dotted(place: Sequence[str | int]) -> str:
    """A place as `a.b[2].c`."""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def read_document(path: Path, source: str, overrides: Sequence[str] = ()) -> Document:
    """Reads a recipe file and applies `--set` words to it.

    Raises:
        RecipeError: it cannot be read, is not YAML, is too large, or uses what recipes may not.
        UsageError: a `--set` word is not of the form a.b=c, or names a place that cannot be.
    """
    try:
        raw = path.read_bytes()
        text = raw.decode()
    except OSError as error:
        raise RecipeError(f"{source}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"{source}: is not UTF-8 text (byte {error.start})") from error
    if len(raw) > MAX_BYTES:
        raise RecipeError(f"{source}: has {len(raw)} bytes; a recipe may have {MAX_BYTES}")
    document = Document(source, {})
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except RecursionError as error:
        raise RecipeError(f"{source}: is nested too deeply") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        what = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise RecipeError(f"{source}{line}: is not valid YAML: {what}") from error
    data = _Builder(document).build(root, ()) if root is not None else None
    if not isinstance(data, dict):
        raise RecipeError(f"{source}: a recipe is a mapping; begin with 'segad: 1'")
    document.data = data
    for word in overrides:
        _override(document, word)
    return document


class _Builder:
    """Turns YAML nodes into plain data, noting lines and refusing what recipes may not hold."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.nodes = 0
        self.loader = yaml.SafeLoader("")

    def build(self, node: yaml.Node, place: Place) -> Any:
        line = node.start_mark.line + 1
        self.document.lines[place] = line
        self.nodes += 1  # an aliased node counts each time it is used: alias bombs end here
        if self.nodes > MAX_NODES or len(place) > MAX_DEPTH:
            raise RecipeError(
                f"{self.document.source}:{line}: is too large once aliases are expanded: a recipe may have "
                f"{MAX_NODES} values nested {MAX_DEPTH} deep"
            )
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, place)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(child, (*place, i)) for i, child in enumerate(node.value)]
        return self._scalar(node, place)

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self.loader.construct_object(key_node) if isinstance(key_node, yaml.ScalarNode) else None
            line = key_node.start_mark.line + 1
            if not isinstance(key, str):
                raise RecipeError(
                    f"{self.document.source}:{line}: the key '{getattr(key_node, 'value', '')}' is not a "
                    f"plain word; put it in quotes"
                )
            if key in mapping:
                raise RecipeError(f"{self.document.source}:{line}: {dotted((*place, key))}: is given twice")
            mapping[key] = self.build(value_node, (*place, key))
            self.document.lines[(*place, key)] = line
        return mapping

    def _scalar(self, node: yaml.Node, place: Place) -> Any:
        try:
            value = self.loader.construct_object(node)
        except (yaml.YAMLError, ValueError) as error:
            what = getattr(error, "problem", None) or str(error)
            raise RecipeError(self.document.problem(place, f"is not a plain value: {what}")) from error
        if not isinstance(value, str | int | float | bool | None):
            return str(node.value)  # dates and the like stay the text they are
        return _substitute(value, self.document, place) if isinstance(value, str) else value


def _substitute(text: str, document: Document, place: Place) -> str:
    def value_of(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in os.environ:
            raise RecipeError(
                document.problem(place, f"the environment variable {name} is not set"),
                f"Set it, for example: export {name}=...",
            )
        return os.environ[name]

    return _VARIABLE.sub(value_of, text)


def _override(document: Document, word: str) -> None:
    path, equals, text = word.partition("=")
    if not equals or not path or any(not part for part in path.split(".")):
        raise UsageError(
            f"--set {word}: is not of the form a.b=value", "For example: --set split.seeds=[0,1]"
        )
    inner = Document(f"--set {word}", {})
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        value = _Builder(inner).build(node, ()) if node is not None else None
    except yaml.YAMLError as error:
        raise UsageError(f"--set {word}: the value is not valid YAML") from error
    place: list[str | int] = []
    target: Any = document.data
    *parents, last = path.split(".")
    for part in parents:
        key = _key(target, part, word)
        if isinstance(target, dict) and not isinstance(target.get(str(key)), dict | list):
            # `detectors.patchcore.coreset_ratio` may meet a shorthand or nothing: a mapping begins there
            short = target.get(str(key))
            target[str(key)] = {"use": short} if isinstance(short, str) else {}
        target = target[key]
        place.append(key)
    key = _key(target, last, word)
    target[key] = value
    document.overrides[(*place, key)] = word


def _key(target: Any, part: str, word: str) -> str | int:
    if isinstance(target, dict):
        return part
    if isinstance(target, list) and part.isdecimal() and int(part) < len(target):
        return int(part)
    raise UsageError(f"--set {word}: there is no '{part}' to set")
