"""Files and folders that are replaced whole, through no link, with or without an exchange in one step."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from segad_core.base import files, leftovers
from segad_core.base.files import is_file, is_folder, kind_of, replace_folder, replacing, write_atomic
from segad_core.base.leftovers import temporary_folder
from segad_core.errors import ResourceError


@pytest.fixture(params=["exchange", "two steps"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "two steps":
        monkeypatch.setattr(files, "_exchange", lambda one, other: False)
    return str(request.param)


@pytest.mark.parametrize("there", [is_file, is_folder])
def test_a_broken_disk_does_not_say_that_nothing_is_there(
    there: Callable[[Path], bool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a recipe on a network share that stopped working is a shipped name that nobody knows."""

    def fails(code: int) -> Callable[..., None]:
        def stat(self: Path, **_: bool) -> None:
            raise OSError(code, os.strerror(code), str(self))

        return stat

    for code in (errno.EIO, errno.ESTALE):
        monkeypatch.setattr(Path, "stat", fails(code))
        with pytest.raises(ResourceError, match=f"looking for {tmp_path}: {os.strerror(code)}"):
            there(tmp_path)
    for code in (errno.EACCES, errno.ENAMETOOLONG):
        monkeypatch.setattr(Path, "stat", fails(code))
        assert there(tmp_path) is False


def put(path: Path, text: str) -> None:
    with temporary_folder(path) as part:
        (part / "text").write_text(text)
        replace_folder(path, part)


def test_a_folder_is_replaced_and_nothing_stays_beside_it(way: str, tmp_path: Path) -> None:
    for text in ("one", "two", "three"):
        put(tmp_path / "x", text)
        assert (tmp_path / "x" / "text").read_text() == text
        assert [p.name for p in tmp_path.iterdir()] == ["x"]


@pytest.mark.skipif(not os.sys.platform.startswith("linux"), reason="renameat2")  # type: ignore[attr-defined]
def test_there_is_no_moment_without_the_folder(tmp_path: Path) -> None:
    put(tmp_path / "x", "0")
    missing, done = list[str](), threading.Event()

    def look() -> None:
        while not done.is_set():
            if not os.path.lexists(tmp_path / "x"):
                missing.append("missing")

    watcher = threading.Thread(target=look)
    watcher.start()
    for number in range(200):
        put(tmp_path / "x", str(number))
    done.set()
    watcher.join()
    assert not missing


def test_a_folder_that_a_reader_holds_is_left_to_a_later_sweep(way: str, tmp_path: Path) -> None:
    from segad_core.base.leftovers import hold, sweep

    put(tmp_path / "x", "one")
    reader = os.open(tmp_path / "x", os.O_RDONLY)
    assert hold(reader)
    put(tmp_path / "x", "two")
    (old,) = leftovers.leftovers(tmp_path)
    assert (old / "text").read_text() == "one"
    assert sweep(tmp_path) == []
    os.close(reader)
    assert sweep(tmp_path) == [old]
    assert (tmp_path / "x" / "text").read_text() == "two"


@pytest.mark.parametrize("target", ["a file", "nothing"])
def test_a_link_in_the_place_of_a_file_is_replaced_and_not_followed(target: str, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    if target == "a file":
        victim.write_text("precious")
    (tmp_path / "x").symlink_to(victim)
    write_atomic(tmp_path / "x", "new")
    assert not (tmp_path / "x").is_symlink() and (tmp_path / "x").read_text() == "new"
    assert (victim.read_text() if victim.exists() else "") == ("precious" if target == "a file" else "")


def test_a_temporary_name_that_is_taken_is_not_written_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even one who could guess the name gains nothing."""
    import secrets

    monkeypatch.setattr(secrets, "token_hex", lambda count: "0" * 2 * count)
    (tmp_path / "victim").write_text("precious")
    (tmp_path / ".x.0000000000000000.segad-part").symlink_to(tmp_path / "victim")
    with pytest.raises(FileExistsError):
        write_atomic(tmp_path / "x", "new")
    assert (tmp_path / "victim").read_text() == "precious" and not (tmp_path / "x").exists()


def test_a_block_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    write_atomic(tmp_path / "x", "old")
    with pytest.raises(RuntimeError), replacing(tmp_path / "x") as file:
        file.write(b"half")
        raise RuntimeError
    assert (tmp_path / "x").read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["x"]


def test_long_names_can_be_written(tmp_path: Path) -> None:
    for name in ("a" * 250 + ".csv", "ü" * 120, os.fsdecode(b"\xff" * 240)):
        write_atomic(tmp_path / name, "x")
        assert (tmp_path / name).read_text() == "x"


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch, os.mkfifo, lambda path: path.symlink_to("gone")])
def test_what_has_a_path_in_words(make: Callable[[Path], None], tmp_path: Path) -> None:
    assert kind_of(tmp_path / "x") == kind_of(tmp_path / "x" / "y") == ""
    make(tmp_path / "x")
    kinds = {"mkdir": "a folder", "touch": "a file", "mkfifo": "a named pipe"}
    assert kind_of(tmp_path / "x") == kinds.get(make.__name__, "a symbolic link")


def test_without_locks_a_replaced_folder_is_removed_at_once(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftovers, "fcntl", None)
    for text in ("one", "two"):
        put(tmp_path / "x", text)
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x" / "text").read_text() == "two"
