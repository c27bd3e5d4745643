"""Content-addressed artifacts on disk: written completely or not at all, verified whenever they are read."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import MappingProxyType

from segad_core.base.digest import bytes_digest
from segad_core.base.files import sync_file, sync_folder
from segad_core.base.leftovers import sweep_once, temporary_folder
from segad_core.base.locks import acquire
from segad_core.base.resources import remedy_of
from segad_core.base.versions import current_versions
from segad_core.errors import StoreError

_MANIFEST = "manifest.json"
_FORMAT = 1

log = logging.getLogger("segad.store")


class _Corrupt(Exception):
    """An artifact exists and is not what was written."""


class Store:
    """Artifacts by key: a folder of plain files each, with a manifest of their digests.

    Args:
        root: the store's folder; created if it does not exist.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.checkpoints = root / "checkpoints"
        """Where each training has a folder until it is finished."""
        self.used: list[dict[str, str]] = []
        """The different versions behind the artifacts that `kept` has returned from this object."""
        try:
            for name in ("objects", "locks"):
                (root / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self.failure("cannot be created", error) from error

    def recording(self) -> Store:
        """The same store with an empty list of what was used, for a piece of work that records its own."""
        return Store(self.root)

    def note_use(self, key: str) -> None:
        """Adds the versions behind an artifact to what was used."""
        self.used += [found for found in self.all_versions(key) if found not in self.used]

    def has(self, key: str) -> bool:
        """Whether an artifact exists; it is verified only when it is read."""
        return (self._folder(key) / _MANIFEST).is_file()

    def get(self, key: str) -> dict[str, bytes] | None:
        """An artifact's files by name, verified against their digests; None if it is missing or corrupt.

        A corrupt artifact is moved aside for inspection, so that it is computed again.
        """
        try:
            return self._read(self._folder(key))
        except _Corrupt:
            with self.lock(f"{key}.put", f"the artifact {key}"):
                try:  # another process may have moved it aside by now, and even replaced it
                    return self._read(self._folder(key))
                except _Corrupt:
                    self._set_aside(self._folder(key))
                    return None

    def require(self, key: str) -> dict[str, bytes]:
        """An artifact's files by name, as `get`, for an artifact that must exist.

        Raises:
            StoreError: it is no longer in the store.
        """
        files = self.get(key)
        if files is None:
            raise StoreError(
                f"the artifact {key} is no longer in the store {self.root}", "Run the same command again."
            )
        return files

    def versions(self, key: str) -> dict[str, str] | None:
        """The versions under which an artifact was made; reads its manifest alone.

        Empty if they were not recorded, as before segad recorded any; None if there is no sound artifact.
        """
        return next(iter(self.all_versions(key)), None)

    def all_versions(self, key: str) -> list[dict[str, str]]:
        """An artifact's versions as in `versions`, then those of the artifacts that it was made from.

        Those of the cells of a plan are not among them. Empty if there is no sound artifact.
        """
        try:
            manifest = json.loads((self._folder(key) / _MANIFEST).read_bytes())
            recorded = [manifest.get("versions", {}), *manifest.get("used", [])]
            return [{str(name): str(version) for name, version in one.items()} for one in recorded]
        except (OSError, ValueError, AttributeError, TypeError, RecursionError):
            return []

    def put(
        self,
        key: str,
        kind: str,
        files: Mapping[str, bytes],
        plugins: Mapping[str, str] = MappingProxyType({}),
        used: Sequence[Mapping[str, str]] = (),
    ) -> None:
        """Writes an artifact durably, with the versions that decide its numbers; an existing one stays.

        Args:
            key: what identifies it.
            kind: what it is, for people and messages.
            files: its files by name.
            plugins: the versions of the distributions whose plugins made it.
            used: the versions behind artifacts that it was made from, as in `Store.used`.

        Raises:
            StoreError: the disk is full or the store cannot be written; nothing is left behind.
        """
        if self.has(key):
            return
        with self.lock(f"{key}.put", f"the {kind} {key}"):
            if not self.has(key):  # another process may have written it while this one waited
                self._write(self._folder(key), kind, files, {**plugins, **current_versions()}, used)

    @contextmanager
    def lock(self, key: str, what: str = "") -> Iterator[None]:
        """Holds a key against other processes; the system releases it when its holder ends.

        Args:
            key: what is held.
            what: what it stands for, reported if another process holds it for long.
        """
        try:
            lock = acquire(self.root / "locks" / f"{key}.lock", what or f"the artifact {key}")
        except OSError as error:
            raise self.failure("cannot be locked", error) from error
        try:
            yield
        finally:
            lock.release()

    def failure(self, what: str, error: OSError) -> StoreError:
        """The error for a store that the system refuses to read or write."""
        return StoreError(
            f"the store {self.root} {what}: {error.strerror or error}",
            f"{remedy_of(error)} Or name another folder with --store. What is finished stays and will not be "
            "computed again.",
        )

    def _folder(self, key: str) -> Path:
        return self.root / "objects" / key[:2] / key

    def _read(self, folder: Path) -> dict[str, bytes] | None:
        try:
            manifest = json.loads((folder / _MANIFEST).read_bytes())
            digests = dict(manifest["files"])
            files = {name: (folder / name).read_bytes() for name in digests}
            sound = manifest["format"] == _FORMAT and all(
                bytes_digest(files[name]) == digest for name, digest in digests.items()
            )
        except FileNotFoundError as error:
            if not folder.exists():
                return None
            raise _Corrupt from error
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise _Corrupt from error
        except OSError as error:
            raise StoreError(
                f"the store {self.root} cannot be read: {error.strerror or error}",
                f"Check its disk and permissions. If only this artifact is lost, delete {folder}: "
                "it will be computed again.",
            ) from error
        if not sound:
            raise _Corrupt
        return files

    def _write(
        self,
        folder: Path,
        kind: str,
        files: Mapping[str, bytes],
        versions: Mapping[str, str],
        used: Sequence[Mapping[str, str]],
    ) -> None:
        manifest = {
            "format": _FORMAT,
            "kind": kind,
            "versions": dict(versions),
            "used": [dict(one) for one in used],
            "files": {name: bytes_digest(data) for name, data in files.items()},
        }
        try:
            sweep_once(self.root, "objects/*", "records", "checkpoints/*")
            folder.parent.mkdir(parents=True, exist_ok=True)
            with temporary_folder(folder) as part:
                for name, data in files.items():
                    (part / name).write_bytes(data)
                    sync_file(part / name)
                (part / _MANIFEST).write_text(json.dumps(manifest, indent=1))
                sync_file(part / _MANIFEST)
                sync_folder(part)
                part.rename(folder)
            sync_folder(folder.parent)
        except OSError as error:
            raise self.failure("cannot be written", error) from error

    def _set_aside(self, folder: Path) -> None:
        try:
            quarantine = self.root / "quarantine"
            quarantine.mkdir(exist_ok=True)
            names = (quarantine / f"{folder.name}.{number}" for number in count())
            folder.rename(next(name for name in names if not os.path.lexists(name)))
        except OSError as error:
            raise self.failure("has a corrupt artifact that cannot be moved aside", error) from error
        log.warning("a corrupt artifact was moved to %s and will be computed again", quarantine)
