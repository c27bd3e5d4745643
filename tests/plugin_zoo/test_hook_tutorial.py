"""The page about hooks works as written, from a distribution to a run that its hook observes."""

import json
from pathlib import Path

import pytest
from followed_pages import follow

from segad_core.plugins.hooks import Observer

PAGE = Path(__file__).parents[2] / "docs" / "plugins" / "hooks.md"


def test_the_page_lists_every_event_with_its_arguments():
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    listed = [[name.strip(" `") for name in line.replace("(Markdown)", "").split("|")[1:3]] for line in rows]
    told = {name: arguments.replace(" (resolved, YAML)", "").replace("`", "") for name, arguments in listed}
    events = {name: event for name, event in vars(Observer).items() if not name.startswith("_")}
    for name, event in events.items():
        arguments = event.__code__.co_varnames[1 : event.__code__.co_argcount]
        assert told[name].replace(" ", "").split(",") == list(arguments), name


@pytest.mark.slow
def test_the_page_works(environments):
    house = environments("hooks")
    house.pictures(good=20, bad=10, size=64)
    assert follow(PAGE, house) == [
        "segad_figures/lines.py",
        "pyproject.toml",
        "pip install -e .",
        "segad list-plugins --kind hooks --check",
        "tests/test_lines.py",
        "pytest tests",
        "parts.yaml",
        "segad check parts.yaml",
        "segad run parts.yaml",
        "segad run parts.yaml --set hooks=[] --hook lines",
        "segad check parts.yaml --hook linse",
    ]
    (path,) = (house.home / "lines").iterdir()
    assert path.stem == (house.home / "runs" / "parts" / "latest").readlink().name
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["seed"], line["row"]) for line in lines] == 2 * [(0, "PatchCore"), (1, "PatchCore")]
    fpr95, auroc = [line["figure"] for line in lines[:2]], [line["figure"] for line in lines[2:]]
    assert max(fpr95) < 0.5 < min(auroc)
