"""Fields that plugins declare for what they learn: reading, assigning, states, and sizes of inputs."""

from __future__ import annotations

import copy
import pickle
import re
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from segad_core.api import (
    Classifier,
    Detector,
    FinalClassifier,
    FittedFeature,
    LearningSegmenter,
    Learnt,
    NotFittedError,
    PluginError,
    Run,
    ScalarFeature,
    SegmentValues,
    Stateful,
    VectorClassifier,
)
from segad_core.plugins.blame import named
from segad_core.plugins.registry import Provider, contract_problems
from segad_core.testing import TinyEncoder, image_batch

RUN = Run(np.random.SeedSequence(0))


class Gaussian(Stateful):
    """Fields of several types, whose sizes are shared."""

    mean = Learnt(np.float32, "N", "D", 3)
    deviation = Learnt(np.float64, "D", "D")
    count = Learnt(np.int64)
    used = Learnt(np.bool_, "N")


class Map(Detector):
    """Distance to one image."""

    median = Learnt(np.float32, "H", "W", 3)

    def fit(self, images: Any, run: Run) -> None:
        self.median = np.median(images.pixels(), axis=0)

    def anomaly_maps(self, batch: Any) -> NDArray[np.float32]:
        maps: NDArray[np.float32] = np.abs(batch.pixels - self.median).mean(-1)
        return maps


class Features(Map):
    """Distance to the features of one image; the size of the median is that of a layer."""

    median = Learnt(np.float32, "layer2.C", "layer2.H", "layer2.W")  # type: ignore[assignment]

    def layers(self) -> tuple[str, ...]:
        return ("layer2",)

    def anomaly_maps(self, batch: Any) -> NDArray[np.float32]:
        return np.zeros(batch.pixels.shape[:3], np.float32)


def fitted() -> Gaussian:
    plugin = Gaussian()
    plugin.mean = np.ones((2, 4, 3))
    plugin.deviation = np.eye(4)
    plugin.count = 7
    plugin.used = [True, False]
    return plugin


def problems(wrong: pytest.ExceptionInfo[PluginError]) -> str:
    return "\n".join(wrong.value.problems)


def test_a_field_that_is_not_set_is_not_fitted() -> None:
    plugin = Gaussian()
    with pytest.raises(NotFittedError, match="Gaussian: is not fitted yet: 'mean'"):
        _ = plugin.mean
    with pytest.raises(PluginError):
        plugin.state()
    assert not hasattr(plugin, "mean")
    assert getattr(plugin, "mean", None) is None
    assert Gaussian.mean.shape == ("N", "D", 3)  # of the class, it is the declaration


def test_what_is_assigned_has_the_declared_type() -> None:
    plugin = fitted()
    assert plugin.mean.dtype == np.float32
    assert plugin.count.dtype == np.int64 and plugin.count.shape == () and plugin.count == 7
    assert plugin.used.dtype == np.bool_ and plugin.used.tolist() == [True, False]
    plugin.count = np.float64(8)  # a whole number, whatever its type
    assert plugin.count == 8 and plugin.count.dtype == np.int64


def test_an_array_of_the_declared_type_is_not_copied() -> None:
    plugin, given = Gaussian(), np.zeros((2, 4, 3), np.float32)
    plugin.mean = given
    assert plugin.mean is given


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("mean", np.ones((2, 4)), r"'mean' is declared as float32 \(N, D, 3\), not as float64 \(2, 4\)"),
        ("mean", np.ones((2, 4, 1)), r"float64 \(2, 4, 1\)"),
        (
            "mean",
            [[[1, -1e300, 1e301]]],
            r"'mean' is .* float32 \(N, D, 3\), which cannot hold -1e\+300$",
        ),
        ("mean", np.full((1, 1, 3), "1"), "<U1"),
        ("mean", np.full((1, 1, 3), 1, object), "object"),
        ("mean", np.full((1, 1, 3), 1j), "complex128"),
        ("mean", None, "object"),
        ("deviation", np.ones((3, 4)), r"\(D, D\)"),
        ("count", 1.5, r"'count' is declared as int64 \(\), which cannot hold 1\.5$"),
        ("count", np.nan, "which cannot hold nan$"),
        ("count", 1e300, r"which cannot hold 1e\+300$"),
        ("count", 2**63, "which cannot hold 9223372036854775808$"),
        ("used", [0, 2], r"'used' is declared as bool \(.*\), which cannot hold 2$"),
    ],
)
def test_what_does_not_fit_the_declaration_is_refused(name: str, value: Any, told: str) -> None:
    plugin = fitted()
    before = getattr(plugin, name)
    with pytest.raises(PluginError) as caught:
        setattr(plugin, name, value)
    assert re.search(told, caught.value.what)
    assert "cannot hold" not in told or f"Declare {name}" in caught.value.remedy
    assert getattr(plugin, name) is before


