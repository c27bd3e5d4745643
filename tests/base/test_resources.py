"""What counts as a fault of the machine, in whatever words and class a library tells it."""

from __future__ import annotations

import errno

import pytest

from segad_core.base.resources import guarded, is_resource, resource_error
from segad_core.errors import ResourceError


class XGBoostError(ValueError):
    """As in XGBoost, whose faults of memory are of this class."""


OUT_OF_MEMORY = [
    MemoryError(),
    RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB"),
    OSError("out of memory error when reading image file"),
    XGBoostError("[12:00:00] src/data.cc:1: std::bad_alloc"),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=str)
def test_memory(error: Exception) -> None:
    with pytest.raises(ResourceError) as caught, guarded("reading a.png"):
        raise error
    assert caught.value.what == "reading a.png: out of memory"
    assert "more memory" in caught.value.remedy


def test_threads() -> None:
    found = resource_error(RuntimeError("can't start new thread"), "segad run")
    assert found.what == "segad run: can't start new thread"
    assert "ulimit -u" in found.remedy


@pytest.mark.parametrize(
    "error",
    [
        ValueError("std::bad_alloc"),  # perhaps a name in a file
        OSError("broken data stream"),
        OSError(errno.EACCES, "out of memory error"),
        RuntimeError("the sizes differ"),
        XGBoostError("the model is malformed"),
    ],
    ids=str,
)
def test_what_is_not_the_machine(error: Exception) -> None:
    assert not is_resource(error)
    with pytest.raises(type(error)), guarded("reading a.png"):
        raise error
