"""`segad plugin test`: what is wrong with a plugin is a result, whatever it does to its process."""

import json
import re

import pytest

SOURCE = '''
import os
import signal
import sys
import time

import numpy as np
from pydantic import Field
from safetensors.numpy import save_file
from segad_core.api import Detector, Parameters, PluginError

print("noise")
os.write(1, b"more noise")


class Sound(Detector):
    """Distance to the mean picture."""

    class Params(Parameters):
        power: int = Field(1, ge=1)

    mean = None

    def fit(self, images, run):
        print("noise")
        self.mean = images.pixels().mean(0).astype(np.float32)

    def anomaly_maps(self, batch):
        os.write(1, b"noise")
        os.write(2, b"noise")
        if batch.pixels.shape[1:] != self.fitted().shape:
            raise PluginError("another size")
        return self.changed(np.abs(batch.pixels - self.fitted()).mean(-1) ** self.params.power)

    def changed(self, maps):
        return maps

    def fitted(self):
        if self.mean is None:
            raise PluginError("not fitted")
        return self.mean

    def state(self):
        return {"mean": self.fitted()}

    def restore(self, state):
        if "mean" not in state:
            raise PluginError("no mean")
        self.mean = state["mean"]


def odd(name, **methods):
    globals()[name] = type(name, (Sound,), {"__doc__": "A detector that is not sound.", **methods})


def slow(self, params=None, device="cpu"):
    time.sleep(1.2)
    Sound.__init__(self, params, device)


def random_fit(self, images, run):
    Sound.fit(self, images, run)
    self.mean = self.mean + np.random.default_rng().normal(0, 1, self.mean.shape).astype(np.float32)


def writing_fit(self, images, run):
    Sound.fit(self, images, run)
    images.pixels()[:] = 0


def does(act):
    def fit(self, images, run):
        act()

    return fit


def saving_fit(self, images, run):
    Sound.fit(self, images, run)
    save_file({"mean": self.mean}, "model.safetensors")


def refuses(self, params=None, device="cpu"):
    raise ValueError("boom")


odd("Nan", changed=lambda self, maps: maps * np.float32("nan"))
odd("Wide", changed=lambda self, maps: maps.astype(np.float64))
odd("Random", fit=random_fit)
odd("Writes", fit=writing_fit)
odd("Slow", __init__=slow)
odd("Exits", fit=does(lambda: os._exit(3)))
odd("Quits", fit=does(lambda: sys.exit("no licence")))
odd("Crashes", fit=does(lambda: os.kill(os.getpid(), signal.SIGSEGV)))
odd("Hangs", fit=does(lambda: time.sleep(100)))
odd("Saves", fit=saving_fit)
odd("Raises", fit=does(lambda: 1 / 0))
odd("Refuses", __init__=refuses)
odd("Deep", fit=does(lambda: np.linalg.inv(np.ones((2, 3)))))
odd("Bare", __init__=lambda self, params=None, device="cpu": None)
'''
FIT, MAPS = "test_fit_is_deterministic", "test_maps_are_finite_float32_of_the_images_size"
ODD = {
    "nan": (MAPS, "anomaly_maps() of 1 images returns NaN or infinity"),
    "wide": (MAPS, "anomaly_maps() of 1 images returns float64, not float32"),
    "random": (FIT, "the map after a second fit with the same seed differs by up to "),
    "writes": ("test_leaves_the_images_as_they_are", "fit() writes into"),
    "exits": (FIT, "ends the process with exit code 3"),
    "quits": (FIT, "SystemExit: no licence"),
    "crashes": (FIT, "ends the process by signal 11 (SIGSEGV)"),
    "hangs": (FIT, "does not end within 0.5 s"),
    "saves": (FIT, "it leaves model.safetensors in the working folder"),
    "raises": (FIT, "ZeroDivisionError: division by zero ("),
}
"""By name: a clause that it violates, and what is wrong with it."""

NAMES = ["sound", *ODD, "slow", "refuses", "bare", "deep"]
ENTRY_POINTS = "".join(f"{name} = zoo_module:{name.title()}\n" for name in NAMES)


@pytest.fixture(scope="module")
def zoo(houses):
    """A house with detectors that are not sound, and one that is."""
    house = houses("plugin_test")
    house.plugin("zoo", "[segad.detectors]\n" + ENTRY_POINTS, "zoo_module", SOURCE)
    return house


def found(answer):
    """The steps of `plugin test --json`: what is wrong, by name."""
    return {step["name"]: step["wrong"] for step in json.loads(answer.out)["steps"]}


def test_a_sound_plugin_passes_every_clause(zoo):
    answer = zoo.segad("plugin", "test", "sound")
    assert (answer.code, answer.err) == (0, "")
    first, imported, made, last = answer.out.splitlines()
    assert first == "detector 'sound' (zoo 1.2)"
    assert re.fullmatch(r"import: \d+\.\d{3} s", imported)
    assert re.fullmatch(r"construction: 0\.\d{3} s", made)
    passed, _, rest = last.partition(" of ")
    assert rest == f"{passed} clauses passed"
    assert int(passed) > 20


