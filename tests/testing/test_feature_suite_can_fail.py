"""Each clause of the feature suite fails for a feature that violates it, and passes sound ones."""

import time
from itertools import pairwise

import numpy as np
import pytest
from pickles import keeping_a_pickle

from segad_core import contracts
from segad_core.errors import PluginError
from segad_core.testing import FeatureSuite


class Feature(contracts.ScalarFeature):
    """The range of the values."""

    def statistics(self):
        return ("range",)

    def value(self, values):
        return float(values.max() - values.min())


class Box(contracts.Feature):
    """The height and the width of the segment."""

    def statistics(self):
        return ("height", "width")

    def compute(self, values):
        shapes = [values.region(segment).inside.shape for segment in range(len(values))]
        return np.array(shapes, np.float64).reshape(-1, 2)


class Excess(contracts.FittedFeature):
    """By how much the maximum exceeds the largest of the good maps."""

    limits = None

    def statistics(self):
        return ("excess",)

    def fit(self, good, run):
        self.limits = np.max([self.highest(values) for values in good], axis=0)

    def highest(self, values):
        return np.array([v.max(initial=-1e6) for v in values], np.float64)

    def compute(self, values):
        if self.limits is None:
            raise PluginError("not fitted yet")
        excess = np.maximum(self.highest(values) - self.limits, 0) * (np.diff(values.offsets) > 0)
        return excess.reshape(-1, 1)

    def state(self):
        if self.limits is None:
            raise PluginError("not fitted yet")
        return {"limits": self.limits}

    def restore(self, state):
        if "limits" not in state:
            raise PluginError("an entry is missing")
        self.limits = state["limits"]


def feature(base=Feature, **methods):
    return type("Broken", (base,), {"__doc__": "A feature that breaks its contract.", **methods})


def fitted(**methods):
    return feature(Excess, **methods)


def means_of_all(self, values):
    return np.array([[v.mean()] for v in values], np.float64).reshape(-1, 1)


def against_the_whole(self, values):
    ranges = Feature.compute(self, values)
    return ranges / max(ranges.max(initial=0), 1e-30)


def sorted_in_place(self, values):
    values.sort()
    return float(values[-1])


def stale(self, values):
    values.memo["calls"] = values.memo.get("calls", 0) + 1
    return Feature.compute(self, values) * values.memo["calls"]


def first_position(self, values):
    found = [[float(values.pixels[a] if b > a else 0)] * 2 for a, b in pairwise(values.offsets)]
    return np.array(found, np.float64).reshape(-1, 2)


def without_ends(self, values):
    if values.runs is None:
        return Feature.compute(self, values)
    flat, found = values.anomaly_map.reshape(-1), np.zeros((len(values), 1))
    places = np.repeat(np.arange(len(values)), np.diff(values.offsets) > 0)
    for place, (start, length) in zip(places, values.runs, strict=True):
        found[place] = np.ptp(flat[start : start + max(1, length - 1)])
    return found


def moves_runs(self, values):
    if values.runs is not None:
        values.runs[:] = 0
    return np.zeros((len(values), 2))


def flattens(self, values):
    values.anomaly_map[:] = 0
    return Box.compute(self, values)


def moves(self, values):
    values.pixels[:] = 0
    return np.zeros((len(values), 2))


def random_fit(self, good, run):
    Excess.fit(self, good, run)
    self.limits = self.limits - np.random.default_rng().uniform(1, 2)


def seeding_fit(self, good, run):
    Excess.fit(self, good, run)
    np.random.seed(3)  # noqa: NPY002


def fit_in_place(self, good, run):
    for values in good:
        values.values[:] = 0
    Excess.fit(self, good, run)


def growing_fit(self, good, run):
    before = self.limits
    Excess.fit(self, good, run)
    self.limits = self.limits if before is None else np.maximum(self.limits, before)


def needs_two_maps(self, good, run):
    if len(good) < 2:
        raise PluginError("one map is not enough")
    Excess.fit(self, good, run)


def needs_pixels(self, values):
    return np.array([v.max() if len(v) else np.nan for v in values], np.float64)


