"""Each clause of the hook suite fails for a hook that violates it, and passes sound ones."""

import os
import random
from pathlib import Path

import fakes
import pytest
from builders import workshop, write_recipe
from contract_examples import example_of

from segad_core.plugins import hooks
from segad_core.plugins.registry import Registry
from segad_core.recipe import load_recipe
from segad_core.run import engine
from segad_core.store.store import Store
from segad_core.testing import HookSuite, tell_run
from segad_core.testing.run_events import fit_events, run_events, stopped_events

hookimpl = hooks.hookimpl
Lines = example_of("hook")["Lines"]
"""The hook that the contract shows as its example."""


def hook(**methods):
    marked = {name: hookimpl(method) for name, method in methods.items() if not name.startswith("_")}
    kept = {name.removeprefix("_"): method for name, method in methods.items() if name.startswith("_")}
    return type("Broken", (Lines,), {"__doc__": "A hook that breaks its contract.", **marked, **kept})


def elsewhere(self, folder):
    Path("elsewhere.txt").write_text("x")


def in_the_home(self, folder):
    folder.parent.parent.joinpath("settings.txt").write_text("x")


def beside(self, folder):
    folder.joinpath("mine.txt").write_text("x")


def over(self, folder, files):
    (folder / "results.csv").write_text("auroc\n1.0\n")


def removing(self, files):
    files[0].unlink()


def into_figures(self, figures):
    figures["auroc"] = 1.0


def only_ascii(self, row):
    row.encode("ascii")


def needs_bad_images(self, figures):
    return figures["auroc"] and None


def once(self, folder):
    Path("lines").mkdir()


def needs_a_row(self):
    with Path("lines/rows.jsonl").open():
        pass


def one_file(self, files):
    for path in files:
        path.read_bytes()


def away(self):
    os.chdir("/")


def variable(self):
    os.environ["MY_TRACKER"] = str(random.SystemRandom().random())


def drawing(self):
    random.random()


def answering(self):
    return "seen"


def unknown(self, colour):
    pass


@pytest.mark.parametrize(
    ("cls", "expected"),
    [
        (Lines, ""),
        (hook(run_started=once), "test_a_repeated_run_is_observed"),
        (hook(run_finished=elsewhere), "test_writes_in_its_folder_only"),
        (hook(run_finished=in_the_home), "test_writes_in_its_folder_only"),
        (hook(run_finished=beside), "test_writes_in_its_folder_only test_leaves_the_files_of_the_run_alone"),
        (hook(run_finished=over), "test_leaves_the_files_of_the_run_alone"),
        (hook(run_finished=removing), "test_leaves_the_files_of_the_run_alone"),
        (hook(row_finished=into_figures), "test_a_run_is_observed"),
        (hook(row_finished=only_ascii), "test_a_run_is_observed"),
        (hook(row_finished=needs_bad_images), "test_a_run_is_observed"),
        (hook(run_stopped=unknown), "test_events_are_known_and_marked"),
        (hook(run_painted=drawing), "test_events_are_known_and_marked"),
        (hook(_run_started=lambda self: None), "test_events_are_known_and_marked"),
        (hook(run_stopped=lambda self: 1 / 0), "test_a_run_that_stops_is_observed"),
        (hook(run_finished=one_file), "test_a_bundle_that_is_made_is_observed"),
        (hook(run_finished=needs_a_row), "test_a_bundle_that_is_made_is_observed"),
        (hook(task_started=away), "test_leaves_the_process_as_it_was"),
        (hook(task_started=variable), "test_leaves_the_process_as_it_was"),
        (hook(task_progress=drawing), "test_draws_no_global_randomness"),
        (hook(task_finished=answering), "test_returns_nothing"),
    ],
)
def test_the_suite_finds(check, monkeypatch, cls, expected):
    monkeypatch.setenv("MY_TRACKER", "")  # and is taken back
    here = Path.cwd()
    check(HookSuite, cls, expected)
    assert Path.cwd() == here


def test_temporary_files_may_come_and_go(check):
    def passing(self):
        path = Path("lines.part")
        path.write_text("x")
        path.unlink()

    check(HookSuite, hook(run_started=passing), "")


def test_telling_a_run_tells_all(tmp_path):
    lines = Lines(Lines.Params(folder=tmp_path / "lines"))
    told = tell_run(lines, tmp_path / "run")
    rows = [given for name, given in told if name == "row_finished"]
    assert len(rows) == 12  # two categories, one of them with a held-out type, of two seeds and two rows
    assert len((tmp_path / "lines" / "rows.jsonl").read_text().splitlines()) == 12
    (files,) = (given["files"] for name, given in told if name == "run_finished")
    assert all(path.is_file() for path in files)


