"""Images whose values use little of the range that a bundle takes them to have: reported once."""

from __future__ import annotations

import logging
from pathlib import Path
from threading import Lock

from segad_core.base.decoding import Decoding
from segad_core.images.levels import unused

log = logging.getLogger("segad.bundle")


class Levels:
    """Looks at the highest value of each image of 16 bits."""

    def __init__(self, decoding: Decoding) -> None:
        self._decoding, self._told, self._lock = decoding, False, Lock()

    def see(self, path: Path, highest: int | None) -> None:
        """Warns of the first image that is nearly black; `highest` is None for 8 bits."""
        if self._told or highest is None or not (problem := unused(highest, self._decoding)):
            return
        with self._lock:
            told, self._told = self._told, True
        if not told:
            log.warning(
                "%s: an image of 16 bits; %s, and make the bundle again (reported once)", path, problem
            )
