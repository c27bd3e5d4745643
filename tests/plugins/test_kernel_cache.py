"""Kernels that are kept on disk: none is compiled twice, and nothing that others could write is run."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import inspect
import json
import logging
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numba.core.dispatcher import Dispatcher
from pickles import MakesFolder

import segad_plugins
from segad_core.base import code_digest
from segad_plugins import kernel_cache, private_folder
from segad_plugins.kernel_cache import MODULES, KeptKernels

TINY = """
from numba import njit

STEP = 3

@njit(nogil=True)
def _more(a):
    return a + STEP

@njit(nogil=True, fastmath={"reassoc", "contract"})
def twice(a):
    return 2 * _more(a)
"""

ALL = """
import json, sys
import numpy as np
from numba.core import event

class Compiled(event.Listener):
    names = []
    def on_start(self, found): self.names.append(found.data["dispatcher"].py_func.__name__)
    def on_end(self, found): pass

event.register("numba:compile", Compiled())
from segad_plugins.classifiers import pooling_kernel
from segad_plugins.detectors import outliers
from segad_plugins.features import kernels

draw = np.random.default_rng(0).standard_normal
points = draw((64, 40)).astype(np.float32)
values, offsets = points.ravel(), np.array([0, 700, 700, 2560])
picks = np.array([0, 63, 20, 5])
results = [
    outliers.to_other_images(points, picks, 4),
    pooling_kernel.pooled(draw((1, 3, 8)).astype(np.float32), 4),
    kernels.skewness(kernels.central_moments(values, offsets)),
    kernels.maxima(values, offsets),
    kernels.quantiles(values, offsets, 0.995),
]
print(json.dumps([Compiled.names, [one.tobytes().hex() for one in results]]))
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(kernel_cache.VARIABLE, str(tmp_path / "kernels"))
    kernel_cache._warn.cache_clear()
    return tmp_path / "kernels"


