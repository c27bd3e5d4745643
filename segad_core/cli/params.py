"""Parameters of a plugin from the command line, checked like those of a recipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from segad_core.base.decoding import Decoding
from segad_core.base.files import is_file, is_folder
from segad_core.contracts import Parameters
from segad_core.contracts.component import IsInputFile, IsInputFolder, has_mark
from segad_core.errors import UsageError
from segad_core.plugins.registry import suggest
from segad_core.recipe.choice import paths_in
from segad_core.recipe.document import Document, read_value
from segad_core.recipe.schema import ImageSpec
from segad_core.recipe.validation import check

_READ = tuple(field.name for field in fields(Decoding))


@dataclass
class _Words(Document):
    """Plain data from the command line: a problem names the option."""

    def problem(self, place: Sequence[str | int], message: str, **_: Any) -> str:
        return f"{self.overrides.get(tuple(place[:1]), self.source)}: {message}"


def checked_params(
    model: type[Parameters], root: str | None, words: Sequence[str], source: str, option: str = "--param"
) -> Parameters:
    """The parameters given by `--root DIR` and `--param NAME=VALUE`.

    Args:
        model: the plugin's parameters.
        root: the folder, if given.
        words: of the form NAME=VALUE; a value is YAML, as in a recipe.
        source: the plugin, for messages.
        option: what the words follow.

    Raises:
        UsageError: with every unknown, missing or wrong parameter.
    """
    given = _Words(source, {})
    for word in words:
        name, value = _parsed(word, option)
        _give(given, name, value, f"{option} {word}")
    if root is not None and "root" not in model.model_fields:
        raise UsageError(
            f"--root {root}: {source} has no parameter 'root'",
            "Remove the option; `segad datasets` lists where its images come from.",
        )
    if root is not None:
        _give(given, "root", root, f"--root {root}")
    params = check(model, given.data, given)
    if isinstance(params, list):
        lacking = [n for n, f in model.model_fields.items() if f.is_required() and n not in given.data]
        folder = "--root DIR" if option == "--param" else f"{option} root=DIR"
        remedies = [
            f"Give the data set's folder with {folder}." if name == "root" else f"Add {option} {name}=VALUE."
            for name in lacking
        ]
        raise UsageError(params, " ".join(remedies))
    problems = []
    for kind, mark, exists in (("file", IsInputFile, is_file), ("folder", IsInputFolder, is_folder)):
        for name, info in model.model_fields.items():
            paths = paths_in(getattr(params, name)) if has_mark(info, mark) else []
            absent = [path for path in paths if not exists(path)]
            problems += [given.problem((name,), f"there is no {kind} '{path}'") for path in absent]
    if problems:
        raise UsageError(problems)
    result: Parameters = params
    return result


def image_decoding(words: Sequence[str]) -> Decoding:
    """How images are read, from `--image KEY=VALUE`.

    Raises:
        UsageError: a key or a value is wrong, or says what becomes of images that have been read.
    """
    given = _Words("--image", {})
    for word in words:
        name, value = _parsed(word, "--image")
        if name not in _READ:
            raise UsageError(
                f"--image {word}: '{name}' does not say how images are read{suggest(name, _READ)}"
            )
        _give(given, name, value, f"--image {word}")
    spec = check(ImageSpec, given.data, given)
    if isinstance(spec, list):
        raise UsageError(spec)
    result: ImageSpec = spec
    return result.decoding()


def _give(given: _Words, name: str, value: Any, word: str) -> None:
    if name in given.data:
        raise UsageError(f"{word}: '{name}' is also given by {given.overrides[name,]}", "Remove one of them.")
    given.data[name], given.overrides[name,] = value, word


def _parsed(word: str, option: str = "--param") -> tuple[str, Any]:
    name, equals, text = word.partition("=")
    if not equals or not name:
        example = "white=4095" if option == "--image" else "good=ok"
        raise UsageError(
            f"{option} {word}: must be of the form name=value", f"For example: {option} {example}"
        )
    return name, read_value(text, f"{option} {word}")
