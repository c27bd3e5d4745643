"""Each clause of what a detector owes fails for a plugin that violates it, and spares a sound one."""

import numpy as np
import pytest

from segad_core import contracts
from segad_core.errors import PluginError
from segad_core.testing import DetectorSuite


class Detector(contracts.Detector):
    """How far the colours of a place are from those of good images."""

    mean = None

    def layers(self):
        return ("layer1",)

    def fit(self, images, run):
        self.mean = images.features()["layer1"].mean(axis=0)

    def anomaly_maps(self, batch):
        if self.mean is None:
            raise PluginError("not fitted yet")
        return self.changed(
            np.abs(batch.features()["layer1"] - self.mean).sum(axis=1).repeat(4, 1).repeat(4, 2)
        )

    def changed(self, maps):
        return maps

    def state(self):
        if self.mean is None:
            raise PluginError("not fitted yet")
        return {"mean": self.mean}

    def restore(self, state):
        self.mean = state["mean"]


def detector(**methods):
    return type("Broken", (Detector,), {"__doc__": "A detector told wrongly.", **methods})


def unfitted_maps(self, batch):
    self.mean = np.float32(0) if self.mean is None else self.mean
    return Detector.anomaly_maps(self, batch)


def scaled_in_place(self, batch):
    features = batch.features()["layer1"]
    features -= self.mean if self.mean is not None else Detector.state(self)
    return np.abs(features).sum(axis=1).repeat(4, 1).repeat(4, 2)


def centred_in_fit(self, images, run):
    Detector.fit(self, images, run)
    for batch in images.batches():
        batch.pixels[:] = 0


def random_fit(self, images, run):
    Detector.fit(self, images, run)
    self.mean = self.mean + np.random.default_rng().normal(0, 0.01, self.mean.shape).astype(np.float32)


def encodes_again(self, batch, maps):
    batch.memo.clear()
    batch.features()
    return Detector.image_scores(self, batch, maps)


def scores_as_maps(self, batch, maps):
    return maps.max(axis=(1, 2))


def scores_by_rank(self, batch, maps):
    return np.argsort(np.argsort(maps.max(axis=(1, 2)))).astype(np.float64)


MAPS = "test_maps_are_finite_float32_of_the_images_size"
SCORES = "test_image_scores_are_finite_float64"
FIT = "test_fit_is_deterministic"
STATE = "test_state_restores_to_the_last_bit"
RANKS = "test_ranks_visible_defects_above_good_images"
LEAVES = "test_leaves_the_images_as_they_are"
UNFITTED = "test_use_before_fit_is_refused"
ALONE = "test_images_do_not_depend_on_their_neighbours"


@pytest.mark.parametrize(
    ("plugin", "expected"),
    [
        (Detector, ""),
        (detector(layers=lambda self: ("layer9",)), "test_layers_exist_in_the_encoder"),
        (detector(cost=lambda self, images, shapes: 3.5), "test_layers_exist_in_the_encoder"),
        (detector(changed=lambda self, maps: maps.astype(np.float64)), MAPS),
        (detector(changed=lambda self, maps: maps[:, ::2]), MAPS),
        (detector(changed=lambda self, maps: maps.transpose(0, 2, 1)), MAPS),
        (detector(changed=lambda self, maps: np.log(maps * 0)), f"{MAPS} {SCORES}"),
        (detector(changed=lambda self, maps: -maps), RANKS),
        (detector(changed=lambda self, maps: maps / maps.max()), ALONE),
        (detector(image_scores=scores_as_maps), SCORES),
        (detector(image_scores=lambda self, batch, maps: maps.astype(np.float64)), SCORES),
        (detector(image_scores=scores_by_rank), ALONE),
        (detector(image_scores=encodes_again), "test_encoder_runs_once_per_batch"),
        (detector(fit=random_fit), FIT),
        (detector(fit=centred_in_fit), LEAVES),
        (detector(anomaly_maps=scaled_in_place), LEAVES),
        (detector(state=lambda self: {"mean": self.mean.tolist()}), f"{STATE} {UNFITTED}"),
        (detector(state=lambda self: {"mean": np.array(self.mean, object)}), f"{STATE} {UNFITTED}"),
        (detector(state=lambda self: {"mean": Detector.state(self)["mean"].astype(np.float16)}), STATE),
        (detector(state=lambda self: {}), f"{STATE} {UNFITTED}"),
        (detector(anomaly_maps=unfitted_maps), UNFITTED),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_detector(check, plugin, expected):
    check(DetectorSuite, plugin, expected)
