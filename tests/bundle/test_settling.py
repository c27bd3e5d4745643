"""Files that are still being written are read again; time stands still but for what is waited."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from trained_bundles import bundle_of, good

from segad_core.bundle.runtime import settling
from segad_core.bundle.runtime.bundle import Bundle
from segad_core.bundle.runtime.settling import MOST, QUIET, Clock, once_written
from segad_core.errors import DamagedImageError, ImageError

WRITTEN = 1_700_000_000.0


class Day:
    """A clock that only goes on while somebody waits; then what is to happen at a time happens."""

    def __init__(self, path: Path, since: float = 0.0, events: dict[float, bytes] | None = None) -> None:
        self.path, self.waited, self.since, self.events = path, 0.0, since, events or {}
        self.clock = Clock(lambda: WRITTEN + since + self.waited, lambda: self.waited, self.sleep)
        stamp(path, WRITTEN)

    def sleep(self, seconds: float) -> None:
        self.waited = round(self.waited + seconds, 6)
        for moment in [m for m in self.events if m <= self.waited]:
            self.path.write_bytes(self.events.pop(moment))
            stamp(self.path, WRITTEN + self.since + moment)


def stamp(path: Path, moment: float) -> None:
    os.utime(path, (moment, moment))


@pytest.fixture(autouse=True)
def by_modification(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of the last change of a file's entry cannot be set."""
    monkeypatch.setattr(settling, "_changed", lambda status: status.st_mtime)


def reader(path: Path, error: type[Exception] = DamagedImageError) -> tuple[Callable[[], bytes], list[bytes]]:
    seen: list[bytes] = []

    def read() -> bytes:
        seen.append(path.read_bytes())
        if not seen[-1].endswith(b"."):
            raise error(f"{path}: torn")
        return seen[-1]

    return read, seen


def test_a_file_that_is_completed_in_time_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"a")
    day = Day(path, events={0.25: b"ab", 0.55: b"ab."})
    read, seen = reader(path)
    assert once_written(read, path, day.clock) == b"ab."
    assert day.waited == pytest.approx(0.6)
    assert list(dict.fromkeys(seen)) == [b"a", b"ab", b"ab."]


def test_a_torn_file_that_stays_as_it_is_costs_half_a_second_at_most(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"a")
    day = Day(path)
    with pytest.raises(DamagedImageError):
        once_written(reader(path)[0], path, day.clock)
    assert day.waited == pytest.approx(QUIET)


@pytest.mark.parametrize("since", [QUIET, 86_400.0, -86_400.0])
def test_an_old_torn_file_is_read_once(tmp_path: Path, since: float) -> None:
    """Or one from the future: the clock of a network share may be wrong."""
    path = tmp_path / "x"
    path.write_bytes(b"a")
    day = Day(path, since)
    read, seen = reader(path)
    with pytest.raises(DamagedImageError):
        once_written(read, path, day.clock)
    assert (day.waited, len(seen)) == (0.0, 1)


def test_a_file_that_grows_without_end_is_given_up(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"a")
    day = Day(path, events={n / 5: b"a" * n for n in range(1, 100)})
    with pytest.raises(DamagedImageError):
        once_written(reader(path)[0], path, day.clock)
    assert day.waited == pytest.approx(MOST)


def test_a_file_that_grows_while_it_is_read_is_read_again_whatever_its_clock_says(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"a")
    day, count = Day(path, 86_400.0), 0

    def read() -> int:
        nonlocal count
        count += 1
        if count < 3:
            path.write_bytes(b"a" * (count + 1))
            stamp(path, WRITTEN)
            raise DamagedImageError("torn")
        return count

    assert once_written(read, path, day.clock) == 3


@pytest.mark.parametrize("changes", [1, 2, 1000])
def test_a_file_that_changes_while_it_is_read_is_not_trusted(tmp_path: Path, changes: int) -> None:
    """Half a bitmap whose size is right can be read."""
    path, count = tmp_path / "x", 0
    path.write_bytes(b"a")
    day = Day(path, 86_400.0)

    def read() -> bytes:
        nonlocal count
        found, count = path.read_bytes(), count + 1
        if count <= changes:
            path.write_bytes(b"b" * count)
            stamp(path, WRITTEN + count)
        return found

    if changes == 1000:
        with pytest.raises(DamagedImageError, match="still being written"):
            once_written(read, path, day.clock)
        assert day.waited == pytest.approx(MOST)
    else:
        assert once_written(read, path, day.clock) == b"b" * changes
        assert count == changes + 1


@pytest.mark.parametrize("error", [ImageError, ValueError])
def test_what_no_waiting_mends_is_not_waited_for(tmp_path: Path, error: type[Exception]) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"a")
    day = Day(path)
    with pytest.raises(error):
        once_written(reader(path, error)[0], path, day.clock)
    assert day.waited == 0.0


@pytest.mark.parametrize("name", ["gone", "\0"])
def test_no_file_is_not_waited_for(tmp_path: Path, name: str) -> None:
    def read() -> None:
        raise DamagedImageError("torn")

    path = tmp_path / "x"
    path.write_bytes(b"a")
    day = Day(path)
    with pytest.raises(DamagedImageError):
        once_written(read, name, day.clock)
    assert day.waited == 0.0


@pytest.mark.parametrize("size", [0, 1, 30, 900])
def test_an_image_of_a_hot_folder(tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty, without a whole signature, without a whole header, torn: scored as soon as it is whole."""
    path, whole = tmp_path / "x.png", good(0).read_bytes()
    path.write_bytes(whole[:size])
    day = Day(path, events={0.3: whole})
    monkeypatch.setattr(settling, "CLOCK", day.clock)
    with Bundle.load(bundle_of("PatchCore"), "cpu") as bundle:
        found, expected = bundle.predict([path])[0], bundle.predict([good(0)])[0]
    assert found.score == expected.score is not None
    assert day.waited == pytest.approx(0.3)
