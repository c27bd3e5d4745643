"""A plugin that writes to what it shares stops the run, is named, and leaves nothing of it in the store."""

import pytest

NEIGHBOUR = '''
import numpy as np
from segad_core.api import Detector, to_numpy


class Mean(Detector):
    """Distance to the mean of the encoder's features."""

    def layers(self):
        return ("layer2",)

    def fit(self, images, run):
        self.mean = to_numpy(images.features()["layer2"]).mean(axis=0)

    def anomaly_maps(self, batch):
        found = np.abs(to_numpy(batch.features()["layer2"]) - self.mean).mean(axis=1)
        return found.repeat(8, axis=1).repeat(8, axis=2)

    def state(self):
        return {"mean": self.mean}

    def restore(self, state):
        self.mean = state["mean"]
'''
SPOILER = '''
import ctypes

import numpy as np
import torch
from neighbour import Mean


def overwrite(array):
    """As torch does it that shares the memory, without asking NumPy."""
    array = np.asarray(array)
    ctypes.memset(array.ctypes.data, 1, array.nbytes)


class Spoiler(Mean):
    """Writes to what it is given."""

    def fit(self, images, run):
        super().fit(images, run)
        if WHEN == "fit":
            WRITE

    def anomaly_maps(self, batch):
        if WHEN == "maps":
            images = batch
            WRITE
        return super().anomaly_maps(batch)
'''
WAYS = {
    "pixels, locked": "p = images.pixels() if callable(images.pixels) else images.pixels; p[:] = 0",
    "pixels, otherwise": "overwrite(images.pixels() if callable(images.pixels) else images.pixels)",
    "features": "overwrite(images.features()['layer2'])",
    "features, as a tensor": "torch.from_dlpack(images.features()['layer2']).zero_()",
    "pixels, replaced": "images.pixels = 255 - np.asarray(images.pixels)",
    "samples, replaced": "images.samples = list(images.samples)[:2]",
}


def neighbours(house):
    house.plugin("neighbour", "[segad.detectors]\nneighbour = neighbour:Mean\n", "neighbour", NEIGHBOUR)
    house.pictures()
    return house


@pytest.fixture(scope="module")
def undisturbed(houses):
    """What the neighbour comes to alone."""
    house = neighbours(houses("undisturbed"))
    recipe = house.recipe({"neighbour": "neighbour"}, more="encoder: efficientnet_lite0\n")
    answer = house.segad("run", recipe)
    assert answer.code == 0, answer.err
    return (house.home / "runs" / "recipe" / "latest" / "scores.csv").read_text()


CASES = [(way, when) for way in WAYS for when in ("fit", "maps")]
# the features of a set are NumPy's: torch takes no read-only array by DLPack
CASES.remove(("features, as a tensor", "fit"))
# the other two are refused in the same way
CASES.remove(("pixels, replaced", "fit"))
CASES.remove(("samples, replaced", "maps"))


@pytest.mark.parametrize(("way", "when"), CASES)
def test_the_culprit_is_named_and_the_neighbour_is_as_it_was(house, undisturbed, way, when):
    source = f"WHEN = {when!r}\n" + SPOILER.replace("WRITE", WAYS[way])
    neighbours(house).plugin("spoiler", "[segad.detectors]\nspoiler = spoiler:Spoiler\n", "spoiler", source)
    both = {"spoiler": "spoiler", "neighbour": "neighbour"}
    answer = house.segad("run", house.recipe(both, name="both", more="encoder: efficientnet_lite0\n"))
    assert answer.code == 1
    assert "detector 'spoiler' (spoiler 1.2): " in answer.err
    assert "Traceback" not in answer.err
    alone = house.recipe({"neighbour": "neighbour"}, more="encoder: efficientnet_lite0\n")
    assert house.segad("run", alone).code == 0
    assert (house.home / "runs" / "recipe" / "latest" / "scores.csv").read_text() == undisturbed


FEATURES = """
import ctypes

import numpy as np
from segad_core.api import ScalarFeature


class Spoiler(ScalarFeature):
    '''Sets the values that it is given to zero.'''

    def statistics(self):
        return ("zero",)

    def value(self, values):
        ctypes.memset(values.ctypes.data, 0, values.nbytes)
        return 0.0
"""


def test_a_feature_that_writes_to_values_is_named_and_its_statistics_are_not_kept(house):
    house.plugin(*house.TINY)
    house.plugin("zero", "[segad.features]\nzero = zero_module:Spoiler\n", "zero_module", FEATURES)
    house.pictures()
    row = "{name: zero, detectors: [tiny]}"
    more = "segmenter: whole_image\nfeatures: [zero, mean]\nfinal: logistic\n"
    recipe = house.recipe({"tiny": "tiny"}, rows=[row], more=more)
    before = house.left(recipe)
    answer = house.segad("run", recipe)
    assert answer.code == 1
    assert "feature 'zero' (zero 1.2): compute: writes to the " in answer.err
    assert house.left(recipe) == before - 1  # the training alone
