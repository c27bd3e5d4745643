"""The clause about what using a plugin leaves on disk."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from segad_core.testing.component import ComponentSuite
from segad_core.testing.files_written import files_written

_CACHES = ("XDG_CACHE_HOME", "TORCH_HOME", "HF_HOME")
"""Variables that name folders where libraries keep what they download."""


class HarmlessSuite(ComponentSuite):
    """The clause of kinds whose results are return values."""

    def _exercise(self) -> None:
        """Uses a new instance for everything that it is for."""
        raise NotImplementedError

    def _written(self) -> set[Path]:
        """What it writes in doing so."""
        with files_written() as written:
            self._exercise()
        return written

    def test_leaves_no_files(self) -> None:
        """Nothing is left on disk, except in the temporary folder and in caches of downloads."""
        written = self._written()
        allowed = [Path(tempfile.gettempdir()), Path.home() / ".cache", Path("/dev")]
        allowed += [Path(os.environ[name]) for name in _CACHES if os.environ.get(name)]
        places = [place.resolve() for place in allowed]
        left = [p for p in written if p.exists() and not any(p.resolve().is_relative_to(a) for a in places)]
        assert not left, (
            f"it leaves {', '.join(sorted(map(str, left)))}: results are what methods return, and what is "
            "learnt is in state()"
        )