def test_infinity_is_a_number() -> None:
    plugin = Gaussian()
    plugin.deviation = np.full((1, 1), np.inf)
    assert plugin.deviation[0, 0] == np.inf


def test_a_state_restores_every_field() -> None:
    state = fitted().state()
    assert list(state) == ["mean", "deviation", "count", "used"]
    again = Gaussian()
    again.restore(state)
    for name, array in again.state().items():
        assert array.dtype == state[name].dtype
        np.testing.assert_array_equal(array, state[name])


def test_a_state_whose_sizes_disagree_is_not_given() -> None:
    plugin = fitted()
    plugin.used = np.ones(5)
    with pytest.raises(PluginError, match="'used'") as wrong:
        plugin.state()
    assert "(5,)" in problems(wrong) and "'mean' has the shape (2, 4, 3)" in problems(wrong)


def test_a_second_fit_may_have_another_size() -> None:
    plugin = fitted()
    plugin.mean = np.ones((9, 5, 3))  # disagrees with the rest until that is learnt, too
    plugin.deviation, plugin.used = np.eye(5), np.ones(9)
    assert plugin.state()["mean"].shape == (9, 5, 3)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"mean": None}, ["no 'mean'"]),
        ({"mean": None, "used": None}, ["no 'mean'", "no 'used'"]),
        ({"median": np.ones(1)}, ["'median'"]),
        ({"mean": np.ones((2, 4, 3))}, ["'mean'", "float64 (2, 4, 3)", "float32 (N, D, 3)"]),
        ({"mean": np.ones((2, 4, 4), np.float32)}, ["'mean'", "float32 (2, 4, 4)", "float32 (N, D, 3)"]),
        ({"count": np.ones(1, np.int64)}, ["'count'", "int64 (1)", "int64 ()"]),
        ({"used": np.ones(3, np.bool_)}, ["'used' has the shape (3,)", "'mean' has the shape (2, 4, 3)"]),
    ],
)
def test_a_state_that_does_not_fit_is_refused_whole(change: dict[str, Any], told: list[str]) -> None:
    state = {**fitted().state(), **change}
    again = Gaussian()
    with pytest.raises(PluginError) as wrong:
        again.restore({name: array for name, array in state.items() if array is not None})
    for part in told:
        assert part in problems(wrong)
    assert not vars(again)


def test_components_with_fields_can_be_copied_and_pickled() -> None:
    plugin = fitted()
    for other in (copy.deepcopy(plugin), pickle.loads(pickle.dumps(plugin))):
        np.testing.assert_array_equal(other.deviation, plugin.deviation)
        other.deviation[0, 0] = 5
        assert plugin.deviation[0, 0] == 1


def test_instances_share_nothing() -> None:
    one, other = fitted(), fitted()
    one.count = 3
    assert (one.count, other.count) == (3, 7)
    with pytest.raises(NotFittedError):
        _ = Gaussian().count


def test_subclasses_inherit_and_replace_fields() -> None:
    class More(Gaussian):
        """One field more, one of another shape, one that is none any more."""

        extra = Learnt(np.float64, "D")
        used = Learnt(np.float64, "N", 2)  # type: ignore[assignment]
        count = None  # type: ignore[assignment]

    plugin = More()
    plugin.mean, plugin.deviation, plugin.extra = np.ones((2, 4, 3)), np.eye(4), np.ones(4)
    plugin.used = np.ones((2, 2))  # type: ignore[assignment]
    assert list(plugin.state()) == ["mean", "deviation", "used", "extra"]


