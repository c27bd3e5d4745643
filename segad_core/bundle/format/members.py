"""Where a bundle's files are: a folder or an uncompressed zip, holding plain files only."""

from __future__ import annotations

import os
import re
import stat
import struct
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Protocol

from segad_core.base.files import is_file, is_folder
from segad_core.errors import BundleError

MOST_FILES = 1000
REMEDY = "Do not use this bundle; get a fresh copy from where it was made."

_MOST_PARTS = 4
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,119}")
_UTF8 = 0x800
_HEADER, _END, _LOCATOR, _END64 = 30, 22, 20, 56  # bytes of a zip's records
_MOST_DIRECTORY = MOST_FILES << 10


class Members(Protocol):
    """The files of a bundle by their names, which have been checked.

    Attributes:
        names: of all files.
        folder: the folder that they are in; None for a zip.
    """

    names: list[str]
    folder: Path | None

    def open(self, name: str) -> IO[bytes]:
        """Opens a file for reading.

        Raises:
            KeyError, OSError, zipfile.BadZipFile: the file is missing or cannot be read.
        """

    def close(self) -> None:
        """Closes the zip."""


def open_members(path: Path) -> Members:
    """The files of a folder or a zip.

    Raises:
        BundleError: `path` is neither, or holds something that no bundle may hold: links, compressed files,
            names that lead elsewhere or are ambiguous.
    """
    if is_file(path):
        return _Zip(path)
    if is_folder(path):
        return _Folder(path)
    raise BundleError(f"{path}: there is no such bundle", "Give a folder or a zip that segad wrote.")


def check_names(path: Path, names: Iterable[str]) -> None:
    """Refuses names that could mean anything but one file inside the bundle, on any system.

    Raises:
        BundleError: naming the first that has other than plain characters, leads up or to a drive, is nested
            too deeply, or differs from another in case only.
    """
    seen: set[str] = set()
    for name in names:
        parts = name.split("/")
        if len(parts) > _MOST_PARTS or not all(_PART.fullmatch(p) and not p.endswith(".") for p in parts):
            raise BundleError(f"{path}: the file name {name!a:.150} is not allowed", REMEDY)
        if name.lower() in seen:
            raise BundleError(
                f"{path}: '{name}' is listed twice, or differs from another name only in case", REMEDY
            )
        seen.add(name.lower())
        if len(seen) > MOST_FILES:
            raise BundleError(f"{path}: has more than {MOST_FILES} files", REMEDY)


class _Folder:
    def __init__(self, path: Path) -> None:
        self.folder: Path | None = path
        self._path = path
        try:
            self.names = [file.relative_to(path).as_posix() for file in self._walk()]
        except OSError as error:
            raise BundleError(f"{path}: cannot be read: {error.strerror or error}", REMEDY) from error
        check_names(path, self.names)

    def open(self, name: str) -> IO[bytes]:
        flags = (getattr(os, flag, 0) for flag in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"))
        file = os.fdopen(os.open(self._path / name, os.O_RDONLY | sum(flags)), "rb")
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            file.close()
            raise OSError("not a plain file")
        return file

    def close(self) -> None:
        pass

    def _walk(self) -> Iterator[Path]:
        folders, seen = [self._path], 0
        while folders:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    place, seen = Path(entry.path), seen + 1
                    inside = place.relative_to(self._path)
                    name = f"{inside.as_posix()!a:.150}"
                    if entry.is_symlink():
                        raise BundleError(f"{self._path}: {name} is a link", REMEDY)
                    if seen > 2 * MOST_FILES or len(inside.parts) > _MOST_PARTS:
                        raise BundleError(f"{self._path}: {name} is one entry too many, or too deep", REMEDY)
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(place)
                    elif entry.is_file(follow_symlinks=False):
                        yield place
                    else:
                        raise BundleError(f"{self._path}: {name} is neither a file nor a folder", REMEDY)


class _Zip:
    folder: Path | None = None

    def __init__(self, path: Path) -> None:
        try:
            with path.open("rb") as file:
                _check_end(file)
                self._archive = zipfile.ZipFile(path)
                try:
                    self.names = [info.orig_filename for info in self._archive.infolist()]
                    check_names(path, self.names)
                    _check_members(path, self._archive, file)
                except BaseException:
                    self._archive.close()
                    raise
        except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError, struct.error) as error:
            raise BundleError(
                f"{path}: is neither a folder nor a zip as segad writes it ({error!s:.150})", REMEDY
            ) from error

    def open(self, name: str) -> IO[bytes]:
        return self._archive.open(name)

    def close(self) -> None:
        self._archive.close()


def _check_end(file: IO[bytes]) -> None:
    """Refuses a huge directory before `zipfile`, which makes an object for each entry, reads it."""
    length = file.seek(0, os.SEEK_END)
    file.seek(max(0, length - _END - _LOCATOR - _END64))
    tail = file.read()
    end, locator, end64 = tail[-_END:], tail[-_END - _LOCATOR : -_END], tail[: -_END - _LOCATOR]
    if len(end) < _END or not end.startswith(b"PK\5\6") or not end.endswith(b"\0\0"):
        raise zipfile.BadZipFile("it does not end like a zip")
    (directory,) = struct.unpack_from("<L", end, 12)
    if locator.startswith(b"PK\6\7"):  # a zip of more than 2 GiB
        if not end64.startswith(b"PK\6\6"):
            raise zipfile.BadZipFile("it does not end like a large zip")
        (directory,) = struct.unpack_from("<Q", end64, 40)
    if directory > _MOST_DIRECTORY:
        raise zipfile.BadZipFile(f"its directory has {directory} bytes")


def _check_members(path: Path, archive: zipfile.ZipFile, file: IO[bytes]) -> None:
    """Refuses members that are not plain files, one directly after the other from the first byte on."""
    end = 0
    for info in sorted(archive.infolist(), key=lambda info: info.header_offset):
        name = info.filename
        if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
            raise BundleError(f"{path}: '{name}' is a link or not a plain file", REMEDY)
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & ~_UTF8:
            raise BundleError(f"{path}: '{name}' is compressed or encrypted", REMEDY)
        if info.compress_size != info.file_size or info.header_offset != end:
            raise BundleError(
                f"{path}: '{name}' does not have the size and place that the directory says", REMEDY
            )
        file.seek(end)
        end += _HEADER + sum(struct.unpack_from("<HH", file.read(_HEADER), 26)) + info.file_size
    if end != archive.start_dir:
        raise BundleError(f"{path}: there is something after its files", REMEDY)
