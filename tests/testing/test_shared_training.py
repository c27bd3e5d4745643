"""The clauses of a suite share one training wherever that makes no difference, and only there."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from segad_core import contracts
from segad_core.contracts import ImageBatch, Parameters, Run
from segad_core.errors import PluginError
from segad_core.testing import ArrayImageSet, DetectorSuite, violations


class Grey(contracts.Detector):
    """How far a pixel is from the mean image; notes its trainings."""

    class Params(Parameters):
        gain: float = 1.0

    mean = None
    fits: list[float]

    def fit(self, images: ArrayImageSet, run: Run) -> None:
        self.fits.append(self.params.gain)
        self.mean = self.params.gain * images.pixels().mean(axis=(0, 3), dtype=np.float32)

    def anomaly_maps(self, batch: ImageBatch) -> Any:
        if self.mean is None or batch.pixels.shape[1:3] != self.mean.shape:
            raise PluginError("not fitted to such images")
        return np.abs(self.params.gain * batch.pixels.mean(axis=3, dtype=np.float32) - self.mean)

    def state(self) -> Any:
        if self.mean is None:
            raise PluginError("not fitted yet")
        return {"mean": self.mean}

    def restore(self, state: Any) -> None:
        if "mean" not in state:
            raise PluginError("an entry is missing")
        self.mean = state["mean"]


@pytest.fixture
def grey() -> type[Grey]:
    return type("OwnGrey", (Grey,), {"__doc__": Grey.__doc__, "fits": []})


@pytest.fixture
def suite(grey: type[Grey]) -> type[DetectorSuite]:
    class Case(DetectorSuite):
        gain = 1.0

        def make(self) -> Grey:
            return grey(grey.Params(gain=self.gain))

    return Case


def test_few_clauses_train(grey: type[Grey], suite: type[DetectorSuite]) -> None:
    """Once for all, and again in the clauses on seeds, global randomness, written images, a second fit
    and a killed one; this one, which reports no progress, is killed nowhere, so it trains three times there.
    """
    assert violations(suite) == {}
    assert len(grey.fits) == 1 + 1 + 1 + 1 + 2 + 3


def test_each_clause_has_an_instance_of_its_own(suite: type[DetectorSuite]) -> None:
    first, second = suite()._trained(), suite()._trained()
    assert first is not second
    first.mean = None
    assert suite()._trained().mean is not None


CHANGES: dict[str, Callable[[Any], None]] = {
    "parameters": lambda case: setattr(case, "gain", 2.0),
    "size": lambda case: setattr(case, "size", (32, 40)),
    "number of images": lambda case: setattr(case, "good", 5),
    "an attribute of the instance": lambda case: setattr(case, "names", "other"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_another_training_is_not_shared(
    change: Callable[[Any], None], grey: type[Grey], suite: type[DetectorSuite]
) -> None:
    suite()._shared()
    suite()._shared()
    assert len(grey.fits) == 1
    case = suite()
    change(case)
    case._shared()
    assert len(grey.fits) == 2


def test_suites_of_one_plugin_train_for_themselves(grey: type[Grey], suite: type[DetectorSuite]) -> None:
    for case in (suite, type("Other", (suite,), {})):
        case()._shared()
    assert len(grey.fits) == 2


def test_what_does_not_restore_is_trained_by_each_clause(
    grey: type[Grey], suite: type[DetectorSuite]
) -> None:
    """So a broken state fails the clause on states, and no other one hides it or suffers from it."""
    grey.restore = lambda self, state: setattr(self, "mean", state["mean"] + 1)
    case = suite()
    assert not case._shared().restores
    case._trained()
    case._trained()
    assert len(grey.fits) == 3
    assert set(violations(suite)) == {
        "test_restore_refuses_what_is_incomplete",
        "test_state_restores_to_the_last_bit",
    }
