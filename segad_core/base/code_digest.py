"""The code version of a plugin: a digest of the code that its results depend on."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, cast

from segad_core.base.digest import bytes_digest, digest_of
from segad_core.base.distribution_code import (
    OWN,
    is_namespace,
    is_unowned,
    listed_modules,
    modules_beside,
    spec_of,
    submodules,
    top_modules,
)
from segad_core.base.syntax import canonical

_ENGINE = ("segad_core", "builtins", "abc", "typing")


def code_digest(component: type, distribution: str = OWN) -> str:
    """Digest of the modules that define a class and its bases, and of what these import.

    A change to the code of a plugin, or of a helper that it imports, gives new keys. A changed docstring,
    comment, type hint or layout gives none (see `canonical`). Of a third party's distribution, all modules
    count, as nobody knows which of them it imports by other means than an import statement.

    Args:
        component: the class.
        distribution: that provides it.
    """
    own = [base.__module__ for base in component.__mro__]
    if distribution != OWN:
        own += _all_modules(component.__module__, distribution)
    return modules_digest(own)


def _all_modules(module: str, distribution: str) -> Iterator[str]:
    """The names of all modules of a distribution that provides a module."""
    top = module.partition(".")[0]
    listed = listed_modules(distribution)
    for package in {top, *top_modules(distribution)}:
        yield from submodules(package)
    yield from listed
    if module not in listed and is_namespace(top):  # no record, or one of an editable installation
        yield from modules_beside(module)


def unreadable(component: type) -> list[str]:
    """The modules that define a class and its bases, whose source cannot be found: no digest knows them."""
    own = {base.__module__ for base in component.__mro__}
    return sorted(n for n in own if n.partition(".")[0] not in _ENGINE and _source(n) is None)


def modules_digest(names: Iterable[str]) -> str:
    """Digest of modules, by name, and of what they import from their package or from no distribution.

    The engine is left out: it has schema versions. So are other distributions.
    """
    modules: dict[str, str] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        top = name.partition(".")[0]
        if name in modules or top in _ENGINE:
            continue
        source = _source(name)
        if source is not None:
            modules[name], imported = _analysed(source, tuple(_home(name)))
            waiting += [n for n in imported if (t := n.partition(".")[0]) == top or is_unowned(t)]
    return digest_of(modules)


@cache
def _source(name: str) -> bytes | None:
    spec = spec_of(name)
    if spec is None or not spec.origin:
        return None
    if Path(spec.origin).is_file():
        return Path(spec.origin).read_bytes()
    try:  # in an archive
        return bytes(cast(Any, spec.loader).get_data(spec.origin))
    except (AttributeError, OSError):
        return None


def _home(name: str) -> list[str]:
    """The package that a module's relative imports start from: the module itself if it is a package."""
    spec = spec_of(name)
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
