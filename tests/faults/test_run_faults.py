"""Whole runs on a disk that is full, forbidden or failing: a sentence, exit code 1; the next run goes on."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import sys
from pathlib import Path

import fakes
import pytest
from builders import data_set, kinds, run_command, said, segad, workshop
from nursery import nursery
from small_runs import write

import segad_core.run.folder
from segad_core.base import leftovers
from segad_core.base.locks import held
from segad_core.base.resources import remedy_of
from segad_core.store.store import Store

STORE_REMEDY = "Or name another folder with --store. What is finished stays and will not be computed again."
RUNS_REMEDY = "Or name another folder with --runs."
OTHER = remedy_of(OSError(errno.EISDIR, ""))
SPACE, SIZE = "Free some space.", remedy_of(OSError(errno.EFBIG, ""))


def identity(path: Path) -> tuple[int, int, int]:
    """Which file has a path, and when it was written; reading it changes neither."""
    status = path.lstat()
    return status.st_ino, status.st_mode, status.st_mtime_ns


def newest(home: Path) -> Path:
    """The folder of the newest run."""
    link = home / "runs" / "tiny" / "latest"
    return link.parent / link.readlink()


def last_lines(text: str) -> str:
    return text[text.index("error: ") :]


@pytest.mark.parametrize("kind", ["fit", "statistics", "row"])
def test_a_disk_that_is_full_at_some_artifact(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = workshop(tmp_path)
    write = Store._write

    def full(self: Store, folder: Path, own: str, *others: object) -> None:
        with monkeypatch.context() as patch:
            if own == kind:
                patch.setattr(Path, "write_bytes", _raise_no_space)
            write(self, folder, own, *others)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "_write", full)
        result = run_command(recipe)
    expected = (
        f"error: the store {tmp_path}/store cannot be written: No space left on device\n"
        f"  {SPACE} {STORE_REMEDY}\n"
    )
    assert last_lines(said(result)) == expected
    assert result.exit_code == 1
    assert not list((tmp_path / "store").rglob("*.part"))
    assert kind not in kinds(tmp_path / "store")
    assert run_command(recipe).exit_code == 0


def test_a_disk_that_is_full_at_the_inventory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = workshop(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("segad_core.store.records.write_atomic", _raise_no_space)
        result = run_command(recipe)
    assert result.exit_code == 1
    assert last_lines(said(result)) == (
        f"error: the store {tmp_path}/store cannot be written: No space left on device\n"
        f"  {SPACE} {STORE_REMEDY}\n"
    )
    assert kinds(tmp_path / "store") == []
    assert run_command(recipe).exit_code == 0


def _raise_no_space(*args: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


FILES = ["recipe.resolved.yaml", "environment.json", "splits.json", "results.csv", "scores.csv", "table.md"]


@pytest.mark.parametrize("name", FILES)
def test_a_disk_that_is_full_at_some_file_of_the_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = workshop(tmp_path)
    write = segad_core.run.folder.write_atomic

    def full(path: Path, data: bytes | str) -> None:
        if path.name == name:
            _raise_no_space()
        write(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(segad_core.run.folder, "write_atomic", full)
        result = run_command(recipe)
    folder = newest(tmp_path)
    expected = (
        f"error: the run folder {folder} cannot be written: No space left on device\n"
        f"  {SPACE} {RUNS_REMEDY}\n"
    )
    assert last_lines(said(result)) == expected
    assert result.exit_code == 1
    assert not (folder / name).exists()
    assert not (folder / "table.md").exists()
    assert run_command(recipe).exit_code == 0


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The logging module would print a traceback for each line."""
    monkeypatch.setattr("logging.FileHandler.emit", lambda self, record: self.handleError(record))
    assert run_command(workshop(tmp_path)).exit_code == 0


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="the system has no such limit")
@pytest.mark.slow
def test_a_real_limit_of_the_system(tmp_path: Path) -> None:
    """No file may grow beyond 4000 bytes: the detector's state does not fit."""
    recipe = workshop(tmp_path)
    program = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))\n"
        "from segad_core.cli import main; main()"
    )
    words = ["run", recipe, "--store", tmp_path / "store", "--runs", tmp_path / "runs", "--device", "cpu"]
    ended = nursery().run("-c", program, *words)
    assert ended.code == 1
    assert last_lines(ended.err) == (
        f"error: the store {tmp_path}/store cannot be written: File too large\n  {SIZE} {STORE_REMEDY}\n"
    )
    assert kinds(tmp_path / "store") == []


def test_places_where_nothing_can_be_written(tmp_path: Path) -> None:
    recipe = workshop(tmp_path)
    nowhere = "/proc/segad" if sys.platform == "linux" else "/dev/null/segad"
    result = run_command(recipe, store=Path(nowhere))
    assert said(result).startswith(f"error: the store {nowhere} cannot be created: ")
    assert said(result).endswith(f" {STORE_REMEDY}\n")
    assert result.exit_code == 1
    result = segad("check", recipe, "--store", nowhere)
    assert said(result).startswith(f"error: the store {nowhere} cannot be created: ")
    assert result.exit_code == 1
    result = run_command(recipe, runs=Path(nowhere))
    assert said(result).startswith(f"error: the run folder {nowhere}/tiny cannot be written: ")
    assert said(result).endswith(f" {RUNS_REMEDY}\n")
    assert result.exit_code == 1


@pytest.mark.parametrize("name", ["run.log", "scores.csv", "results.csv"])
def test_a_folder_where_a_file_should_be(name: str, tmp_path: Path) -> None:
    recipe = workshop(tmp_path)
    assert run_command(recipe).exit_code == 0
    folder = newest(tmp_path)
    shutil.rmtree(folder)
    (folder / name).mkdir(parents=True)
    result = run_command(recipe)
    assert last_lines(said(result)) == (
        f"error: the run folder {folder} cannot be written: Is a directory\n  {OTHER} {RUNS_REMEDY}\n"
    )
    assert result.exit_code == 1
    (folder / name).rmdir()
    assert run_command(recipe).exit_code == 0  # nothing is locked


