"""An open bundle: every file is verified against the manifest before anything parses it."""

from __future__ import annotations

import hashlib
import io
import stat
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from segad_core.base.checked import shown
from segad_core.base.digest import bytes_digest
from segad_core.base.files import is_file, is_folder
from segad_core.base.json_file import parse_json
from segad_core.base.leftovers import scratch_folder
from segad_core.base.resources import guarded, is_resource, resource_error
from segad_core.base.text import size_words
from segad_core.bundle.format.limits import MOST_BYTES, MOST_GOLDEN, most_of
from segad_core.bundle.format.manifest import FileFacts, Manifest, parse_manifest
from segad_core.bundle.format.members import open_members
from segad_core.bundle.format.names import PERMISSIONS, REMEDY
from segad_core.errors import BundleError, ResourceError, StoreError

MANIFEST = "manifest.json"
SEAL = "manifest.sha256"
"""Holds the manifest's digest, as `sha256sum` writes it."""
MOST_MANIFEST = 1 << 20
_BLOCK = 1 << 20


def seal_of(manifest: bytes) -> bytes:
    """The contents of the seal, which `sha256sum -c` can check."""
    return f"{bytes_digest(manifest)}  {MANIFEST}\n".encode()


class Container:
    """The files of a bundle, each verified against the manifest whenever it is read.

    Attributes:
        path: where the bundle is.
        manifest: its manifest.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._scratch: Path | None = None
        self._open_folders = ExitStack()
        self._copies: dict[str, Path] = {}
        if is_folder(path) and not is_file(path / MANIFEST):  # of images, whose names no bundle may have
            raise _no_bundle(path)
        self._members = open_members(path)
        try:
            data, seal = self._head(MANIFEST), self._head(SEAL)
            if seal != seal_of(data):
                raise self._mismatch(MANIFEST)
            self.manifest: Manifest = parse_manifest(path, data)
            self._check_files()
        except BaseException:
            self._members.close()
            raise

    def read(self, name: str) -> bytes:
        """The verified bytes of a file.

        Raises:
            BundleError: the file does not match the manifest.
            ResourceError: the machine failed.
        """
        facts, data = self._facts(name), io.BytesIO()
        with guarded(f"reading '{name}' of {self.path}"):
            self._verify(name, facts, data)
            return data.getvalue()

    def text(self, name: str) -> str:
        """The text of a file meant for people; nothing parses it.

        Raises:
            BundleError: as for `read`, or the file is not UTF-8 text.
        """
        try:
            return self.read(name).decode("utf-8")
        except UnicodeDecodeError as error:
            raise BundleError(f"{self.path}: '{name}' is not UTF-8 text", REMEDY) from error

    def json(self, name: str) -> Any:
        """The value in a JSON file.

        Raises:
            BundleError: as for `read`, or the file is not valid, unambiguous JSON.
        """
        data = self.read(name)
        try:
            with guarded(f"reading '{name}' of {self.path}"):
                return parse_json(data)
        except ValueError as error:
            raise BundleError(f"{self.path}: '{name}' is not valid JSON ({shown(error)})", REMEDY) from error

    def member(self, name: str) -> Member:
        """A file to be taken over unchanged into another bundle; nothing is read yet."""
        return Member(self, name, self._facts(name))

    def file(self, name: str) -> Path:
        """A verified copy of a file on disk, for code that only accepts paths.

        The path is private to this process: nobody can change the copy, and a cache keyed by path never
        mixes up two bundles.

        Raises:
            BundleError: the file does not match the manifest.
            StoreError: the temporary folder cannot be written.
            ResourceError: the machine failed.
        """
        facts = self._facts(name)
        if name not in self._copies:
            try:
                with guarded(f"copying '{name}' of {self.path} to {tempfile.gettempdir()}"):
                    self._copies[name] = self._copied(name, facts)
            except OSError as error:
                raise StoreError(
                    f"{self.path}: '{name}' cannot be copied to {tempfile.gettempdir()}: "
                    f"{error.strerror or error}",
                    "Set TMPDIR to a folder that you may write in.",
                ) from error
        return self._copies[name]

    def _copied(self, name: str, facts: FileFacts) -> Path:
        if self._scratch is None:
            self._scratch = self._open_folders.enter_context(scratch_folder())
        # the bundle has no say in where it is written
        place = self._scratch / f"{len(self._copies)}{PurePosixPath(name).suffix}"
        with place.open("xb") as target:
            self._verify(name, facts, target)
        return place

    def named(self, text: str) -> str:
        """A message in which copies of files have their names in the bundle."""
        for name, place in self._copies.items():
            text = text.replace(str(place), name)
        return text

    @contextmanager
    def naming(self, doing: str) -> Iterator[None]:
        """Faults of the machine in a block name the bundle and its file, not the copy that was read."""
        try:
            yield
        except ResourceError as error:
            what = self.named(error.what)
            if str(self.path) not in what:
                what = f"{doing} {self.path}: {what}"
            raise ResourceError(what, error.remedy) from error

    def verify(self) -> None:
        """Checks the size and digest of every file.

        Raises:
            BundleError: naming the first file that does not match the manifest.
        """
        for name, facts in self.manifest.files.items():
            self._verify(name, facts)

    def close(self) -> None:
        """Releases the bundle and deletes the copies; does nothing the second time."""
        self._members.close()
        self._open_folders.close()

    def _check_files(self) -> None:
        """Refuses a manifest that does not list exactly the files that are there."""
        listed, present = set(self.manifest.files), set(self._members.names)
        if missing := sorted(listed - present):
            raise BundleError(f"{self.path}: {missing[0]!a:.150} is in the manifest but missing", REMEDY)
        if strays := sorted(present - listed - {MANIFEST, SEAL}):
            raise BundleError(f"{self.path}: '{strays[0]}' is not in the manifest", REMEDY)
        if listed & {MANIFEST, SEAL}:
            raise BundleError(f"{self.path}: the manifest lists itself", REMEDY)
        if sum(facts.size for facts in self.manifest.files.values()) > MOST_BYTES:
            raise BundleError(f"{self.path}: claims to hold more than {MOST_BYTES >> 30} GiB", REMEDY)
        if sum(name.startswith("golden/") for name in listed) > MOST_GOLDEN:
            raise BundleError(f"{self.path}: holds more than {MOST_GOLDEN} golden images", REMEDY)
        for name, facts in self.manifest.files.items():
            if facts.size > (most := most_of(name)):
                raise BundleError(
                    f"{self.path}: '{name}' has {size_words(facts.size)}, more than the limit of "
                    f"{size_words(most)}",
                    REMEDY,
                )
            with self._reading(name):
                if self._members.size(name) != facts.size:  # before anything is read
                    raise self._mismatch(name)

    def _head(self, name: str) -> bytes:
        """One of the two files that the manifest does not list."""
        with self._reading(name), self._members.open(name) as file:
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
    def _reading(self, name: str) -> Iterator[None]:
        """Tells apart a fault of the machine, and a file that is not what segad wrote."""
        try:
            yield
        except (FileNotFoundError, KeyError) as error:
            if name == MANIFEST:
                raise _no_bundle(self.path) from error
            raise BundleError(f"{self.path}: has no file '{name}'", REMEDY) from error
        except (OSError, MemoryError, zipfile.BadZipFile, EOFError) as error:
            if is_resource(error):
                raise resource_error(error, f"reading '{name}' of {self.path}") from error
            remedy = PERMISSIONS if isinstance(error, PermissionError) else REMEDY
            raise BundleError(f"{self.path}: '{name}' cannot be read ({shown(error)})", remedy) from error

    def _blocks(self, name: str) -> Iterator[bytes]:
        with self._reading(name), self._members.open(name) as file:
            while block := file.read(_BLOCK):
                yield block

    def _verify(self, name: str, facts: FileFacts, copy: IO[bytes] | None = None) -> None:
        """Reads a file once, copying it if asked to, and compares it with the manifest."""
        digest, left = hashlib.sha256(), facts.size
        for block in self._blocks(name):
            digest.update(block)
            left -= len(block)
            if left < 0:
                break
            if copy is not None:
                copy.write(block)
        if left or digest.hexdigest() != facts.sha256:
            raise self._mismatch(name)

    def _mismatch(self, name: str) -> BundleError:
        return BundleError(f"{self.path}: '{name}' has changed: its size or SHA-256 does not match", REMEDY)


@dataclass(frozen=True)
class Member:
    """A file of an open bundle that another bundle takes over unchanged.

    The new bundle's manifest repeats what this one's says, so a file that was tampered with is refused there
    as it is here.
    """

    container: Container
    name: str
    facts: FileFacts

    def link(self, place: Path) -> bool:
        """Hard-links the file to `place` without reading it; False where only a copy is possible.

        Raises:
            BundleError: the file is not a plain file of the size in the manifest.
        """
        if not self.container._members.link(self.name, place):
            return False
        status = place.lstat()
        if not stat.S_ISREG(status.st_mode) or status.st_size != self.facts.size:
            raise self.container._mismatch(self.name)
        return True

    def copy(self, target: IO[bytes]) -> None:
        """Copies the file, verifying it on the way.

        Raises:
            BundleError: the file does not match the manifest.
        """
        self.container._verify(self.name, self.facts, target)


def _no_bundle(path: Path) -> BundleError:
    return BundleError(
        f"{path}: is not a bundle, as it has no file '{MANIFEST}'",
        "Give a folder or a zip that segad wrote; in commands, the bundle comes first.",
    )
