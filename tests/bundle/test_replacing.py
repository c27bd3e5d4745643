"""Bundles that are read and replaced at the same time: a reader sees the old or the new one, whole."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from calibrated import bundle, table
from click.testing import CliRunner

from segad_core.base import files, leftovers
from segad_core.base.locks import held
from segad_core.bundle.format import folder as folders
from segad_core.bundle.format.container import Container
from segad_core.bundle.format.manifest import Manifest
from segad_core.bundle.format.operating_point import read_operating_point
from segad_core.bundle.format.writing import replace_bundle, write_bundle
from segad_core.cli import main
from segad_core.errors import BundleError

FORMS = pytest.mark.parametrize("name", ["x.segad", "x.zip"])
PLAIN = Manifest.model_validate_json(
    b'{"format": 1, "files": {}, "provenance": {"segad": "0", "dataset": "d"}, "pipeline": {"category": "a",'
    b' "row": "r", "seed": 0, "size": [16, 16], "white": 255, "batch_size": 1}}'
)


def generation(number: int) -> dict[str, bytes]:
    """The files of a bundle, which differ in size and content from one to the next."""
    return {name: f"{name} {number}".encode() * (1 + number % 3) for name in ("a/one", "b/c/two", "three")}


def replaced(path: Path, number: int) -> None:
    container = Container(path)
    try:
        replace_bundle(container, generation(number))
    finally:
        container.close()


def read(path: Path) -> dict[str, bytes]:
    container = Container(path)
    try:
        container.verify()
        return {name: container.read(name) for name in container.manifest.files}
    finally:
        container.close()


@pytest.fixture
def each_step(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[str], None]], None]:
    """Calls a function after each call to the system that opening and reading a bundle makes."""

    def install(step: Callable[[str], None]) -> None:
        for owner, name in ((os, "open"), (os, "scandir"), (os, "stat"), (os, "fdopen"), (Path, "stat")):
            monkeypatch.setattr(owner, name, _followed_by(getattr(owner, name), lambda n=name: step(n)))

    return install


def _followed_by(call: Callable[..., object], step: Callable[[], None]) -> Callable[..., object]:
    def both(*args: object, **kwargs: object) -> object:
        result = call(*args, **kwargs)
        step()
        return result

    return both


@FORMS
def test_a_bundle_that_is_replaced_at_any_moment_is_read_whole(
    name: str, tmp_path: Path, each_step: Callable[[Callable[[str], None]], None]
) -> None:
    """Replaces it after each call to the system that a reader makes, one after the other."""
    path, fresh = tmp_path / name, tmp_path / "fresh" / name
    calls, place, inside = 0, -1, False

    def step(_: str) -> None:
        nonlocal calls, inside
        calls += 1
        if calls == place and not inside:
            inside = True
            if name == "x.zip":
                fresh.replace(path)
            else:
                files.replace_folder(path, fresh)
            inside = False

    each_step(step)
    moments = 0
    while True:
        place = -1
        for old in (path, fresh):
            if old.is_dir():
                shutil.rmtree(old)
            else:
                old.unlink(missing_ok=True)
        write_bundle(path, PLAIN, generation(1))
        write_bundle(fresh, PLAIN, generation(2))
        calls, place = 0, moments
        found = read(path)
        assert found in (generation(1), generation(2)), moments
        if calls < place:
            break
        moments += 1
    assert moments > 3


def test_in_two_steps_too(
    tmp_path: Path, each_step: Callable[[Callable[[str], None]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where folders cannot be exchanged, a reader that finds none waits until there is one again."""
    monkeypatch.setattr(files, "_exchange", lambda one, other: False)
    path, fresh = tmp_path / "x", tmp_path / "fresh"
    write_bundle(path, PLAIN, generation(1))
    write_bundle(fresh, PLAIN, generation(2))
    aside = leftovers.temporary_name(path, leftovers.OLD)
    path.rename(aside)
    waited = []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 3:
            fresh.rename(path)

    monkeypatch.setattr("segad_core.bundle.format.members.time.sleep", wait)
    assert read(path) == generation(2) and len(waited) == 3
    shutil.rmtree(path)
    with pytest.raises(BundleError, match="there is no such bundle"):
        read(path)
    shutil.rmtree(aside)
    waited.clear()
    with pytest.raises(BundleError, match="there is no such bundle"):
        read(path)
    assert not waited


