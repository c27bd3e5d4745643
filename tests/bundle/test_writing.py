"""Bundles are written all or nothing, also when they replace others, whose form they keep."""

from __future__ import annotations

import errno
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest

from segad_core.base import files
from segad_core.bundle.format import limits
from segad_core.bundle.format.container import Container
from segad_core.bundle.format.manifest import Manifest
from segad_core.bundle.format.writing import Content, replace_bundle, write_bundle
from segad_core.errors import BundleError, ResourceError

PLAIN = Manifest.model_validate_json(
    b'{"format": 1, "files": {}, "provenance": {"segad": "0", "dataset": "d"}, "pipeline": {"category": "a",'
    b' "row": "r", "seed": 0, "size": [16, 16], "white": 255, "batch_size": 1}}'
)


def replace(path: Path, given: dict[str, Content]) -> None:
    container = Container(path)
    try:
        replace_bundle(container, given)
    finally:
        container.close()


def contents(path: Path) -> dict[str, bytes]:
    container = Container(path)
    container.verify()
    found = {name: container.read(name) for name in container.manifest.files}
    container.close()
    return found


@pytest.mark.parametrize("name", ["x.segad", "x.zip", "x"])
def test_the_form_goes_by_the_name(name: str, tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"two")
    given = {"a/one": b"one", "two": tmp_path / "other"}
    write_bundle(tmp_path / name, PLAIN, given)
    assert zipfile.is_zipfile(tmp_path / name) == (name == "x.zip")
    assert contents(tmp_path / name) == {"a/one": b"one", "two": b"two"}
    assert {path.name for path in tmp_path.iterdir()} == {name, "other"}


