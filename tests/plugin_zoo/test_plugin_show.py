"""`segad plugin show`: what a plugin is, whoever provides it and whatever it does when it is imported."""

import json

import pytest
import yaml

SOURCE = '''
import os
from pydantic import Field
from segad_core.api import Hook, Parameters, hookimpl
from tiny_module import Tiny

print("noise")
os.write(1, b"noise")


class Shown(Tiny):
    """Distance to something."""

    class Params(Parameters):
        power: int = Field(2, ge=1, description="of the distance")

    def layers(self):
        return ("layer2",)


class Old:
    """An observer without parameters."""

    @hookimpl
    def run_finished(self, folder):
        pass


MADE = Old()
'''
ENTRY_POINTS = """
[segad.detectors]
shown = shown_module:Shown
patchcore = shown_module:Shown
[segad.hooks]
old = shown_module:Old
made = shown_module:MADE
"""


@pytest.fixture
def zoo(house):
    house.plugin(*house.TINY)
    house.plugin("zoo", ENTRY_POINTS, "shown_module", SOURCE)
    return house


def test_it_says_what_it_is_and_how_a_recipe_uses_it(zoo):
    answer = zoo.segad("plugin", "show", "shown")
    assert (answer.code, answer.err, "noise" in answer.out) == (0, "", False)
    lines = answer.out.splitlines()
    assert lines[:2] == ["detector 'shown' (zoo 1.2)", "Distance to something."]
    assert "  power  integer >= 1, default 2: of the distance" in lines
    assert "layers of the encoder that it reads by default: layer2" in lines
    recipe = yaml.safe_load(answer.out.partition("in a recipe:\n")[2])
    assert recipe == {"detectors": {"shown": {"use": "shown", "params": {"power": 2}}}}


def test_a_recipe_means_the_plugin_that_is_shown(zoo):
    data = json.loads(zoo.segad("plugin", "show", "zoo:patchcore", "--json").out)
    assert (data["distribution"], data["version"]) == ("zoo", "1.2")
    assert yaml.safe_load(data["recipe"])["detectors"]["patchcore"]["use"] == "zoo:patchcore"
    own = json.loads(zoo.segad("plugin", "show", "patchcore", "--json").out)
    assert own["distribution"] == "segad"
    assert yaml.safe_load(own["recipe"])["detectors"]["patchcore"]["use"] == "patchcore"


@pytest.mark.parametrize("name", ["old", "made"])
def test_a_hook_that_is_older_than_parameters_has_none(zoo, name):
    answer = zoo.segad("plugin", "show", name)
    assert answer.code == 0, answer.err
    assert "no parameters" in answer.out.splitlines()


@pytest.mark.parametrize(
    ("source", "fact"),
    [
        ("import os\nos._exit(0)\n", "SystemExit: os._exit(0) would end the process"),
        ("1 / 0\n", "ZeroDivisionError: division by zero"),
        ("from tiny_module import Tiny\nclass Odd(Tiny):\n    pass\n", "Odd has no docstring"),
        (
            "from tiny_module import Tiny\nclass Odd(Tiny):\n    'Odd.'\n    layers = lambda self: {}[3]\n",
            "KeyError: 3",
        ),
    ],
)
def test_one_that_cannot_be_used_is_named(zoo, source, fact):
    zoo.plugin("odd-one", "[segad.detectors]\nodd = odd_module:Odd\n", "odd_module", source)
    answer = zoo.segad("plugin", "show", "odd")
    assert answer.code == 1
    assert fact in answer.err
    assert "odd-one" in answer.err
    assert "Traceback" not in answer.err
