"""The linear probe: what it pools, what it learns from that, how it is stored, what it refuses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from trainings import same_bits, seed_run

from segad_core.contracts import ImageBatch, Run, optional, to_numpy
from segad_core.errors import DataError, PluginError
from segad_core.testing import ArrayImageSet, TinyEncoder, bad_images, good_images, image_batch
from segad_core.testing.trial_run import Told
from segad_plugins.classifiers.linear_probe import LinearProbe
from segad_plugins.detectors.patchcore import PatchCore

SIZE = (48, 64)
LAYERS = ("layer1", "layer2", "layer3")
"""Those of the usual layers that the tiny encoder has."""


def images(good: int = 9, bad: int = 6, layers: tuple[str, ...] = LAYERS) -> ArrayImageSet:
    return ArrayImageSet(_pixels(good, bad), TinyEncoder(), layers)


def _pixels(good: int, bad: int, seed: int = 0) -> np.ndarray:
    return np.concatenate([good_images(good, *SIZE, seed), bad_images(bad, *SIZE, seed + 1)])


def labels(good: int = 9, bad: int = 6) -> np.ndarray:
    return np.repeat([0, 1], [good, bad])


def fitted(**params: Any) -> LinearProbe:
    probe = LinearProbe(LinearProbe.Params.model_validate(params))
    probe.fit(images(layers=probe.layers() or LAYERS), labels(), seed_run())
    return probe


def plainly(features: Mapping[str, Any], layers: tuple[str, ...] = LAYERS) -> np.ndarray:
    """Mean, maximum and standard deviation of each layer, in NumPy and float64."""
    pixels = [to_numpy(features[name]).astype(np.float64) for name in layers]
    flat = [x.reshape(*x.shape[:2], -1) for x in pixels]
    return np.concatenate([np.concatenate([x.mean(-1), x.max(-1), x.std(-1)], axis=1) for x in flat], axis=1)


# ---- what it pools ----


def test_layers_and_statistics_can_be_chosen() -> None:
    assert LinearProbe().layers() == ()
    assert optional.layers_read(LinearProbe(), TinyEncoder()) == LAYERS
    assert list(fitted().vectors(image_batch(_pixels(1, 1), TinyEncoder(), (*LAYERS, "layer4")))) == [*LAYERS]
    few = fitted(layers=["layer3", "layer1"], pooling=["max"])
    assert few.layers() == optional.layers_read(few, TinyEncoder()) == ("layer3", "layer1")
    assert few.state()["channels"].tolist() == [6, 6] and few.state()["mean"].shape == (12,)
    for wrong in (
        *({"layers": []}, {"layers": ["layer1", "layer1"]}, {"pooling": ["max", "max"]}),
        *({"pooling": ["median"]}, {"C": [1, 0.1]}, {"C": [0]}, {"C": []}),
    ):
        with pytest.raises(ValidationError):
            LinearProbe.Params.model_validate(wrong)


# ---- what it learns ----


@pytest.mark.parametrize("weight", [None, "balanced"])
def test_scores_are_scikit_learns_decision_function(weight: Any) -> None:
    probe = fitted(C=[0.01], class_weight=weight)
    reference = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, class_weight=weight))
    reference.fit(plainly(images().features()), labels())
    tried = image_batch(_pixels(3, 3, 5), TinyEncoder(), LAYERS)
    expected = reference.decision_function(plainly(tried.features()))
    np.testing.assert_allclose(probe.scores(tried), expected, atol=1e-3)
    assert len(set(expected)) == 6


def test_each_layer_has_a_score_of_its_own() -> None:
    """As many outputs as layers and one more; each is a probe that reads this layer alone."""
    probe, tried = fitted(per_layer=True), image_batch(_pixels(3, 3, 5), TinyEncoder(), LAYERS)
    scores = probe.scores(tried)
    assert probe.outputs() == ("score", *LAYERS) and fitted().outputs() == ("score",)
    np.testing.assert_array_equal(scores[:, 0], fitted().scores(tried))
    for i, layer in enumerate(LAYERS, start=1):
        np.testing.assert_array_equal(scores[:, i], fitted(layers=[layer]).scores(tried))
    assert len({tuple(column) for column in scores.T.tolist()}) == 4
    again = LinearProbe(probe.params)
    again.restore(probe.state())
    assert same_bits(again.state(), probe.state()) and again.outputs() == probe.outputs()
    np.testing.assert_array_equal(again.scores(tried), scores)


def test_a_training_holds_no_more_than_pooled_values() -> None:
    """It goes through batches, and does not ask for the features of all images at once."""

    class Batches(ArrayImageSet):
        def features(self) -> Any:
            raise AssertionError("features of all images")

        pixels = features

    told = Told()
    LinearProbe().fit(Batches(_pixels(9, 6), TinyEncoder(), LAYERS), labels(), seed_run(1, told))
    described = [call for call in told.calls if call[0] == "images described"]
    assert described[-1] == ("images described", 15, 15, "")


def test_a_batch_takes_one_pass_for_a_detector_and_the_probe() -> None:
    detector = PatchCore(PatchCore.Params(layers=("layer1", "layer2"), blur_sigma=1))
    detector.restore({"version": np.array(1), "bank": np.zeros((1, 12), np.float32)})
    probe, pixels, passes = fitted(), _pixels(2, 2, 7), []

    def encode(given: Any) -> Any:
        passes.append(len(given))
        return TinyEncoder().encode(given, LAYERS)

    batch = ImageBatch(image_batch(pixels).samples, pixels, encode)
    detector.anomaly_maps(batch)
    probe.scores(batch)
    assert passes == [4]


@pytest.mark.parametrize(("good", "bad", "strength"), [(9, 2, 0.004), (1, 6, 0.004), (1, 1, 0.004)])
def test_with_few_images_of_a_class_the_strength_is_the_one_stated(
    good: int, bad: int, strength: float
) -> None:
    probe = LinearProbe(LinearProbe.Params(few_C=strength))
    probe.fit(images(good, bad), labels(good, bad), seed_run())
    assert probe.state()["strength"] == strength
    assert np.isfinite(probe.scores(image_batch(_pixels(2, 2), TinyEncoder(), LAYERS))).all()
    assert LinearProbe.Params().few_C in LinearProbe.Params().C


# ---- what is stored ----


def test_the_state_is_as_large_as_estimated() -> None:
    probe = fitted(layers=["layer1", "layer3"])
    shapes = {"layer1": (6, 12, 16), "layer3": (6, 3, 4)}
    estimate = probe.estimate(15, SIZE, shapes)
    assert estimate.state == sum(array.nbytes for array in probe.state().values())
    assert estimate.memory >= 2 * 15 * 36 * 8 and estimate.per_image >= 4 * 6 * 12 * 16
    assert "36 pooled values of 15 images, 31 regressions" in estimate.work
    usual = {"layer1": (6, 12, 16), "layer2": (6, 6, 8), "layer3": (6, 3, 4)}
    for per_layer, fits in ((False, 31), (True, 4 * 31)):
        several = fitted(per_layer=per_layer)
        estimate = several.estimate(15, SIZE, usual)
        assert estimate.state == sum(array.nbytes for array in several.state().values())
        assert f"54 pooled values of 15 images, {fits} regressions" in estimate.work


def test_a_state_restores() -> None:
    probe, again = fitted(), LinearProbe()
    again.restore(probe.state())
    assert same_bits(again.state(), probe.state())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("version", np.array(99)),
        ("channels", np.array([6, 6, 6])),
        ("channels", np.array([0, 6, 6, 7])),
        ("channels", np.array([0.0, 6.0, 6.0, np.nan])),
        ("channels", np.array([30, -12, 0, 0])),
        ("channels", np.array([0, 0, 0, 0])),
        ("mean", np.zeros(53)),
        ("mean", np.full(54, np.inf)),
        ("scale", np.zeros(54)),
        ("scale", np.ones(54, np.float32)),
        ("coefficients", np.zeros((54, 1))),
        ("intercept", np.array(np.nan)),
        ("strength", np.zeros(1)),
    ],
)
def test_states_that_do_not_match_are_refused(name: str, value: np.ndarray) -> None:
    with pytest.raises(PluginError, match="linear_probe"):
        LinearProbe().restore({**fitted().state(), name: value})


@pytest.mark.parametrize("lacks", ["layer2.mean", "layer3.coefficients", "layer1.strength"])
def test_a_state_without_the_model_of_a_layer_is_refused(lacks: str) -> None:
    probe = fitted(per_layer=True)
    state = {name: array for name, array in probe.state().items() if name != lacks}
    with pytest.raises(PluginError, match="linear_probe"):
        LinearProbe(probe.params).restore(state)
    other = {**probe.state(), "layer2.mean": probe.state()["mean"], "layer2.scale": probe.state()["scale"]}
    other["layer2.coefficients"] = probe.state()["coefficients"]
    with pytest.raises(PluginError, match="18 pooled values"):
        LinearProbe(probe.params).restore(other)


# ---- what is refused ----


@pytest.mark.parametrize(("label", "given"), [(0, "7 good and 0 bad"), (1, "0 good and 7 bad")])
def test_labels_of_one_class_are_refused(label: int, given: str) -> None:
    with pytest.raises(DataError) as caught:
        LinearProbe().learn({"layer1": np.zeros((7, 3), np.float32)}, np.full(7, label), seed_run())
    assert "LinearProbe" in caught.value.what and given in caught.value.what
    assert "split.classifiers" in caught.value.remedy


def test_layers_of_another_encoder_are_refused() -> None:
    class Other(TinyEncoder):
        def encode(self, pixels: Any, layers: Any) -> Any:
            return {name: values[:, :5] for name, values in super().encode(pixels, layers).items()}

    with pytest.raises(PluginError, match=r"layer1 6, layer2 6, layer3 6 .* layer1 5, layer2 5, layer3 5"):
        fitted().scores(image_batch(_pixels(1, 1), Other(), LAYERS))


def test_groups_of_the_run_are_left_out_together() -> None:
    """Twelve vectors of each of 14 parts of random labels: alone they look learnable, by part they do not."""
    rng, parts = np.random.default_rng(3), np.repeat(np.arange(14), 12)
    values, truth = rng.normal(size=(14, 6))[parts], rng.permutation(np.repeat([0, 1], 7))[parts]
    strengths = []
    for groups in (None, parts):
        probe = LinearProbe(LinearProbe.Params(layers=("layer1",)))
        run = Run(np.random.SeedSequence(7), groups=groups)
        probe.learn({"layer1": values.astype(np.float32)}, truth, run)
        strengths.append(float(np.ravel(probe.state()["strength"])[0]))
    assert strengths[0] == 1.0 and strengths[1] <= 0.01