@pytest.mark.parametrize("before", ["x.segad", "x.zip"])
@pytest.mark.parametrize("name", ["y.segad", "y.zip", "y"])
def test_what_is_replaced_keeps_its_form_whatever_it_is_called(
    before: str, name: str, tmp_path: Path
) -> None:
    write_bundle(tmp_path / before, PLAIN, {"one": b"one"})
    (tmp_path / before).rename(tmp_path / name)
    replace(tmp_path / name, {"one": b"other"})
    assert contents(tmp_path / name) == {"one": b"other"}
    assert zipfile.is_zipfile(tmp_path / name) == (before == "x.zip")
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["x.segad", "x.zip"])
def test_the_same_contents_are_the_same_bytes(name: str, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        write_bundle(tmp_path / folder / name, PLAIN, {"two": b"2", "one": b"1"})
    first, second = (
        {p.relative_to(tmp_path / f): p.read_bytes() for p in (tmp_path / f).rglob("*") if p.is_file()}
        for f in ("a", "b")
    )
    assert first == second and first


def test_a_file_that_changed_since_it_was_checked_is_not_taken_over(tmp_path: Path) -> None:
    write_bundle(tmp_path / "x", PLAIN, {"one": b"one"})
    container = Container(tmp_path / "x")
    given = {"one": container.member("one")}
    (tmp_path / "x" / "one").write_bytes(b"evil!")
    for name in ("y", "y.zip"):  # a folder compares the size, a zip the digest
        with pytest.raises(BundleError, match="'one' has changed"):
            write_bundle(tmp_path / name, container.manifest, given)
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_file_of_the_same_size_that_changed_is_refused_in_the_new_bundle_too(tmp_path: Path) -> None:
    """A linked file is not read, so the new manifest repeats what the old one says of it."""
    write_bundle(tmp_path / "x", PLAIN, {"one": b"one"})
    container = Container(tmp_path / "x")
    (tmp_path / "x" / "one").write_bytes(b"two")
    write_bundle(tmp_path / "y", container.manifest, {"one": container.member("one")})
    for name in ("x", "y"):
        with pytest.raises(BundleError, match="'one' has changed"):
            contents(tmp_path / name)


def test_a_folder_takes_over_files_of_a_folder_without_reading_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bundle(tmp_path / "x", PLAIN, {"sub/one": b"one", "two": b"two"})
    container = Container(tmp_path / "x")
    with monkeypatch.context() as patched:
        patched.setattr(Container, "_verify", lambda *_: pytest.fail("a file was read"))
        given = {"sub/one": container.member("sub/one"), "two": b"other"}
        write_bundle(tmp_path / "y", container.manifest, given)
    assert (tmp_path / "x/sub/one").samefile(tmp_path / "y/sub/one")
    assert contents(tmp_path / "y") == {"sub/one": b"one", "two": b"other"}


@pytest.mark.parametrize("error", [OSError(18, "Invalid cross-device link"), NotImplementedError()])
def test_where_there_are_no_hard_links_files_are_copied(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise error

    write_bundle(tmp_path / "x", PLAIN, {"one": b"one"})
    container = Container(tmp_path / "x")
    monkeypatch.setattr(os, "link", refused)
    write_bundle(tmp_path / "y", container.manifest, {"one": container.member("one")})
    assert contents(tmp_path / "y") == {"one": b"one"}
    assert not (tmp_path / "x/one").samefile(tmp_path / "y/one")
    (tmp_path / "x/one").write_bytes(b"two")
    with pytest.raises(BundleError, match="'one' has changed"):
        write_bundle(tmp_path / "z", container.manifest, {"one": container.member("one")})


def test_a_file_that_was_replaced_by_a_link_is_not_taken_over(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"one")
    write_bundle(tmp_path / "x", PLAIN, {"one": b"one"})
    container = Container(tmp_path / "x")
    (tmp_path / "x/one").unlink()
    (tmp_path / "x/one").symlink_to(tmp_path / "secret")
    with pytest.raises(BundleError, match="'one'"):
        write_bundle(tmp_path / "y", container.manifest, {"one": container.member("one")})
    assert not (tmp_path / "y").exists()


@pytest.mark.parametrize("source", ["x", "x.zip"])
@pytest.mark.parametrize("target", ["y", "y.zip"])
def test_files_are_taken_over_from_any_form_to_any_form(source: str, target: str, tmp_path: Path) -> None:
    write_bundle(tmp_path / source, PLAIN, {"sub/one": b"one", "two": b"two"})
    container = Container(tmp_path / source)
    given = {name: container.member(name) for name in container.manifest.files}
    write_bundle(tmp_path / target, container.manifest, given)
    assert contents(tmp_path / target) == {"sub/one": b"one", "two": b"two"}


@pytest.mark.parametrize("name", ["x", "x.zip"])
def test_what_somebody_else_put_there_at_the_last_moment_stays(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / name

    def overtaken(self: Path, target: Path) -> Path:
        write_elsewhere(out)
        raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY))

    def write_elsewhere(place: Path) -> None:
        place.mkdir()
        (place / "mine").write_text("precious")

    monkeypatch.setattr(Path, "replace" if name == "x.zip" else "rename", overtaken)
    with pytest.raises(BundleError, match="not empty"):
        write_bundle(out, PLAIN, {"one": b"one"})
    assert (out / "mine").read_text() == "precious"
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_bundle_that_cannot_be_replaced_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_bundle(tmp_path / "x", PLAIN, {"one": b"one"})
    rename, calls = Path.rename, list[str]()

    def broken(self: Path, target: Path) -> Path:
        calls.append(target.name)
        if len(calls) == 2:  # the new one into the place of the old one, which was put aside
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(files, "_exchange", lambda one, other: False)
    monkeypatch.setattr(Path, "rename", broken)
    with pytest.raises(ResourceError, match="No space left"):
        replace(tmp_path / "x", {"one": b"other"})
    assert contents(tmp_path / "x") == {"one": b"one"}


@pytest.mark.parametrize("when", ["the old one was put aside", "the new one takes its place"])
def test_one_that_is_interrupted_while_it_is_replaced_stays(
    when: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bundle(tmp_path / "x", PLAIN, {"one": b"one"})
    rename, calls = Path.rename, list[str]()

    def interrupted(self: Path, target: Path) -> Path:
        calls.append(target.name)
        if len(calls) == 2 and when == "the new one takes its place":
            raise KeyboardInterrupt
        found = rename(self, target)
        if len(calls) == 1 and when == "the old one was put aside":
            raise KeyboardInterrupt
        return found

    monkeypatch.setattr(files, "_exchange", lambda one, other: False)
    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        replace(tmp_path / "x", {"one": b"other"})
    assert contents(tmp_path / "x") == {"one": b"one"}
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_an_interrupt_after_the_new_folder_took_its_place_leaves_the_new_one_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bundle(tmp_path / "x", PLAIN, {"one": b"one"})
    rename, calls = Path.rename, list[str]()

    def interrupted(self: Path, target: Path) -> Path:
        calls.append(target.name)
        renamed = rename(self, target)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return renamed

    monkeypatch.setattr(files, "_exchange", lambda one, other: False)
    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        replace(tmp_path / "x", {"one": b"other"})
    assert contents(tmp_path / "x") == {"one": b"other"}
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_zip_that_is_interrupted_while_it_is_replaced_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: Path, target: Path) -> Path:
        raise KeyboardInterrupt

    write_bundle(tmp_path / "x.zip", PLAIN, {"one": b"one"})
    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        replace(tmp_path / "x.zip", {"one": b"other"})
    assert contents(tmp_path / "x.zip") == {"one": b"one"}
    assert [path.name for path in tmp_path.iterdir()] == ["x.zip"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EMFILE, errno.EDQUOT, errno.EFBIG])
