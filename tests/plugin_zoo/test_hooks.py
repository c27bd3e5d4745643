"""Hooks of third parties: told what a run does, and unable to change what comes of it."""

import json
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
    "ends the process when told": CLUMSY.replace("raise RuntimeError", "raise SystemExit"),
    "exits when told": CLUMSY.replace("raise RuntimeError", "__import__('os')._exit"),
    "panics when imported": "raise type('Panic', (BaseException,), {})('no tracker answers')\n",
    "cannot be imported": "import a_library_that_is_not_there\n",
    "cannot be made": "class Clumsy:\n    def __init__(self): raise OSError('no tracker answers')\n",
    "wants what there is not": CLUMSY.replace("def row_finished(self)", "def row_finished(self, rows)"),
    "implements what there is not": CLUMSY.replace("def row_finished", "def row_finish"),
    "wraps others": CLUMSY.replace("@hookimpl", "@hookimpl(wrapper=True)"),
    "is async": CLUMSY.replace("    def ", "    async def "),
    "implements nothing": CLUMSY.replace("    @hookimpl", ""),
}
SAID = {
    "wants what there is not": "row_finished has an argument 'rows', which the event has not - "
    "did you mean 'row'?",
    "implements what there is not": "there is no event 'row_finish' - did you mean 'row_finished'?",
}
WRONG = list(FAILURES)[6:]
"""Those that can be seen without telling it anything."""
COUNTS = '''
from pathlib import Path
from typing import Literal
from pydantic import Field
from segad_core.api import Hook, Parameters, hookimpl


class Counts(Hook):
    """Counts rows."""

    class Params(Parameters):
        """Where to write, and how."""

        folder: Path = Path("counts")
        most: int = Field(9, ge=1)

    rows = 0

    @hookimpl
    def row_finished(self):
        self.rows += 1

    @hookimpl
    def run_finished(self):
        self.params.folder.mkdir()
        (self.params.folder / "rows").write_text(str(min(self.rows, self.params.most)))
'''
COUNTS_PLUGIN = ("counts-hook", "[segad.hooks]\ncounts = counts_module:Counts\n", "counts_module", COUNTS)


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
    house.recipe({"a": "tiny", "b": "tiny"}, more="title: Two rows\nhooks: [notes]\n")
    house.plugin(*NOTES_PLUGIN)
    house.plugin(*COUNTS_PLUGIN)
    house.listed = house.segad("list-plugins", "--json", "--kind", "hooks")
    house.traces_after_listing = house.traces
    house.answer = house.segad("run", "recipe.yaml")
    return house


def files(house, runs="runs", recipe="recipe"):
    """What a run wrote, but for its log, by name."""
    folder = house.home / runs / recipe / "latest"
    found = {
        path.name: path.read_bytes() for path in folder.iterdir() if path.suffix not in (".log", ".lock")
    }
    return {name: data for name, data in found.items() if not name.startswith(".")}


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


def test_a_hook_changes_no_file_of_the_run(watched):
    """Neither one that the recipe names nor one of the command line; the resolved recipe has none."""
    told = (watched.home / "notes.jsonl").read_text()
    answer = watched.segad(
        "run", "recipe.yaml", "--set", "hooks=[]", "--runs", "unwatched", "--store", "fresh"
    )
    assert answer.code == 0, answer.err
    assert (watched.home / "notes.jsonl").read_text() == told
    assert files(watched, "unwatched") == files(watched)
    answer = watched.segad("run", "recipe.yaml", "--hook", "counts", "--runs", "more", "--store", "fresh")
    assert answer.code == 0, answer.err
    assert files(watched, "more") == files(watched)
    runs = [watched.home / name / "recipe" / "latest" for name in ("runs", "unwatched", "more")]
    assert len({path.readlink() for path in runs}) == 1
    assert (watched.home / "counts" / "rows").read_text() == "2"
    assert b"hooks" not in files(watched)["recipe.resolved.yaml"]
    assert b"notes" not in files(watched)["environment.json"]


def test_a_hook_changes_no_byte_of_a_bundle(house):
    house.plugin(*house.TINY)
    house.pictures()
    house.plugin(*COUNTS_PLUGIN)
    recipe = house.recipe({"a": "tiny"})
    bundles = []
    for name, hooks_given in (("one", []), ("two", ["--hook", "counts"])):
        answer = house.segad("fit", recipe, "--category", "parts", "--row", "a", "-o", name, *hooks_given)
        assert answer.code == 0, answer.err
        paths = [path for path in (house.home / name).rglob("*") if path.is_file()]
        bundles.append({path.relative_to(house.home / name): path.read_bytes() for path in paths})
    assert (house.home / "counts" / "rows").read_text() == "0"  # it was told, and fit measures no row
    assert bundles[0] == bundles[1]


def test_an_installed_hook_that_nobody_chose_is_not_imported(house):
    house.plugin(*house.TINY)
    house.pictures()
    house.plugin(*NOTES_PLUGIN)
    recipe = house.recipe({"a": "tiny"})
    for command in ("check", "run"):
        answer = house.segad(command, recipe)
        assert answer.code == 0, answer.err
    assert house.traces == {"tiny_module"}
    assert not (house.home / "notes.jsonl").exists()


