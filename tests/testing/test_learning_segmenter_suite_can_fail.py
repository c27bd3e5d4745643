"""Each clause of the suite for learning segmenters fails for a plugin that violates it; sound ones pass."""

from itertools import count

import numpy as np
import pytest
from pickles import keeping_a_pickle

from segad_core.contracts import IGNORED, LearningSegmenter, to_numpy
from segad_core.errors import PluginError
from segad_core.testing import LearningSegmenterSuite

NUMBERS = count(1)


class Learnt(LearningSegmenter):
    """Cells of a layer below and above the mean of good images."""

    level = None

    def layers(self):
        return ("layer1",)

    def segments(self):
        return ["below", "above", "spare"] if self.level is None else [f"below_{self.level:.0f}", "above"]

    def fit(self, images, run):
        self.level = 255 * float(images.features()["layer1"][:, 0].mean())

    def segment(self, batch):
        labels = (255 * to_numpy(batch.features()["layer1"])[:, 0] > self.fitted()).astype(np.uint8)
        height, width = batch.pixels.shape[1:3]
        return labels.repeat(4, axis=1).repeat(4, axis=2)[:, :height, :width]

    def state(self):
        return {"level": np.array(self.fitted())}

    def restore(self, state):
        if "level" not in state:
            raise PluginError("learnt: no level")
        self.level = float(state["level"])

    def fitted(self):
        if self.level is None:
            raise PluginError("learnt: is not fitted yet")
        return self.level


class ForAll(Learnt):
    """The mean good image's cells: one map for all images."""

    def fit(self, images, run):
        super().fit(images, run)
        self.map = (images.pixels()[..., 0].mean(axis=0) > self.level).astype(np.uint8)

    def segment(self, batch):
        self.fitted()
        if self.map.shape != batch.pixels.shape[1:3]:
            raise PluginError("for_all: another size")
        return self.map[None]

    def state(self):
        return {**super().state(), "map": self.map}

    def restore(self, state):
        super().restore(state)
        if "map" not in state:
            raise PluginError("for_all: no map")
        self.map = state["map"]


def learnt(**methods):
    return type("Broken", (Learnt,), {"__doc__": "A segmenter that learns wrongly.", **methods})


def named(names):
    def segments(self):
        return ["a", "b"] if self.level is None else names(self)

    return learnt(segments=segments)


def drawn(self, images, run):
    self.level = np.random.default_rng().uniform(100, 140)


def of_the_number(self, images, run):
    self.level = 120 + next(NUMBERS)


def grown(self, images, run):
    self.level = 255 * float(images.features()["layer1"][:, 0].mean()) + (self.level or 0) / 2


def counting(self):
    self.calls = getattr(self, "calls", 0) + 1
    return ["below", f"above_{self.calls}"]


def without_a_fit(self, batch):
    return np.zeros((1, *batch.pixels.shape[1:3]), np.uint8)


def nothing(self, batch):
    self.fitted()
    return np.full((1, *batch.pixels.shape[1:3]), IGNORED, np.uint8)


NAMES = "test_learnt_names_suit_features"
KEPT = "test_learnt_names_are_kept"
SAME = "test_fit_is_deterministic"


@pytest.mark.parametrize(
    ("plugin", "expected"),
    [
        (Learnt, ""),
        (ForAll, ""),
        (keeping_a_pickle(Learnt), "test_state_restores_to_the_last_bit"),
        (named(lambda self: ["below", "below"]), NAMES),
        (named(lambda self: ["below", "upper left"]), NAMES),
        (named(lambda self: ["below", "image"]), NAMES),
        (named(lambda self: []), NAMES),
        (named(lambda self: ["a", "b", "c"]), NAMES),
        (named(lambda self: ["a"]), "test_labels_have_names"),
        (named(counting), KEPT),
        (learnt(fit=drawn), SAME),
        (learnt(fit=of_the_number), f"{SAME} {KEPT}"),
        (learnt(fit=grown), "test_a_second_fit_forgets_the_first"),
        (learnt(segment=without_a_fit), "test_use_before_fit_is_refused"),
        (learnt(segment=nothing), "test_labels_something_in_every_good_image"),
        (
            learnt(restore=lambda self, state: setattr(self, "level", float(state.get("level", 1)))),
            "test_restore_refuses_what_is_incomplete",
        ),
        (
            learnt(restore=lambda self, state: setattr(self, "level", float(state["level"]) + 2)),
            f"{KEPT} test_state_restores_to_the_last_bit",
        ),
        (learnt(layers=lambda self: ("layer9",)), "test_layers_exist_in_the_encoder"),
    ],
)
def test_learning_segmenter(check, plugin, expected):
    check(LearningSegmenterSuite, plugin, expected)
