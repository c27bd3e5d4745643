"""A bundle's files, in a folder or an uncompressed zip: nothing is parsed before its digest is checked."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

from pydantic import ValidationError

from segad_core.bundle.manifest import FORMAT, FileFacts, Manifest
from segad_core.digest import bytes_digest
from segad_core.errors import BundleError

MANIFEST = "manifest.json"
MOST_FILES = 1000
MOST_MANIFEST = 16 << 20
MOST_BYTES = 64 << 30
"""Bounds on what is read of a bundle; SAM's largest checkpoint has 2.4 GiB."""

_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,119}")


class Container:
    """The files of a bundle, each verified against the manifest when it is read.

    Attributes:
        path: of the bundle.
        manifest: what it says of itself.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self._zip: zipfile.ZipFile | None = None
        if path.is_file():
            self._zip = _open_zip(path)
        elif not path.is_dir():
            raise BundleError(f"{path}: there is no such bundle", "Name a folder or a zip that segad wrote.")
        self.manifest = _parse(path, self._read(MANIFEST, MOST_MANIFEST))
        self._check_names()

    def read(self, name: str) -> bytes:
        """A file's bytes, as they were written.

        Raises:
            BundleError: it is not what the manifest says.
        """
        facts = self._facts(name)
        data = self._read(name, facts.size)
        if len(data) != facts.size or bytes_digest(data) != facts.sha256:
            raise self._tampered(name)
        return data

    def file(self, name: str) -> Path:
        """A verified file on disk, for what only takes paths; of a zip, a copy that goes with the process."""
        facts = self._facts(name)
        if self._zip is None:
            place = self.path / name
            if self._size_and_digest(name) != (facts.size, facts.sha256):
                raise self._tampered(name)
            return place
        if self._scratch is None:
            self._scratch = tempfile.TemporaryDirectory(prefix="segad-bundle-")
        place = Path(self._scratch.name) / name
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            with self._open(name) as source, place.open("wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
            with place.open("rb") as copied:
                if hashlib.file_digest(copied, "sha256").hexdigest() != facts.sha256:
                    place.unlink()
                    raise self._tampered(name)
        return place

    def verify(self) -> None:
        """Checks every file's digest.

        Raises:
            BundleError: naming the first that is not what the manifest says.
        """
        for name, facts in self.manifest.files.items():
            if self._size_and_digest(name) != (facts.size, facts.sha256):
                raise self._tampered(name)

    def close(self) -> None:
        """Lets go of the zip and of copies."""
        if self._zip is not None:
            self._zip.close()
        if self._scratch is not None:
            self._scratch.cleanup()

    def _check_names(self) -> None:
        listed, found = set(self.manifest.files), set(self._names())
        for name in sorted(listed):
            _check_name(self.path, name)
        if len({name.lower() for name in listed | {MANIFEST}}) < len(listed) + 1:
            raise BundleError(f"{self.path}: two files have the same name", _REMEDY)
        if missing := sorted(listed - found):
            raise BundleError(f"{self.path}: lacks '{missing[0]}', which its manifest names", _REMEDY)
        if strays := sorted(found - listed - {MANIFEST}):
            raise BundleError(f"{self.path}: holds '{strays[0]}', which its manifest does not name", _REMEDY)
        if sum(facts.size for facts in self.manifest.files.values()) > MOST_BYTES:
            raise BundleError(f"{self.path}: says that it holds more than {MOST_BYTES >> 30} GiB", _REMEDY)

    def _names(self) -> list[str]:
        if self._zip is not None:
            return [info.filename for info in self._zip.infolist()]
        found = []
        for folder, folders, names in os.walk(self.path, followlinks=False):
            place = Path(folder)
            for name in [*folders, *names]:
                mode = (place / name).lstat().st_mode
                if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                    what = "a link" if stat.S_ISLNK(mode) else "neither a file nor a folder"
                    raise BundleError(f"{self.path}: '{name}' is {what}", _REMEDY)
            found += [(place / name).relative_to(self.path).as_posix() for name in names]
            if len(found) > MOST_FILES:
                raise BundleError(f"{self.path}: holds more than {MOST_FILES} files", _REMEDY)
        return found

    def _facts(self, name: str) -> FileFacts:
        facts = self.manifest.files.get(name)
        if facts is None:
            raise BundleError(f"{self.path}: has no file '{name}'", _REMEDY)
        return facts

    @contextmanager
    def _open(self, name: str) -> Iterator[IO[bytes]]:
        try:
            if self._zip is not None:
                with self._zip.open(name) as file:
                    yield file
            else:
                descriptor = os.open(self.path / name, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
                with os.fdopen(descriptor, "rb") as file:
                    yield file
        except KeyError as error:
            raise BundleError(f"{self.path}: has no '{name}'", _REMEDY) from error
        except (OSError, zipfile.BadZipFile, EOFError, NotImplementedError) as error:
            raise BundleError(f"{self.path}: '{name}' cannot be read ({error})", _REMEDY) from error

    def _read(self, name: str, most: int) -> bytes:
        with self._open(name) as file:
            data = file.read(most + 1)
        if len(data) > most:
            raise BundleError(f"{self.path}: '{name}' is larger than {most} bytes", _REMEDY)
        return data

    def _size_and_digest(self, name: str) -> tuple[int, str]:
        digest, size = hashlib.sha256(), 0
        with self._open(name) as file:
            while block := file.read(1 << 20):
                digest.update(block)
                size += len(block)
        return size, digest.hexdigest()

    def _tampered(self, name: str) -> BundleError:
        return BundleError(
            f"{self.path}: '{name}' is not what was written: its size or its SHA-256 is another", _REMEDY
        )


_REMEDY = "Get the bundle again from where it was made; do not use it as it is."


def _open_zip(path: Path) -> zipfile.ZipFile:
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile, ValueError) as error:
        raise BundleError(
            f"{path}: is neither a folder nor a zip that can be read ({error})", _REMEDY
        ) from error
    members = archive.infolist()
    if len(members) > MOST_FILES:
        raise BundleError(f"{path}: holds more than {MOST_FILES} files", _REMEDY)
    seen: set[str] = set()
    for info in members:
        mode = info.external_attr >> 16
        _check_name(path, info.filename)
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
            raise BundleError(f"{path}: '{info.filename}' is a link or no plain file", _REMEDY)
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 0x1:
            raise BundleError(f"{path}: '{info.filename}' is compressed or encrypted", _REMEDY)
        if info.compress_size != info.file_size:
            raise BundleError(f"{path}: '{info.filename}' is not as large as it says", _REMEDY)
        if info.filename.lower() in seen:
            raise BundleError(f"{path}: holds '{info.filename}' twice", _REMEDY)
        seen.add(info.filename.lower())
    return archive


def _check_name(path: Path, name: str) -> None:
    """A name that can only mean a file inside: plain parts, no way up, no drive, no surprise."""
    parts = name.split("/")
    sound = len(parts) <= 4 and all(_PART.fullmatch(part) and not part.endswith(".") for part in parts)
    if not sound or PurePosixPath(name).as_posix() != name:
        raise BundleError(f"{path}: holds a file of the name {name[:120]!r}", _REMEDY)


def _parse(path: Path, data: bytes) -> Manifest:
    try:
        plain = json.loads(data, object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path}: its manifest is no JSON ({error})", _REMEDY) from error
    found = plain.get("format") if isinstance(plain, dict) else None
    if isinstance(found, int) and not isinstance(found, bool) and found > FORMAT:
        raise BundleError(
            f"{path}: has format {found}, and this segad reads format {FORMAT}", "Install a newer segad."
        )
    try:
        return Manifest.model_validate(plain)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BundleError(f"{path}: its manifest is wrong at '{where}': {first['msg']}", _REMEDY) from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands there twice")
    return found


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is no number")