def test_parameters_of_hooks_are_checked_with_the_rest_of_the_recipe(house):
    house.plugin(*house.TINY)
    house.pictures()
    house.plugin(*COUNTS_PLUGIN)
    house.plugin(*NOTES_PLUGIN)
    recipe = house.recipe(
        {"a": "tiny"}, more="hooks: [{use: counts, params: {most: 0}}, {use: notes, params: {loud: true}}]\n"
    )
    answer = house.segad("check", recipe, "--hook", "{use: counts, params: {folder: here, most: x}}")
    assert answer.code == 2
    assert "recipe.yaml:" in answer.err and "hooks[0].params.most" in answer.err and "(got 0)" in answer.err
    assert "unknown key 'loud'" in answer.err
    (line,) = [line for line in answer.err.splitlines() if "--hook {use: counts" in line]
    assert "(got 'x')" in line


def test_a_hook_that_is_not_installed_is_named_with_a_near_name(house):
    house.plugin(*house.TINY)
    house.pictures()
    house.plugin(*COUNTS_PLUGIN)
    answer = house.segad("run", house.recipe({"a": "tiny"}), "--hook", "count")
    assert answer.code == 2
    assert "--hook count" in answer.err and "'counts'" in answer.err


def test_parameters_come_from_the_command_line(house):
    house.plugin(*house.TINY)
    house.pictures()
    house.plugin(*COUNTS_PLUGIN)
    recipe = house.recipe({"a": "tiny", "b": "tiny"}, more="hooks: [counts-hook:counts]\n")
    answer = house.segad("run", recipe, "--hook", "{use: counts, params: {folder: other, most: 1}}")
    assert answer.code == 0, answer.err
    assert [(house.home / name / "rows").read_text() for name in ("counts", "other")] == ["2", "1"]


@pytest.fixture(scope="module")
def unwatched(houses):
    """What a run writes that no hook watches."""
    house = houses("unwatched")
    house.plugin(*house.TINY)
    house.pictures()
    assert house.segad("run", house.recipe({"a": "tiny"})).code == 0
    return results(house)


def results(house):
    """What a run wrote that does not name its folders."""
    return {name: data for name, data in files(house).items() if name != "recipe.resolved.yaml"}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_hook_that_fails_stops_nothing(house, unwatched, failure):
    house.plugin(*house.TINY)
    house.pictures()
    recipe = house.recipe({"a": "tiny"}, more="hooks: [clumsy, notes]\n")
    house.plugin(*CLUMSY_PLUGIN, FAILURES[failure])
    house.plugin(*NOTES_PLUGIN)
    checked = house.segad("check", recipe)
    assert checked.code == ("when told" not in failure), checked.err
    answer = house.segad("run", recipe)
    assert answer.code == 0, answer.err
    assert results(house) == unwatched
    assert [what for what, _ in notes(house)] == ["run_started", "row_finished", "run_finished"]

    # said once, with whose it is and why; by check too, if it need not be told anything to see it
    assert answer.err.count("hook 'clumsy' (clumsy-one 1.2)") == 1
    assert checked.err.count("hook 'clumsy' (clumsy-one 1.2)") == ("when told" not in failure)
    assert "Traceback" not in answer.err + checked.err


@pytest.mark.parametrize("failure", WRONG)
def test_a_check_names_a_hook_that_cannot_work(house, failure):
    house.plugin(*CLUMSY_PLUGIN, FAILURES[failure])
    checked = house.segad("list-plugins", "--check", "--json", "--kind", "hooks")
    assert checked.code == 1
    line = checked.plugins()["hooks", "clumsy-one:clumsy"]
    assert line["status"] == "broken"
    if failure in SAID:
        assert line["about"] == SAID[failure]


def test_a_check_says_what_hooks_of_the_contract_lack(house):
    unmarked = COUNTS.replace("    @hookimpl\n    def row", "    def row").replace(
        "Params(Parameters)", "Params"
    )
    house.plugin(*COUNTS_PLUGIN[:3], unmarked.replace("9, ge=1", "9"))
    checked = house.segad("list-plugins", "--check", "--json", "--kind", "hooks")
    about = checked.plugins()["hooks", "counts-hook:counts"]["about"]
    assert "row_finished" in about and "@hookimpl" in about and "Params" in about


def test_the_suite_of_an_installed_hook_is_run(house):
    house.plugin(*COUNTS_PLUGIN)
    house.plugin(*NOTES_PLUGIN)
    tested = house.segad("plugin", "test", "counts", "--clause", "observed")
    assert tested.code == 1  # its folder must not exist, so a second run fails
    assert "failed: test_a_repeated_run_is_observed" in tested.out and "3 of 4" in tested.out
    older = house.segad("plugin", "test", "notes")
    assert older.code == 1
    assert "failed: import" in older.out and "segad_core.api.Hook" in older.out


def test_no_plugins_leaves_hooks_out(house):
    house.plugin(*NOTES_PLUGIN)
    house.pictures()
    recipe = house.recipe({"one": "nothing"}, more="hooks: [notes]\n")
    answer = house.segad("run", recipe, "--no-plugins")
    assert answer.code == 2
    assert "hooks[0].use" in answer.err
    assert not house.segad("list-plugins", "--no-plugins", "--json", "--kind", "hooks").plugins()
    assert not house.traces
