"""What needs no plugin imports none, nor the libraries that plugins are made of."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from builders import write_recipe

HEAVY = ("torch", "torchvision", "timm", "xgboost", "numba", "pandas", "sklearn")

PROGRAM = """
import json, sys
from segad_core.cli import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    print(json.dumps([end.code, sorted(sys.modules)]))
"""


def modules_after(*words: str | Path) -> tuple[int, set[str]]:
    """The exit code of a command in a fresh process, and the modules that it imported."""
    arguments = [sys.executable, "-c", PROGRAM, *map(str, words)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    code, modules = json.loads(done.stdout.splitlines()[-1])
    return code or 0, set(modules)


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["run", "--help"], ["list-plugins"]])
def test_commands_that_need_no_plugin(words: list[str]) -> None:
    code, modules = modules_after(*words)
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
    code, modules = modules_after(command, write_recipe(tmp_path, MISTAKES[name]))
    assert code == 2
    assert not modules.intersection(HEAVY)
    assert not any(module.startswith("segad_plugins") for module in modules)
