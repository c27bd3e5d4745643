"""Hooks of third parties: told what a run does, and unable to change what comes of it."""

import json
import shutil
import textwrap

import pytest

from segad_core.plugins import hooks

NOTES = '''
import json, os, pathlib
from segad_core.api import hookimpl

pathlib.Path(os.environ["ZOO_TRACES"], __name__).touch()


class Notes:
    """Writes down what it is told."""

    def note(self, what, **told):
        with open("notes.jsonl", "a") as file:
            file.write(json.dumps([what, told], default=str) + "\\n")

    @hookimpl
    def run_started(self, title, folder, tasks):
        self.note("run_started", title=title, folder=folder, tasks=tasks)

    @hookimpl
    def row_finished(self, category, seed, row, auroc, fpr95):
        self.note("row_finished", category=category, seed=seed, row=row, auroc=auroc, fpr95=fpr95)

    @hookimpl
    def run_finished(self, folder):
        self.note("run_finished", folder=folder)
'''
CLUMSY = '''
from segad_core.api import hookimpl


class Clumsy:
    """Fails at everything that it is told."""

    @hookimpl
    def run_started(self):
        raise RuntimeError("no tracker answers")

    @hookimpl
    def task_progress(self):
        raise RuntimeError("no tracker answers")

    @hookimpl
    def row_finished(self):
        raise RuntimeError("no tracker answers")

    @hookimpl
    def run_finished(self):
        raise RuntimeError("no tracker answers")
'''
NOTES_PLUGIN = ("notes", "[segad.hooks]\nnotes = notes_module:Notes\n", "notes_module", NOTES)
CLUMSY_PLUGIN = ("clumsy-one", "[segad.hooks]\nclumsy = clumsy_module:Clumsy\n", "clumsy_module")
FAILURES = {
    "raises when told": CLUMSY,
    "cannot be imported": "import a_library_that_is_not_there\n",
    "cannot be made": "class Clumsy:\n    def __init__(self): raise OSError('no tracker answers')\n",
    "wants what there is not": CLUMSY.replace("def row_finished(self)", "def row_finished(self, colour)"),
    "implements what there is not": CLUMSY.replace("def row_finished", "def row_painted"),
}


def test_the_example_in_the_docstring_is_an_observer(capsys):
    names = {}
    exec(textwrap.dedent(hooks.__doc__.partition("An example:\n")[2]), names)
    assert not hooks.problems(names["Printer"])
    plugins = hooks.manager()
    hooks.add(plugins, names["Printer"], "the example")
    plugins.hook.task_finished(name="a task", seconds=1.5, work=1)
    assert capsys.readouterr().out == "a task 1.5\n"


@pytest.fixture(scope="module")
def watched(houses):
    """A house after a run that a hook watched."""
    house = houses("watched")
    house.plugin(*house.TINY)
    house.pictures()
    house.recipe({"a": "tiny", "b": "tiny"}, more="title: Two rows\n")
    house.plugin(*NOTES_PLUGIN)
    house.listed = house.segad("list-plugins", "--json", "--kind", "hooks")
    house.traces_after_listing = house.traces
    house.answer = house.segad("run", "recipe.yaml")
    return house


def written(house, runs="runs"):
    folder = house.home / runs / "recipe" / "latest"
    return [(folder / name).read_bytes() for name in ("results.csv", "scores.csv")]


def notes(house):
    return [json.loads(line) for line in (house.home / "notes.jsonl").read_text().splitlines()]


def test_a_hook_is_listed_and_not_imported(watched):
    line = watched.listed.plugins()["hooks", "notes:notes"]
    assert (line["version"], line["status"]) == ("1.2", "found")
    assert not watched.traces_after_listing


def test_a_hook_sees_the_run(watched):
    assert watched.answer.code == 0, watched.answer.err
    told = notes(watched)
    assert [what for what, _ in told] == ["run_started", "row_finished", "row_finished", "run_finished"]
    digest = (watched.home / "runs" / "recipe" / "latest").readlink()
    folder = str(watched.home / "runs" / "recipe" / digest)
    start, end = told[0][1], told[-1][1]
    assert start["title"] == "Two rows"
    assert start["tasks"] >= 3
    assert {start["folder"], end["folder"]} <= {folder, f"runs/recipe/{digest}"}


def test_a_hook_sees_the_figures_that_are_written(watched):
    results = watched.results("recipe")
    rows = [told for what, told in notes(watched) if what == "row_finished"]
    assert [row["row"] for row in rows] == ["a", "b"]
    for row in rows:
        written = results[row["row"]]
        assert (row["category"], row["seed"]) == ("parts", 0)
        assert row["auroc"] == float(written["auroc"])
        assert row["fpr95"] == float(written["fpr95"])


def test_a_hook_changes_no_result(watched):
    shutil.rmtree(next((watched.home / "path").glob("notes-*.dist-info")))
    answer = watched.segad("run", "recipe.yaml", "--runs", "unwatched", "--store", "fresh")
    assert answer.code == 0, answer.err
    assert written(watched, "unwatched") == written(watched)


@pytest.fixture(scope="module")
def unwatched(houses):
    """What a run writes that no hook watches."""
    house = houses("unwatched")
    house.plugin(*house.TINY)
    house.pictures()
    assert house.segad("run", house.recipe({"a": "tiny"})).code == 0
    return written(house)


@pytest.mark.parametrize("failure", FAILURES)
def test_a_hook_that_fails_stops_nothing(house, unwatched, failure):
    house.plugin(*house.TINY)
    house.pictures()
    recipe = house.recipe({"a": "tiny"})
    house.plugin(*CLUMSY_PLUGIN, FAILURES[failure])
    house.plugin(*NOTES_PLUGIN)
    answer = house.segad("run", recipe)
    assert answer.code == 0, answer.err
    assert written(house) == unwatched
    assert [what for what, _ in notes(house)] == ["run_started", "row_finished", "run_finished"]

    # said once, with whose it is and why
    assert answer.err.count("clumsy-one 1.2") == 1
    assert "Error: " in answer.err
    assert "Traceback" not in answer.err


@pytest.mark.parametrize("failure", list(FAILURES)[3:])
def test_a_check_names_a_hook_that_cannot_work(house, failure):
    house.plugin(*CLUMSY_PLUGIN, FAILURES[failure])
    checked = house.segad("list-plugins", "--check", "--json", "--kind", "hooks")
    assert checked.code == 1
    assert checked.plugins()["hooks", "clumsy-one:clumsy"]["status"] == "broken"


def test_no_plugins_leaves_hooks_out(house):
    house.plugin(*NOTES_PLUGIN)
    house.pictures()
    recipe = house.recipe({"one": "nothing"})
    assert house.segad("run", recipe, "--no-plugins").code == 2
    assert not house.segad("list-plugins", "--no-plugins", "--json", "--kind", "hooks").plugins()
    assert not house.traces
