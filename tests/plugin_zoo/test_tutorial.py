"""The tutorial works as it stands: its files are written, its commands run, its output looked for."""

import re
from pathlib import Path

import pytest

TUTORIAL = Path(__file__).parents[2] / "docs" / "how-to" / "write_a_detector.md"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def steps(text):
    """The tutorial's files and commands, in order.

    A block of code is the content of the file that the paragraph before it names last. In a block of the
    console a line that begins with `$` is a command, and what follows up to the next is its output.
    """
    for block in _BLOCK.finditer(text):
        language, content = block.groups()
        if language == "console":
            for part in content.removeprefix("$ ").split("\n$ "):
                command, *output = part.splitlines()
                yield "command", command, output
        else:
            yield "file", re.findall(r"`([\w/]+\.\w+)`", text[: block.start()])[-1], content


def words(line):
    return " ".join(line.split())


@pytest.mark.slow
def test_the_tutorial_works(environments):
    house = environments("tutorial")
    house.pictures(good=20, bad=10, size=64)
    done = []
    for kind, what, content in steps(TUTORIAL.read_text()):
        if kind == "file":
            path = house.home / what
            path.parent.mkdir(exist_ok=True)
            path.write_text(content)
        elif what == "pip install -e .":
            house.pip("install", "--no-build-isolation", "--no-index", "--no-deps", "-e", house.home)
        else:
            program, *arguments = what.split()
            module = {"segad": "segad_core.cli", "pytest": "pytest"}[program]
            answer = house.run("-m", module, *arguments)
            assert answer.code == 0, f"{what}\n{answer.out}{answer.err}"
            shown = {words(line) for line in answer.out.splitlines()}
            assert {words(line) for line in content} <= shown, f"{what}\n{answer.out}"
        done.append(what)
    assert done == [
        "segad_median.py",
        "pyproject.toml",
        "pip install -e .",
        "segad list-plugins --kind detectors --check",
        "tests/test_segad_median.py",
        "pytest tests",
        "parts.yaml",
        "segad check parts.yaml",
        "segad run parts.yaml",
    ]
    assert set(house.results("parts")) == {"Median", "Median (max)", "Median + SegAD"}
    assert float(house.results("parts")["Median"]["auroc"]) > 0.99


@pytest.mark.slow
def test_the_comparison_that_the_tutorial_suggests_computes_only_what_is_new(environments):
    house = environments("comparison")
    house.pictures(good=20, bad=10, size=64)
    files = {what: content for kind, what, content in steps(TUTORIAL.read_text()) if kind == "file"}
    house.plugin("segad-median", "[segad.detectors]\nmedian_image = segad_median:MedianImage\n")
    (house.home / "path" / "segad_median.py").write_text(files["segad_median.py"])
    recipe = house.home / "parts.yaml"
    recipe.write_text(files["parts.yaml"])
    assert house.segad("run", "parts.yaml").code == 0

    text = recipe.read_text().replace("detectors:\n  mean", "detectors:\n  patchcore: patchcore\n  mean")
    text += "  - {name: PatchCore, score: patchcore}\nencoder: efficientnet_lite0\n"
    recipe.write_text(text)
    # per seed: PatchCore fitted, its scores, and its row
    assert house.left("parts.yaml") == 6
