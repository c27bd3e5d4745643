"""Shared arrays: what NumPy can lock is locked, and writing to the rest is noticed."""

import numpy as np
import pytest
import torch

from segad_core.base.witness import Witness, locked, thorough


def test_a_locked_view_shares_memory_and_leaves_the_array_writable() -> None:
    array = np.arange(6.0)
    view = locked(array)
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 1
    array[0] = 7
    assert view[0] == 7


@pytest.mark.parametrize("layout", ["C", "F", "channels last", "torch", "torch channels last"])
def test_writing_to_a_fiftieth_of_an_array_is_noticed(layout: str) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(3, 20, 31, 33)).astype(np.float32)
    shared: object = np.asarray(values, order="F" if layout == "F" else "C")
    if layout == "channels last":
        shared = np.ascontiguousarray(values.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    if layout.startswith("torch"):
        last = torch.channels_last if "last" in layout else torch.contiguous_format
        shared = torch.from_numpy(values.copy()).contiguous(memory_format=last)
    witness = Witness(looks=True)
    witness.add("the pixels", np.zeros((2, 8, 8, 3), np.uint8))
    witness.add("a layer", shared)
    assert witness.written() == ""
    places = rng.choice(values.size, values.size // 50, replace=False)
    written = np.asarray(shared)  # shares memory, of a tensor too
    written[np.unravel_index(places, written.shape)] += 1
    assert witness.written() == "a layer"


def test_a_thorough_witness_notices_a_single_element() -> None:
    array = np.zeros((4, 64, 64, 64), np.float32)
    with thorough():
        witness = Witness(looks=True)
        witness.add("all", array)
    array[2, 17, 3, 60] = np.nan
    assert witness.written() == "all"


def test_nan_is_no_change() -> None:
    array = np.full(10, np.nan)
    witness = Witness(looks=True)
    witness.add("nan", array)
    assert witness.written() == ""


@pytest.mark.parametrize("each", [1, 2, 3, 4, 8])
def test_the_first_witnesses_look_and_then_one_in_eight(each: int) -> None:
    """Also of those that matter, where others are made with each of them."""
    found = []
    for number in range(500 * each):  # whatever other tests made before
        array, witness = np.zeros(4), Witness()
        witness.add("it", array)
        array[0] = 1
        if number % each == 0:
            found.append(bool(witness.written()))
    assert 47 <= sum(found[-400:]) <= 53
    assert all(any(found[place : place + 17]) for place in range(480))
