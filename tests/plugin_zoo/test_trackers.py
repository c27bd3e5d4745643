"""The trackers beside segad, as far as they go without their libraries; their own tests need these."""

import importlib.util
import re
import shutil
import sys
import tomllib
from pathlib import Path

import pytest

from segad_core.plugins.registry import Provider, contract_problems

ROOT = Path(__file__).parents[2]
TRACKERS = {"segad-mlflow": "mlflow", "segad-tensorboard": "tensorboard"}


def project(distribution):
    return tomllib.loads((ROOT / "plugins" / distribution / "pyproject.toml").read_text())["project"]


@pytest.fixture(params=TRACKERS)
def distribution(request):
    return request.param


def test_a_tracker_keeps_its_contract_where_its_library_is_absent(distribution, monkeypatch):
    (target,) = project(distribution)["entry-points"]["segad.hooks"].values()
    module, _, name = target.partition(":")
    for library in ("mlflow", "tensorboard", "torch.utils.tensorboard"):
        monkeypatch.setitem(sys.modules, library, None)
    path = ROOT / "plugins" / distribution / Path(*module.split(".")).with_suffix(".py")
    spec = importlib.util.spec_from_file_location(module, path)
    loaded = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, module, loaded)
    spec.loader.exec_module(loaded)
    hook = getattr(loaded, name)
    provider = Provider("hooks", TRACKERS[distribution], distribution, "0.1.0", target)
    assert contract_problems(provider, hook) == []
    readme = (ROOT / "plugins" / distribution / "README.md").read_text()
    documented = re.findall(r"^\| `(\w+)` \|.*\| `(.*)` \|$", readme, re.MULTILINE)
    assert [name for name, _ in documented] == list(hook.Params.model_fields)
    defaults = hook.Params().model_dump(mode="json")
    shown = {name: str(value).replace("'", "") for name, value in defaults.items()}
    assert dict(documented) == {n: v.lower() if v == "True" else v for n, v in shown.items()}


def test_a_run_goes_on_where_the_library_is_absent(house, distribution):
    name = TRACKERS[distribution]
    package = distribution.replace("-", "_")
    house.plugin(*house.TINY)
    house.pictures()
    points = "".join(f"{k} = {v}\n" for k, v in project(distribution)["entry-points"]["segad.hooks"].items())
    house.plugin(distribution, f"[segad.hooks]\n{points}", version="0.1.0")
    shutil.copytree(ROOT / "plugins" / distribution / package, house.home / "path" / package)
    for library in ("mlflow", "tensorboard"):
        (house.home / "path" / f"{library}.py").write_text("raise ImportError('not here')\n")
    answer = house.segad("run", house.recipe({"a": "tiny"}), "--hook", name)
    assert answer.code == 0, answer.err
    assert answer.err.count(f"hook '{name}' ({distribution} 0.1.0): run_started: ") == 1
    assert answer.err.count("told nothing more") == 1
