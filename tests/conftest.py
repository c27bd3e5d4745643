"""Shows values where a conformance suite fails, and keeps what tests print fit to be passed on."""

import os
import sys
from collections.abc import Iterator

import pytest

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line does, before any library is loaded
os.environ.setdefault("OMP_NUM_THREADS", "1")  # as in `nursery`: tests compare scores of both to the last bit

pytest.register_assert_rewrite("segad_core.testing")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[None]:
    """File names may hold bytes that are no text; parallel test processes can only pass text on."""
    report = yield
    report.sections = [(t, text.encode("utf-8", "backslashreplace").decode()) for t, text in report.sections]
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """A test that changed a plugin's class leaves no class behind that the registry made from it."""
    done = yield
    if "monkeypatch" in getattr(item, "fixturenames", ()) and (
        blame := sys.modules.get("segad_core.plugins.blame")
    ):
        blame.named.cache_clear()
    return done
