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
