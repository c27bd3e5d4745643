"""What a plugin's code makes is made again when the code, or a helper beside it, has changed."""

import pytest

MODULE = """
{imports}
from segad_core.api import Detector
import numpy as np


class Scaled(Detector):
    "The brightness, scaled by a helper."

    def fit(self, images, run): pass
    def anomaly_maps(self, batch): return batch.pixels.mean(-1).astype(np.float32) * factor()
    def state(self): return {{"nothing": np.zeros(1)}}
    def restore(self, state): pass
"""
HELPER = "def factor(): return {factor}\n"


@pytest.mark.parametrize(
    ("target", "module", "imports"),
    [
        pytest.param("scaled.detector", "detector", "from .helper import factor", id="module, relative"),
        pytest.param(
            "scaled.detector", "detector", "from scaled.helper import factor", id="module, absolute"
        ),
        pytest.param("scaled.detector", "detector", "from scaled import factor", id="module"),
        pytest.param("scaled", "__init__", "from scaled.helper import factor", id="package, absolute"),
        pytest.param("scaled", "__init__", "from .helper import factor", id="package, relative"),
    ],
)
def test_a_changed_helper_gives_new_keys(house, target, module, imports):
    sources = {"__init__": "from .helper import factor\n", module: MODULE.format(imports=imports)}
    sources["helper"] = HELPER.format(factor=2)
    house.plugin("scaled", f"[segad.detectors]\nscaled = {target}:Scaled\n")
    folder = house.home / "path" / "scaled"
    folder.mkdir()
    for name, source in sources.items():
        (folder / f"{name}.py").write_text(source)
    house.pictures()
    recipe = house.recipe({"scaled": "scaled"})
    assert house.segad("run", recipe).code == 0
    assert house.left(recipe) == 0

    (folder / "helper.py").write_text(HELPER.format(factor=3))
    assert house.left(recipe) == 3


BESIDE = "from beside import factor"
HIDDEN = "import importlib\nfactor = importlib.import_module('bes' + 'ide').factor"


@pytest.mark.parametrize(
    ("imports", "metadata"),
    [
        pytest.param(BESIDE, "", id="unknown to the metadata"),
        pytest.param(HIDDEN, "top_level.txt", id="imported by name, in top_level.txt"),
        pytest.param(HIDDEN, "RECORD", id="imported by name, in RECORD"),
    ],
)
def test_a_changed_module_beside_a_single_module_plugin_gives_new_keys(house, imports, metadata):
    info = house.plugin(
        "scaled", "[segad.detectors]\nscaled = scaled:Scaled\n", "scaled", MODULE.format(imports=imports)
    )
    files = ["scaled.py", "beside.py", "scaled-1.2.dist-info/METADATA"]
    if metadata == "RECORD":
        (info / metadata).write_text("".join(f"{file},,\n" for file in files))
    elif metadata:
        (info / metadata).write_text("scaled\nbeside\n")
    beside = house.home / "path" / "beside.py"
    beside.write_text(HELPER.format(factor=2))
    house.pictures()
    recipe = house.recipe({"scaled": "scaled"})
    assert house.segad("run", recipe).code == 0
    assert house.left(recipe) == 0
    beside.write_text(HELPER.format(factor=3) + "# a remark\n")
    assert house.left(recipe) == 3


def test_any_module_of_the_distribution_gives_new_keys_but_no_other_distribution(house):
    house.plugin("scaled", "[segad.detectors]\nscaled = scaled.detector:Scaled\n")
    folder = house.home / "path" / "scaled"
    (folder / "deep").mkdir(parents=True)
    imports = "import importlib\nfactor = importlib.import_module('scaled.deep.helper').factor"
    sources = {
        "__init__": "",
        "detector": MODULE.format(imports=imports),
        "deep/helper": HELPER.format(factor=2),
    }
    for name, source in sources.items():
        (folder / f"{name}.py").write_text(source)
    house.plugin("other", "[segad.detectors]\nother = other_module:Scaled\n", "other_module", HELPER)
    house.pictures()
    recipe = house.recipe({"scaled": "scaled"})
    assert house.segad("run", recipe).code == 0
    (house.home / "path" / "other_module.py").write_text("1 / 0")
    assert house.left(recipe) == 0
    (folder / "deep" / "helper.py").write_text(HELPER.format(factor=3))
    assert house.left(recipe) == 3


def test_a_plugin_without_source_is_computed_anew_and_says_so(house):
    maker = "made = {'__name__': 'nowhere'}\nexec(SOURCE, made)\nScaled = made['Scaled']\n"
    source = MODULE.format(imports="def factor(): return 2")
    house.plugin(
        "scaled", "[segad.detectors]\nscaled = scaled:Scaled\n", "scaled", f"SOURCE = {source!r}\n{maker}"
    )
    house.pictures()
    recipe = house.recipe({"scaled": "scaled"})
    answer = house.segad("run", recipe)
    assert answer.code == 0, answer.err
    assert "detector 'scaled' (scaled 1.2): results are computed anew by each command" in answer.err
    assert "nowhere" in answer.err
    assert house.left(recipe) == 3
