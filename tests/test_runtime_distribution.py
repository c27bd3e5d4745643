"""segad-runtime is segad with fewer requirements and fewer plugins, and nothing else."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from segad_core.base import distribution_code
from segad_core.bundle.format.manifest import PluginUse
from segad_core.bundle.runtime import building
from segad_core.errors import BundleError, PluginError
from segad_core.fit_bundle.parity import TRAINING_ALONE
from segad_core.plugins import installed, registry

ROOT = Path(__file__).parents[1]


def project(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


WHOLE, LIGHT = (
    project(ROOT / "pyproject.toml"),
    project(ROOT / "plugins" / "segad-runtime" / "pyproject.toml"),
)


def test_the_same_version_and_packages() -> None:
    assert LIGHT["project"]["version"] == WHOLE["project"]["version"]
    packages = [one["tool"]["setuptools"]["packages"] for one in (WHOLE, LIGHT)]
    assert packages[1] == [name for name in packages[0] if name != "segad_recipes"]
    assert LIGHT["project"]["scripts"] == WHOLE["project"]["scripts"]


def test_fewer_requirements_in_the_same_versions() -> None:
    assert set(LIGHT["project"]["dependencies"]) < set(WHOLE["project"]["dependencies"])
    names = {re.split("[<>=]", line)[0] for line in LIGHT["project"]["dependencies"]}
    without = {name.replace("_", "-") for name in TRAINING_ALONE} | {"scikit-learn"}
    assert not names & without
    assert {re.split("[<>=]", line)[0] for line in WHOLE["project"]["dependencies"]} - names - without <= {
        "threadpoolctl"
    }


def test_plugins_are_those_of_segad() -> None:
    for group, points in LIGHT["project"]["entry-points"].items():
        assert points.items() <= WHOLE["project"]["entry-points"][group].items()


class Light:
    """A distribution's metadata, as `installed` reads them."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self._path = name, folder
        self.metadata = {"Name": name, "Version": "0.1.0"}

    def read_text(self, _: str) -> str:
        return "[segad.encoders]\nonnx = segad_plugins.encoders.graph:Onnx\n"

    requires = ()


def test_its_plugins_have_segads_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        installed,
        "distributions",
        lambda: [Light("segad_runtime", tmp_path / "segad_runtime-0.1.0.dist-info")],
    )
    (found,) = installed.installed()
    assert found.qualified == "segad:onnx"


def test_its_version_is_segads(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name != "segad-runtime":
            raise PackageNotFoundError(name)
        return "9.9"

    monkeypatch.setattr(distribution_code, "version", version)
    distribution_code.own_distribution.cache_clear()
    try:
        assert distribution_code.own_version() == "9.9"
    finally:
        distribution_code.own_distribution.cache_clear()


def test_what_it_lacks_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (registry, building):
        monkeypatch.setattr(module, "own_distribution", lambda: "segad-runtime")
    whole = "pip uninstall segad-runtime && pip install segad"
    found = registry.Registry()
    with pytest.raises(PluginError, match=r"'gone'.*segad-runtime has only") as error:
        found.find("datasets", "gone")
    assert error.value.remedy == whole
    builder: Any = SimpleNamespace(container=SimpleNamespace(path="b"), registry=found)
    with pytest.raises(BundleError, match="b: needs plugin 'segad:gone'") as refused:
        building.Builder.component(builder, "detectors", PluginUse(use="segad:gone", version="1"))
    assert "segad export" in refused.value.remedy and whole in refused.value.remedy
