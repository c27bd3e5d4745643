"""The tutorial works as written: its files are created, its commands run, and their output is compared."""

from pathlib import Path

import pytest
from followed_pages import follow, steps

TUTORIAL = Path(__file__).parents[2] / "docs" / "how-to" / "write_a_detector.md"


@pytest.mark.slow
def test_the_tutorial_works(environments):
    house = environments("tutorial")
    house.pictures(good=20, bad=10, size=64)
    done = follow(TUTORIAL, house)
    assert done == [
        "segad_median/image.py",
        "pyproject.toml",
        "pip install -e .",
        "segad list-plugins --kind detectors --check",
        "segad plugin test median_image",
        "tests/test_image.py",
        "pytest tests",
        "parts.yaml",
        "segad check parts.yaml",
        "segad run parts.yaml",
        "segad check parts.yaml --set detectors.max.params.channels=min",
        "segad_median/features.py",
        "pyproject.toml",
        "tests/test_features.py",
        "pip install -e .",
        "pytest tests",
        "compare.yaml",
        "segad run compare.yaml",
    ]
    parts, compare = (house.results(name) for name in ("parts", "compare"))
    assert set(parts) == {"Median", "Median (max)", "Median + SegAD"}
    assert set(compare) == {"Median", "Median of features", "PatchCore", "All + SegAD"}
    assert float(parts["Median"]["auroc"]) > 0.99
    assert compare["Median"]["auroc"] == parts["Median"]["auroc"]


@pytest.mark.slow
def test_the_second_recipe_of_the_tutorial_computes_only_what_is_new(house):
    house.pictures(good=20, bad=10, size=64)
    files = {what: content for kind, what, content in steps(TUTORIAL.read_text()) if kind == "file"}
    entry_points = (
        "[segad.detectors]\n"
        "median_image = segad_median.image:MedianImage\n"
        "median_features = segad_median.features:MedianFeatures\n"
    )
    house.plugin("segad-median", entry_points)
    (house.home / "path" / "segad_median").mkdir()
    for name in ("segad_median/image.py", "segad_median/features.py"):
        (house.home / "path" / name).write_text(files[name])
    for name in ("parts.yaml", "compare.yaml"):
        (house.home / name).write_text(files[name])
    before = house.left("compare.yaml")
    assert house.segad("run", "parts.yaml").code == 0
    # per seed: `mean` fitted, its scores, its statistics within segments, and its row
    assert house.left("compare.yaml") == before - 8