def test_a_field_may_not_have_two_names() -> None:
    with pytest.raises((TypeError, RuntimeError)):
        type("Twice", (Stateful,), dict.fromkeys(("one", "two"), Learnt(np.float32)))


def test_only_numbers_are_learnt() -> None:
    for size in ("layer2.h", "layer2.Height", "colours.d"):
        with pytest.raises(TypeError, match=rf"'{size}' is not a size: .*LAYER\.H"):
            Learnt(np.float32, size)
    assert Learnt(np.float32, "features.3.H", "colours.D", "free").shape[0] == "features.3.H"
    with pytest.raises(TypeError, match="object"):
        Learnt(np.object_)


PROVIDER = Provider("detectors", "a_map", "segad-foo", "0.1", "foo:Map")


def test_without_fields_a_class_still_has_to_define_its_state() -> None:
    bare = type("Bare", (Detector,), {"__doc__": "A.", "fit": Map.fit, "anomaly_maps": Map.anomaly_maps})
    assert any(
        "does not define restore, state: `Learnt` fields" in one for one in contract_problems(PROVIDER, bare)
    )
    with pytest.raises(TypeError, match="abstract"):
        bare()
    half = type("Half", (bare,), {"__doc__": "A.", "state": lambda self: {}})
    assert any("does not define restore" in one for one in contract_problems(PROVIDER, half))
    assert not contract_problems(PROVIDER, Map)
    Map()


def test_a_class_may_add_to_the_fields() -> None:
    class Both(Gaussian):
        """Learns a name as well."""

        def state(self) -> dict[str, NDArray[Any]]:
            return {**super().state(), "name": np.frombuffer(b"abc", np.uint8)}

        def restore(self, state: Any) -> None:
            self.name = bytes(state["name"])
            super().restore({name: array for name, array in state.items() if name != "name"})

    again, plugin = Both(), Both()
    plugin.__dict__.update(vars(fitted()))
    again.restore(plugin.state())
    assert again.name == b"abc" and again.count == 7


def test_messages_name_the_plugin_as_the_registry_knows_it() -> None:
    plugin = named(Map, PROVIDER)()
    assert isinstance(plugin, Map)
    with pytest.raises(NotFittedError, match=r"detector 'a_map' \(segad-foo 0.1\): is not fitted"):
        plugin.state()


def test_a_declared_state_holds_no_pickle_either() -> None:
    class Bytes(Map):
        """Keeps a file."""

        median = Learnt(np.uint8, "N")  # type: ignore[assignment]

    array = np.frombuffer(pickle.dumps({"a": 1}), np.uint8)
    plugin = named(Bytes, PROVIDER)()
    assert isinstance(plugin, Bytes)
    with pytest.raises(PluginError, match="restore: 'median' holds a pickle"):
        plugin.restore({"median": array})
    plugin.median = array  # type: ignore[assignment]
    with pytest.raises(PluginError, match="state: 'median' holds a pickle"):
        plugin.state()


def images(*shape: int) -> NDArray[np.uint8]:
    return np.zeros((2, *shape, 3), np.uint8)


def test_images_have_the_size_of_the_fit() -> None:
    detector = Map()
    detector.median = np.zeros((4, 6, 3))
    assert detector.anomaly_maps(image_batch(images(4, 6))).shape == (2, 4, 6)
    for size in ((6, 4), (1, 6), (4, 1)):  # NumPy would broadcast the last two
        with pytest.raises(PluginError, match="H = 4, W = 6") as wrong:
            detector.anomaly_maps(image_batch(images(*size)))
        assert f"H = {size[0]}, W = {size[1]}" in problems(wrong)
    with pytest.raises(NotFittedError):
        Map().anomaly_maps(image_batch(images(4, 6)))


