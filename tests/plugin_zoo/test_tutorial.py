"""The tutorial works as written: its files are created, its commands run, and their output is compared."""

import re
from pathlib import Path

import pytest

TUTORIAL = Path(__file__).parents[2] / "docs" / "how-to" / "write_a_detector.md"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def steps(text):
    """The tutorial's files and commands, in order.

    A block of code is the content of the file that was named last; it is appended to the file if the
    paragraph before it begins with "Append". In a console block, lines that begin with `$` are commands, each
    followed by its output.
    """
    for block in _BLOCK.finditer(text):
        language, content = block.groups()
        before = text[: block.start()]
        if language == "console":
            for part in content.removeprefix("$ ").split("\n$ "):
                command, *output = part.splitlines()
                yield "command", command, output
        else:
            kind = "more" if before.rstrip().rpartition("\n")[2].startswith("Append") else "file"
            yield kind, re.findall(r"`([\w/]+\.\w+)`", before)[-1], content


def words(line):
    return " ".join(line.split())


@pytest.mark.slow
def test_the_tutorial_works(environments):
    house = environments("tutorial")
    house.pictures(good=20, bad=10, size=64)
    done = []
    for kind, what, content in steps(TUTORIAL.read_text()):
        if kind != "command":
            path = house.home / what
            path.parent.mkdir(exist_ok=True)
            path.write_text((path.read_text() if kind == "more" else "") + content)
        elif what == "pip install -e .":
            house.pip("install", "--no-build-isolation", "--no-index", "--no-deps", "-e", house.home)
        else:
            program, *arguments = what.split()
            module = {"segad": "segad_core.cli", "pytest": "pytest"}[program]
            answer = house.run("-m", module, *arguments)
            fails = any(line.startswith("error:") for line in content)
            assert answer.code == (2 if fails else 0), f"{what}\n{answer.out}{answer.err}"
            shown = {words(line) for line in (answer.out + answer.err).splitlines()}
            assert {words(line) for line in content} <= shown, f"{what}\n{answer.out}{answer.err}"
        done.append(what)
    assert done == [
        "segad_median/image.py",
        "pyproject.toml",
        "pip install -e .",
        "segad list-plugins --kind detectors --check",
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
