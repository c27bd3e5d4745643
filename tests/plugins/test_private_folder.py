"""A folder whose files are read back as code: opened only if nobody else can write there."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from segad_plugins import private_folder
from segad_plugins.private_folder import UnsafeFolderError, forget, opened, read, write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with opened(tmp_path / "cache" / "kernels", make=True):
        return tmp_path / "cache" / "kernels"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_it_is_made_for_its_user_alone(folder: Path) -> None:
    old = os.umask(0)
    try:
        with opened(folder.parent / "other", make=True):
            pass
    finally:
        os.umask(old)
    assert [(folder.parent / name).stat().st_mode & 0o777 for name in ("kernels", "other", "")] == [0o700] * 3


def test_a_home_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    home = tmp_path / "nobody"
    with pytest.raises(FileNotFoundError), opened(home / ".cache" / "segad" / "kernels", make=True):
        pass
    assert not home.exists()


def test_what_is_written_is_read(folder: Path) -> None:
    with opened(folder) as descriptor:
        write(descriptor, "a.kernel", b"old")
        write(descriptor, "a.kernel", b"new")
        assert read(descriptor, "a.kernel", 3) == b"new"
        with pytest.raises(OSError, match="more than 2 bytes"):
            read(descriptor, "a.kernel", 2)
    assert names(folder) == ["a.kernel"]
    assert (folder / "a.kernel").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o770, 0o750, 0o711, 0o701])
def test_open_to_others(folder: Path, mode: int) -> None:
    folder.chmod(mode)
    with pytest.raises(UnsafeFolderError, match="open to other users"), opened(folder, make=True):
        pass
    assert folder.stat().st_mode & 0o7777 == mode


def test_of_another_user(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(private_folder, "_check_way", lambda folder: None)
    monkeypatch.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)
    with pytest.raises(UnsafeFolderError, match=f"{folder} belongs to another user"), opened(folder):
        pass


def test_below_a_folder_of_another_user(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() != 0:
        monkeypatch.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)
    else:
        os.chown(folder.parent, 12345, -1)
    with pytest.raises(UnsafeFolderError, match="belongs to another user"), opened(folder):
        pass


def test_below_a_folder_that_anybody_can_write_to(folder: Path) -> None:
    folder.parent.chmod(0o777)
    with pytest.raises(UnsafeFolderError, match=f"anybody can write to {folder.parent}"), opened(folder):
        pass
    folder.parent.chmod(0o1777)  # as /tmp: what is mine there, only I can exchange
    with opened(folder):
        pass


def test_a_link_in_its_place(folder: Path) -> None:
    link = folder.parent / "link"
    link.symlink_to(folder)
    with pytest.raises(UnsafeFolderError, match="is a link"), opened(link):
        pass


def test_a_link_on_the_way_leads_where_nobody_else_can_write(folder: Path) -> None:
    with opened(folder / "below" / "kernels", make=True):
        pass
    link = folder.parent.parent / "link"
    link.symlink_to(folder / "below")
    with opened(link / "kernels"):
        pass
    folder.chmod(0o777)
    with pytest.raises(UnsafeFolderError, match=f"anybody can write to {folder}"), opened(link / "kernels"):
        pass


def test_a_relative_path(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    with pytest.raises(UnsafeFolderError, match="not an absolute path"), opened(Path("kernels")):
        pass


def test_files_that_are_no_plain_files_of_this_user(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"x")
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    (folder / "group").write_bytes(b"x")
    (folder / "group").chmod(0o660)
    os.mkfifo(folder / "pipe", 0o600)
    with opened(folder) as descriptor:
        for name in ("link", "group", "pipe"):
            with pytest.raises(OSError):
                read(descriptor, name, 10)


def test_a_full_disk_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with opened(folder) as descriptor:
        write(descriptor, "a.kernel", b"old")
        monkeypatch.setattr(os, "replace", full)
        with pytest.raises(OSError, match="No space"):
            write(descriptor, "a.kernel", b"new")
        assert read(descriptor, "a.kernel", 10) == b"old"
    assert names(folder) == ["a.kernel"]


def test_what_nobody_uses_is_forgotten(folder: Path) -> None:
    long_ago = time.time() - 91 * 86_400
    with opened(folder) as descriptor:
        for name in ("used.kernel", "unused.kernel", "notes.txt", "new.kernel"):
            write(descriptor, name, b"x")
        write(descriptor, "unused.kernel.0123456789abcdef", b"x")  # a draft of a process that was killed
        for name in names(folder):
            if name != "new.kernel":
                os.utime(folder / name, (long_ago, long_ago))
        read(descriptor, "used.kernel", 1)
        forget(descriptor, ".kernel", 90)
    assert names(folder) == ["new.kernel", "notes.txt", "used.kernel"]
