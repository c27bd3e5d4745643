"""EfficientAD's maps from prepared networks against those of the networks as trained, and their work."""

import numpy as np
import pytest
import torch
from plain import random_efficientad
from torch_calls import Calls

from segad_core.testing import bad_images, good_images, image_batch
from segad_plugins.detectors import efficientad
from segad_plugins.detectors.efficientad import EfficientAD
from segad_plugins.row_convolution import runs_here

pytestmark = [
    pytest.mark.skipif(not runs_here(torch.device("cpu")), reason="torch has no oneDNN here"),
    pytest.mark.usefixtures("one_thread"),
]

TOLERANCE = 2e-5
"""Of the maps' span."""


def _detector(size: str, padding: bool, exact: bool = False) -> EfficientAD:
    params = EfficientAD.Params.model_validate({"size": size, "padding": padding, "exact_maps": exact})
    detector = EfficientAD(params)
    detector.restore(random_efficientad(size, (64, 72)))
    return detector


@pytest.mark.parametrize(("size", "padding"), [("medium", True), ("small", True), ("small", False)])
def test_maps_are_those_of_the_plain_networks(size: str, padding: bool) -> None:
    batch = image_batch(np.concatenate([good_images(1, 64, 72), bad_images(2, 64, 72)]))
    fast = _detector(size, padding).anomaly_maps(batch)
    exact = _detector(size, padding, exact=True).anomaly_maps(batch)
    assert not np.array_equal(fast, exact)
    assert np.abs(fast - exact).max() < TOLERANCE * np.ptp(exact)


def test_networks_are_prepared_once() -> None:
    detector, batch = _detector("small", True), image_batch(good_images(2, 64, 72))
    with Calls() as first:
        maps = detector.anomaly_maps(batch)
    with Calls() as second:
        again = detector.anomaly_maps(batch)
    np.testing.assert_array_equal(maps, again)
    assert first.counts["_reorder_convolution_weight"] > 0
    assert second.counts["_reorder_convolution_weight"] == 0
    # an image has one first convolution for both, and 8 rows for each of the six that are large
    assert second.counts["_convolution_pointwise"] == 2 * (1 + 8 * 6)
    detector.restore(dict(detector.state()))  # other weights are prepared anew
    with Calls() as third:
        detector.anomaly_maps(batch)
    assert third.counts["_reorder_convolution_weight"] > 0


def test_plain_networks_where_torch_has_no_prepared_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = image_batch(good_images(1, 64, 72))
    exact = _detector("small", True, exact=True).anomaly_maps(batch)
    monkeypatch.setattr(efficientad, "runs_here", lambda device: False)
    np.testing.assert_array_equal(_detector("small", True).anomaly_maps(batch), exact)
