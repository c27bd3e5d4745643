"""Progress: what observers are told, what a terminal shows, and what is written where there is none."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import fakes
import pytest
from builders import workshop, write_recipe
from rich.console import Console

import segad_core.cli.progress
from segad_core.cli.progress import Progress
from segad_core.plugins import hooks
from segad_core.plugins.registry import Registry
from segad_core.recipe import load_recipe
from segad_core.run import engine
from segad_core.run.schedule import report
from segad_core.store.store import Store


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 5000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    made = Clock()
    monkeypatch.setattr(segad_core.cli.progress, "time", SimpleNamespace(monotonic=made.monotonic))
    return made


@pytest.fixture
def piped(clock: Clock) -> Iterator[Progress]:
    """Progress where there is no terminal."""
    with Progress() as progress:
        assert not progress.console.is_terminal
        yield progress


@pytest.fixture
def screen(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What is drawn on a terminal by whatever progress is made afterwards."""
    buffer = io.StringIO()

    def terminal(**kwargs: object) -> Console:
        return Console(file=buffer, force_terminal=True, width=200, color_system=None)

    monkeypatch.setattr(segad_core.cli.progress, "Console", terminal)
    return buffer


class Old:
    """An observer from before there were notes."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, int, int]] = []

    @hooks.hookimpl
    def task_progress(self, name: str, what: str, done: int, total: int) -> None:
        self.told.append((name, what, done, total))


class Older:
    """An observer that wants to know one thing only."""

    def __init__(self) -> None:
        self.told: list[int] = []

    @hooks.hookimpl
    def task_progress(self, done: int) -> None:
        self.told.append(done)


class New:
    """An observer that reads notes."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, int, int, str]] = []

    @hooks.hookimpl
    def task_progress(self, name: str, what: str, done: int, total: int, note: str) -> None:
        self.told.append((name, what, done, total, note))


def test_observers_are_told_what_their_signatures_name(caplog: pytest.LogCaptureFixture) -> None:
    plugins, old, older, new = hooks.manager(), Old(), Older(), New()
    for observer in (old, older, new):
        assert hooks.problems(observer) == []
        hooks.add(plugins, observer, type(observer).__name__)
    report(plugins.hook, "a: fit", "steps", 3, 9, "loss 0.5")
    report(plugins.hook, "a: fit", "steps", 4, 9)
    assert old.told == [("a: fit", "steps", 3, 9), ("a: fit", "steps", 4, 9)]
    assert older.told == [3, 4]
    assert new.told == [("a: fit", "steps", 3, 9, "loss 0.5"), ("a: fit", "steps", 4, 9, "")]
    assert not caplog.messages