class Recorder:
    """Notes what it is told, with all arguments."""

    def __init__(self):
        self.told = []

    @hookimpl
    def run_started(self, title, folder, tasks, work, recipe, digest, categories, seeds):
        self.note("run_started", locals())

    @hookimpl
    def task_started(self, name):
        self.note("task_started", locals())

    @hookimpl
    def task_progress(self, name, what, done, total, note):
        self.note("task_progress", locals())

    @hookimpl
    def task_finished(self, name, seconds, work):
        self.note("task_finished", locals())

    @hookimpl
    def row_finished(self, category, seed, held_out, amount, row, auroc, fpr95, figures):
        self.note("row_finished", locals())

    @hookimpl
    def run_finished(self, folder, table, files):
        self.note("run_finished", locals())

    @hookimpl
    def run_stopped(self, folder, reason):
        self.note("run_stopped", locals())

    def note(self, name, given):
        self.told.append((name, {key: value for key, value in given.items() if key != "self"}))


def shape(told):
    """The events with the types of their arguments, repetitions left out."""
    kinds = [(name, {key: type(value) for key, value in given.items()}) for name, given in told]
    return [one for i, one in enumerate(kinds) if one not in kinds[:i]]


@pytest.fixture
def home(tmp_path, monkeypatch):
    fakes.install(monkeypatch)
    monkeypatch.chdir(tmp_path)
    workshop(tmp_path)
    return tmp_path


def recipe(home):
    """One row, a detector alone that tells its steps."""
    return write_recipe(
        home,
        ("{use: patchcore, params: {coreset_ratio: 0.1, blur_sigma: 1}}", "steps"),
        ("encoder: efficientnet_lite0", "encoder: tinyencoder"),
        ("  - {name: SegAD, detectors: [patchcore]}\n", ""),
    )


def run(path, recorder):
    observers = hooks.manager()
    hooks.add(observers, recorder, "the recorder")
    recipe = load_recipe(str(path), Registry())
    engine.run(recipe, Store(Path("store")), Path("runs"), "cpu", observers.hook)


def test_the_events_are_those_of_the_engine(home):
    recorder = Recorder()
    run(recipe(home), recorder)
    expected = list(run_events(home / "expected"))
    assert {name for name, _ in recorder.told} == {name for name, _ in expected}
    for name, kinds in shape(expected):
        assert (name, kinds) in shape(recorder.told)
    first = [name for name, _ in recorder.told if name != "task_progress"]
    assert first[:3] == ["run_started", "task_started", "task_finished"]
    assert recorder.told[0][0] == "task_progress" and recorder.told[0][1]["name"] == ""
    assert first[-1] == "run_finished"
    assert first[first.index("row_finished") - 1] == "task_finished"


def test_the_run_is_told_as_it_is_written(home):
    recorder = Recorder()
    run(recipe(home), recorder)
    told = dict(recorder.told)
    (folder,) = Path("runs").glob("*/latest")
    assert told["run_started"]["recipe"] == (folder / "recipe.resolved.yaml").read_text()
    assert told["run_started"]["digest"] == str(folder.readlink())
    assert told["run_finished"]["table"] == (folder / "table.md").read_text()
    names = {path.name for path in told["run_finished"]["files"]}
    assert names == {path.name for path in folder.iterdir() if path.suffix not in (".lock", ".log")}
    header, *lines = (folder / "results.csv").read_text().splitlines()
    rows = [given for name, given in recorder.told if name == "row_finished"]
    assert len(rows) == len(lines)
    for given in rows:
        (line,) = [
            cells
            for line in lines
            if (cells := dict(zip(header.split(","), line.split(","), strict=True)))["category"]
            == given["category"]
            and (cells["seed"], cells["row"]) == (str(given["seed"]), given["row"])
        ]
        assert {key: float(line[key]) for key in given["figures"]} == dict(given["figures"])
        with pytest.raises(TypeError):
            given["figures"]["auroc"] = 1.0


def test_a_run_that_stops_is_told_why(home):
    class Stops:
        @hookimpl
        def task_finished(self):
            raise KeyboardInterrupt  # as the user's

    recorder = Recorder()
    observers = hooks.manager()
    hooks.add(observers, recorder, "the recorder")
    observers.register(Stops())
    stopping = load_recipe(str(recipe(home)), Registry())
    with pytest.raises(KeyboardInterrupt):
        engine.run(stopping, Store(Path("store")), Path("runs"), "cpu", observers.hook)
    (stop,) = [given for name, given in recorder.told if name == "run_stopped"]
    assert stop["reason"] == "interrupted"
    assert "run_finished" not in dict(recorder.told)
    assert shape(recorder.told)[-1] == shape(stopped_events(home / "expected"))[-1]


def test_the_events_of_a_bundle_have_the_same_arguments(tmp_path):
    expected = dict(shape(run_events(tmp_path / "run")))
    for name, kinds in shape(fit_events(tmp_path / "bundle")):
        assert set(kinds) == set(expected[name])
