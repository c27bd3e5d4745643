"""Where windows that cover a line begin."""

from __future__ import annotations

from segad_core.base.starts import starts_of


def test_where_windows_begin_by_hand() -> None:
    assert starts_of(256, 256, 0.25) == (0,)
    assert starts_of(512, 256, 0.25) == (0, 192, 256)
    assert starts_of(640, 256, 0.25) == (0, 192, 384)
    assert starts_of(300, 256, 0.5) == (0, 44)
    assert starts_of(20, 10, 0.25) == (0, 7, 10)  # too small for a grid
    assert len(starts_of(8192, 256, 0.25)) == 43 and len(starts_of(4190, 256, 0.25)) == 22
