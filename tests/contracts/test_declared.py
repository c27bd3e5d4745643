"""What a plugin declares and could not work: texts for tuples, dots in names, defaults out of limits."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from pydantic import Field

from segad_core.api import Parameters, ScalarFeature
from segad_core.contracts.declared import names_of, wrong_with_params
from segad_core.errors import PluginError
from segad_core.plugins.registry import Provider
from segad_core.recipe.choice import Choice
from segad_core.recipe.statistics import problems_of_statistics


class Range(ScalarFeature):
    """The range of the values."""

    names: Any = ("range",)

    def statistics(self) -> Sequence[str]:
        return self.names  # type: ignore[no-any-return]

    def value(self, values: np.ndarray[Any, np.dtype[np.float32]]) -> float:
        return 0.0


def problems(names: Any) -> list[tuple[int, str]]:
    cls = type("Range", (Range,), {"names": names, "__doc__": "The range."})
    provider = Provider("features", "range", "segad-range", "0.1", "x:Range")
    return list(problems_of_statistics([Choice(provider, cls, Parameters())]))


def test_a_text_is_no_tuple_of_names() -> None:
    feature = Range()
    assert names_of(feature, "statistics") == ("range",)
    feature.names = "range"
    with pytest.raises(PluginError) as caught:
        names_of(feature, "statistics")
    assert "statistics() returns a text, not a tuple" in caught.value.what
    assert '("range",)' in caught.value.remedy


@pytest.mark.parametrize("names", [("range",), ["low", "high"]])
def test_names_of_statistics_are_no_problem(names: Sequence[str]) -> None:
    assert problems(names) == []


def test_statistics_that_no_recipe_can_use_are_problems_of_the_recipe() -> None:
    ((place, told),) = problems(("sound", "a.b"))
    assert place == 0
    assert "'a.b' of feature 'range' (segad-range 0.1) contains a dot" in told
    ((place, told),) = problems("range")
    assert "statistics() returns a text" in told


def test_defaults_out_of_their_limits_are_wrong() -> None:
    class Of:
        """Something with parameters."""

        class Params(Parameters):
            """Only two are out of their limits: types of defaults have never been checked."""

            needed: int
            sigma: float = Field(-1.0, gt=0)
            names: tuple[str, ...] = Field((), min_length=1)
            absent: int = None  # type: ignore[assignment]
            share: float = Field(1, le=1)

    found = wrong_with_params(Of)
    assert len(found) == 2
    assert "Of.Params: the default of 'sigma' is -1.0" in found[0] and "greater than 0" in found[0]
    assert "'names' is ()" in found[1]
