"""The store under faults: torn, corrupt, full, forbidden. An artifact is read whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import json
import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rivals import write_and_read

import segad_core.store.store
from segad_core.base.files import write_atomic
from segad_core.base.resources import remedy_of
from segad_core.errors import StoreError
from segad_core.store.store import Store

KEY = "ab" + 62 * "0"
FILES = {"values.npy": bytes(range(256)) * 4, "columns.json": b'["a", "b"]'}
REMEDY = "Or name another folder with --store. What is finished stays and will not be computed again."


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def folder_of(store: Store) -> Path:
    return store.root / "objects" / KEY[:2] / KEY


def quarantined(store: Store) -> list[str]:
    return sorted(path.name for path in (store.root / "quarantine").glob("*"))


def parts(store: Store) -> list[Path]:
    return list(store.root.rglob("*part"))


def test_any_corrupt_byte_is_found(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever byte of whatever file changes, what is read is what was written, or nothing."""
    caplog.set_level("ERROR", "segad.store")
    caught = 0
    for name in (*FILES, "manifest.json"):
        store.put(KEY, "fit", FILES)
        sound = (folder_of(store) / name).read_bytes()
        for place in range(len(sound)):
            if not store.has(KEY):
                store.put(KEY, "fit", FILES)
            damaged = bytearray(sound)
            damaged[place] ^= 0x15
            (folder_of(store) / name).write_bytes(damaged)
            read = store.get(KEY)
            assert read is None or (name == "manifest.json" and read == FILES)
            caught += read is None
            if read is not None:
                (folder_of(store) / name).write_bytes(sound)
            shutil.rmtree(store.root / "quarantine", ignore_errors=True)
    assert caught > sum(map(len, FILES.values()))


