"""Each clause of what a feature owes fails for a plugin that violates it, and spares a sound one."""

import numpy as np
import pytest

from segad_core import contracts
from segad_core.testing import FeatureSuite


class Feature(contracts.ScalarFeature):
    """The range of the values."""

    def statistics(self):
        return ("range",)

    def value(self, values):
        return float(values.max() - values.min())


def feature(**methods):
    return type("Broken", (Feature,), {"__doc__": "A feature told wrongly.", **methods})


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


TABLE = "test_gives_a_float64_per_segment_and_statistic"
EMPTY = "test_empty_segments_are_zero"
CONSTANT = "test_constant_and_one_pixel_segments_are_finite"
FINITE = "test_any_finite_values_are_finite"
OTHERS = "test_segments_do_not_depend_on_each_other"
ORDER = "test_order_of_pixels_does_not_matter"
SAME = "test_is_deterministic"


@pytest.mark.parametrize(
    ("plugin", "expected"),
    [
        (Feature, ""),
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
        (feature(value=sorted_in_place), "test_leaves_the_values_as_they_are"),
        (feature(compute=stale), SAME),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_feature(check, plugin, expected):
    check(FeatureSuite, plugin, expected)