def test_layers_have_the_size_of_the_fit() -> None:
    detector = Features()
    detector.median = np.zeros((6, 2, 3))  # of layer2: stride 8
    batch = image_batch(images(16, 24), TinyEncoder(), ("layer2",))
    assert detector.anomaly_maps(batch).shape == (2, 16, 24)
    with pytest.raises(PluginError, match=r"layer2.H = 2, layer2.W = 3, but here .*layer2.H = 3"):
        detector.anomaly_maps(image_batch(images(24, 24), TinyEncoder(), ("layer2",)))
    with pytest.raises(PluginError, match="'layer2', which is no layer that it reads"):
        detector.anomaly_maps(image_batch(images(16, 24), TinyEncoder(), ("layer3",)))


def test_a_detector_without_sizes_of_layers_does_not_run_the_encoder() -> None:
    detector = Map()
    detector.median = np.zeros((4, 6, 3))
    detector.anomaly_maps(image_batch(images(4, 6)))  # has no encoder


def made(contract: type, **methods: Any) -> Any:
    """An instance of a contract with some of its methods; the others do nothing."""
    missing = {name: lambda *args: None for name in contract.__abstractmethods__}
    return type("Made", (contract,), {**missing, "__doc__": "Made.", **methods})()


@pytest.mark.parametrize(("contract", "method"), [(Classifier, "scores"), (LearningSegmenter, "segment")])
def test_other_learners_are_given_images_of_the_size_of_the_fit(contract: type, method: str) -> None:
    learner = made(contract, mean=Learnt(np.float32, "H", "W"))
    learner.mean = np.zeros((4, 6))
    getattr(learner, method)(image_batch(images(4, 6)))
    with pytest.raises(PluginError, match="H = 4, W = 6, but here H = 6, W = 4"):
        getattr(learner, method)(image_batch(images(6, 4)))


def test_contracts_can_be_combined_in_either_order() -> None:
    class Level(ScalarFeature, FittedFeature):
        """The number that it has learnt."""

        level = Learnt(np.float64, "L")

        def statistics(self) -> tuple[str, ...]:
            return ("level",)

        def fit(self, good: Any, run: Run) -> None:
            self.level = np.ones(1)

        def value(self, values: NDArray[np.float32]) -> float:
            return float(self.level[0])

    class Turned(FittedFeature, ScalarFeature):
        """The same."""

        level = Learnt(np.float64, "L")
        statistics, fit, value = Level.statistics, Level.fit, Level.value  # type: ignore[assignment]

    for feature in (Level(), Turned()):
        feature.fit([], RUN)  # type: ignore[arg-type]
        assert feature.compute(SegmentValues(np.ones(3, np.float32), np.array([0, 3]))).tolist() == [[1]]
        with pytest.raises(PluginError, match="L = 1, but here L = 2"):
            feature.compute(SegmentValues(np.ones(3, np.float32), np.array([0, 1, 3])))


def test_feature_vectors_have_the_width_of_the_fit() -> None:
    parts = {"margins": lambda self, f: f @ self.line, "contributions": lambda self, f: f * self.line}
    final = made(FinalClassifier, line=Learnt(np.float64, "D"), **parts)
    final.line = [1, 2, 3]
    assert final.margins(np.ones((1, 3))).tolist() == [6]
    for method in (final.margins, final.contributions):
        with pytest.raises(PluginError, match=r"feature vectors .*D = 3, but here D = 4"):
            method(np.ones((1, 4)))


def test_vectors_have_the_width_of_the_fit() -> None:
    classifier = made(VectorClassifier, colours=Learnt(np.float64, "colours.D"))
    classifier.colours = np.ones(3)
    classifier.judge({"colours": np.ones((1, 3)), "others": np.ones((1, 4))})
    with pytest.raises(PluginError, match=r"colours.D = 3, but here colours.D = 4"):
        classifier.judge({"colours": np.ones((1, 4))})


def test_maps_have_the_segments_of_the_fit() -> None:
    feature = made(FittedFeature, limits=Learnt(np.float64, "L"))
    feature.limits = np.ones(2)
    feature.compute(SegmentValues(np.ones(3, np.float32), np.array([0, 1, 3])))
    with pytest.raises(PluginError, match="L = 2, but here L = 1"):
        feature.compute(SegmentValues(np.ones(3, np.float32), np.array([0, 3])))
