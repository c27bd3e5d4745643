"""What needs no plugin imports none, nor the libraries that plugins are made of."""

from __future__ import annotations

from pathlib import Path

import pytest
from builders import write_recipe
from imported import imported_after

HEAVY = ("torch", "torchvision", "timm", "xgboost", "numba", "pandas", "sklearn")


@pytest.mark.parametrize(
    "words", [["--help"], ["--version"], ["run", "--help"], ["list-plugins"], ["clean", "--dry-run"]]
)
def test_commands_that_need_no_plugin(words: list[str]) -> None:
    code, modules = imported_after(*words)
    assert code == 0
    assert not modules.intersection(HEAVY)
    assert not any(module.startswith("segad_plugins") for module in modules)


MISTAKES = {
    "syntax": ("seeds: [0]", "seeds: [0"),
    "skeleton": ("batch_size", "batchsize"),
    "name of a plugin": ("use: patchcore", "use: patchcor"),
    "name of a detector in a row": ("score: patchcore", "score: patchcor"),
}


@pytest.mark.parametrize("name", MISTAKES)
@pytest.mark.parametrize("command", ["check", "run"])
def test_mistakes_that_are_seen_without_a_plugin(name: str, command: str, tmp_path: Path) -> None:
    code, modules = imported_after(command, write_recipe(tmp_path, MISTAKES[name]))
    assert code == 2
    assert not modules.intersection(HEAVY)
    assert not any(module.startswith("segad_plugins") for module in modules)
