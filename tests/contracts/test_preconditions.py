"""What contracts require before a plugin's method is called, however its class defines the method."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

from segad_core.api import Classifier, DataError, FinalClassifier, Run, VectorClassifier
from segad_core.contracts import component
from segad_core.contracts.preconditions import inherit_preconditions, requires
from segad_core.plugins.blame import named
from segad_core.plugins.registry import Provider
from segad_core.scoring.weighted import Weighted
from segad_core.testing import ArrayImageSet, ClassifierSuite, FinalClassifierSuite, good_images

RUN = Run(np.random.SeedSequence(0))
ONES, BOTH = np.ones(3, np.int64), np.array([0, 1, 1])


def learner(contract: type, **methods: Any) -> Any:
    """A class that accepts everything, and does nothing."""
    missing = {name: lambda *args, **kwargs: None for name in contract.__abstractmethods__}
    return type("Careless", (contract,), {**missing, "__doc__": "Careless.", **methods})


def test_one_class_alone_is_never_learnt_from() -> None:
    images, features = ArrayImageSet(good_images(3, 8, 8)), np.zeros((3, 2))
    for call, key in (
        (lambda y: learner(Classifier)().fit(images, y, RUN), "split.classifiers"),
        (lambda y: learner(Classifier)().fit(images, labels=y, run=RUN), "split.classifiers"),
        (lambda y: learner(VectorClassifier)().learn({"a": np.zeros((3, 1))}, y, RUN), "split.classifiers"),
        (lambda y: learner(FinalClassifier)().fit(features, ["a", "b"], y, RUN), "split.final"),
    ):
        call(BOTH)
        with pytest.raises(DataError, match="0 good and 3 bad") as wrong:
            call(ONES)
        assert key in wrong.value.remedy
        with pytest.raises(DataError, match="3 good and 0 bad"):
            call(0 * ONES)


def test_images_are_not_described_before_labels_are_checked() -> None:
    def vectors(self: Any, batch: Any) -> Any:
        raise AssertionError("described")

    with pytest.raises(DataError):
        learner(VectorClassifier, vectors=vectors)().fit(ArrayImageSet(good_images(3, 8, 8)), ONES, RUN)


def test_the_error_names_the_plugin() -> None:
    final = named(learner(FinalClassifier), Provider("final_classifiers", "x", "segad-foo", "0.1", "foo:X"))()
    for one in (final, Weighted(final, ["a.b"], {"a": 2.0})):
        with pytest.raises(DataError, match=r"final classifier 'x' \(segad-foo 0.1\): needs good and bad"):
            one.fit(np.zeros((3, 1)), ["a.b"], ONES, RUN)


@pytest.mark.parametrize(
    ("suite", "contract"), [(ClassifierSuite, Classifier), (FinalClassifierSuite, FinalClassifier)]
)
def test_the_suites_would_notice(suite: type[Any], contract: type, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(plugin: Any) -> None:
        type("Case", (suite,), {"make": lambda self: plugin()})().test_one_class_alone_is_refused()

    run(learner(contract))
    monkeypatch.setattr(component, "inherit_preconditions", lambda cls: None)
    with pytest.raises(AssertionError, match="good images only"):
        run(learner(contract))


def is_even(plugin: Any, number: int) -> None:
    plugin.asked.append(number)
    if number % 2:
        raise ValueError(number)


class Contract:
    """As contracts declare it."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __init_subclass__(cls) -> None:
        inherit_preconditions(cls)

    @requires(is_even, "number")
    def halve(self, what: str, number: int) -> int:
        raise NotImplementedError


class Halver(Contract):
    """Halves even numbers."""

    def halve(self, what: str, number: int) -> int:
        """Half."""
        return number // 2


def test_a_method_is_checked_before_it_is_called() -> None:
    halver = Halver()
    assert halver.halve("a", 4) == halver.halve("a", number=4) == 2
    with pytest.raises(ValueError, match="3"):
        halver.halve("a", 3)
    assert halver.asked == [4, 4, 3]


def test_a_checked_method_looks_as_it_is_written() -> None:
    assert Halver.halve.__doc__ == "Half."
    assert Halver.halve.__qualname__ == "Halver.halve"
    assert list(inspect.signature(Halver.halve).parameters) == ["self", "what", "number"]


def test_a_method_is_checked_once_for_each_class_that_defines_it() -> None:
    class Same(Halver):
        """Inherits the method."""

    class Other(Halver):
        """Calls the method that it replaces."""

        def halve(self, what: str, number: int) -> int:
            return -super().halve(what, number)

    same, other = Same(), Other()
    assert same.halve("a", 4) == 2 and same.asked == [4]
    assert other.halve("a", 4) == -2 and other.asked == [4, 4]


def test_methods_of_classes_that_know_no_contract_are_checked() -> None:
    class Plain:
        """Has the method, and derives from nothing."""

        def halve(self, what: str, number: int) -> int:
            return number // 2

    class Mixed(Plain, Contract):
        """Both."""

    with pytest.raises(ValueError, match="3"):
        Mixed().halve("a", 3)
    assert Plain().halve("a", 3) == 1


def test_a_call_without_the_argument_fails_as_python_has_it() -> None:
    with pytest.raises(TypeError, match="number"):
        Halver().halve("a")  # type: ignore[call-arg]
