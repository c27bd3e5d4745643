"""Locks between processes: a long wait says for what, once; a short one says nothing."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

import pytest
from filelock import FileLock

from segad_core.base import locks
from segad_core.base.locks import acquire


def wait_for(lock: FileLock, path: Path, seconds: float) -> None:
    """Lets another thread take a lock that is released after some time."""
    other = threading.Thread(target=lambda: acquire(path, "the fit ab12").release())
    other.start()
    time.sleep(seconds)
    assert other.is_alive()
    lock.release()
    other.join(20)
    assert not other.is_alive()


@pytest.fixture
def held(tmp_path: Path) -> FileLock:
    lock = FileLock(tmp_path / "some.lock", thread_local=False)
    lock.acquire()
    return lock


def test_a_long_wait_says_what_it_waits_for(
    held: FileLock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(locks, "NOTICE", 0.05)
    wait_for(held, tmp_path / "some.lock", 0.5)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING and record.name.startswith("segad")
    assert "the fit ab12" in record.getMessage() and str(tmp_path / "some.lock") in record.getMessage()


def test_a_short_wait_says_nothing(held: FileLock, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    wait_for(held, tmp_path / "some.lock", 0.1)
    acquire(tmp_path / "other.lock", "free").release()
    assert not caplog.records


def test_a_place_where_nothing_can_be_locked_is_an_error_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        acquire(tmp_path / "file" / "some.lock", "it")
