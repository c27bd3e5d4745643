"""Freed memory is kept, unless the environment says how the C library is to allocate."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from segad_core.base.allocator import keep_freed_memory

FAULTS = """
import resource, sys
import numpy as np
from segad_core.base.allocator import keep_freed_memory
if sys.argv[1] == "kept":
    assert keep_freed_memory()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    np.ones(64 << 20, np.uint8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc has mallopt")


def faults(how: str) -> int:
    told = subprocess.run(
        [sys.executable, "-c", FAULTS, how],
        env={
            **os.environ,
            "NUMPY_MADVISE_HUGEPAGE": "0",
        },  # the number of pages says how many blocks were mapped
        check=True,
        capture_output=True,
        text=True,
    )
    return int(told.stdout)


@glibc
def test_blocks_of_64_mib_are_not_mapped_anew() -> None:
    assert faults("kept") * 10 < faults("plain")


@pytest.mark.parametrize(
    ("name", "value"),
    [("MALLOC_MMAP_THRESHOLD_", "1000000"), ("GLIBC_TUNABLES", "glibc.malloc.trim_threshold=128")],
)
def test_what_the_environment_says_is_left(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    assert not keep_freed_memory()
