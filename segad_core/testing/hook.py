"""The conformance suite for hooks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from segad_core.contracts import Hook
from segad_core.plugins import hooks
from segad_core.testing.component import ComponentSuite
from segad_core.testing.files_written import files_written
from segad_core.testing.global_random import global_randomness
from segad_core.testing.run_events import WRITTEN, Event, fit_events, run_events, stopped_events


class HookSuite(ComponentSuite):
    """The contract of `segad.hooks`, clause by clause. Define `make`.

    The hook is told runs in a working folder of its own, in which relative paths of its parameters lie. To
    test what it writes, tell it a run with `segad_core.testing.tell_run(hook, run_folder)`.
    """

    def make(self) -> Hook:
        raise NotImplementedError(f"{type(self).__name__} must define make(), which returns a new hook")

    def test_events_are_known_and_marked(self) -> None:
        """Its methods are events that there are, with arguments that they have, marked with `hookimpl`."""
        hook = self.make()
        found = hooks.problems(hook)
        assert not found, f"{type(hook).__name__}: {'; '.join(found)}"

    def test_a_run_is_observed(self) -> None:
        """It takes all events of a run with several categories, seeds and folds, whatever their names."""
        with _place() as place:
            _tell(self.make(), run_events, place)

    def test_a_repeated_run_is_observed(self) -> None:
        """Another hook with the same parameters takes a second run, with what the first one wrote there."""
        with _place() as place:
            _tell(self.make(), run_events, place)
            _tell(self.make(), run_events, place)

    def test_a_run_that_stops_is_observed(self) -> None:
        """It takes the events of a run that stops in the middle."""
        with _place() as place:
            _tell(self.make(), stopped_events, place)

    def test_a_bundle_that_is_made_is_observed(self) -> None:
        """It takes the events of `segad fit`, which measures no row and whose only file is the bundle."""
        with _place() as place:
            _tell(self.make(), fit_events, place)

    def test_writes_in_its_folder_only(self) -> None:
        """It leaves files nowhere but in the folders that its parameters name."""
        hook = self.make()
        with _place() as place:
            with files_written() as written:
                _tell(hook, run_events, place)
            here, engine = place / _HERE, place / _RUN
            own = [(here / path).resolve() for _, path in hook.params if isinstance(path, Path)]
            left = {path for path in written if path.exists() and not path.is_relative_to("/dev")}
            left -= {engine, *engine.parents, *(engine / name for name in WRITTEN)}
            left |= {path for path in here.rglob("*") if path.is_file()}
            left = {path for path in left if not any(path.is_relative_to(one) for one in own)}
            left -= {above for one in own for above in one.parents}
        assert not left, (
            f"it leaves {', '.join(sorted(map(str, left)))}: a hook writes in a folder that a parameter names"
            + (f", here {', '.join(map(str, own))}" if own else ", and it has no such parameter")
        )

    def test_leaves_the_files_of_the_run_alone(self) -> None:
        """It neither changes nor removes files of the run, and adds none to its folder."""
        with _place() as place:
            _tell(self.make(), run_events, place)
            for _ in run_events(place / "expected"):
                pass
            expected, found = _contents(place / "expected"), _contents(place / _RUN)
        assert found == expected, (
            f"it changes the run folder: {sorted(expected)} should be as the engine wrote them; afterwards "
            f"there are {sorted(found)}"
        )

    def test_draws_no_global_randomness(self) -> None:
        """It neither draws from nor seeds the global generators of `random`, NumPy and torch."""
        with _place() as place, global_randomness(5, "the hook", "a generator of its own"):
            _tell(self.make(), run_events, place)

    def test_leaves_the_process_as_it_was(self) -> None:
        """It changes neither the working folder nor variables of the environment."""
        with _place() as place:
            _tell(self.make(), run_events, place)  # libraries may set variables when they are first used
            before = dict(os.environ)
            _tell(self.make(), run_events, place)
        changed = sorted({name for name, _ in before.items() ^ os.environ.items()})
        assert not changed, f"it changes {', '.join(changed)} in the environment of the process"

    def test_returns_nothing(self) -> None:
        """Its events return None, as a result would change nothing."""
        with _place() as place:
            answers = _tell(self.make(), run_events, place)
        assert not answers, f"{', '.join(answers)} returns something: a hook only observes"


_RUN, _HERE = Path("runs", "cables", "0a1b2c3d"), Path("here")
"""The run folder, and the working folder."""


@contextmanager
def _place() -> Iterator[Path]:
    """A temporary folder for both."""
    with TemporaryDirectory(prefix="segad-hook-") as name:
        place = Path(name).resolve()
        (place / _HERE).mkdir()
        yield place


def _tell(hook: Hook, events: Callable[[Path], Iterator[Event]], place: Path) -> list[str]:
    """Tells a hook these events; returns the names of those that returned something."""
    answers, observers = list[str](), hooks.manager()
    observers.register(hook)
    with chdir(place / _HERE):
        for event, given in events(place / _RUN):
            try:
                answers += [event] * bool(getattr(observers.hook, event)(**given))
            except Exception as error:
                raise AssertionError(
                    f"{type(hook).__name__}.{event}() raises {type(error).__name__}: {error}; in a run it "
                    "would be told nothing more"
                ) from error
            assert Path.cwd() == place / _HERE, f"{event}() changes the working folder of the process"
    return list(dict.fromkeys(answers))


def _contents(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
