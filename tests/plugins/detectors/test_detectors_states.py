"""The states of the detectors that train: taken up to the last bit, and refused where they do not fit."""

from typing import Any

import numpy as np
import pytest
from plain import random_efficientad
from trainings import SIDE, Trial, same_bits

from segad_core.errors import PluginError

# entry, what stands there instead, and what is said
WRONG: dict[str, dict[str, tuple[str, Any, str]]] = {
    "fastflow": {
        "no version": ("version", None, "expected version 1, found none"),
        "another version": ("version", np.array(2), "expected version 1, found 2"),
        "two versions": ("version", np.array([1, 1]), "expected version 1, found"),
        "no shape": ("shape.layer2", None, "expected the entry 'shape.layer2', found none"),
        "a shape too many": ("shape.layer2", np.array([[7, 8, 6]]), "shape.layer2"),
        "a shape of two": ("shape.layer2", np.array([7, 8]), "layer2"),
        "a shape of none": ("shape.layer2", np.array(7), "shape.layer2"),
        "a shape of another": ("shape.layer2", np.array([7, 8, 7]), "'flows.layer2.norm."),
        "no weight": (
            "flows.layer1.norm.bias",
            None,
            "'flows.layer1.norm.bias' of shape (6, 16, 12), found none",
        ),
        "no buffer": ("flows.layer1.steps.1.permutation", None, "permutation' of shape (6,), found none"),
        "a weight too many": ("flows.layer1.norm.more", np.zeros(3), "more' of shape none, found (3,)"),
        "a step too many": ("flows.layer1.steps.2.gamma", np.zeros(6), "gamma' of shape none, found (6,)"),
        "an entry too many": ("more", np.zeros(3), "'more'"),
        "a layer too many": ("shape.layer4", np.array([6, 2, 2]), "'shape.layer4'"),
        "a weight reshaped": ("flows.layer3.steps.0.gamma", np.zeros((1, 10)), "(10,), found (1, 10)"),
    },
    "rd4ad": {
        "no version": ("version", None, "expected version 1, found none"),
        "another version": ("version", np.array(2), "expected version 1, found 2"),
        "no channels": ("channels", None, "expected the entry 'channels', found none"),
        "channels too many": ("channels", np.array([6, 7, 10, 12]), "'channels' of shape (3,), found (4,)"),
        "channels of another": ("channels", np.array([6, 7, 9]), "'student."),
        "channels of two dimensions": ("channels", np.array([[6, 7, 10]]), "channels"),
        "channels of none": ("channels", np.array(6), "channels"),
        "no channel": ("channels", np.array([], np.int64), "channels"),
        "no weight": (
            "student.stages.2.5.leave.0.weight",
            None,
            "leave.0.weight' of shape (6, 3, 1, 1), found none",
        ),
        "no statistics": (
            "student.bottleneck.0.skip.1.running_var",
            None,
            "running_var' of shape (20,), found none",
        ),
        "a weight too many": ("student.more", np.zeros(3), "'student.more' of shape none, found (3,)"),
        "an entry too many": ("more", np.zeros(3), "'more'"),
        "a weight reshaped": ("student.stages.0.0.enter.1.bias", np.zeros((1, 5)), "(5,), found (1, 5)"),
    },
    "efficientad": {
        "nothing": ("", None, "expected version 1, found none"),
        "no version": ("version", None, "expected version 1, found none"),
        "another version": ("version", np.array(2), "expected version 1, found 2"),
        "two versions": ("version", np.array([1, 1]), "expected version 1, found"),
        "no size": ("image_size", None, "expected the entry 'image_size', found none"),
        "a size of three": ("image_size", np.array([40, 40, 3]), "'image_size' of shape (2,), found (3,)"),
        "a size of none": ("image_size", np.array(40), "'image_size' of shape (2,), found ()"),
        "no mean": ("networks.mean", None, "'networks.mean' of shape (1, 384, 1, 1), found none"),
        "quantiles reshaped": (
            "networks.quantiles",
            np.zeros(4),
            "networks.quantiles' of shape (2, 2), found (4,)",
        ),
        "half a student": (
            *("networks.student.8.weight", np.zeros((384, 256, 4, 4))),
            "(768, 256, 4, 4), found (384, 256, 4, 4)",
        ),
        "a weight too many": (
            "networks.student.10.bias",
            np.zeros(768),
            "student.10.bias' of shape none, found (768,)",
        ),
        "an entry too many": ("bank", np.zeros(3), "'bank'"),
    },
}


