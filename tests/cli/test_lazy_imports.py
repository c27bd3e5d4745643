"""What needs no plugin imports none, nor the libraries that plugins are made of."""

from __future__ import annotations

from importlib.metadata import PathDistribution
from pathlib import Path

import pytest
from builders import write_recipe
from imported import imported_after

from segad_core.contracts import KINDS
from segad_core.plugins.kinds import KINDS as NAMES
from segad_core.plugins.registry import Registry

HEAVY = ("torch", "torchvision", "timm", "xgboost", "numba", "pandas", "sklearn")


@pytest.mark.parametrize(
    "words", [["--help"], ["--version"], ["run", "--help"], ["list-plugins"], ["clean", "--dry-run"]]
)
def test_commands_that_need_no_plugin(words: list[str]) -> None:
    code, modules = imported_after(*words)
    assert code == 0
    assert not modules.intersection(HEAVY)
    assert not any(module.startswith("segad_plugins") for module in modules)


@pytest.mark.parametrize(
    "words", [["--help"], ["predict", "--help"], ["list-plugins"], ["list-plugins", "--json"]]
)
def test_commands_that_only_tell_import_no_arrays(words: list[str]) -> None:
    """Of the processor time of `list-plugins`, two thirds were NumPy's, pydantic's and the contracts'."""
    code, modules = imported_after(*words)
    assert code == 0
    assert not modules.intersection((*HEAVY, "numpy", "pydantic", "pydantic_core", "scipy", "yaml", "PIL"))


def test_names_of_kinds() -> None:
    assert tuple(KINDS) == NAMES


def test_metadata_of_a_distribution_are_read_once_however_many_plugins_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reads(plugins: int) -> int:
        info = tmp_path / f"many{plugins}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: many{plugins}\nVersion: 1\nRequires-Dist: segad\n"
        )
        points = "".join(f"p{number} = many:P\n" for number in range(plugins))
        (info / "entry_points.txt").write_text(f"[segad.detectors]\n{points}")
        asked.clear()
        assert sum(p.distribution == f"many{plugins}" for p in Registry().providers()) == plugins
        return sum(name == "METADATA" for name in asked)

    asked: list[str] = []
    read_text = PathDistribution.read_text
    monkeypatch.setattr(
        PathDistribution, "read_text", lambda self, name: asked.append(name) or read_text(self, name)
    )
    monkeypatch.syspath_prepend(tmp_path)
    none, one = reads(0), reads(1)
    assert reads(30) - one == one - none > 0


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