@pytest.mark.parametrize("name", ["x", "x.zip"])
def test_nothing_is_left_of_a_bundle_that_could_not_be_written(
    name: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    for owner, call in ((os, "fsync"), (Path, "rename"), (Path, "replace")):
        with monkeypatch.context() as patched:
            patched.setattr(owner, call, full)
            if (call, name) in (("rename", "x.zip"), ("replace", "x")):
                continue
            with pytest.raises(ResourceError) as caught:
                write_bundle(tmp_path / name, PLAIN, {"one": b"one"})
        assert str(tmp_path / name) in caught.value.what and os.strerror(number) in caught.value.what
        assert not list(tmp_path.iterdir())


def test_what_may_not_be_written_is_no_fault_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", forbidden)
    with pytest.raises(BundleError, match="cannot be written: Permission denied"):
        write_bundle(tmp_path / "x", PLAIN, {"one": b"one"})


@pytest.mark.parametrize("name", ["x", "x.zip"])
def test_what_appears_while_a_bundle_is_written_is_not_replaced(name: str, tmp_path: Path) -> None:
    class Late(dict[str, Content]):
        def items(self) -> Any:
            (tmp_path / name).symlink_to("nowhere")
            return super().items()

    with pytest.raises(BundleError, match="already exists"):
        write_bundle(tmp_path / name, PLAIN, Late({"one": b"one"}))
    assert [path.name for path in tmp_path.iterdir()] == [name] and (tmp_path / name).is_symlink()


def test_planted_names_are_neither_followed_nor_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who guesses a temporary name gains nothing: it is taken exclusively, or another one is."""
    (tmp_path / "precious").write_bytes(b"precious")
    for name in (f".x.zip.{os.getpid()}.part", f".x.{os.getpid()}.part"):
        (tmp_path / name).symlink_to(tmp_path / "precious")
    for name in ("x", "x.zip"):
        write_bundle(tmp_path / name, PLAIN, {"one": b"one"})
        assert contents(tmp_path / name) == {"one": b"one"}
    assert (tmp_path / "precious").read_bytes() == b"precious"


@pytest.mark.parametrize("name", ["x", "x.zip"])
def test_a_file_that_no_bundle_may_have_is_not_written(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(limits._MOST, "one", 2)
    with pytest.raises(BundleError, match=r"'one' would have 3 B, more than the limit of 2 B"):
        write_bundle(tmp_path / name, PLAIN, {"one": b"one"})
    assert not list(tmp_path.iterdir())