@pytest.mark.parametrize(
    ("trial", "wrong"),
    [(name, wrong) for name, cases in WRONG.items() for wrong in cases],
    indirect=["trial"],
)
def test_a_state_that_does_not_fit_is_refused(trial: Trial, wrong: str) -> None:
    name, array, said = WRONG[trial.name][wrong]
    fresh = type(trial.trained)(trial.trained.params)
    state = {n: v for n, v in trial.state.items() if n != name and name}
    with pytest.raises(PluginError) as caught:
        fresh.restore(state if array is None else {**state, name: array})
    assert caught.value.what.startswith(f"{trial.name}: ")
    assert "expected" in caught.value.what and "found" in caught.value.what and said in caught.value.what
    assert caught.value.remedy == "Train it again with this version."
    with pytest.raises(PluginError, match="not fitted"):
        fresh.state()


@pytest.mark.parametrize(
    ("trial", "params", "said"),
    [
        ("fastflow", {"steps": 3}, "the entry '"),
        ("fastflow", {"hidden_ratio": 2.0}, "the entry '"),
        ("fastflow", {"only_3x3": True}, "the entry '"),
        ("fastflow", {"layers": ("layer1",)}, "the entry '"),
        ("rd4ad", {"bottleneck_width": 128}, "the entry 'student.bottleneck"),
        ("rd4ad", {"layers": ("layer1", "layer2")}, "the entry 'channels'"),
        ("efficientad", {"size": "medium"}, "the entry 'networks."),
    ],
    indirect=["trial"],
)
def test_a_state_of_other_parameters_is_refused(trial: Trial, params: dict[str, Any], said: str) -> None:
    """Else maps could be of too few layers, or an error be far from its cause."""
    detector = trial.trained
    other = type(detector)(detector.params.model_copy(update=params))
    with pytest.raises(PluginError, match=rf"{trial.name}: the state .* expected {said}"):
        other.restore(trial.state)


def test_a_state_belongs_to_nobody_else(trial: Trial) -> None:
    """Neither maps, nor a state that is refused, nor another training change what was learnt or given."""
    detector, batch = trial.trained, trial.batch()
    state = detector.state()
    kept, maps = {name: array.copy() for name, array in state.items()}, detector.anomaly_maps(batch)
    assert np.isfinite(maps).all()
    assert same_bits(kept, detector.state())
    again = type(detector)(detector.params)
    again.restore(state)
    np.testing.assert_array_equal(again.anomaly_maps(batch), maps)
    assert same_bits(kept, again.state())
    with pytest.raises(PluginError):
        again.restore({name: array for name, array in state.items() if not name.endswith(".bias")})
    np.testing.assert_array_equal(again.anomaly_maps(batch), maps)
    trial.fit(again, 5)
    assert same_bits(kept, state) and not same_bits(kept, again.state())


def test_image_score_is_the_maps_maximum(trial: Trial) -> None:
    detector, batch = trial.trained, trial.batch()
    maps = detector.anomaly_maps(batch)
    np.testing.assert_array_equal(detector.image_scores(batch, maps), maps.max(axis=(1, 2)))


@pytest.mark.parametrize("trial", ["efficientad"], indirect=True)
def test_efficientads_state_holds_the_named_arrays_and_no_other(trial: Trial) -> None:
    expected, found = random_efficientad("small", (SIDE, SIDE)), trial.state
    assert {k: (v.shape, v.dtype) for k, v in found.items()} == {
        k: (v.shape, v.dtype) for k, v in expected.items()
    }
    assert int(found["version"]) == 1 and found["image_size"].tolist() == [SIDE, SIDE]
