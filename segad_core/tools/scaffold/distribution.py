"""The files of a new distribution with one plugin."""

from __future__ import annotations

import importlib.resources
import keyword
import re
from collections.abc import Mapping
from pathlib import Path
from string import Template

from segad_core import contracts
from segad_core.base.distribution_code import own_version
from segad_core.contracts import KINDS
from segad_core.errors import UsageError
from segad_core.tools.scaffold.example import camel, module_of
from segad_core.tools.scaffold.recipes import recipe_of

_TAKEN = ("Path", "Image", "Field")  # that the files import
_LIBRARIES = ("numpy", "pydantic", "scipy")


def files_of(kind: str, name: str) -> dict[str, str]:
    """The texts of a distribution's files, by their paths in its folder.

    Args:
        kind: as in the entry-point group.
        name: of the plugin.

    Raises:
        UsageError: no module, class or distribution can have the name.
    """
    if keyword.iskeyword(name) or name.endswith("_") or "__" in name:
        raise UsageError(
            f"'{name}' cannot name a module and a distribution",
            "Use a name that is no keyword of Python, without '_' at its end and without '__'.",
        )
    if camel(name) in _TAKEN or hasattr(contracts, camel(name)):
        raise UsageError(
            f"'{name}' would call the class {camel(name)}, as something else that it uses is called",
            f"Use another name, such as my_{name}.",
        )
    module, package = module_of(kind, name), f"segad_{name}"
    words = {
        "kind": kind,
        "name": name,
        "title": camel(name),
        "package": package,
        "distribution": distribution_of(name),
        "suite": f"{KINDS[kind].__name__}Suite",
        "summary": re.findall(r'"""([^\n]+?)"""', module)[1],
        "dependencies": ", ".join(f'"{one}"' for one in (*_used(module), _own_version())),
    }
    test = "test_dataset.py.txt" if kind == "datasets" else "test.py.txt"
    return {
        "pyproject.toml": _filled("pyproject.toml.txt", words),
        "README.md": _filled("README.md.txt", words),
        "LICENSE": _filled("LICENSE.txt", words),
        ".github/workflows/test.yml": _filled("ci.yml.txt", words),
        f"{package}/__init__.py": f'"""A plugin for segad: `{name}`."""\n',
        f"{package}/{name}.py": module,
        f"tests/test_{name}.py": _filled(test, words),
        "draw_images.py": _filled("draw_images.py.txt", words),
        "recipe.yaml": recipe_of(kind, name),
    }


def distribution_of(name: str) -> str:
    """The name of a plugin's distribution."""
    return f"segad-{name.replace('_', '-')}"


def write_files(folder: Path, files: Mapping[str, str]) -> None:
    """Writes the files of a distribution to a new folder.

    Raises:
        UsageError: the folder is there and not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is there already", "Name another folder with --folder.")
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _used(module: str) -> list[str]:
    """The libraries that a module imports, beside segad and Python's own."""
    return [name for name in _LIBRARIES if re.search(rf"^(from|import) {name}\b", module, re.M)]


def _own_version() -> str:
    """What is required of segad: this minor release, or a later one before the next major one.

    Before 1.0, a minor release may change contracts.
    """
    major, minor = own_version().split(".")[:2]
    following = f"{int(major) + 1}" if int(major) else f"0.{int(minor) + 1}"
    return f"segad>={major}.{minor},<{following}"


def _filled(template: str, words: Mapping[str, str]) -> str:
    folder = importlib.resources.files("segad_core.tools.scaffold").joinpath("templates")
    return Template(folder.joinpath(template).read_text(encoding="utf-8")).substitute(words)
