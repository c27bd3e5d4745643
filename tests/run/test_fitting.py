"""Trainings in the store: artifacts made once, checkpoints that are taken up, and what is checked before."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import fakes
import numpy as np
import pytest
import yaml
from builders import data_set, kinds, run_command, said, segad
from filelock import FileLock
from filelock import Timeout as Held
from PIL import Image
from safetensors.numpy import load

import segad_core.run.prepare
import segad_core.store.store
from segad_core.base.decoding import Decoding
from segad_core.contracts import Arrays, ImageSet, Run
from segad_core.contracts.run import artifact_seed
from segad_core.errors import DataError, StoreError
from segad_core.images import decode, resize
from segad_core.plugins.registry import Registry
from segad_core.recipe import load_recipe
from segad_core.run.cells import FitTask
from segad_core.run.fit import STATE
from segad_core.run.prepare import prepare
from segad_core.run.tasks import execute
from segad_core.store import checkpoints
from segad_core.store.store import Store
from segad_core.testing import TinyEncoder

SIZE = (40, 56)
SHARING: dict[str, Any] = {"use": "steps", "params": {"shared": "x"}}


class Killed(KeyboardInterrupt):
    """The end of a process."""


class Told(list[tuple[str, int, int, str]]):
    """Progress that is kept; what is told under a name at a step ends the process."""

    def __init__(self, kill: tuple[str, int] = ("", 0)) -> None:
        super().__init__()
        self.kill = kill

    def __call__(self, what: str, done: int, total: int, note: str = "") -> None:
        self.append((what, done, total, note))
        if (what, done) == self.kill:
            raise Killed

    def steps(self, what: str) -> list[int]:
        """The steps that were done of something."""
        return [done for name, done, _, _ in self if name == what]


class Home:
    """A folder with a data set, a store, and the recipes that a test writes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.store = Store(path / "store")
        data_set(path / "data")

    def recipe(self, detectors: dict[str, Any], rows: list[str] | None = None, **changes: Any) -> Path:
        """A recipe with a row for each detector, or for some."""
        recipe = {
            "segad": 1,
            "dataset": {"use": "folder", "params": {"root": "data"}},
            "image": {"size": list(SIZE)},
            "batch_size": 4,
            "encoder": "tinyencoder",
            "split": {"seeds": [0], "test": {"good": 4, "bad": 3}, "detectors": {"good": 6}},
            "detectors": detectors,
            "rows": [{"name": alias, "score": alias} for alias in rows or detectors],
            **changes,
        }
        path = self.path / "recipe.yaml"
        path.write_text(yaml.safe_dump(recipe))
        return path

    def fits(self, detectors: dict[str, Any], seeds: tuple[int, ...] = (0,), **changes: Any) -> list[FitTask]:
        """The trainings of a recipe, one for each seed."""
        split = {"seeds": list(seeds), "test": {"good": 4, "bad": 3}, "detectors": {"good": 6}}
        recipe = load_recipe(str(self.recipe(detectors, split=split, **changes)), Registry())
        return [t for t in prepare(recipe, self.store).plans[0].tasks if isinstance(t, FitTask)]

    def train(self, tasks: list[FitTask], kill: tuple[str, int] = ("", 0)) -> Told:
        """Runs trainings in order; tells what they told."""
        told = Told(kill)
        for task in tasks:
            execute(task, self.store, "cpu", told)
        return told

    def killed(self, tasks: list[FitTask], what: str, step: int) -> None:
        """Runs trainings and ends the process at a step."""
        with pytest.raises(Killed):
            self.train(tasks, (what, step))

    def state(self, task: FitTask, place: int = 0) -> Arrays:
        """What one of a task's detectors learnt."""
        files = self.store.get(task.cells[place].key)
        assert files is not None
        return load(files[STATE])

    def left(self) -> list[str]:
        """The trainings of which there is a checkpoint."""
        return sorted(path.parent.name for path in self.store.checkpoints.glob("*/*.safetensors"))

    def artifacts(self) -> int:
        return kinds(self.store.root).count("artifact")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    fakes.install(monkeypatch)
    return Home(tmp_path)


