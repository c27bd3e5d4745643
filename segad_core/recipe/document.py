"""Safe reading of YAML: bounded, without duplicate keys, and with a line number for every value."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from segad_core.base.resources import guarded
from segad_core.base.strict_types import Untyped, looks_like_number
from segad_core.errors import RecipeError, UsageError

MAX_BYTES = 200_000
MAX_DEPTH = 20
MAX_NODES = 20_000

_WORD_TAG = "tag:yaml.org,2002:str"
_PLAIN_TAGS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")

Place = tuple[str | int, ...]


@dataclass
class Document:
    """Plain data read from a recipe, with the line of each value.

    Attributes:
        source: the file's name, as given by the user.
        data: the recipe as dictionaries, lists and scalars.
        lines: the line of each value, by place.
        overrides: the places that options changed, with their words.
        kind: what the file is.
    """

    source: str
    data: dict[str, Any]
    lines: dict[Place, int] = field(default_factory=dict)
    overrides: dict[Place, str] = field(default_factory=dict)
    kind: str = "recipe"

    def problem(
        self,
        place: Sequence[str | int],
        message: str,
        *,
        line: int | None = None,
        shown: Sequence[str | int] | None = None,
    ) -> str:
        """One problem as a sentence: `file:line: path: message`.

        Args:
            place: of the wrong value.
            message: what is wrong with it.
            line: its line, if it is not the one recorded for the place.
            shown: the place to show, if it is not `place`.
        """
        path = tuple(place)
        where = dotted(path if shown is None else shown)
        holders = [path[:end] for end in range(len(path), -1, -1)]
        if word := next((self.overrides[p] for p in holders if p in self.overrides), None):
            return f"{word}: {message}"
        line = line or next((self.lines[p] for p in holders if p in self.lines), None)
        if line:
            return f"{self.source}:{line}: {where + ': ' if where else ''}{message}"
        return f"{self.source}: {message}"


def dotted(place: Sequence[str | int]) -> str:
    """A place as `a.b[2].c`."""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def read_document(path: Path, source: str, overrides: Sequence[str] = (), kind: str = "recipe") -> Document:
    """Reads a recipe file, applies `--set` words, and substitutes environment variables.

    Args:
        path: of the file.
        source: its name, as given by the user.
        overrides: `--set` words.
        kind: what the file is, for messages.

    Raises:
        ResourceError: the machine failed while it was read.
        RecipeError: it cannot be read, is not YAML, is too large, or uses YAML that recipes do not allow.
        UsageError: a `--set` word is not of the form a.b=c, or names a place that cannot exist.
    """
    try:
        with guarded(f"reading {path}"), path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise RecipeError(f"{source}: is too large: a {kind} can have {MAX_BYTES} bytes")
        text = raw.decode("utf-8-sig")
    except OSError as error:
        raise RecipeError(f"{source}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"{source}: is not UTF-8 text (byte {error.start}): save it as UTF-8") from error
    document = Document(source, {}, kind=kind)
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except RecursionError as error:
        raise RecipeError(f"{source}: is nested too deeply") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        parts = (getattr(error, "context", None), getattr(error, "problem", None))
        what = ", ".join(part for part in parts if part) or str(error).splitlines()[0]
        raise RecipeError(f"{source}{line}: is not valid YAML: {what}") from error
    data = _Builder(document).plain(root)
    if not isinstance(data, dict):
        begin = ", beginning with 'segad: 1'" if kind == "recipe" else ""
        raise RecipeError(f"{source}: a {kind} must be a mapping{begin}")
    document.data = data
    for word in overrides:
        _override(document, word)
    problems: list[str] = []
    document.data = _filled_in(document.data, (), document, problems)
    if problems:
        raise RecipeError(problems)
    return document


def _filled_in(value: Any, place: Place, document: Document, problems: list[str]) -> Any:
    """Data with environment variables substituted, after `--set` was applied."""
    if isinstance(value, dict):
        return {key: _filled_in(v, (*place, key), document, problems) for key, v in value.items()}
    if isinstance(value, list):
        return [_filled_in(v, (*place, i), document, problems) for i, v in enumerate(value)]
    if not isinstance(value, str):
        return value
    for name in dict.fromkeys(_VARIABLE.findall(value)):
        if not os.environ.get(name):
            what = "is empty" if name in os.environ else "is not set"
            message = f"the environment variable {name} {what}: export {name}=..."
            problems.append(document.problem(place, message))
    filled = _VARIABLE.sub(lambda match: os.environ.get(match.group(1), ""), value)
    return value if filled == value else Untyped(filled)


class _Builder:
    """Turns YAML nodes into plain data, records lines and rejects what recipes do not allow."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems: list[str] = []
        self.nodes = 0
        self.loader = yaml.SafeLoader("")

    def plain(self, root: yaml.Node | None) -> Any:
        """The data below a node.

        Raises:
            RecipeError: with every problem found.
        """
        data = self.build(root, ()) if root is not None else None
        if self.problems:
            raise RecipeError(self.problems)
        return data

    def build(self, node: yaml.Node, place: Place) -> Any:
        line = node.start_mark.line + 1
        self.document.lines[place] = line
        self.nodes += 1  # an aliased node counts each time it is used, which stops alias bombs
        if self.nodes > MAX_NODES or len(place) > MAX_DEPTH:
            message = (
                f"is too large or nested too deeply: a {self.document.kind} can have {MAX_NODES} values, "
                f"nested {MAX_DEPTH} deep, and an alias counts each time it is used"
            )
            raise RecipeError(self.document.problem(place, message, shown=()))
        if not isinstance(node, yaml.ScalarNode) and node.tag not in _PLAIN_TAGS:
            self.problems.append(self.document.problem(place, f"tags are not allowed (got '{node.tag}')"))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, place)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(child, (*place, i)) for i, child in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)
        return self._scalar(node, place)

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag != _WORD_TAG:
                name = f"key '{key_node.value}'" if isinstance(key_node, yaml.ScalarNode) else "key"
                message = f"the {name} must be a string: put it in quotes"
                self.problems.append(self.document.problem(place, message, line=line))
                continue
            key = key_node.value
            if key in mapping:
                first = self.document.lines[(*place, key)]
                message = f"is listed twice, first in line {first}"
                self.problems.append(self.document.problem((*place, key), message, line=line))
                continue
            mapping[key] = self.build(value_node, (*place, key))
            self.document.lines[(*place, key)] = line
        return mapping

    def _scalar(self, node: yaml.ScalarNode, place: Place) -> Any:
        try:
            value = self.loader.construct_object(node)
        except (yaml.YAMLError, ValueError) as error:
            what = getattr(error, "problem", None) or str(error)
            self.problems.append(self.document.problem(place, f"is not a valid value: {what}"))
            return None
        if isinstance(value, float) and not math.isfinite(value):
            self.problems.append(self.document.problem(place, f"{node.value} is not a finite number"))
        if not isinstance(value, str | int | float | bool | None):
            return str(node.value)  # dates and similar values stay text
        if isinstance(value, str) and node.style is None and looks_like_number(value):
            return Untyped(value)  # 1e-3
        return value