def test_a_run_folder_that_is_in_use(tmp_path: Path) -> None:
    recipe = workshop(tmp_path)
    assert run_command(recipe).exit_code == 0
    folder = newest(tmp_path)
    with held(folder, ""):
        result = run_command(recipe)
    assert f"{folder} is held by process {os.getpid()} " in said(result)
    assert result.exit_code == 1
    assert run_command(recipe).exit_code == 0
    assert not [path.name for path in (*folder.iterdir(), *folder.parent.iterdir()) if path.name[0] == "."]


def test_what_a_killed_run_left_in_its_folder_is_swept(tmp_path: Path) -> None:
    """And nothing that only looks like it: `.scores.csv.12345.part` may be somebody's."""
    recipe = workshop(tmp_path)
    assert run_command(recipe).exit_code == 0
    folder = newest(tmp_path)
    token = "0123456789abcdef.segad-part"
    (folder / f".scores.csv.{token}").write_text("torn")
    for place in (folder / f".earlier-1.{token}", folder.parent / f".latest.{token}"):
        place.mkdir()
        (place / "scores.csv").write_text("torn")
    (folder.parent / ".0badcafe.segad-lock").write_text("{}")
    (folder / ".scores.csv.12345.part").write_text("precious")
    (folder / ".notes.part").mkdir()
    leftovers._swept.clear()  # as in another process
    assert run_command(recipe).exit_code == 0
    assert sorted(path.name for path in folder.glob(".*")) == [".notes.part", ".scores.csv.12345.part"]
    assert sorted(path.name for path in folder.parent.iterdir()) == [folder.name, "latest"]


@pytest.mark.parametrize("kind", ["file", "link", "dangling", "outside", "pipe"])
def test_somebodys_latest_stays(tmp_path: Path, kind: str) -> None:
    recipe = workshop(tmp_path)
    latest = tmp_path / "runs" / "tiny" / "latest"
    latest.parent.mkdir(parents=True)
    (tmp_path / "victim").write_text("precious")
    if kind == "file":
        latest.write_text("precious")
    elif kind == "pipe":
        os.mkfifo(latest)
    else:
        targets = {"link": "../../victim", "dangling": "gone", "outside": "../12345678"}
        latest.symlink_to(targets[kind])
    before = identity(latest)
    result = run_command(recipe)
    assert result.exit_code == 0, said(result)
    assert str(latest) in said(result) and "move it away" in said(result)
    assert identity(latest) == before
    assert (tmp_path / "victim").read_text() == "precious"


@pytest.mark.parametrize("kind", ["link", "dangling", "pipe"])
def test_a_log_is_not_written_through_what_is_no_file(tmp_path: Path, kind: str) -> None:
    recipe = workshop(tmp_path)
    assert run_command(recipe).exit_code == 0
    place = newest(tmp_path) / "run.log"
    place.unlink()
    (tmp_path / "victim").write_text("precious")
    if kind == "pipe":
        os.mkfifo(place)
    else:
        place.symlink_to(tmp_path / ("victim" if kind == "link" else "gone"))
    result = run_command(recipe)
    assert result.exit_code == 1 and str(place.parent) in said(result)
    assert (tmp_path / "victim").read_text() == "precious" and not (tmp_path / "gone").exists()


@pytest.mark.parametrize("name", ["scores.csv", "results.csv", "table.md", "recipe.resolved.yaml"])
def test_a_planted_link_in_a_run_folder_is_replaced_not_followed(tmp_path: Path, name: str) -> None:
    recipe = workshop(tmp_path)
    assert run_command(recipe).exit_code == 0
    folder = newest(tmp_path)
    whole = (folder / name).read_bytes()
    (tmp_path / "victim").write_text("precious")
    (folder / "table.md").unlink()  # as if it had not been finished
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(tmp_path / "victim")
    assert run_command(recipe).exit_code == 0
    assert (tmp_path / "victim").read_text() == "precious"
    assert (folder / name).read_bytes() == whole and not (folder / name).is_symlink()


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (MemoryError(), "out of memory"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "out of memory"),
        (OSError(errno.EMFILE, "Too many open files"), "Too many open files"),
        (OSError(errno.ENOSPC, "No space left on device", "/cache/x"), "No space left on device (/cache/x)"),
    ],
    ids=["memory", "memory of a GPU", "handles", "space"],
)
def test_the_machine_failed_in_a_plugin(
    error: Exception, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plugin is not called defective."""

    def fails(*_: object) -> None:
        raise error

    fakes.install(monkeypatch)
    data_set(tmp_path / "data", good=24, bad=13)
    recipe = write(tmp_path, rows=[{"name": "SegAD", "detectors": ["spotty"]}])
    with monkeypatch.context() as patch:
        patch.setattr(fakes.Spotty, "fit", fails)
        result = run_command(recipe)
    assert last_lines(said(result)).startswith(f"error: a, seed 0: fit: {what}\n")
    assert "defect" not in said(result) and result.exit_code == 1
    assert run_command(recipe).exit_code == 0


def test_an_interrupt_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args: object) -> None:
        raise KeyboardInterrupt

    recipe = workshop(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("segad_core.run.ledger.read_scores", interrupted)
        result = run_command(recipe)
    text = said(result)
    assert text.endswith("interrupted: finished work is in the store; run the same command to continue\n")
    assert result.exit_code == 1
    assert run_command(recipe).exit_code == 0
