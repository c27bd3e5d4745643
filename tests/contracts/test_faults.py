"""Messages about what plugins return say whose fault it is and what came."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from segad_core.contracts.faults import at_fault, shown

OURS = SimpleNamespace(_described_as="detector 'tiny' (segad-tiny 0.1)")


@pytest.mark.parametrize(
    ("component", "name", "expected"),
    [
        (OURS, "tiny", "detector 'tiny' (segad-tiny 0.1)"),
        (OURS, "tin", "detector 'tiny' (segad-tiny 0.1) as 'tin'"),
        (OURS, "first", "detector 'tiny' (segad-tiny 0.1) as 'first'"),
        (OURS, "", "detector 'tiny' (segad-tiny 0.1)"),
        (SimpleNamespace(), "first", "detector 'first'"),
        (SimpleNamespace(), "", "detector 'SimpleNamespace'"),
    ],
)
def test_a_plugin_is_named_with_its_distribution_and_with_its_name_in_the_recipe(
    component: object, name: str, expected: str
) -> None:
    assert at_fault(component, "detector", name) == expected


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        (np.zeros((2, 3)), "float64 (2, 3)"),
        (torch.zeros(4), "float32 (4,)"),
        (None, "None"),
        (np.asarray(None), "array(None, dtype=object)"),
        ([1, 2], "[1, 2]"),
        ("x" * 200, "'" + "x" * 59),
    ],
)
def test_what_came_is_told_briefly(returned: object, expected: str) -> None:
    assert shown(returned) == expected