def read_value(text: str, option: str) -> Any:
    """The value of an option's word, which is YAML.

    Args:
        text: the value.
        option: the option and its word, for messages.

    Raises:
        UsageError: it is not YAML.
        RecipeError: it uses YAML that recipes do not allow.
    """
    document = Document("", {}, overrides={(): option})
    try:
        return _Builder(document).plain(yaml.compose(text, Loader=yaml.SafeLoader))
    except (yaml.YAMLError, RecursionError) as error:
        raise UsageError(f"{option}: the value is not valid YAML") from error


def _override(document: Document, word: str) -> None:
    path, equals, text = word.partition("=")
    if not equals or not path or any(not part for part in path.split(".")):
        raise UsageError(
            f"--set {word}: must be of the form a.b=value", "For example: --set split.seeds=[0,1]"
        )
    value = read_value(text, f"--set {word}")
    place: list[str | int] = []
    target: Any = document.data
    *parents, last = path.split(".")
    for part in parents:
        key = _key(target, part, word)
        place.append(key)
        held = target.get(key) if isinstance(target, dict) else target[key]
        if held is None or isinstance(held, str | bool):
            # `encoder.params.model`, `regions.good`: a shorthand, or nothing, becomes a mapping
            target[key] = {"use": held} if isinstance(held, str) else {}
            document.overrides[tuple(place)] = f"--set {word}"
        target = target[key]
    key = _key(target, last, word)
    target[key] = value
    document.overrides[(*place, key)] = f"--set {word}"


def _key(target: Any, part: str, word: str) -> str | int:
    if isinstance(target, dict):
        return part
    if isinstance(target, list) and part.isdecimal() and int(part) < len(target):
        return int(part)
    what = f"a list of {len(target)}" if isinstance(target, list) else f"the value {target!r}"
    raise UsageError(
        f"--set {word}: cannot look up '{part}' in {what}",
        "Use keys for mappings, and numbers from 0 for lists; --set 'a={b: 1}' replaces a whole value.",
    )
