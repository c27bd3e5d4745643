"""Keeps compiled kernels on disk, so that a process compiles none that an earlier one has compiled.

numba keeps what it compiles as pickle, which can run code: a kernel is read only from a folder that nobody
but this user can write to, as safe as the `__pycache__` of one's own sources, and only if its digest fits.
Whatever is wrong, a kernel is compiled as if there were no folder (decision 37).

The modules with kernels know nothing of this: a kernel is the same whether it is kept or not, so keys of the
store do not depend on it.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import logging
import os
import pickle  # nosec B403
import sys
from collections.abc import Sequence
from functools import cache, partial
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from segad_plugins import private_folder

log = logging.getLogger("segad.plugins")

MODULES = (
    "segad_plugins.classifiers.pooling_kernel",
    "segad_plugins.detectors.coreset",
    "segad_plugins.detectors.outliers",
    "segad_plugins.features.kernels",
)
"""All modules that define kernels. What a kernel depends on is in one of them."""

VARIABLE = "SEGAD_KERNEL_CACHE"
"""The environment variable that names another folder, or is `off`."""

ENDING = ".kernel"
_DAYS = 90.0
_MOST = 1 << 24  # bytes of a kernel; some 20,000 to 200,000 are usual
_SOURCES: dict[str, str] = {}
"""Of each of the modules that was imported, the digest of its source."""


class AfterImport(MetaPathFinder):
    """Gives the kernels of a module their folder once it has been imported."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path, target) if fullname in MODULES else None
        if spec is not None and spec.loader is not None:
            spec.loader.exec_module = partial(_executed, spec.loader, spec.loader.exec_module)  # type: ignore[method-assign]
        return spec


def _executed(loader: Loader, execute: Any, module: ModuleType) -> None:
    source = _source(loader, module)
    execute(module)
    if source is not None and source == _source(loader, module):  # else it was changed meanwhile
        keep(module, source)


def _source(loader: Loader, module: ModuleType) -> str | None:
    """The digest of a module's source; None if it cannot be read."""
    try:
        return hashlib.sha256(loader.get_data(module.__file__)).hexdigest()  # type: ignore[attr-defined]
    except (AttributeError, OSError):
        return None


def keep(module: ModuleType, source: str) -> None:
    """Has the kernels that a module defines read from the folder, and written to it once they are compiled.

    Args:
        module: just imported.
        source: the digest of its source.
    """
    try:
        from numba.core.dispatcher import Dispatcher

        _SOURCES[module.__name__] = source
        found = [value for value in vars(module).values() if isinstance(value, Dispatcher)]
        sources = [_SOURCES[name] for name in sorted({kernel.py_func.__module__ for kernel in found})]
        for kernel in found:
            if kernel.py_func.__module__ == module.__name__:
                kernel._cache = KeptKernels(kernel.py_func, sources)
    except Exception as error:  # a numba that is built otherwise, or a kernel of a module that is not kept
        log.debug("kernels of %s are not kept: %r", module.__name__, error)


class KeptKernels:
    """The compiled forms of one kernel on disk, as numba asks for them; of `numba.core.caching._Cache`.

    Args:
        function: what is compiled.
        sources: digests of all source that it depends on.
    """

    def __init__(self, function: FunctionType, sources: Sequence[str]) -> None:
        self._function, self._sources = function, tuple(sources)

    @property
    def cache_path(self) -> str:
        return str(folder() or "")

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """What an earlier process compiled for these types; None if there is nothing that fits."""
        try:
            if (place := folder()) is None:
                return None
            from numba.core.compiler import CompileResult

            target_context.refresh()
            with private_folder.opened(place) as descriptor:
                content = private_folder.read(descriptor, self._name(sig, target_context.codegen()), _MOST)
            digest, payload = content[:32], content[32:]
            if hashlib.sha256(payload).digest() != digest:
                return None
            # as safe as the folder, in which nobody else can write
            return CompileResult._rebuild(target_context, *pickle.loads(payload))  # noqa: S301 # nosec B301
        except private_folder.UnsafeFolderError as error:
            _warn(str(error))
        except FileNotFoundError:
            pass
        except Exception as error:  # a damaged file, a full disk, a numba that is built otherwise
            log.debug("a kept kernel cannot be used: %r", error)
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keeps what was compiled, if it can be kept."""
        try:
            if (place := folder()) is None or data.lifted or data.library.has_dynamic_globals:
                return
            from numba.core.serialize import dumps

            payload = dumps(data._reduce())
            with private_folder.opened(place, make=True) as descriptor:
                private_folder.write(
                    descriptor,
                    self._name(sig, data.codegen),
                    hashlib.sha256(payload).digest() + payload,
                )
                private_folder.forget(descriptor, ENDING, _DAYS)
        except private_folder.UnsafeFolderError as error:
            _warn(str(error))
        except Exception as error:
            log.debug("a kernel cannot be kept: %r", error)

    def enable(self) -> None:
        """Nothing: it is always enabled."""

    def disable(self) -> None:
        """Nothing: the environment variable does that."""

    def flush(self) -> None:
        """Nothing: other processes may use what is there."""

    def _name(self, sig: Any, codegen: Any) -> str:
        """The file of a form: a digest of all that decides what the compiler makes of the source."""
        function = self._function
        code = function.__code__  # Python's own cache can be older than the source
        parts = [
            self._sources,
            (function.__module__, function.__qualname__, code.co_code.hex(), code.co_names),
            [str(value) for value in code.co_consts if not isinstance(value, CodeType)],
            str(sig),
            codegen.magic_tuple(),  # system, processor, its features
            (sys.version, sys.implementation.cache_tag, _versions()),
            sorted((name, value) for name, value in os.environ.items() if name.startswith("NUMBA_")),
        ]
        return hashlib.sha256(repr(parts).encode()).hexdigest() + ENDING


@cache
def _versions() -> tuple[str, ...]:
    return tuple(importlib.metadata.version(name) for name in ("numba", "llvmlite", "numpy"))


def folder() -> Path | None:
    """The folder of the kernels; None if none are to be kept, or nobody knows where."""
    if os.name != "posix" or (given := os.environ.get(VARIABLE)) == "off":
        return None
    if given:
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME", "")
    try:
        return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "segad" / "kernels"  # noqa: PTH117
    except RuntimeError:  # a user without a home
        return None


@cache  # once per process and reason
def _warn(reason: str) -> None:
    log.warning(
        "compiled kernels are not kept, which takes seconds at each start: %s; or name another folder in %s, "
        "or set it to off",
        reason,
        VARIABLE,
    )
