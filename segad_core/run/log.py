"""The log of a run: kept in memory until the run's folder is known, then written to a file in it."""

from __future__ import annotations

import errno
import logging
import os
import stat
from io import TextIOWrapper
from pathlib import Path
from types import TracebackType

from segad_core.base.text import LineFormatter
from segad_core.errors import SegadError

_LOGGER = logging.getLogger("segad")


class RunLog(logging.Handler):
    """Collects what segad logs while it is open; an error that ends the run is logged too."""

    def __init__(self) -> None:
        super().__init__()
        self._records: list[logging.LogRecord] = []
        self._file: logging.Handler | None = None

    def __enter__(self) -> RunLog:
        _LOGGER.addHandler(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:  # for the log alone: the terminal gets it from the caller
            level = {"name": _LOGGER.name, "levelno": logging.ERROR, "levelname": "ERROR"}
            words = error.sentence() if isinstance(error, SegadError) else str(error)
            self.handle(logging.makeLogRecord({**level, "msg": f"the run stopped: {words}"}))
        _LOGGER.removeHandler(self)
        if self._file is not None:
            self._file.close()

    def open(self, path: Path) -> None:
        """Appends what was logged so far, and what follows, to a file.

        Raises:
            OSError: the file cannot be opened.
        """
        self._file = _LogFile(path, "a", "utf-8", errors="backslashreplace")
        self._file.setFormatter(LineFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        for record in self._records:
            self._file.handle(record)
        self._records.clear()

    def emit(self, record: logging.LogRecord) -> None:
        if self._file is None:
            self._records.append(record)
        else:
            self._file.handle(record)


class _LogFile(logging.FileHandler):
    """A log file that cannot stop a run: results are written elsewhere, and checked."""

    def _open(self) -> TextIOWrapper:
        """Opens the file, through no link and without waiting for the reader of a pipe."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC"):
            flags |= getattr(os, name, 0)
        descriptor = os.open(self.baseFilename, flags, 0o666)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise FileExistsError(errno.EEXIST, "Not a file", self.baseFilename)
        return os.fdopen(descriptor, "a", encoding=self.encoding, errors=self.errors)

    def handleError(self, record: logging.LogRecord) -> None:
        pass
