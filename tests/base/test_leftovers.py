"""What a killed process leaves is removed by the next one; what a living one uses is not."""

from __future__ import annotations

import multiprocessing
import signal
import tempfile
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from segad_core.base import leftovers
from segad_core.base.files import write_atomic
from segad_core.base.leftovers import (
    OLD,
    abandoned,
    scratch_folder,
    sweep,
    temporary_file,
    temporary_folder,
)
from segad_core.base.locks import held, lock_file

TOKEN = "0123456789abcdef"


def use(folder: str, kind: str, begun: Event) -> None:
    tempfile.tempdir = folder
    place = Path(folder) / "x"
    context = {"file": lambda: temporary_file(place), "folder": lambda: temporary_folder(place)}
    with context.get(kind, scratch_folder)():  # type: ignore[operator]
        begun.set()
        signal.pause()


@pytest.mark.parametrize("kind", ["file", "folder", "scratch"])
def test_what_a_process_uses_is_swept_once_it_is_killed(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    context = multiprocessing.get_context("fork")
    begun = context.Event()
    process = context.Process(target=use, args=(str(tmp_path), kind, begun))
    process.start()
    assert begun.wait(60)
    (left,) = tmp_path.iterdir()
    if left.is_dir():
        (left / "copy").write_text("a copy")
    assert sweep(tmp_path) == [] and left.exists()
    process.kill()
    process.join()
    assert sweep(tmp_path) == [left] and not left.exists()


def test_the_next_command_that_writes_to_a_folder_sweeps_it(tmp_path: Path) -> None:
    left = tmp_path / f".other.csv.{TOKEN}.segad-part"
    left.write_text("half")
    leftovers._swept.clear()
    write_atomic(tmp_path / "x", "whole")
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize(
    "name",
    [
        "x",
        ".x.part",
        f"x.{TOKEN}.segad-part",
        f".x.{TOKEN}.segad-part.bak",
        f".x.{TOKEN[:-1]}.segad-part",
        f".x.{TOKEN.upper()}.segad-part",
        "segad-scratch-abc",
        f".{TOKEN}.segad-part",
    ],
)
def test_what_segad_did_not_name_stays(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("precious")
    assert sweep(tmp_path) == [] and (tmp_path / name).read_text() == "precious"


def test_a_link_with_a_temporary_name_is_neither_followed_nor_removed(tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "file").write_text("precious")
    (tmp_path / f".x.{TOKEN}.segad-part").symlink_to(tmp_path / "victim")
    assert sweep(tmp_path) == []
    assert (tmp_path / "victim" / "file").read_text() == "precious"


def test_a_folder_whose_successor_never_arrived_is_put_back(tmp_path: Path) -> None:
    left = tmp_path / f".x.{TOKEN}.{OLD}"
    left.mkdir()
    assert sweep(tmp_path) == [left]
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    left.mkdir()
    assert sweep(tmp_path) == [left]
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_lock_file_is_swept_once_nobody_holds_it(tmp_path: Path) -> None:
    place = lock_file(tmp_path / "f.csv")
    with held(tmp_path / "f.csv", ""):
        assert sweep(tmp_path) == [] and place.exists()
    place.write_text("{}")
    assert abandoned(place)
    assert sweep(tmp_path) == [place] and not place.exists()


@pytest.mark.parametrize(
    "name", ["segad-scratch-notes", "segad-scratch-a1b2c3d4.txt", "segad-scratch-", ".mine.segad-lock"]
)
def test_a_folder_that_segad_did_not_make_stays(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / name).mkdir()
    (tmp_path / name / "work").write_text("precious")
    assert sweep(tmp_path) == []
    assert (tmp_path / name / "work").read_text() == "precious"


def test_a_file_is_no_scratch_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "segad-scratch-a1b2c3d4").write_text("precious")
    assert sweep(tmp_path) == []


@pytest.mark.parametrize("name", [f"...{TOKEN}.{OLD}", f"....{TOKEN}.{OLD}"])
def test_a_name_that_leads_nowhere_stops_nothing(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    left = tmp_path / f".x.{TOKEN}.segad-part"
    left.write_text("half")
    assert left in sweep(tmp_path)


def test_only_a_folder_is_put_back(tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir()
    (tmp_path / f".x.{TOKEN}.{OLD}").symlink_to(tmp_path / "victim")
    assert sweep(tmp_path) == [] and not (tmp_path / "x").is_symlink()
