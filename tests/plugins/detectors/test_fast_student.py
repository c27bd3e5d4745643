"""RD4AD's maps from a prepared student against those of the student as trained, and its work."""

from functools import partial

import numpy as np
import pytest
import torch
import trainings
from torch import nn
from torch_calls import Calls
from trainings import feature_batch, random_features

from segad_plugins.detectors import rd4ad
from segad_plugins.detectors.fast_student import FastStudent
from segad_plugins.detectors.rd4ad import RD4AD
from segad_plugins.row_convolution import runs_here
from segad_plugins.training import seeded

pytestmark = [
    pytest.mark.skipif(not runs_here(torch.device("cpu")), reason="torch has no oneDNN here"),
    pytest.mark.usefixtures("one_thread"),
]

with_random_weights = partial(trainings.with_random_weights, RD4AD)


@pytest.mark.parametrize("width", [64, 128])
def test_maps_are_those_of_the_plain_student(width: int) -> None:
    fast = with_random_weights(bottleneck_width=width)
    plain = RD4AD(fast.params.model_copy(update={"exact_maps": True}))
    plain.restore(fast.state())
    batch = feature_batch(random_features(3, 1))
    found, expected = fast.anomaly_maps(batch), plain.anomaly_maps(batch)
    assert not np.array_equal(found, expected)
    assert np.abs(found - expected).max() < 2e-5 * np.ptp(expected)


def test_a_wide_student_rounds_like_the_plain_one() -> None:
    """Some of its convolutions are wide enough to go by rows; odd sides are cut on the way up."""
    shapes = [(256, 18, 11), (256, 9, 6)]
    with seeded(3), torch.inference_mode():
        student = RD4AD(RD4AD.Params(layers=("a", "b"))).build([256, 256])
        for norm in (m for m in student.modules() if isinstance(m, nn.BatchNorm2d)):
            norm.momentum = None
        layers = [torch.rand(4, *shape) for shape in shapes]
        student.train()(layers)  # batch norms see what they will see
        student.eval().requires_grad_(False)
        plain, fast = student(layers), FastStudent(student)(layers)
        exact = student.double()([layer.double() for layer in layers])
    for p, f, e, shape in zip(plain, fast, exact, shapes, strict=True):
        assert f.shape == (4, *shape)
        error = (p - e).abs().max()
        assert error > 0 and (f - e).abs().max() < 8 * error


def test_the_student_is_prepared_once() -> None:
    detector, batch = with_random_weights(), feature_batch(random_features(2, 1))
    with Calls() as first:
        maps = detector.anomaly_maps(batch)
    with Calls() as second:
        again = detector.anomaly_maps(batch)
    np.testing.assert_array_equal(maps, again)
    assert first.counts["_reorder_convolution_weight"] == first.counts["_convolution_pointwise"] > 40
    assert second.counts["_reorder_convolution_weight"] == 0
    assert second.counts["_convolution_pointwise"] == first.counts["_convolution_pointwise"]
    assert second.counts["native_batch_norm"] == second.counts["_native_batch_norm_legit_no_training"] == 0
    detector.restore(dict(detector.state()))  # other weights are prepared anew
    with Calls() as third:
        detector.anomaly_maps(batch)
    assert third.counts["_reorder_convolution_weight"] > 0


def test_the_plain_student_where_torch_has_no_prepared_one(monkeypatch: pytest.MonkeyPatch) -> None:
    detector, batch = with_random_weights(), feature_batch(random_features(1, 1))
    plain = RD4AD(detector.params.model_copy(update={"exact_maps": True}))
    plain.restore(detector.state())
    monkeypatch.setattr(rd4ad, "runs_here", lambda device: False)
    np.testing.assert_array_equal(detector.anomaly_maps(batch), plain.anomaly_maps(batch))