def test_a_detectors_notes_come_to_observers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the training, the task and the executor; an observer of the older kind sees the same steps."""
    fakes.install(monkeypatch)
    workshop(tmp_path)
    use = "{use: patchcore, params: {coreset_ratio: 0.1, blur_sigma: 1}}"
    rows = "  - {name: SegAD, detectors: [patchcore]}\n"
    path = write_recipe(
        tmp_path, (use, "steps"), ("encoder: efficientnet_lite0", "encoder: tinyencoder"), (rows, "")
    )
    plugins, old, new = hooks.manager(), Old(), New()
    for observer in (old, new):
        hooks.add(plugins, observer, type(observer).__name__)
    recipe = load_recipe(str(path), Registry())
    engine.run(recipe, Store(tmp_path / "store"), tmp_path / "runs", "cpu", plugins.hook)
    steps = [told for told in new.told if told[1] == "patchcore: steps"]
    assert [told[:4] for told in steps] == [("a, seed 0: fit", "patchcore: steps", i, 6) for i in range(1, 7)]
    assert all(note.startswith("value 0.") or note.startswith("value 1.") for *_, note in steps)
    assert old.told == [told[:4] for told in new.told]


def test_a_long_step_writes_a_line_a_minute(
    piped: Progress, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    for step in range(0, 301):
        piped.task_progress(
            "a, seed 0: fit", "rd4ad: training steps", step, 1000, f"loss {1 / (step + 1):.3g}"
        )
        if step < 300:
            clock.now += 0.5
    label = "  a, seed 0: fit: rd4ad: training steps"
    assert capsys.readouterr().err.splitlines() == [
        f"{label} 120 of 1000, loss 0.00826, about 7:20 left",
        f"{label} 240 of 1000, loss 0.00415, about 6:20 left",
    ]


def test_a_minute_is_counted_from_the_last_line(
    piped: Progress, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    """Steps that take longer than a minute get a line each; those of less, none before it is over."""
    lines = []
    for passed in (0, 59, 1, 1, 58, 1, 200, 60):
        clock.now += passed
        piped.task_progress("t", "steps", 0, 9, "")
        lines.append(len(capsys.readouterr().err.splitlines()))
    assert lines == [0, 0, 1, 0, 0, 1, 1, 1]


def test_what_is_not_known_is_not_said(
    piped: Progress, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    piped.preparing("images examined", 0, 7)
    clock.now += 60
    piped.preparing("images examined", 0, 7)
    clock.now += 60
    piped.preparing("images examined", 0, 7, "slow disk")
    clock.now += 3480
    piped.preparing("images examined", 1, 7)
    assert capsys.readouterr().err.splitlines() == [
        "  images examined 0 of 7",
        "  images examined 0 of 7, slow disk",
        "  images examined 1 of 7, about 6:00:00 left",
    ]


def test_short_steps_write_nothing(piped: Progress, clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    """Each new step begins its own minute, also the same one of another task."""
    for task in range(10):
        for step in range(4):
            piped.task_progress(f"task {task % 2}", "steps", step, 3, "loss 1")
            clock.now += 19
        clock.now -= 19
        piped.task_finished(f"task {task % 2}", 0.5, 1)
    assert capsys.readouterr().err == ""


def test_what_looks_like_markup_is_written_as_it_is(
    piped: Progress, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    note = "loss [bold]0.5[/bold] " + 30 * "long "
    piped.task_progress("part [red]", "steps", 0, 2, "")
    clock.now += 60
    piped.task_progress("part [red]", "steps", 1, 2, note)
    assert capsys.readouterr().err == f"  part [red]: steps 1 of 2, {note}, about 1:00 left\n"


def test_the_time_left_is_by_what_was_done_since_the_step_was_first_seen(
    piped: Progress, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    """A training that goes on at step 1000 of 2000 has not done a thousand steps in no time."""
    for step in range(1000, 1007):
        piped.task_progress("t", "steps", step, 2000, "")
        clock.now += 10
    assert capsys.readouterr().err == "  t: steps 1006 of 2000, about 2:45:40 left\n"


def test_a_terminal_shows_the_note(screen: io.StringIO, clock: Clock) -> None:
    with Progress() as progress:
        progress.task_progress("a, seed 0: fit", "rd4ad: training steps", 0, 200, "")
        clock.now += 100
        progress.task_progress("a, seed 0: fit", "rd4ad: training steps", 50, 200, "loss 0.125")
        progress.bars.refresh()
        drawn = screen.getvalue()
        assert "a, seed 0: fit: rd4ad: training steps" in drawn
        assert "50/200" in drawn
        assert "about 5:00 left" in drawn
        assert "loss 0.125" in drawn
        assert "of 200" not in drawn  # lines are for where there is no terminal
        screen.truncate(0)
        progress.task_progress("a, seed 0: fit", "rd4ad: training steps", 51, 200, "loss 0.0625")
        progress.bars.refresh()
        assert "loss 0.0625" in screen.getvalue()
        assert "loss 0.125" not in screen.getvalue()
        progress.task_progress("a, seed 0: fit", "fastflow: images encoded", 4, 12, "")
        screen.truncate(0)
        progress.bars.refresh()
        assert "fastflow: images encoded" in screen.getvalue()
        assert "loss" not in screen.getvalue()


def test_a_terminal_shows_all_tasks_beside_the_step(screen: io.StringIO, clock: Clock) -> None:
    with Progress() as progress:
        progress.run_started("Parts", 3, 40)
        progress.task_progress("a, seed 0: fit", "steps", 1, 2, "loss 3")
        clock.now += 60
        progress.task_finished("a, seed 0: fit", 60.0, 10)
        progress.bars.refresh()
        assert "1/3" in screen.getvalue()
        assert "about 3:00 left" in screen.getvalue()
    assert "Parts: 3 tasks" not in screen.getvalue()


def test_a_terminal_obeys_no_label(screen: io.StringIO, clock: Clock) -> None:
    evil = "x\x1b]0;pwn\x07\r\u202e\ny"
    with Progress() as progress:
        progress.run_started(evil, 3, 40)
        progress.task_progress(evil, evil, 1, 2, evil)
        progress.bars.refresh()
        drawn = screen.getvalue()
    assert "\x1b]" not in drawn and "\x07" not in drawn and "\u202e" not in drawn
    assert drawn.count("x\\x1b]0;pwn\\x07\\x0d\\u202e\\x0ay") >= 3
