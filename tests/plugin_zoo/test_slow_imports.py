"""A list of plugins names those whose import takes long."""

import pytest

from segad_core.plugins import listing, processes
from segad_core.plugins.listing import Listed, loaded
from segad_core.plugins.registry import Provider

OURS = Provider("detectors", "quick", "segad", "1.0", "nowhere:Quick")
THEIRS = Provider("detectors", "slow", "their-own", "1.0", "nowhere:Slow")


@pytest.mark.parametrize(
    ("provider", "seconds", "about"),
    [
        (THEIRS, 5.25, "A detector. (importing it takes 5.2 s)"),
        (THEIRS, 0.1, "A detector."),
        (OURS, 5.25, "A detector."),
    ],
)
def test_a_slow_import_is_named(
    monkeypatch: pytest.MonkeyPatch, provider: Provider, seconds: float, about: str
) -> None:
    found = ("loads", "A detector.", seconds)
    monkeypatch.setattr(processes, "in_process", lambda *_: found)
    monkeypatch.setattr(listing, "_import", lambda _: found)
    (listed,) = loaded([Listed(provider, "found", "", 0.0)])
    assert (listed.status, listed.about, listed.seconds) == ("loads", about, seconds)
