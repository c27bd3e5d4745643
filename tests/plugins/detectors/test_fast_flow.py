"""FastFlow's maps from prepared flows against those of the flows as trained, and their work."""

from functools import partial

import numpy as np
import pytest
import torch
import trainings
from torch_calls import Calls
from trainings import feature_batch, random_features

from segad_plugins.detectors import fast_flow, fastflow
from segad_plugins.detectors.fastflow import FastFlow
from segad_plugins.detectors.flow_steps import Flow
from segad_plugins.row_convolution import runs_here
from segad_plugins.training import seeded

pytestmark = [
    pytest.mark.skipif(not runs_here(torch.device("cpu")), reason="torch has no oneDNN here"),
    pytest.mark.usefixtures("one_thread"),
]

with_random_weights = partial(trainings.with_random_weights, FastFlow)


def _exact(detector: FastFlow) -> FastFlow:
    plain = FastFlow(detector.params.model_copy(update={"exact_maps": True}))
    plain.restore(detector.state())
    return plain


@pytest.mark.parametrize("params", [{"steps": 4}, {"steps": 1}, {"steps": 3, "only_3x3": True}])
def test_maps_are_those_of_the_plain_flows(params: dict[str, object]) -> None:
    fast, batch = with_random_weights(**params), feature_batch(random_features(3, 1))
    found, expected = fast.anomaly_maps(batch), _exact(fast).anomaly_maps(batch)
    assert not np.array_equal(found, expected)
    assert np.abs(found - expected).max() < 2e-5 * np.ptp(expected)


@pytest.mark.parametrize("channels", [256, 257])
def test_wide_flows_round_like_the_plain_one(channels: int) -> None:
    with seeded(3), torch.inference_mode():
        flow = Flow((channels, 13, 6), 8, 1.0).requires_grad_(False)
        for step in flow.steps:
            step.gamma += 0.3 * torch.randn(channels)
            step.beta += 0.1 * torch.randn(channels)
        features = torch.rand(2, channels, 13, 6)
        plain = (flow(features)[0] ** 2).mean(dim=1)
        found = fast_flow.FastFlow(flow).mean_square(features)
        exact = (flow.double()(features.double())[0] ** 2).mean(dim=1)
    error = (plain - exact).abs().max()
    assert error > 0 and (found - exact).abs().max() < 8 * error


def test_flows_are_prepared_once_and_do_no_more_than_maps_need() -> None:
    detector, batch = with_random_weights(steps=4), feature_batch(random_features(2, 1))
    with Calls() as first:
        maps = detector.anomaly_maps(batch)
    with Calls() as second:
        again = detector.anomaly_maps(batch)
    np.testing.assert_array_equal(maps, again)
    layers = len(detector.params.layers)
    assert first.counts["_reorder_convolution_weight"] == 2 * 4 * layers
    assert second.counts["_reorder_convolution_weight"] == second.counts["log"] == 0
    assert second.counts["_convolution_pointwise"] == 2 * 4 * layers
    assert second.counts["index_select"] == 3 * layers
    detector.restore(dict(detector.state()))  # other weights are prepared anew
    with Calls() as third:
        detector.anomaly_maps(batch)
    assert third.counts["_reorder_convolution_weight"] > 0


def test_plain_flows_where_torch_has_no_prepared_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    detector, batch = with_random_weights(steps=2), feature_batch(random_features(1, 1))
    expected = _exact(detector).anomaly_maps(batch)
    monkeypatch.setattr(fastflow, "runs_here", lambda device: False)
    np.testing.assert_array_equal(detector.anomaly_maps(batch), expected)
