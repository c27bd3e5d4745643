"""A bundle's files, in a folder or an uncompressed zip: nothing is parsed before its digest is checked."""

from __future__ import annotations

import hashlib
import io
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

from segad_core.base.checked import shown
from segad_core.base.digest import bytes_digest
from segad_core.base.json_file import parse_json
from segad_core.bundle.format.manifest import FileFacts, Manifest, parse_manifest
from segad_core.bundle.format.members import REMEDY, open_members
from segad_core.errors import BundleError

MANIFEST = "manifest.json"
SEAL = "manifest.sha256"
"""Holds the manifest's digest, in the words of `sha256sum`."""
MOST_MANIFEST = 1 << 20
MOST_TEXT = 64 << 20
MOST_READ = 16 << 30
MOST_BYTES = 64 << 30
"""Bounds on what is read of a bundle; SAM's largest checkpoint has 2.4 GiB."""

_BLOCK = 1 << 20


def seal_of(manifest: bytes) -> bytes:
    """What stands in the file beside a manifest, which `sha256sum -c` understands."""
    return f"{bytes_digest(manifest)}  {MANIFEST}\n".encode()


class Container:
    """The files of a bundle, each verified against the manifest whenever it is read.

    Attributes:
        path: of the bundle.
        manifest: what it says of itself.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self._copies: dict[str, Path] = {}
        self._members = open_members(path)
        try:
            data, seal = self._head(MANIFEST), self._head(SEAL)
            if seal != seal_of(data):
                raise self._tampered(MANIFEST)
            self.manifest: Manifest = parse_manifest(path, data)
            self._check_files()
        except BaseException:
            self._members.close()
            raise

    def read(self, name: str, most: int = MOST_READ) -> bytes:
        """A file's bytes, as they were written.

        Raises:
            BundleError: it is not what the manifest says, or has more than `most` bytes.
        """
        facts = self._facts(name)
        if facts.size > most:
            raise BundleError(f"{self.path}: '{name}' has more than {most} bytes", REMEDY)
        data = io.BytesIO()
        self._verify(name, facts, data)
        return data.getvalue()

    def text(self, name: str, most: int = MOST_TEXT) -> str:
        """A file for people: nothing parses it.

        Raises:
            BundleError: as `read`; or it is no text.
        """
        try:
            return self.read(name, most).decode("utf-8")
        except UnicodeDecodeError as error:
            raise BundleError(f"{self.path}: '{name}' is no text in UTF-8", REMEDY) from error

    def json(self, name: str, most: int = MOST_TEXT) -> Any:
        """What a file in JSON holds.

        Raises:
            BundleError: as `read`; or it is no JSON, or JSON of two meanings.
        """
        try:
            return parse_json(self.read(name, most))
        except ValueError as error:
            raise BundleError(f"{self.path}: '{name}' is no JSON ({shown(error)})", REMEDY) from error

    def kept(self, name: str) -> Path:
        """A file to be copied into another bundle, which verifies it: of a folder, where it lies."""
        return self.file(name) if self._members.folder is None else self._members.folder / name

    def file(self, name: str) -> Path:
        """A verified file on disk, for what only takes paths: a copy, which nobody can change meanwhile.

        Its path is of this process alone: whoever remembers a file by its path meets no other bundle's.
        """
        facts = self._facts(name)
        if name not in self._copies:
            if self._scratch is None:
                self._scratch = tempfile.TemporaryDirectory(prefix="segad-bundle-")
            # the bundle has no say in where it is written
            place = Path(self._scratch.name) / f"{len(self._copies)}{PurePosixPath(name).suffix}"
            with place.open("wb") as target:
                self._verify(name, facts, target)
            self._copies[name] = place
        return self._copies[name]

    def verify(self) -> None:
        """Checks every file's size and digest.

        Raises:
            BundleError: naming the first that is not what the manifest says.
        """
        for name, facts in self.manifest.files.items():
            self._verify(name, facts)

    def close(self) -> None:
        """Lets go of the zip and of copies."""
        self._members.close()
        if self._scratch is not None:
            self._scratch.cleanup()

    def _check_files(self) -> None:
        """That the manifest names the files that are there, and no others."""
        listed, found = set(self.manifest.files), set(self._members.names)
        if missing := sorted(listed - found):
            raise BundleError(f"{self.path}: lacks {missing[0]!a:.150}, which its manifest names", REMEDY)
        if strays := sorted(found - listed - {MANIFEST, SEAL}):
            raise BundleError(f"{self.path}: holds '{strays[0]}', which its manifest does not name", REMEDY)
        if listed & {MANIFEST, SEAL}:
            raise BundleError(f"{self.path}: its manifest names itself", REMEDY)
        if sum(facts.size for facts in self.manifest.files.values()) > MOST_BYTES:
            raise BundleError(f"{self.path}: says that it holds more than {MOST_BYTES >> 30} GiB", REMEDY)

    def _head(self, name: str) -> bytes:
        """One of the two files that no digest in the manifest speaks of."""
        with self._open(name) as file:
            data = file.read(MOST_MANIFEST + 1)
        if len(data) > MOST_MANIFEST:
            raise BundleError(f"{self.path}: '{name}' has more than {MOST_MANIFEST >> 20} MiB", REMEDY)
        return data

    def _facts(self, name: str) -> FileFacts:
        facts = self.manifest.files.get(name)
        if facts is None:
            raise BundleError(f"{self.path}: has no file {name!a:.150}", REMEDY)
        return facts

    @contextmanager
    def _open(self, name: str) -> Iterator[IO[bytes]]:
        try:
            with self._members.open(name) as file:
                yield file
        except (FileNotFoundError, KeyError) as error:
            raise BundleError(f"{self.path}: has no '{name}'", REMEDY) from error
        except (OSError, zipfile.BadZipFile, EOFError) as error:
            raise BundleError(f"{self.path}: '{name}' cannot be read ({shown(error)})", REMEDY) from error

    def _verify(self, name: str, facts: FileFacts, copy: IO[bytes] | None = None) -> None:
        """Reads a file through once, if wanted into a copy, and compares it with the manifest."""
        digest, left = hashlib.sha256(), facts.size
        with self._open(name) as file:
            while left >= 0 and (block := file.read(_BLOCK)):
                digest.update(block)
                left -= len(block)
                if copy is not None:
                    copy.write(block)
        if left or digest.hexdigest() != facts.sha256:
            raise self._tampered(name)

    def _tampered(self, name: str) -> BundleError:
        return BundleError(
            f"{self.path}: '{name}' is not what was written: its size or its SHA-256 is another", REMEDY
        )
