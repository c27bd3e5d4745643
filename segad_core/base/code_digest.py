"""The code version of a plugin: a digest of the sources that its results depend on."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from segad_core.base.digest import bytes_digest, digest_of


def code_digest(component: type) -> str:
    """Digest of the modules that define a class and its bases, and of what these import of their package.

    A change to a plugin, or to a helper beside it, gives new keys; a change to a plugin that it does not
    import gives none. The engine's own classes are left out: they have schema versions.
    """
    return modules_digest(base.__module__ for base in component.__mro__)


def modules_digest(names: Iterable[str]) -> str:
    """Digest of modules, by name, and of what these import of their package; the engine's are left out."""
    modules: dict[str, str] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        top = name.partition(".")[0]
        if name in modules or top in ("segad_core", "builtins", "abc", "typing"):
            continue
        source = _source(name)
        if source is not None:
            modules[name] = bytes_digest(source)
            waiting += [n for n in _imports(_home(name), source) if n.partition(".")[0] == top]
    return digest_of(modules)


@cache
def _source(name: str) -> bytes | None:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return None
    if spec is None or not spec.origin or not Path(spec.origin).is_file():
        return None
    return Path(spec.origin).read_bytes()


def _home(name: str) -> list[str]:
    """The package that a module's relative imports start from: the module itself if it is a package."""
    spec = importlib.util.find_spec(name)
    package = spec is not None and spec.submodule_search_locations is not None
    return name.split(".") if package else name.split(".")[:-1]


def _imports(home: Sequence[str], source: bytes) -> set[str]:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):  # a compiled module: its bytes are its version
        return set()
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