@FORMS
def test_an_open_bundle_stays_what_it_was(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    write_bundle(path, PLAIN, generation(1))
    container = Container(path)
    replaced(path, 2)
    container.verify()
    assert {one: container.read(one) for one in container.manifest.files} == generation(1)
    write_bundle(tmp_path / "copy", container.manifest, {o: container.member(o) for o in generation(1)})
    container.close()
    assert read(path) == generation(2) and read(tmp_path / "copy") == generation(1)
    leftovers.sweep(tmp_path)
    assert {one.name for one in tmp_path.iterdir()} == {name, "copy"}


@FORMS
def test_nothing_stays_behind_where_nobody_reads(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    write_bundle(path, PLAIN, generation(1))
    for number in range(2, 5):
        replaced(path, number)
        assert read(path) == generation(number)
        assert [one.name for one in tmp_path.iterdir()] == [name]


def test_a_bundle_that_is_closed_or_forgotten_is_released(tmp_path: Path) -> None:
    write_bundle(tmp_path / "x", PLAIN, generation(1))
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        Container(tmp_path / "x")
        container = Container(tmp_path / "x")
        container.close()
        container.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_without_handles_of_folders_a_bundle_is_read_by_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "_BY_HANDLE", False)
    write_bundle(tmp_path / "x", PLAIN, generation(1))
    assert read(tmp_path / "x") == generation(1)
    replaced(tmp_path / "x", 2)
    assert read(tmp_path / "x") == generation(2)


@pytest.mark.parametrize(
    ("name", "exchange"), [("x.segad", True), ("x.segad", False), ("x.zip", True)], ids=str
)
def test_a_kill_at_any_step_leaves_the_old_or_the_new_bundle(
    name: str, exchange: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that replaces a bundle is killed before each of its calls to the system."""
    if not exchange:
        monkeypatch.setattr(files, "_exchange", lambda one, other: False)
    path, steps = tmp_path / name, 0
    write_bundle(path, PLAIN, generation(1))
    while True:
        child = os.fork()
        if not child:
            _killed_at(steps, lambda: replaced(path, 2))
        if os.waitpid(child, 0)[1] == 0:
            break
        steps += 1
        leftovers.sweep(tmp_path)
        assert [one.name for one in tmp_path.iterdir()] == [name]
        assert read(path) in (generation(1), generation(2))
        if read(path) == generation(2):
            replaced(path, 1)
    assert steps > 5 and read(path) == generation(2)


def _killed_at(place: int, work: Callable[[], None]) -> None:
    """Does some work in a child process, and ends it at one of its calls to the system."""
    left = place

    def step() -> None:
        nonlocal left
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

    try:
        for call in ("open", "fsync", "link", "mkdir", "rename", "replace", "unlink", "rmdir", "close"):
            setattr(os, call, _preceded_by(getattr(os, call), step))
        files._exchange = _preceded_by(files._exchange, step)  # type: ignore[assignment]
        work()
        os._exit(0)
    finally:
        os._exit(1)


def _preceded_by(call: Callable[..., object], step: Callable[[], None]) -> Callable[..., object]:
    def both(*args: object, **kwargs: object) -> object:
        step()
        return call(*args, **kwargs)

    return both


OPERATE = """
import sys
from click.testing import CliRunner
from segad_core.cli import main
for i in range(5):
    rule = [["--catch", "0.9"], ["--false-rejects", "1/10"], ["--cost", f"miss={i + 1},reject=1"]][i % 3]
    result = CliRunner().invoke(main, ["operate", sys.argv[1], *rule])
    assert result.exit_code == 0, result.output
"""


@FORMS
def test_four_operates_at_once_and_a_reader(name: str, tmp_path: Path) -> None:
    """No operate fails, and no reader is told that a file has changed."""
    scores = [i / 10 for i in range(40)]
    path = bundle(tmp_path / name, table(scores, [score + 2 for score in scores]))
    processes = [subprocess.Popen([sys.executable, "-c", OPERATE, str(path)]) for _ in range(4)]
    reads = 0
    while reads < 50 or any(process.poll() is None for process in processes):
        container = Container(path)
        container.verify()
        read_operating_point(container)
        container.close()
        reads += 1
    assert [process.wait() for process in processes] == [0] * 4
    leftovers.sweep(tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == [name]


@FORMS
def test_an_operate_that_waits_in_vain_says_who_holds_the_bundle(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = bundle(tmp_path / name, table([0.0, 1.0, 2.0], [3.0, 4.0]))
    monkeypatch.setattr(sys.modules["segad_core.cli.operate"], "_WAIT", 0.01)
    before = read(path)
    (tmp_path / "link").symlink_to(path)
    with held(path, ""):
        for place in (path, tmp_path / "link"):
            result = CliRunner().invoke(main, ["operate", str(place), "--catch", "0.5"])
            assert result.exit_code == 1 and f"process {os.getpid()}" in result.output
        result = CliRunner().invoke(main, ["operate", str(path), "--show"])
        assert result.exit_code == 0, result.output
    assert read(path) == before
    assert CliRunner().invoke(main, ["operate", str(path), "--catch", "0.5"]).exit_code == 0
