"""Segmenters: which names of segments a parameter accepts."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from segad_core.contracts import IGNORED, Parameters, SegmentNames


class Params(Parameters):
    """The names of segments."""

    segments: SegmentNames


@pytest.mark.parametrize(
    "names", [["a", "a"], ["a", "image"], ["a.b"], [""], ["ü"], [], [str(i) for i in range(IGNORED + 1)]]
)
def test_names_that_are_rejected(names: list[str]) -> None:
    with pytest.raises(ValidationError, match="segments"):
        Params(segments=names)


@pytest.mark.parametrize("names", [["a", "A-1", "b_2"], [str(i) for i in range(IGNORED)]])
def test_names_that_are_accepted(names: list[str]) -> None:
    assert Params(segments=names).segments == names
