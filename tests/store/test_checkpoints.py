"""Checkpoints: what was saved comes back to the last bit, or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from segad_core.base import files
from segad_core.base.digest import file_digest
from segad_core.errors import StoreError
from segad_core.store import checkpoints
from segad_core.store.checkpoints import FolderCheckpoint

RNG = np.random.default_rng(0)
ODD = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 5e-324, 0.1])
ARRAYS: dict[str, NDArray[Any]] = {
    "odd values": ODD,
    "a nan with a message": np.array([0x7FF8DEADBEEF0000], np.uint64).view(np.float64),
    "float32": RNG.normal(size=(2, 3, 4)).astype(np.float32),
    "float16": RNG.normal(size=5).astype(np.float16),
    "int64": RNG.integers(-(2**63), 2**63 - 1, 6),
    "uint8": np.arange(256, dtype=np.uint8).reshape(4, 64),
    "bool": np.array([True, False, True]),
    "one number": np.array(7),
    "nothing": np.empty((0, 3), np.float32),
    "columns first": np.asfortranarray(RNG.normal(size=(3, 5))),
    "every other": RNG.normal(size=(6, 6))[::2, ::-3],
}


class Killed(BaseException):
    """The end of a process between two lines."""


def same(found: Any, expected: dict[str, NDArray[Any]]) -> bool:
    """Whether named arrays are equal in names, shapes, types and bits."""
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert (found[name].shape, found[name].dtype) == (array.shape, array.dtype), name
    return all(found[name].tobytes() == array.tobytes() for name, array in expected.items())


def numbers(*values: float) -> dict[str, NDArray[Any]]:
    return {"values": np.array(values)}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "checkpoints" / "ab12"


def two_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """What a process leaves that dies between writing its second checkpoint and removing the first."""

    def die(*args: object, **kwargs: object) -> None:
        raise Killed

    checkpoint = FolderCheckpoint(folder)
    checkpoint.save(numbers(1))
    (old,) = folder.iterdir()
    os.utime(old, ns=(10**18, 10**18))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", die)
        with pytest.raises(Killed):
            checkpoint.save(numbers(2, 2))
    (new,) = set(folder.iterdir()) - {old}
    return old, new


def spoil(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    stamp = path.stat().st_mtime_ns
    path.write_bytes(data)
    os.utime(path, ns=(stamp, stamp))


def test_what_was_saved_comes_back_to_the_last_bit(folder: Path) -> None:
    FolderCheckpoint(folder).save(ARRAYS)
    assert same(FolderCheckpoint(folder).load(), ARRAYS)


def test_nothing_saved_is_nothing_found_and_nothing_made(folder: Path) -> None:
    assert FolderCheckpoint(folder).load() is None
    assert not folder.exists()


def test_the_last_one_replaces_those_before(folder: Path) -> None:
    checkpoint = FolderCheckpoint(folder)
    for value in (1, 2, 2, 1, 3):
        checkpoint.save(numbers(value))
        (path,) = folder.iterdir()
        assert path.name == f"{file_digest(path)}.safetensors"
        assert same(checkpoint.load(), numbers(value))


def test_a_flipped_byte_is_found_wherever_it_is(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    FolderCheckpoint(folder).save(numbers(1))
    (path,) = folder.iterdir()
    sound = path.read_bytes()
    for place in range(len(sound)):
        path.write_bytes(sound[:place] + bytes([sound[place] ^ 0x20]) + sound[place + 1 :])
        caplog.clear()
        assert FolderCheckpoint(folder).load() is None
        assert caplog.messages == [f"the checkpoint {path} is damaged: its training starts over"]
    for damaged in (b"", sound[:-1], sound + b"\0"):
        path.write_bytes(damaged)
        assert FolderCheckpoint(folder).load() is None
    FolderCheckpoint(folder).save(numbers(1))
    assert same(FolderCheckpoint(folder).load(), numbers(1))


def test_of_two_the_newest_is_taken(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whichever of the two names sorts first."""
    old, new = two_files(folder, monkeypatch)
    assert same(FolderCheckpoint(folder).load(), numbers(2, 2))
    os.utime(old, ns=(4 * 10**18, 4 * 10**18))
    assert same(FolderCheckpoint(folder).load(), numbers(1))
    assert not caplog.messages
    FolderCheckpoint(folder).save(numbers(3))
    assert not old.exists() and not new.exists()
    assert same(FolderCheckpoint(folder).load(), numbers(3))