def unfitted(self, values):
    self.limits = np.zeros(len(values)) if self.limits is None else self.limits
    return Excess.compute(self, values)


def two_arrays(self):
    return {**Excess.state(self), "more": np.ones(1)}


TABLE = "test_returns_a_float64_per_segment_and_statistic"
EMPTY = "test_empty_segments_are_zero"
CONSTANT = "test_constant_and_one_pixel_segments_are_finite"
FINITE = "test_any_finite_values_are_finite"
OTHERS = "test_segments_do_not_depend_on_each_other"


def scratch(self, values):
    self.held = values
    time.sleep(1e-4)
    return Feature.compute(self, self.held)


ORDER = "test_order_of_pixels_does_not_matter"
THREADS = "test_threads_do_not_mix_their_maps"
SAME = "test_is_deterministic"
PIECES = "test_pieces_of_the_map_are_the_values"
LEAVES = "test_leaves_the_values_as_they_are"
FIT = "test_fit_is_deterministic"
GOOD = "test_fit_leaves_the_good_maps_as_they_are"
SECOND = "test_a_second_fit_forgets_the_first"
FEW = "test_one_good_map_and_segments_without_pixels_are_enough"
STATE = "test_state_restores_exactly"
LACKS = "test_restore_refuses_what_is_incomplete"
UNFITTED = "test_use_before_fit_is_refused"


@pytest.mark.parametrize(
    ("plugin", "expected"),
    [
        (Feature, ""),
        (type("Scratch", (Feature,), {"__doc__": "Keeps the map in itself.", "compute": scratch}), THREADS),
        (feature(statistics=lambda self: ("range", "range")), f"test_statistics_have_unique_names {TABLE}"),
        (feature(statistics=lambda self: ("max.min",)), "test_statistics_have_unique_names"),
        (feature(statistics=lambda self: ()), f"test_statistics_have_unique_names {TABLE}"),
        (feature(compute=lambda self, values: Feature.compute(self, values).astype(np.float32)), TABLE),
        (feature(compute=lambda self, values: Feature.compute(self, values)[:, 0]), TABLE),
        (feature(compute=means_of_all), f"{TABLE} {EMPTY}"),
        (feature(compute=lambda self, values: Feature.compute(self, values) + 1), EMPTY),
        (
            feature(value=lambda self, values: float((values / (values.max() - values.min())).mean())),
            f"{CONSTANT} {TABLE} {FINITE}",
        ),
        (feature(value=lambda self, values: float((values**4).mean())), FINITE),
        (feature(compute=against_the_whole), OTHERS),
        (feature(value=lambda self, values: float(values[0])), ORDER),
        (feature(value=sorted_in_place), LEAVES),
        (feature(compute=stale), SAME),
        (Box, ""),
        (feature(Box, compute=first_position), ORDER),
        (feature(Box, compute=flattens), LEAVES),
        (feature(Box, compute=moves), LEAVES),
        (feature(Box, compute=moves_runs), LEAVES),
        (feature(compute=without_ends), PIECES),
        (Excess, ""),
        (fitted(fit=random_fit), f"{FIT} {SECOND} {OTHERS} {ORDER} {SAME}"),
        (fitted(fit=seeding_fit), FIT),
        (fitted(fit=fit_in_place), GOOD),
        (fitted(fit=growing_fit), SECOND),
        (fitted(fit=needs_two_maps), FEW),
        (fitted(highest=needs_pixels), f"{FEW} {EMPTY} {TABLE}"),
        (keeping_a_pickle(Excess), STATE),
        (fitted(state=lambda self: {"limits": np.array(Excess.state(self)["limits"], object)}), STATE),
        (fitted(state=lambda self: {"limits": Excess.state(self)["limits"].astype(np.float16)}), STATE),
        (fitted(state=two_arrays), LACKS),
        (fitted(restore=lambda self, state: setattr(self, "limits", state.get("limits", 0.0))), LACKS),
        (fitted(compute=unfitted), UNFITTED),
        (fitted(state=lambda self: {"limits": self.limits}), UNFITTED),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_feature(check, plugin, expected):
    check(FeatureSuite, plugin, expected)