def start(home: Path, source: str = TINY) -> ModuleType:
    """A module with kernels as a new process imports it."""
    path = home / "tiny_kernels.py"
    path.write_text(source)
    spec = importlib.util.spec_from_file_location("tiny_kernels", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["tiny_kernels"] = module
    kernel_cache._executed(spec.loader, spec.loader.exec_module, module)
    return module


def compiled(kernel: Any) -> int:
    return sum(kernel.stats.cache_misses.values())


def test_a_second_start_compiles_no_kernel(folder: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", kernel_cache.VARIABLE: str(folder)}
    outputs = [
        json.loads(
            subprocess.run(
                [sys.executable, "-c", ALL], env=environment, capture_output=True, text=True, check=True
            ).stdout
        )
        for _ in range(2)
    ]
    (first, fresh), (second, kept) = outputs
    assert {"_nearest_elsewhere", "pooled", "central_moments"} <= set(first)
    assert second == []
    assert kept == fresh  # to the last bit


def test_all_modules_with_kernels_are_known() -> None:
    home = Path(segad_plugins.__file__).parent
    found = set()
    for path in home.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "numba":
                found.add(".".join(("segad_plugins", *path.relative_to(home).with_suffix("").parts)))
    assert found == set(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_all_kernels_are_kept_with_all_that_they_depend_on(name: str) -> None:
    module = importlib.import_module(name)
    kernels = [v for v in vars(module).values() if isinstance(v, Dispatcher) and v.py_func.__module__ == name]
    assert kernels
    for kernel in kernels:
        assert isinstance(kernel._cache, KeptKernels)
        sources = set(kernel._cache._sources)
        for read, value in inspect.getclosurevars(kernel.py_func).globals.items():
            if isinstance(value, Dispatcher):
                assert kernel_cache._SOURCES[value.py_func.__module__] in sources
            elif not isinstance(value, ModuleType) and not getattr(value, "__module__", "").startswith(
                "numba"
            ):
                own = ast.parse(inspect.getsource(module)).body
                names = {
                    n.id
                    for s in own
                    if not isinstance(s, ast.ImportFrom)
                    for n in ast.walk(s)
                    if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
                }
                assert read in names, f"{kernel.py_func.__name__} reads {read}, which is defined elsewhere"


def test_keys_of_the_store_do_not_depend_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, source = set(), code_digest._source
    monkeypatch.setattr(code_digest, "_source", lambda name: asked.add(name) or source(name))
    code_digest.modules_digest(["segad_plugins.detectors.patchcore", "segad_plugins.features.order"])
    assert {"segad_plugins.detectors.coreset", "segad_plugins.features.kernels"} <= asked
    assert not asked & {"segad_plugins", "segad_plugins.kernel_cache", "segad_plugins.private_folder"}


def test_what_decides_what_is_compiled_decides_the_file(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kept(source: str = TINY, value: float = 1.0) -> tuple[float, int]:
        kernel = start(tmp_path, source).twice
        return kernel(value), compiled(kernel)

    assert kept() == (8.0, 1)
    assert kept() == (8.0, 0)
    assert kept(value=1) == (8, 1)  # another type
    assert kept(TINY.replace("STEP = 3", "STEP = 4")) == (10.0, 1)  # the code of `twice` is the same
    assert kept(TINY.replace(', fastmath={"reassoc", "contract"}', "")) == (8.0, 1)
    monkeypatch.setenv("NUMBA_TEST_OF_SEGAD", "1")
    assert kept() == (8.0, 1)
    monkeypatch.delenv("NUMBA_TEST_OF_SEGAD")
    monkeypatch.setattr(kernel_cache, "_versions", lambda: ("0.0",))
    assert kept() == (8.0, 1)
    monkeypatch.undo()
    monkeypatch.setenv(kernel_cache.VARIABLE, str(folder))
    assert kept() == (8.0, 0)


def test_byte_code_that_is_older_than_its_source(tmp_path: Path) -> None:
    for source, expected in ((TINY, 8.0), (TINY.replace("return 2", "return 3"), 12.0)):
        module = start(tmp_path, source)
        kernel_cache.keep(module, "the same digest")
        assert module.twice(1.0) == expected


def with_digest(payload: bytes) -> bytes:
    return hashlib.sha256(payload).digest() + payload


DAMAGE: dict[str, Callable[[bytes, Path], bytes]] = {
    "empty": lambda content, canary: b"",
    "cut off": lambda content, canary: content[:-1000],
    "one bit": lambda content, canary: content[:5000] + bytes([content[5000] ^ 1]) + content[5001:],
    "a bare pickle": lambda content, canary: pickle.dumps(MakesFolder(canary)),
    "a pickle under another digest": lambda content, canary: bytes(32) + pickle.dumps(MakesFolder(canary)),
    "no pickle": lambda content, canary: with_digest(b"no pickle"),
    "another thing": lambda content, canary: with_digest(pickle.dumps((1, 2, 3))),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_files(damage: str, tmp_path: Path, folder: Path) -> None:
    assert start(tmp_path).twice(1.0) == 8.0
    whole = {path: path.read_bytes() for path in folder.iterdir()}
    for path, content in whole.items():
        path.write_bytes(DAMAGE[damage](content, tmp_path / "canary"))
    again = start(tmp_path).twice
    assert again(1.0) == 8.0
    assert compiled(again) == 1
    assert not (tmp_path / "canary").exists()
    third = start(tmp_path).twice  # what was damaged has been replaced
    assert (third(1.0), compiled(third)) == (8.0, 0)


def test_an_unsafe_folder_is_neither_read_nor_written(
    tmp_path: Path, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    start(tmp_path).twice(1.0)
    for each in folder.iterdir():
        each.write_bytes(with_digest(pickle.dumps(MakesFolder(tmp_path / "canary"))))
    before = {each: each.stat().st_mtime_ns for each in folder.iterdir()}
    folder.chmod(0o777)
    again = start(tmp_path).twice
    with caplog.at_level(logging.WARNING):
        assert again(1.0) == 8.0
        assert again(1) == 8
    assert not (tmp_path / "canary").exists()
    assert {each: each.stat().st_mtime_ns for each in folder.iterdir()} == before
    (message,) = [record.getMessage() for record in caplog.records]  # once, not at each kernel
    assert str(folder) in message and kernel_cache.VARIABLE in message


@pytest.mark.parametrize("place", ["off", "/proc/no/such/folder", "/etc/passwd/kernels"])
def test_no_folder(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    monkeypatch.setenv(kernel_cache.VARIABLE, place)
    assert start(tmp_path).twice(1.0) == 8.0
    assert not caplog.records


def test_a_full_disk(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(private_folder, "write", full)
    assert start(tmp_path).twice(1.0) == 8.0


def test_a_numba_that_is_built_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start(tmp_path).twice(1.0)
    monkeypatch.delattr("numba.core.compiler.CompileResult._rebuild")
    assert start(tmp_path).twice(1.0) == 8.0
    monkeypatch.delattr("numba.core.compiler.CompileResult._reduce")
    assert start(tmp_path).twice(1) == 8


def test_the_folder_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(kernel_cache.VARIABLE)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert kernel_cache.folder() == tmp_path / ".cache" / "segad" / "kernels"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert kernel_cache.folder() == tmp_path / ".cache" / "segad" / "kernels"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert kernel_cache.folder() == tmp_path / "xdg" / "segad" / "kernels"


def test_what_is_kept_computes_the_same(tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal(100)
    assert start(tmp_path).twice(values).tobytes() == start(tmp_path).twice(values).tobytes()
