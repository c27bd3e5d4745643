"""The pages about writing plugins work as written, from an empty folder to a run that uses the plugin."""

import json
import re
import shutil
from pathlib import Path

import pytest
from followed_pages import follow, steps, unfollowed

from segad_core.contracts import KINDS

FOLDER = Path(__file__).parents[2] / "docs" / "plugins"
KIND_PAGES = [FOLDER / f"{kind}.md" for kind in KINDS]
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
@pytest.mark.parametrize("page", KIND_PAGES, ids=lambda page: page.stem)
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


def executors_ran_two_tasks_at_once(home):
    log = (home / "runs" / "parts" / "latest" / "run.log").read_text()
    before, _, _ = log.partition(": finished in")
    assert re.findall(r"seed (\d): fit: started", before) == ["0", "1"]


def defects_were_all_that_was_learnt(home):
    splits = json.loads((home / "runs" / "parts" / "latest" / "splits.json").read_text())
    split = splits["parts"]["0"]
    bad = [purpose for purpose in ("detectors", "final", "test") if "bad/" in str(split[purpose])]
    assert bad == ["test"]
    assert (home / "look.png").is_file()


MORE = {
    "defects": defects_were_all_that_was_learnt,
    "executors": executors_ran_two_tasks_at_once,
    "hooks": hooks_left_lines,
}
"""What is true after a page was followed, beside what it shows."""


def test_the_index_links_every_kind():
    linked = re.findall(r"^\| \[(\w+)\]\(\1\.md\)", INDEX.read_text(), re.MULTILINE)
    assert sorted(linked) == sorted(KINDS)


def test_every_block_of_code_is_followed():
    for page in [*KIND_PAGES, INDEX]:
        assert not unfollowed(page.read_text()), page.name
    tested_elsewhere = {FOLDER / "versions.md"}  # by test_contract_version
    others = {*FOLDER.glob("*.md")} - {*KIND_PAGES, INDEX} - tested_elsewhere
    assert not [page.name for page in others if "```python" in page.read_text()]


def test_a_page_of_a_kind_has_what_all_have():
    for page in KIND_PAGES:
        text = page.read_text()
        files = {what for kind, what, _ in steps(text) if kind != "command"}
        assert {"pyproject.toml"} < files, page.name
        assert KINDS[page.stem].__name__ + "Suite" in text, page.name


@pytest.mark.parametrize("page", sorted(FOLDER.glob("*.md")), ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", page.read_text())):
        if not link.startswith("http"):
            name, _, heading = link.partition("#")
            target = page.parent / name if name else page
            assert target.exists(), link
            assert not heading or heading in _headings(target), link


def _headings(page):
    """The anchors of a page, as they are made of headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