def test_of_two_the_sound_one_is_taken(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    old, new = two_files(folder, monkeypatch)
    spoil(new)
    assert same(FolderCheckpoint(folder).load(), numbers(1))
    assert len(caplog.messages) == 1 and str(new) in caplog.messages[0]
    spoil(old)
    assert FolderCheckpoint(folder).load() is None


@pytest.mark.parametrize("step", ["os.fsync", "Path.replace"])
def test_a_process_that_dies_while_it_writes_leaves_the_one_before(
    step: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = FolderCheckpoint(folder)
    checkpoint.save(numbers(1))

    def die(*args: object, **kwargs: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda *args, **kwargs: None)  # nobody is left to clear up
        patch.setattr(*((files.os, "fsync") if step == "os.fsync" else (Path, "replace")), die)
        with pytest.raises(Killed):
            checkpoint.save(numbers(2, 2))
    assert len(names(folder)) == 2
    assert same(FolderCheckpoint(folder).load(), numbers(1))
    FolderCheckpoint(folder).save(numbers(3))
    assert len(names(folder)) == 1
    assert same(FolderCheckpoint(folder).load(), numbers(3))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS])
def test_a_disk_that_takes_no_more(code: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = FolderCheckpoint(folder)
    checkpoint.save(numbers(1))
    before = names(folder)

    def full(*args: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fsync", full)
        with pytest.raises(StoreError) as caught:
            checkpoint.save(numbers(2, 2))
    assert caught.value.what == f"a checkpoint cannot be written to {folder}: {os.strerror(code)}"
    assert "the same command then resumes" in caught.value.remedy
    assert names(folder) == before
    assert same(FolderCheckpoint(folder).load(), numbers(1))


def test_a_place_where_no_folder_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"a checkpoint cannot be written to .*: Not a directory"):
        FolderCheckpoint(tmp_path / "file" / "ab12").save(numbers(1))


def test_a_checkpoint_that_cannot_be_read_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the disk is no defect of a plugin: a sentence, or the training begins anew."""
    FolderCheckpoint(folder).save(numbers(1))

    def broken(self: Path) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Path, "read_bytes", broken)
    try:
        assert FolderCheckpoint(folder).load() is None
    except StoreError as error:
        assert str(folder) in error.what


def test_due_two_minutes_after_the_last(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(checkpoints, "time", SimpleNamespace(monotonic=lambda: now[0]))
    checkpoint = FolderCheckpoint(folder)
    for _ in range(2):
        assert not checkpoint.due()
        now[0] += 119.9
        assert not checkpoint.due()
        checkpoint.load()
        now[0] += 0.1
        assert checkpoint.due()
        checkpoint.save(numbers(1))


def test_what_is_done_is_cleared(folder: Path) -> None:
    checkpoint = FolderCheckpoint(folder)
    checkpoint.clear()
    checkpoint.save(numbers(1))
    beside = FolderCheckpoint(folder.with_name("cd34"))
    beside.save(numbers(2))
    checkpoint.clear()
    assert not folder.exists()
    assert checkpoint.load() is None
    assert same(beside.load(), numbers(2))
    checkpoint.save(numbers(3))
    assert same(checkpoint.load(), numbers(3))


def test_what_is_not_its_own_stays(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "notes.txt").write_text("precious")
    (folder / "kept.safetensors").write_text("precious")
    (folder / "sub").mkdir()
    (folder / f".{'0' * 64}.safetensors.0123456789abcdef.segad-part").write_text("torn")
    checkpoint = FolderCheckpoint(folder)
    checkpoint.save(numbers(1))
    checkpoint.save(numbers(2))
    assert len(names(folder)) == 4
    assert same(checkpoint.load(), numbers(2))
    checkpoint.clear()
    assert names(folder) == ["kept.safetensors", "notes.txt", "sub"]