@pytest.fixture
def always_due(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "SECONDS", 0.0)


def walked(seed: np.random.SeedSequence, steps: int) -> float:
    """What a walk of the fake detector comes to: the latest step counts most."""
    draws = [np.random.default_rng([*seed.generate_state(2), i]).random() for i in range(steps)]
    return sum(draw / 2 ** (steps - 1 - i) for i, draw in enumerate(draws))


def test_an_artifact_is_made_once_for_all_seeds(home: Home) -> None:
    tasks = home.fits({"one": SHARING}, seeds=(0, 1, 2))
    told = home.train(tasks)
    assert told.steps("one: part") == [1, 2, 3, 4]
    assert told.steps("one: steps") == 3 * [1, 2, 3, 4, 5, 6]
    assert kinds(home.store.root).count("fit") == 3 and home.artifacts() == 1
    states = [home.state(task) for task in tasks]
    assert len({float(state["part"]) for state in states}) == 1
    assert len({float(state["value"]) for state in states}) == 3
    for task, state in zip(tasks, states, strict=True):
        assert state["value"] == pytest.approx(
            walked(np.random.SeedSequence(task.cells[0].seed), 6), rel=1e-12
        )
    seed = artifact_seed("part", {"steps": 4, "shared": "x"})
    assert states[0]["part"] == pytest.approx(walked(seed, 4), rel=1e-12)


def test_parameters_that_are_no_input_share_it(home: Home) -> None:
    home.train(home.fits({"one": SHARING}))
    told = home.train(home.fits({"one": {"use": "steps", "params": {"shared": "x", "steps": 3}}}))
    assert told.steps("one: part") == []
    assert told.steps("one: steps") == [1, 2, 3]


