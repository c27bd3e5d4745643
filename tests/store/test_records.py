"""Records: thousands of small facts in one file; each is read as it was written, or not at all."""

from __future__ import annotations

import errno
import multiprocessing
import os
from pathlib import Path

import pytest
from rivals import add_records

from segad_core.base import files
from segad_core.base.digest import bytes_digest
from segad_core.errors import StoreError
from segad_core.store.records import Records
from segad_core.store.store import Store
from segad_core.store.values import QUALITY, read_quality

SOME = {"a" * 64: ["b" * 64, False, [3, 4]], "c" * 64: ["d" * 64, True, [5, 6]]}


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(Store(tmp_path / "store"), "some")


def test_what_was_added_is_read(records: Records) -> None:
    assert records.read() == {}
    records.add(SOME)
    assert records.read() == SOME
    records.add({"a" * 64: "another", "é\n": None})
    assert records.read() == {**SOME, "a" * 64: "another", "é\n": None}


def test_names_do_not_meet(records: Records, tmp_path: Path) -> None:
    records.add(SOME)
    assert Records(Store(tmp_path / "store"), "other").read() == {}


def test_a_damaged_byte_costs_its_line_alone(records: Records, caplog: pytest.LogCaptureFixture) -> None:
    records.add(SOME)
    sound = records.path.read_bytes()
    for place in range(len(sound)):
        records.path.write_bytes(sound[:place] + bytes([sound[place] ^ 0x20]) + sound[place + 1 :])
        caplog.clear()
        found = records.read()
        assert found.items() <= SOME.items(), place
        assert len(found) >= 1 or sound[place : place + 1] == b"\n", place
        if len(found) < 2:
            assert str(records.path) in caplog.text
    records.path.write_bytes(sound[:-20])
    assert len(records.read()) == 1
    records.add({"e": 1})
    caplog.clear()
    assert records.read() == {**dict(list(SOME.items())[:1]), "e": 1}
    assert not caplog.messages  # the damaged line went with the old file


def test_a_full_disk_leaves_what_was_there(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    records.add(SOME)

    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fsync", full)
        with pytest.raises(StoreError) as caught:
            records.add({"e": 1})
    assert str(records.path.parents[1]) in caught.value.what and "No space left" in caught.value.what
    assert records.read() == SOME
    assert [path.name for path in records.path.parent.iterdir()] == ["some.jsonl"]


def test_a_file_that_cannot_be_read_is_named(records: Records) -> None:
    records.path.mkdir(parents=True)
    with pytest.raises(StoreError) as caught:
        records.read()
    assert str(records.path) in caught.value.what and "delete it" in caught.value.remedy


def test_nothing_that_several_processes_add_is_lost(records: Records, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=add_records, args=(tmp_path / "store", who)) for who in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
        assert worker.exitcode == 0
    assert records.read() == {f"{who}.{i}": who for who in range(3) for i in range(20)}


@pytest.mark.parametrize("line", [100_000 * "[", '["a", 1, 2]', "[[1], 2]", "{}", "7"])
def test_a_line_that_something_else_wrote_costs_itself(line: str, records: Records) -> None:
    records.add(SOME)
    checksum = bytes_digest(line.encode())[:16]
    with records.path.open("a") as file:
        file.write(f"{checksum} {line}\n")
    assert records.read() == SOME


def test_deep_json_in_an_artifact_is_an_error_that_names_it(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    store.put("a" * 64, "statistics", {QUALITY: 100_000 * b"["})
    with pytest.raises(StoreError, match="a" * 64):
        read_quality(store, "a" * 64)
