"""The modules of an installed distribution, and which modules belong to none."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec, all_suffixes
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions, version
from pathlib import Path, PurePosixPath

from segad_core.base.resources import is_resource, resource_error

OWN = "segad"
"""The distribution that has the engine and the built-in plugins."""
LIGHT = "segad-runtime"
"""The distribution that is installed in its stead where exported bundles run; its plugins are segad's."""
WHOLE = f"pip uninstall {LIGHT} && pip install {OWN}"
"""How to have all of segad where only the light distribution is."""

_INSTALLED = {"site-packages", "dist-packages"}


@cache
def own_distribution() -> str:
    """The name of segad's distribution that is installed."""
    try:
        version(OWN)
    except PackageNotFoundError:
        return LIGHT
    return OWN


def own_version() -> str:
    """The version of segad, whichever of its distributions is installed."""
    return version(own_distribution())


@cache
def top_modules(name: str) -> frozenset[str]:
    """The top-level modules and packages of a distribution, if its metadata tell them."""
    try:
        found = distribution(name)
    except (PackageNotFoundError, ValueError):
        return frozenset()
    listed = (found.read_text("top_level.txt") or "").split()
    return frozenset(listed) or frozenset(_top_of_files(found))


def _top_of_files(found: Distribution) -> Iterator[str]:
    """What the record of installed files says; `dir/` without an `__init__` is data or a namespace."""
    for path in found.files or ():
        parts = PurePosixPath(path).parts
        if len(parts) == 1 and (name := _module_name(parts[0])):
            yield name
        elif len(parts) == 2 and _module_name(parts[1]) == "__init__":
            yield parts[0]


@cache
def listed_modules(name: str) -> frozenset[str]:
    """The modules in namespace packages that the record of a distribution's installed files has."""
    try:
        found = distribution(name)
        files = found.files if found.read_text("RECORD") else None  # other lists are of its sources
    except (PackageNotFoundError, ValueError):
        return frozenset()
    modules = {_dotted(PurePosixPath(path).parts) for path in files or ()} - {""}
    return frozenset(module for module in modules if is_namespace(module.partition(".")[0]))


def modules_beside(module: str) -> list[str]:
    """All modules in the folder of a module's top-level package, as far as it has the package's name.

    Of a namespace package, these are the ones that came together with the module.
    """
    spec = spec_of(module)
    if spec is None or not spec.origin or "." not in module:
        return []
    folder, package = Path(spec.origin).parent, module.split(".")
    if spec.submodule_search_locations is None:
        package.pop()
    while len(package) > 1 and folder.name == package[-1]:
        folder = folder.parent
        package.pop()
    return sorted(_modules_in(folder, package))


def _modules_in(folder: Path, package: Sequence[str]) -> set[str]:
    found = (_dotted([*package, *file.relative_to(folder).parts]) for file in folder.rglob("*"))
    return {module for module in found if module}


def _dotted(parts: Sequence[str]) -> str:
    """The name of the module in a file, by the parts of its path; empty if it has none."""
    *folders, file = parts
    if not file.endswith((".py", *EXTENSION_SUFFIXES)):
        return ""
    names = [*folders, _module_name(file)]
    return ".".join(names).removesuffix(".__init__") if all(map(str.isidentifier, names)) else ""


def is_namespace(top: str) -> bool:
    """Whether a top-level package has no code of its own, so that several distributions can share it."""
    spec = spec_of(top)
    return spec is not None and spec.origin is None and spec.submodule_search_locations is not None


def _module_name(file: str) -> str:
    """The name of the module in a file; empty if it is no module."""
    endings = sorted(all_suffixes(), key=len, reverse=True)  # `.cpython-311-x86_64-linux-gnu.so` before `.so`
    return next((file.removesuffix(end) for end in endings if file.endswith(end)), "")


def submodules(top: str) -> list[str]:
    """The names of all modules of a top-level package, by its folders; of a module, its own."""
    spec = spec_of(top)
    if spec is None:
        return []
    if spec.origin is None or not spec.submodule_search_locations:  # a namespace may be shared with others
        return [top]
    folders = map(Path, spec.submodule_search_locations)
    return sorted({top}.union(*(_modules_in(folder, [top]) for folder in folders)))


@cache
def is_unowned(top: str) -> bool:
    """Whether a top-level module is neither Python's own nor of an installed distribution.

    A module beside a plugin that only the path leads to is one: nothing tells its version.
    """
    if top in sys.stdlib_module_names or (spec := spec_of(top)) is None:
        return False
    places = [spec.origin] if spec.has_location else list(spec.submodule_search_locations or ())
    if not places or any(_INSTALLED & set(Path(place).parts) for place in places if place):
        return False
    return top not in _owned()


@cache
def _owned() -> frozenset[str]:
    """The top-level modules of all distributions, by Python's rules; damaged metadata tell none."""
    owned = set[str]()
    for found in distributions():
        with suppress(Exception):
            listed = (found.read_text("top_level.txt") or "").split()
            files = [path for path in map(PurePosixPath, found.files or ()) if path.suffix == ".py"]
            owned.update(listed or (path.parts[0] if len(path.parts) > 1 else path.stem for path in files))
    return frozenset(owned)


def spec_of(name: str) -> ModuleSpec | None:
    """Where a module is, if it is one; imports nothing but the packages above it."""
    parent = name.rpartition(".")[0]
    if parent and ((above := spec_of(parent)) is None or above.submodule_search_locations is None):
        return None  # a name inside a module
    try:
        return importlib.util.find_spec(name)
    except Exception as error:  # a package above it fails in its own way when imported
        if is_resource(error):  # a key without a part of the code would be another key
            raise resource_error(error, f"looking for the module {name}") from error
        return None