@pytest.mark.parametrize("change", ["input", "code", "plugin", "encoder"])
def test_what_can_change_an_artifact_makes_it_anew(
    change: str, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    use: dict[str, Any] = {"use": "steps", "params": {"shared": "x", "layers": ["layer1"]}}
    (before,) = home.fits({"one": use})
    home.train([before])
    if change == "encoder":
        monkeypatch.setattr(TinyEncoder, "digest", lambda self: "tiny 2")
    other = {
        "input": {"use": "steps", "params": {"shared": "y", "layers": ["layer1"]}},
        "plugin": {**use, "use": "stairs"},
    }
    (after,) = home.fits({"one": other.get(change, use)}, seeds=(1,))
    if change == "code":
        (cell,) = after.cells
        choice = replace(cell.learner)
        vars(choice)["code"] = "another"
        after = replace(after, cells=(replace(cell, key=64 * "c", learner=choice),))
    assert home.train([after]).steps("one: part") == [1, 2, 3, 4]
    assert home.artifacts() == 2
    same_seed = home.state(before)["part"] == home.state(after)["part"]
    assert same_seed == (change != "input")


def test_an_encoder_that_is_not_read_changes_no_artifact(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.train(home.fits({"one": SHARING}))
    monkeypatch.setattr(TinyEncoder, "digest", lambda self: "tiny 2")
    told = home.train(home.fits({"one": SHARING}, seeds=(1,)))
    assert told.steps("one: part") == []
    assert told.steps("one: steps") == [1, 2, 3, 4, 5, 6]


def test_what_a_detector_made_is_not_given_to_another(home: Home) -> None:
    """Though both call it the same and say the same of it."""
    (task,) = home.fits({"one": SHARING, "two": {**SHARING, "use": "stairs"}})
    told = home.train([task])
    assert told.steps("one: part") == told.steps("two: part") == [1, 2, 3, 4]
    assert home.artifacts() == 2


def test_a_damaged_artifact_is_made_anew(home: Home) -> None:
    home.train(home.fits({"one": SHARING}))
    (path,) = home.store.root.glob("objects/*/*/arrays.safetensors")
    sound = path.read_bytes()
    path.write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
    assert home.train(home.fits({"one": SHARING}, seeds=(1,))).steps("one: part") == [1, 2, 3, 4]
    assert path.read_bytes() == sound


def test_an_artifacts_seed_is_of_its_name_and_inputs_alone() -> None:
    def drawn(seed: np.random.SeedSequence, name: str, inputs: dict[str, Any]) -> tuple[int, ...]:
        words: Arrays = Run(seed).artifact(name, inputs, lambda own: {"w": own.seed.generate_state(4)})
        return tuple(words["w"])

    one, two = np.random.SeedSequence(1), np.random.SeedSequence([2, 3])
    inputs = {"size": "small", "steps": 5}
    expected = drawn(one, "teacher", inputs)
    assert drawn(two, "teacher", {"steps": 5, "size": "small"}) == expected
    assert tuple(artifact_seed("teacher", inputs).generate_state(4)) == expected
    others = [("student", inputs), ("teacher", {**inputs, "steps": 6}), ("teacher", {"size": "small"})]
    assert len({expected, *(drawn(one, name, given) for name, given in others)}) == 4
    assert tuple(one.generate_state(4)) != expected


@pytest.mark.usefixtures("always_due")
@pytest.mark.parametrize("at", [2, 4, 6])
def test_a_killed_training_is_taken_up_and_leaves_nothing(home: Home, tmp_path: Path, at: int) -> None:
    (task,) = home.fits({"one": {"use": "steps"}})
    home.killed([task], "one: steps", at)
    assert home.left() == [task.cells[0].key]
    told = home.train([task])
    assert told.steps("one: steps") == list(range(at, 7))
    assert list(home.store.checkpoints.iterdir()) == []
    expected = walked(np.random.SeedSequence(task.cells[0].seed), 6)
    assert float(home.state(task)["value"]) == pytest.approx(expected, rel=1e-12)
    undisturbed = Home(tmp_path / "undisturbed")
    undisturbed.train([task])
    assert undisturbed.store.get(task.cells[0].key) == home.store.get(task.cells[0].key)
    assert home.train([task]) == []


@pytest.mark.usefixtures("always_due")
def test_a_killed_artifact_is_taken_up_and_leaves_nothing(home: Home, tmp_path: Path) -> None:
    """Also by another seed's training, which wants the same one."""
    first, second = home.fits({"one": SHARING}, seeds=(0, 1))
    home.killed([first], "one: part", 3)
    (key,) = home.left()
    assert key not in (first.cells[0].key, second.cells[0].key)
    told = home.train([second])
    assert told.steps("one: part") == [3, 4]
    assert list(home.store.checkpoints.iterdir()) == []
    home.killed([first], "one: steps", 3)
    assert home.left() == [first.cells[0].key]
    told = home.train([first])
    assert told.steps("one: part") == []
    assert told.steps("one: steps") == [3, 4, 5, 6]
    undisturbed = Home(tmp_path / "undisturbed")
    undisturbed.train([first])
    assert undisturbed.store.get(first.cells[0].key) == home.store.get(first.cells[0].key)


@pytest.mark.usefixtures("always_due")
def test_an_artifacts_checkpoint_is_given_to_no_other(home: Home) -> None:
    """Not with other inputs, and not to the training that wants it."""
    (task,) = home.fits({"one": SHARING})
    home.killed([task], "one: part", 3)
    other: dict[str, Any] = {"use": "steps", "params": {"shared": "y"}}
    told = home.train([*home.fits({"one": other}), *home.fits({"one": {"use": "steps"}})])
    assert told.steps("one: part") == [1, 2, 3, 4]
    assert told.steps("one: steps") == 2 * [1, 2, 3, 4, 5, 6]
    assert len(home.left()) == 1
    assert home.train([task]).steps("one: part") == [3, 4]


@pytest.mark.usefixtures("always_due")
def test_a_killed_task_takes_up_the_detector_it_was_at(home: Home) -> None:
    (task,) = home.fits({"one": {"use": "steps"}, "two": {"use": "stairs"}})
    home.killed([task], "two: steps", 5)
    assert home.left() == [task.cells[1].key]
    told = home.train([task])
    assert told.steps("one: steps") == []
    assert told.steps("two: steps") == [5, 6]


@pytest.mark.usefixtures("always_due")
def test_a_checkpoint_is_given_to_no_other_training(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not under another seed, parameter, plugin, code, size, batch size, encoder or set of images."""
    use: dict[str, Any] = {"use": "steps", "params": {"layers": ["layer1"]}}
    (task,) = home.fits({"one": use})
    home.killed([task], "one: steps", 4)
    others = {
        "seed": home.fits({"one": use}, seeds=(1,)),
        "parameter": home.fits({"one": {"use": "steps", "params": {"layers": ["layer1"], "steps": 7}}}),
        "plugin": home.fits({"one": {**use, "use": "stairs"}}),
        "size": home.fits({"one": use}, image={"size": [48, 48]}),
        "batch size": home.fits({"one": use}, batch_size=3),
    }
    with monkeypatch.context() as patch:
        patch.setattr(TinyEncoder, "digest", lambda self: "tiny 2")
        others["encoder"] = home.fits({"one": use})
    with monkeypatch.context() as patch:
        patch.setattr("segad_core.recipe.choice.code_digest", lambda component, distribution: "another")
        others["code"] = home.fits({"one": use})
    path = task.samples[0].path
    pixels = np.array(Image.open(path))
    pixels[0, 0] ^= 1
    Image.fromarray(pixels).save(path)
    others["images"] = home.fits({"one": use})
    for what, tasks in others.items():
        assert home.train(tasks).steps("one: steps")[:2] == [1, 2], what
    assert home.left() == [task.cells[0].key]
    assert len({t.cells[0].key for t in [task, *(t for tasks in others.values() for t in tasks)]}) == 9


def at_once(path: Path, what: str) -> FileLock:
    """As `acquire`, but instead of waiting it fails."""
    lock = FileLock(path)
    lock.acquire(timeout=0)
    return lock


def test_a_detector_that_two_runs_want_is_trained_by_one_at_a_time(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else both do the same work, and each removes what the other leaves in their checkpoint's folder."""
    detectors: dict[str, Any] = {"one": {"use": "steps"}, "two": {"use": "stairs"}}
    (both,), (alone,) = home.fits(detectors), home.fits({"two": {"use": "stairs"}})
    assert alone.cells[0].key == both.cells[1].key
    tried: list[str] = []

    def told(what: str, done: int, total: int, note: str = "") -> None:
        if (what, done) == ("two: steps", 3):
            with monkeypatch.context() as patch:  # who would have to wait is told so at once
                patch.setattr(segad_core.store.store, "acquire", at_once)
                try:
                    execute(alone, home.store, "cpu", lambda *_: None)
                    tried.append("trained")
                except StoreError as error:
                    tried.append("waits" if isinstance(error.__cause__, Held) else str(error))

    execute(both, home.store, "cpu", told)
    assert tried == ["waits"]


def test_a_folder_of_images_comes_as_the_training_images_do(home: Home, tmp_path: Path) -> None:
    """Decoded by the recipe's rules, at the size asked for, with layers of the recipe's encoder."""
    rng = np.random.default_rng(0)
    (tmp_path / "aux" / "deep").mkdir(parents=True)
    for name in ("b.png", "deep/a.png", "c.png", "d.png", "e.png"):
        Image.fromarray(rng.integers(0, 4000, (30, 50), dtype=np.uint16)).save(tmp_path / "aux" / name)
    use = {"use": "steps", "params": {"folder": "aux", "layers": ["layer1", "layer3"]}}
    image = {"size": list(SIZE), "white": 4095}
    (task,) = home.fits({"one": use}, image=image)
    told = home.train([task])
    state = home.state(task)
    paths = [tmp_path / "aux" / name for name in ("b.png", "c.png", "d.png", "deep/a.png", "e.png")]
    pixels = np.stack([resize(decode(path, Decoding(4095)).pixels, (24, 40)) for path in paths])
    assert pixels.max() > 200
    np.testing.assert_array_equal(state["folder"], pixels[:1])
    for layer, values in TinyEncoder().encode(pixels, ["layer1", "layer3"]).items():
        np.testing.assert_array_equal(state[layer], values)
    assert told.steps("one: images encoded") == [4, 5]  # the recipe's batches


def test_a_folder_without_images_is_named(home: Home, tmp_path: Path) -> None:
    (tmp_path / "aux").mkdir()
    (task,) = home.fits({"one": {"use": "steps", "params": {"folder": "aux"}}})
    with pytest.raises(DataError) as caught:
        home.train([task])
    assert str(tmp_path / "aux") in caught.value.what
    assert kinds(home.store.root) == []


@pytest.mark.parametrize("command", ["check", "run"])
def test_a_detector_that_cannot_work_stops_before_anything_is_read(
    command: str, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    detectors: dict[str, Any] = {
        "one": {"use": "steps"},
        "two": {"use": "choosy", "params": {"layers": ["layer2"]}},
    }
    recipe = home.recipe(detectors)
    for function in ("inventory.sample_at_full_size", "image_set.decode_resized"):
        monkeypatch.setattr(f"segad_core.images.{function}", None)
    result = (
        run_command(recipe) if command == "run" else segad("check", recipe, "--store", home.path / "store")
    )
    assert said(result) == (
        "error: choosy: cannot work at (40, 56) with {'layer2': (6, 5, 7)}\n  Take another.\n"
    )
    assert result.exit_code == 1
    assert kinds(home.store.root) == []


def test_a_detector_that_no_row_reads_is_not_checked(home: Home) -> None:
    recipe = home.recipe({"one": {"use": "steps"}, "two": {"use": "choosy"}}, rows=["one"])
    result = segad("check", recipe, "--store", home.path / "store")
    assert result.exit_code == 0, result.output
    result = run_command(recipe)
    assert result.exit_code == 0, result.output
    assert kinds(home.store.root).count("fit") == 1


def test_a_detector_among_those_of_a_row_is_checked(home: Home) -> None:
    """Also where the row does not show it alone."""
    final = {"use": "brf", "params": {"n_estimators": 1, "num_parallel_tree": 1}}
    rest = {"segmenter": "whole_image", "features": ["mean"], "final": final}
    recipe = home.recipe({"one": {"use": "steps"}, "two": {"use": "choosy"}}, **rest)
    recipe.write_text(
        yaml.safe_dump({**yaml.safe_load(recipe.read_text()), "rows": [{"name": "all", "detectors": "all"}]})
    )
    result = segad("check", recipe, "--store", home.path / "store")
    assert said(result).startswith("error: choosy: cannot work at (40, 56) with {}\n")
    assert result.exit_code == 1


def test_a_learner_is_released_before_the_next_is_trained(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its memory, a GPU's included, is free again: there are no two trained learners at a time."""
    trained: weakref.WeakSet[fakes.Steps] = weakref.WeakSet()
    alive: list[int] = []
    fit = fakes.Steps.fit

    def counted(self: fakes.Steps, images: ImageSet, run: Run) -> None:
        alive.append(len(trained))
        trained.add(self)
        fit(self, images, run)

    monkeypatch.setattr(fakes.Steps, "fit", counted)
    detectors = {alias: {"use": "steps", "params": {"steps": i}} for i, alias in enumerate("abcd", start=1)}
    home.train(home.fits(detectors))
    assert alive == [0, 0, 0, 0]
    assert len(trained) == 0
