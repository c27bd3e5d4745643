"""The pages about writing plugins work as written, from an empty folder to a run that uses the plugin."""

import json
import re
import shutil
from pathlib import Path

import pytest
from followed_pages import follow, steps

from segad_core.contracts import KINDS

FOLDER = Path(__file__).parents[2] / "docs" / "plugins"
FOLLOWED = [page for kind in KINDS if (page := FOLDER / f"{kind}.md").is_file()]
INDEX = FOLDER / "index.md"


@pytest.fixture(scope="module")
def python(environments):
    """The Python in which the plugins of all pages are installed; its folder has the pictures they read."""
    house = environments("pages")
    assert follow(INDEX, house) == [
        "segad plugin new detectors my_detector",
        "draw_parts.py",
        "python draw_parts.py",
    ]
    return house


@pytest.mark.slow
@pytest.mark.parametrize("page", FOLLOWED, ids=lambda page: page.stem)
def test_the_page_works(python, tmp_path, page):
    shutil.copytree(python.home / "parts", tmp_path / "parts")
    house = python.at(tmp_path)
    done = follow(page, house, house.develop if page.stem != "detectors" else None)
    assert "pytest tests" in done
    assert f"segad list-plugins --kind {page.stem} --check" in done
    assert [what for what in done if what.startswith("segad run ")]
    MORE.get(page.stem, lambda home: None)(tmp_path)


def hooks_left_lines(home):
    (path,) = (home / "lines").iterdir()
    assert path.stem == (home / "runs" / "parts" / "latest").readlink().name
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["seed"], line["row"]) for line in lines] == 2 * [(0, "PatchCore"), (1, "PatchCore")]
    fpr95, auroc = [line["figure"] for line in lines[:2]], [line["figure"] for line in lines[2:]]
    assert max(fpr95) < 0.7 < min(auroc)


MORE = {"hooks": hooks_left_lines}
"""What is true after a page was followed, beside what it shows."""


def test_every_kind_has_a_page():
    linked = set(re.findall(r"^\| \[(\w+)\]\(\1\.md\)", INDEX.read_text(), re.MULTILINE))
    assert linked == set(KINDS)


def test_all_python_is_followed():
    """Blocks of other pages would not be noticed if they were wrong."""
    others = {*FOLDER.glob("*.md")} - {*FOLLOWED, INDEX}
    assert not [page.name for page in others if "```python" in page.read_text()]
    for page in [*FOLLOWED, INDEX]:
        text = page.read_text()
        assert len(list(steps(text))) >= text.count("\n```") // 2
