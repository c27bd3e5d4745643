"""Small facts by digest, thousands of them in one file: an artifact for each would cost a folder each."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

from segad_core.base.digest import bytes_digest
from segad_core.base.files import write_atomic
from segad_core.errors import StoreError
from segad_core.store.store import Store

_CHECKSUM = 16
"""Hex digits of the digest in front of each line."""

log = logging.getLogger("segad.store")


class Records:
    """What is remembered under one name: plain data by key, a line each, each with a checksum.

    Readers need no lock, as the file is replaced in one step. Writers hold one and keep what others wrote.

    Args:
        store: where the file is.
        name: of the file.
    """

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self._lock = f"records.{name}"
        self.path = store.root / "records" / f"{name}.jsonl"

    def read(self) -> dict[str, Any]:
        """Everything that is remembered; damaged lines are left out, with a warning."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise StoreError(
                f"{self.path} cannot be read: {error.strerror or error}",
                "Check its disk and permissions, or delete it: what it holds is computed again.",
            ) from error
        lines = data.splitlines()
        sound = [item for item in map(_item, lines) if item is not None]
        if damaged := len(lines) - len(sound):
            log.warning("%s has %d damaged lines: what they held is computed again", self.path, damaged)
        return dict(sound)

    def add(self, records: Mapping[str, Any]) -> None:
        """Remembers more, durably.

        Raises:
            StoreError: the disk is full or the file cannot be written; what was remembered before stays.
        """
        with self._store.lock(self._lock, f"{self.path}"):
            lines = [json.dumps(item).encode() for item in {**self.read(), **records}.items()]
            data = b"".join(bytes_digest(line)[:_CHECKSUM].encode() + b" " + line + b"\n" for line in lines)
            try:
                self.path.parent.mkdir(exist_ok=True)
                write_atomic(self.path, data)
            except OSError as error:
                raise self._store.failure("cannot be written", error) from error


def _item(line: bytes) -> tuple[str, Any] | None:
    """The name and the value in a line; None if its checksum does not agree, or it holds something else."""
    checksum, _, record = line.partition(b" ")
    if bytes_digest(record)[:_CHECKSUM].encode() != checksum:
        return None
    try:
        name, value = json.loads(record)
        return (name, value) if isinstance(name, str) else None
    except (ValueError, TypeError, RecursionError):
        return None
