"""Locks between processes: a long wait says for what, once; a short one says nothing."""

from __future__ import annotations

import logging
import multiprocessing
import os
import platform
import signal
import threading
import time
from multiprocessing.synchronize import Event
from pathlib import Path
from unittest.mock import Mock

import pytest
from filelock import FileLock

from segad_core.base import locks
from segad_core.base.locks import acquire, held, lock_file
from segad_core.errors import HeldError, StoreError


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
def taken(tmp_path: Path) -> FileLock:
    lock = FileLock(tmp_path / "some.lock", thread_local=False)
    lock.acquire()
    return lock


def test_a_long_wait_says_what_it_waits_for(
    taken: FileLock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(locks, "NOTICE", 0.05)
    wait_for(taken, tmp_path / "some.lock", 0.5)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING and record.name.startswith("segad")
    assert "the fit ab12" in record.getMessage() and str(tmp_path / "some.lock") in record.getMessage()


def test_a_short_wait_says_nothing(taken: FileLock, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    wait_for(taken, tmp_path / "some.lock", 0.1)
    acquire(tmp_path / "other.lock", "free").release()
    assert not caplog.records


def test_a_place_where_nothing_can_be_locked_is_an_error_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        acquire(tmp_path / "file" / "some.lock", "it")


NOTE = {"process": 1, "host": platform.node(), "command": "segad run", "since": "now"}


def hold_for_ever(output: str, begun: Event) -> None:
    with held(Path(output), "Wait."):
        begun.set()
        signal.pause()


def test_an_output_has_one_holder_who_is_named_until_it_ends(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    begun = context.Event()
    process = context.Process(target=hold_for_ever, args=(str(tmp_path / "f.csv"), begun))
    process.start()
    assert begun.wait(60)
    with pytest.raises(HeldError) as caught, held(tmp_path / "f.csv", "Wait for it."):
        pass
    assert str(tmp_path / "f.csv") in caught.value.what and f"process {process.pid} on" in caught.value.what
    assert caught.value.remedy == "Wait for it."
    with held(tmp_path / "other.csv", "Wait."):
        pass
    process.kill()
    process.join()
    with held(tmp_path / "f.csv", "Wait."):
        pass
    assert list(tmp_path.iterdir()) == []


def test_names_of_one_output_are_one_output(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with held(tmp_path / "a" / "f", ""), pytest.raises(HeldError), held(tmp_path / "b" / "f", ""):
        pass


@pytest.mark.parametrize(
    "note",
    [b"", b"{}", b"\xff", b"[" * 5000, b'{"process": "\\u001b[31m", "host": 1, "command": 2, "since": 3}'],
)
def test_a_strange_note_is_shown_safely(note: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "_GRACE", 0.02)
    place = tmp_path / ".f.segad-lock"
    lock = FileLock(place)
    with lock:
        place.write_bytes(note)
        with pytest.raises(HeldError) as caught, held(tmp_path / "f", ""):
            pass
    assert caught.value.what.isprintable()


def test_a_link_in_the_place_of_a_lock_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    (tmp_path / ".f.segad-lock").symlink_to(tmp_path / "victim")
    with pytest.raises(StoreError), held(tmp_path / "f", ""):
        pass
    (tmp_path / ".g.segad-lock").hardlink_to(tmp_path / "victim")
    with held(tmp_path / "g", ""):
        pass
    assert (tmp_path / "victim").read_text() == "precious"


@pytest.mark.parametrize("note", [b"", b'{"process": 99999999, "host": "%s", "command": "", "since": ""}'])
def test_a_lock_without_a_living_holder_is_tried_again(note: bytes, tmp_path: Path) -> None:
    """As a sweep holds it for a moment, or a holder that has just been killed."""
    place = lock_file(tmp_path / "f")
    place.write_bytes(note.replace(b"%s", platform.node().encode()))
    taken = FileLock(place, thread_local=False)
    taken.acquire()
    threading.Timer(0.05, taken.release).start()
    with held(tmp_path / "f", ""):
        pass


def test_long_names_have_locks_of_their_own(tmp_path: Path) -> None:
    one, other = (tmp_path / ("é" * 120 + end) for end in ("a", "b"))
    with held(one, ""), held(other, ""), pytest.raises(HeldError), held(one, ""):
        pass


def test_a_holder_that_ends_at_once_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it wrote is read once: a second look might find it gone."""
    monkeypatch.setattr(locks, "_note", Mock(side_effect=[{**NOTE, "process": os.getpid()}, {}]))
    lock = FileLock(lock_file(tmp_path / "f"))
    with lock, pytest.raises(HeldError, match=f"process {os.getpid()} "), held(tmp_path / "f", ""):
        pass


def test_the_root_has_a_lock() -> None:
    assert lock_file(Path("/")) == Path("/..segad-lock")
