"""What the processes do that share a store with each other."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

from segad_core.store.records import Records
from segad_core.store.store import Store


def write_and_read(root: Path, rounds: int, failures: multiprocessing.Queue) -> None:
    """Writes and reads the same keys as everyone else, and spoils some."""
    try:
        store = Store(root)
        for number in range(rounds):
            key = f"{number:064x}"
            files = {"values.npy": bytes([number % 256]) * 20_000}
            store.put(key, "fit", files)
            assert store.get(key) in (files, None)
            if number % 5 == 0:  # someone's disk is bad
                with (store.root / "objects" / key[:2] / key / "values.npy").open("r+b") as file:
                    file.write(b"??")
                assert store.get(key) in (files, None)
    except FileNotFoundError:
        pass  # set aside by another between two lines of this test
    except BaseException as error:
        failures.put(repr(error))
        raise


def add_records(root: Path, who: int) -> None:
    """Adds to the same records as others do, one at a time."""
    records = Records(Store(root), "some")
    for i in range(20):
        records.add({f"{who}.{i}": who})
        assert records.read()[f"{who}.{i}"] == who