DAMAGE: dict[str, Callable[[Path], object]] = {
    "a manifest cut short": lambda folder: os.truncate(folder / "manifest.json", 40),
    "a manifest nested deeply": lambda folder: (folder / "manifest.json").write_text(100_000 * "["),
    "an empty manifest": lambda folder: os.truncate(folder / "manifest.json", 0),
    "a manifest of another shape": lambda folder: (folder / "manifest.json").write_text("[1]"),
    "a manifest without files": lambda folder: (folder / "manifest.json").write_text('{"format": 1}'),
    "a manifest of a later format": lambda folder: (folder / "manifest.json").write_text(
        (folder / "manifest.json").read_text().replace('"format": 1', '"format": 2')
    ),
    "no manifest": lambda folder: (folder / "manifest.json").unlink(),
    "a file missing": lambda folder: (folder / "values.npy").unlink(),
    "a file cut short": lambda folder: os.truncate(folder / "values.npy", 1000),
    "a file grown": lambda folder: (folder / "values.npy").write_bytes(FILES["values.npy"] + b"x"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_damaged_is_set_aside_and_made_anew(
    damage: str, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(2):
        store.put(KEY, "fit", FILES)
        DAMAGE[damage](folder_of(store))
        assert store.get(KEY) is None
        assert not folder_of(store).exists()
        assert quarantined(store) == [f"{KEY}.{n}" for n in range(number + 1)]
    assert (
        f"a corrupt artifact was moved to {store.root}/quarantine and will be computed again"
        in caplog.messages
    )
    store.put(KEY, "fit", FILES)
    assert store.get(KEY) == FILES


def test_the_part_of_a_killed_writer_is_never_read(store: Store) -> None:
    part = folder_of(store).with_name(f".{KEY}.0123456789abcdef.segad-part")
    part.mkdir(parents=True)
    (part / "manifest.json").write_text('{"format": 1, "files": {}}')
    (part / "left over").write_text("torn")
    assert not store.has(KEY)
    assert store.get(KEY) is None
    assert quarantined(store) == []
    store.put(KEY, "fit", FILES)
    assert store.get(KEY) == FILES
    assert sorted(path.name for path in folder_of(store).iterdir()) == sorted([*FILES, "manifest.json"])
    assert parts(store) == []


def test_what_killed_commands_left_anywhere_in_the_store_is_swept(store: Store) -> None:
    for place in ("objects/ff", "records", "checkpoints/ab12"):
        (store.root / place).mkdir(parents=True, exist_ok=True)
        (store.root / place / ".x.0123456789abcdef.segad-part").write_text("torn")
        (store.root / place / "kept.part").write_text("precious")
    store.put(KEY, "fit", FILES)
    assert {path.name for path in parts(store)} == {"kept.part"} and len(parts(store)) == 3


def test_a_link_with_the_name_of_an_earlier_version_is_not_followed(store: Store, tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "file").write_text("precious")
    part = folder_of(store).with_name(f".{KEY}.part")
    part.parent.mkdir(parents=True)
    part.symlink_to(tmp_path / "victim")
    store.put(KEY, "fit", FILES)
    assert store.get(KEY) == FILES
    assert [path.name for path in (tmp_path / "victim").iterdir()] == ["file"]


def test_a_disk_that_cannot_be_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the disk is no corrupt artifact: it is said, and nothing is set aside."""
    store.put(KEY, "fit", FILES)
    read_bytes = Path.read_bytes

    def broken(self: Path) -> bytes:
        if self.name == "values.npy":
            raise OSError(errno.EIO, "Input/output error")
        return read_bytes(self)

    monkeypatch.setattr(Path, "read_bytes", broken)
    with pytest.raises(StoreError) as caught:
        store.get(KEY)
    assert caught.value.what == f"the store {store.root} cannot be read: Input/output error"
    assert caught.value.remedy == (
        "Check its disk and permissions. If only this artifact is lost, delete "
        f"{folder_of(store)}: it will be computed again."
    )
    monkeypatch.undo()
    assert store.get(KEY) == FILES
    assert quarantined(store) == []


def test_corrupt_artifacts_of_one_key_never_meet_in_quarantine(store: Store) -> None:
    """Even where somebody deleted one of the earlier ones."""
    for number in (0, 1, 0):
        store.put(KEY, "fit", FILES)
        (folder_of(store) / "values.npy").write_bytes(b"")
        assert store.get(KEY) is None
        assert (store.root / "quarantine" / f"{KEY}.{number}").is_dir()
        if number == 1:
            shutil.rmtree(store.root / "quarantine" / f"{KEY}.0")


STEPS = ("mkdir", "write_bytes", "sync_file", "write_text", "sync_folder", "rename")


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EIO, errno.EROFS])
def test_a_write_that_fails_leaves_nothing(
    step: str, code: int, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step of a write fails at each of its calls: the error says so, and nothing half-made stays."""
    owner = segad_core.store.store if step.startswith("sync") else Path
    original = getattr(owner, step)
    calls = 0
    while True:
        left = calls

        def failing(*args, **kwargs):
            nonlocal left
            left -= 1
            if left == -1:
                raise OSError(code, os.strerror(code))
            return original(*args, **kwargs)

        with monkeypatch.context() as patch:
            patch.setattr(owner, step, failing)
            try:
                store.put(KEY, "fit", FILES)
                break
            except StoreError as error:
                said = {
                    f"the store {store.root} cannot be {w}: {os.strerror(code)}"
                    for w in ("written", "locked")
                }
                assert error.what in said
                assert error.remedy == f"{remedy_of(OSError(code, ''))} {REMEDY}"
        assert parts(store) == []
        assert store.get(KEY) in (None, FILES)  # whole, where only the last sync failed
        assert quarantined(store) == []
        shutil.rmtree(folder_of(store), ignore_errors=True)
        calls += 1
    assert calls >= {"write_bytes": 2, "sync_file": 3, "sync_folder": 2, "mkdir": 2}.get(step, 1)
    assert store.get(KEY) == FILES


class _KilledError(BaseException):
    """Ends a write where it stands: nothing that tidies up runs."""


@pytest.mark.parametrize("step", STEPS)
def test_a_write_that_is_killed_is_as_good_as_never_begun(
    step: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = segad_core.store.store if step.startswith("sync") else Path
    original = getattr(owner, step)
    for call in range(3):
        left = call

        def dying(*args, **kwargs):
            nonlocal left
            left -= 1
            if left == -1:
                raise _KilledError
            return original(*args, **kwargs)

        with monkeypatch.context() as patch, contextlib.suppress(_KilledError):
            patch.setattr(owner, step, dying)
            store.put(KEY, "fit", FILES)
        assert store.get(KEY) in (None, FILES)
        assert quarantined(store) == []
        store.put(KEY, "fit", FILES)
        assert store.get(KEY) == FILES
        assert parts(store) == []
        shutil.rmtree(folder_of(store))


def test_a_lock_that_cannot_be_had(store: Store) -> None:
    shutil.rmtree(store.root / "locks")
    (store.root / "locks").write_text("")
    with pytest.raises(StoreError, match=f"the store {store.root} cannot be locked: "):
        store.put(KEY, "fit", FILES)


def test_a_store_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError) as caught:
        Store(tmp_path / "file" / "store")
    assert caught.value.what == f"the store {tmp_path}/file/store cannot be created: Not a directory"
    assert caught.value.remedy.endswith(REMEDY)


LIMITED = """
import resource, sys
from pathlib import Path
from segad_core.errors import StoreError
from segad_core.store.store import Store
store = Store(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
try:
    store.put(sys.argv[2], "fit", {"small": b"x", "large": bytes(5000)})
except StoreError as error:
    print(error)
"""


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="the system has no such limit")
def test_a_real_limit_of_the_system(store: Store) -> None:
    words = [sys.executable, "-c", LIMITED, str(store.root), KEY]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"the store {store.root} cannot be written: File too large\n")
    assert "ulimit -f" in done.stdout and done.stdout.endswith(f"{REMEDY}\n")
    assert done.stderr == ""
    assert parts(store) == []
    assert store.get(KEY) is None


def test_processes_that_write_and_spoil_the_same_keys(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    failures = context.Queue()
    workers = [context.Process(target=write_and_read, args=(tmp_path, 60, failures)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0, 0]
    assert failures.empty()
    store = Store(tmp_path)
    assert parts(store) == []
    for number in range(60):
        if store.has(f"{number:064x}"):
            manifest = store.root / "objects" / "00" / f"{number:064x}" / "manifest.json"
            assert json.loads(manifest.read_text())["kind"] == "fit"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_file_is_replaced_whole_or_stays(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "scores.csv"
    write_atomic(path, "old")

    def full(descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=os.strerror(code)):
        write_atomic(path, "new")
    assert [p.name for p in tmp_path.iterdir()] == ["scores.csv"]
    assert path.read_text() == "old"


def test_features_that_find_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is an error where the file is made; later it would end the process without a word."""
    import tempfile

    from segad_core.base import scratch

    monkeypatch.setattr(scratch, "IN_MEMORY", 100)
    room = scratch.scratch_array((8, 8), np.float32, "encoder features")
    assert isinstance(room, np.memmap)
    room[:] = 1

    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(StoreError) as caught:
        scratch.scratch_array((8, 8), np.float32, "encoder features")
    assert caught.value.what == (
        f"the temporary folder {tempfile.gettempdir()} has no room for 0.0 GiB of encoder features: "
        "No space left on device"
    )
    assert "TMPDIR" in caught.value.remedy
