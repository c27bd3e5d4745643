"""A file that stops giving bytes when reading it has cost too much processor time."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from segad_core.errors import DamagedImageError, ImageError
from segad_core.images.budget import FILES
from segad_core.images.faults import AGAIN
from segad_core.images.limits import MAX_BYTES, MAX_SECONDS, too_slow

_READS = 256
"""Small reads between two looks at the clock."""


class _Metered(io.BufferedReader):
    """A file whose reads check the processor time of the thread; Pillow decodes between reads."""

    path: Path
    started: float
    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """As of any file.

        Raises:
            ImageError: the thread has spent too much time since the file was opened.
        """
        self.reads += 1
        if (size is None or not 0 <= size < 1024 or self.reads % _READS == 0) and (
            time.thread_time() - self.started > MAX_SECONDS
        ):
            raise too_slow(self.path, f"more than {MAX_SECONDS:.0f} s of processor time")
        return super().read(size)


@contextmanager
def metered(path: Path) -> Iterator[io.BufferedReader]:
    """An open file for one decoder; its bytes are reserved until the block ends.

    Raises:
        ImageError: it is empty or too large.
        OSError: it cannot be opened.
    """
    with _Metered(path.open("rb", buffering=0)) as file:
        file.path, file.started = path, time.thread_time()
        size = os.fstat(file.fileno()).st_size
        if size == 0:
            raise DamagedImageError(f"{path}: the file is empty", AGAIN)
        if size > MAX_BYTES:
            raise ImageError(
                f"{path}: is too large to decode ({size} bytes; the limit is {MAX_BYTES})",
                "Crop or shrink it, or remove it.",
            )
        with FILES.reserved(size):
            yield file
