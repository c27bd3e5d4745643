"""Processes that do at random what people do, a fixed number of rounds; `stress.py` does it for minutes."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

SPEC = importlib.util.spec_from_file_location("stress", Path(__file__).with_name("stress.py"))
assert SPEC is not None and SPEC.loader is not None
stress = importlib.util.module_from_spec(SPEC)
sys.modules["stress"] = stress  # its data classes look themselves up
SPEC.loader.exec_module(stress)


def test_processes_on_one_store_one_bundle_and_one_output() -> None:
    total = stress.stress(processes=3, rounds=10, seed=3, images=100)
    assert not total.wrong, "\n".join(total.wrong)
    assert sum(total.done.values()) >= 15 and total.written >= 5
