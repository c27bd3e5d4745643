"""Bundles are written whole or not at all, in place of others too, in the form that they have."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from segad_core.bundle.format.container import Container
from segad_core.bundle.format.manifest import Manifest
from segad_core.bundle.format.writing import replace_bundle, write_bundle
from segad_core.errors import BundleError

PLAIN = Manifest.model_validate_json(
    b'{"format": 1, "files": {}, "provenance": {"segad": "0", "dataset": "d"}, "pipeline": {"category": "a",'
    b' "row": "r", "seed": 0, "size": [16, 16], "white": 255, "batch_size": 1}}'
)


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
    replace_bundle(tmp_path / name, PLAIN, {"one": b"other"})
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
    given = {"one": container.kept("one")}
    (tmp_path / "x" / "one").write_bytes(b"evil")
    with pytest.raises(BundleError, match="'one' changed while it was copied"):
        write_bundle(tmp_path / "y", container.manifest, given)
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_bundle_that_cannot_be_replaced_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_bundle(tmp_path / "x", PLAIN, {"one": b"one"})
    rename, calls = Path.rename, list[str]()

    def broken(self: Path, target: Path) -> Path:
        calls.append(target.name)
        if len(calls) == 3:  # the new one into the place of the old one, which was put aside
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", broken)
    with pytest.raises(BundleError, match="cannot be replaced: No space left"):
        replace_bundle(tmp_path / "x", PLAIN, {"one": b"other"})
    assert contents(tmp_path / "x") == {"one": b"one"}


@pytest.mark.parametrize("when", ["the old one was put aside", "the new one takes its place"])
def test_one_that_is_interrupted_while_it_is_replaced_stays(
    when: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bundle(tmp_path / "x", PLAIN, {"one": b"one"})
    rename, calls = Path.rename, list[str]()

    def interrupted(self: Path, target: Path) -> Path:
        calls.append(target.name)
        if len(calls) == 3 and when == "the new one takes its place":
            raise KeyboardInterrupt
        found = rename(self, target)
        if len(calls) == 2 and when == "the old one was put aside":
            raise KeyboardInterrupt
        return found

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        replace_bundle(tmp_path / "x", PLAIN, {"one": b"other"})
    assert contents(tmp_path / "x") == {"one": b"one"}
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_nothing_is_left_of_a_bundle_that_could_not_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("segad_core.bundle.format.writing.sync_file", full)
    for name in ("x", "x.zip"):
        with pytest.raises(BundleError, match="cannot be written: No space left"):
            write_bundle(tmp_path / name, PLAIN, {"one": b"one"})
    assert not list(tmp_path.iterdir())
