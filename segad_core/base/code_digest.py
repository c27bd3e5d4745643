"""The code version of a plugin: a digest of the code that its results depend on."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.machinery import ModuleSpec
from pathlib import Path

from segad_core.base.digest import bytes_digest, digest_of
from segad_core.base.resources import is_resource, resource_error
from segad_core.base.syntax import canonical


def code_digest(component: type) -> str:
    """Digest of the modules that define a class and its bases, and of what they import from their package.

    A change to the code of a plugin, or of a helper that it imports, gives new keys. A changed docstring,
    comment, type hint or layout gives none (see `canonical`), nor does a plugin that it does not import.
    The engine's own classes are left out: they have schema versions.
    """
    return modules_digest(base.__module__ for base in component.__mro__)


def modules_digest(names: Iterable[str]) -> str:
    """Digest of modules, by name, and of what they import from their package; the engine is left out."""
    modules: dict[str, str] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        top = name.partition(".")[0]
        if name in modules or top in ("segad_core", "builtins", "abc", "typing"):
            continue
        source = _source(name)
        if source is not None:
            modules[name], imported = _analysed(source, tuple(_home(name)))
            waiting += [n for n in imported if n.partition(".")[0] == top]
    return digest_of(modules)


@cache
def _source(name: str) -> bytes | None:
    spec = _spec(name)
    if spec is None or not spec.origin or not Path(spec.origin).is_file():
        return None
    return Path(spec.origin).read_bytes()


def _spec(name: str) -> ModuleSpec | None:
    """Where a module is, if it is one; imports nothing but the packages above it."""
    parent = name.rpartition(".")[0]
    if parent and ((above := _spec(parent)) is None or above.submodule_search_locations is None):
        return None  # a name inside a module
    try:
        return importlib.util.find_spec(name)
    except Exception as error:  # a package above it fails in its own way when imported
        if is_resource(error):  # a key without a part of the code would be another key
            raise resource_error(error, f"looking for the module {name}") from error
        return None


def _home(name: str) -> list[str]:
    """The package that a module's relative imports start from: the module itself if it is a package."""
    spec = _spec(name)
    package = spec is not None and spec.submodule_search_locations is not None
    return name.split(".") if package else name.split(".")[:-1]


@cache
def _analysed(source: bytes, home: tuple[str, ...]) -> tuple[str, frozenset[str]]:
    """The digest of a module, and the names of what it may import.

    A compiled module, or one that this Python cannot parse, is identified by its bytes.
    """
    try:
        tree = ast.parse(source)
        imported = frozenset(_imports(home, tree))
        return bytes_digest(canonical(tree).encode()), imported
    except (SyntaxError, ValueError, RecursionError):
        return bytes_digest(source), frozenset()


def _imports(home: Sequence[str], tree: ast.Module) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(home[: len(home) + 1 - node.level] if node.level else [])
            module = ".".join(part for part in (base, node.module or "") if part)
            found.add(module)
            found.update(f"{module}.{alias.name}" for alias in node.names)
    return found
