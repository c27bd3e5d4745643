"""A recipe, its run and its bundle, of fakes that need no torch: commands take hundredths of a second."""

from __future__ import annotations

import atexit
import tempfile
from functools import cache, partial
from pathlib import Path

import fakes
import pytest
from builders import data_set, run_command, segad
from small_runs import write

from segad_core.plugins.registry import Registry


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Installs the fakes, and looks for installed plugins once."""
    fakes.install(monkeypatch)
    found = cache(partial(Registry.providers, Registry()))  # the files of packages are not tested here
    monkeypatch.setattr(Registry, "providers", lambda _, kind=None: list(found(kind)))


@cache
def made() -> Path:
    """A folder with `data`, `tiny.yaml`, `store`, `runs`, and the bundles `b` and `b.zip`; not to be changed.

    `install` has to come first.
    """
    folder = tempfile.TemporaryDirectory(prefix="segad-test-")
    atexit.register(folder.cleanup)
    home = Path(folder.name)
    data_set(home / "data", good=8, bad=5)
    split = {"seeds": [0], "test": {"good": 3, "bad": 2}, "detectors": {"good": 3}}
    recipe = write(home, rows=[{"name": "SegAD", "detectors": ["spotty"]}], split=split)
    for out in ("b", "b.zip"):
        words = ("--category", "a", "--row", "SegAD", "--device", "cpu", "--store", home / "store")
        result = segad("fit", recipe, *words, "-o", home / out)
        assert result.exit_code == 0, result.output
    result = run_command(recipe)
    assert result.exit_code == 0, result.output
    return home