@pytest.mark.parametrize("name", ODD)
def test_what_is_wrong_is_told_in_a_line(zoo, name):
    clause, wrong = ODD[name]
    answer = zoo.segad("plugin", "test", name, "--clause", clause, "--time-limit", "0.5")
    assert answer.code == 1
    *_, line, last = answer.out.splitlines()
    assert line.startswith(f"failed: {clause}: {wrong}")
    assert last == "0 of 1 clauses passed"
    assert answer.err == ""


def test_json_has_every_step(zoo):
    answer = zoo.segad("plugin", "test", "zoo:wide", "--json", "--clause", "size")
    assert answer.code == 1
    data = json.loads(answer.out)
    assert (data["kind"], data["name"], data["distribution"], data["version"]) == (
        "detectors",
        "wide",
        "zoo",
        "1.2",
    )
    assert (data["passed"], data["failed"]) == (1, 1)
    assert [step["name"] for step in data["steps"]] == [
        "import",
        "construction",
        "test_images_of_another_size_are_mapped_or_refused",
        MAPS,
    ]


def test_a_slow_constructor_is_told_with_its_seconds(zoo):
    answer = zoo.segad("plugin", "test", "slow", "--clause", "docstring", "--json")
    assert answer.code == 1
    assert found(answer)["construction"].startswith("takes 1.2 s: ")
    assert found(answer)["test_docstring_begins_with_a_line_of_its_own"] == ""


def test_nothing_follows_a_constructor_that_raises(zoo):
    answer = zoo.segad("plugin", "test", "refuses")
    assert answer.code == 1
    *_, line, last = answer.out.splitlines()
    assert line.startswith("failed: construction: ValueError: boom (")
    assert last == "no clause was run"


def test_one_reason_is_told_once_with_the_line_of_the_plugin(zoo):
    answer = zoo.segad("plugin", "test", "deep", "--clause", "size")
    assert answer.code == 1
    *_, first, more, last = answer.out.splitlines()
    (line,) = [n for n, text in enumerate(SOURCE.splitlines(), 1) if "linalg.inv" in text]
    where = f"(<lambda>, {zoo.home / 'path' / 'zoo_module.py'}:{line})"
    reason = f"LinAlgError: Last 2 dimensions of the array must be square {where}"
    assert first.endswith(reason) and first.startswith("failed: test_")
    assert more.startswith(f"failed in 1 more clause: {reason}: test_maps_are_finite_float32")
    assert last == "0 of 2 clauses passed"


def test_clauses_about_tiles_are_not_blamed_for_the_fit(zoo):
    answer = zoo.segad("plugin", "test", "deep", "--clause", "tiles")
    assert "failed: test_tiles_are_mapped_like_images: LinAlgError: Last 2" in answer.out


def test_a_constructor_that_leaves_params_unset_is_said_once(zoo):
    answer = zoo.segad("plugin", "test", "bare")
    assert answer.code == 1
    *_, line, last = answer.out.splitlines()
    assert line.startswith("failed: construction: ") and "super().__init__(params, device)" in line
    assert last == "no clause was run"


IMPORTS = {
    "raises": ("1 / 0", "ZeroDivisionError: division by zero"),
    "exits": ("import os\nos._exit(0)", "SystemExit: os._exit(0) would end the process"),
    "hangs": ("import time\ntime.sleep(100)", "does not end within 0.1 s"),
    "unfinished": (
        "from segad_core.api import Detector\nclass Odd(Detector):\n    'No more.'\n",
        "Odd does not define anomaly_maps, fit, restore, state",
    ),
}


@pytest.mark.parametrize("how", IMPORTS)
def test_an_import_is_a_step(house, how):
    source, wrong = IMPORTS[how]
    house.plugin("odd-one", "[segad.detectors]\nodd = odd_module:Odd\n", "odd_module", source)
    answer = house.segad("plugin", "test", "odd", "--json", "--time-limit", "0.1" if how == "hangs" else "60")
    assert answer.code == 1
    assert list(found(answer)) == ["import"]
    assert wrong in found(answer)["import"]


@pytest.mark.parametrize(
    ("words", "facts"),
    [
        (["soun"], ["'soun'", "did you mean 'sound'?"]),
        (["other:sound"], ["'other:sound'"]),
        (["precomputed"], ["detectors", "segmenters", "--kind"]),
        (["sound", "--kind", "features"], ["no feature is called 'sound'"]),
        (["sound", "--set", "power=0"], ["--set power=0", "greater than or equal to 1"]),
        (["sound", "--set", "powr=1"], ["--set powr=1", "did you mean 'power'?"]),
        (["sound", "--set", "power"], ["--set power: must be of the form"]),
        (["sound", "--clause", "no_such"], ["'no_such'", FIT]),
        (["folder"], ["'root' is missing", "--set root=DIR"]),
    ],
)
def test_what_cannot_be_tested_is_refused(zoo, words, facts):
    answer = zoo.segad("plugin", "test", *words)
    assert answer.code == 2
    for fact in facts:
        assert fact in answer.err


def test_parameters_are_those_of_the_suite(zoo):
    answer = zoo.segad("plugin", "test", "sound", "--set", "power=2", "--clause", "params", "--json")
    assert (answer.code, set(found(answer).values())) == (0, {""})


def test_a_data_set_is_tested_with_its_files(house):
    house.pictures(good=2, bad=1)
    answer = house.segad("plugin", "test", "folder", "--set", "root=parts", "--clause", "exist", "--json")
    assert (answer.code, found(answer)["test_files_exist"]) == (0, "")
