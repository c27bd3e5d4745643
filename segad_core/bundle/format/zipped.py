"""The files of a bundle that is an uncompressed zip."""

from __future__ import annotations

import os
import stat
import struct
import zipfile
from pathlib import Path
from typing import IO

from segad_core.base.resources import is_resource
from segad_core.bundle.format.names import MOST_FILES, PERMISSIONS, REMEDY, check_names
from segad_core.errors import BundleError

_UTF8 = 0x800
_HEADER, _END, _LOCATOR, _END64 = 30, 22, 20, 56  # bytes of a zip's records
_MOST_DIRECTORY = MOST_FILES << 10
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class Zip:
    """A zip, held open: another one that takes its place is not mixed with it."""

    def __init__(self, path: Path) -> None:
        try:
            self._file = os.fdopen(os.open(path, _FLAGS), "rb")
        except OSError as error:
            raise _unreadable(path, error) from error
        try:
            _check_end(self._file)
            self._archive = zipfile.ZipFile(self._file)
            self.names = [info.orig_filename for info in self._archive.infolist()]
            check_names(path, self.names)
            _check_members(path, self._archive, self._file)
        except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError, struct.error) as error:
            self._file.close()
            raise _unreadable(path, error) from error
        except BaseException:
            self._file.close()
            raise

    def open(self, name: str) -> IO[bytes]:
        return self._archive.open(name)

    def size(self, name: str) -> int:
        return self._archive.getinfo(name).file_size

    def link(self, name: str, place: Path) -> bool:
        return False

    def close(self) -> None:
        self._archive.close()
        self._file.close()


def _unreadable(path: Path, error: Exception) -> BaseException:
    """The error for a zip that cannot be opened."""
    for one in (error, error.__context__):  # zipfile takes what it cannot read for no zip
        if one is not None and is_resource(one):
            return one
    if isinstance(error, PermissionError):
        return BundleError(f"{path}: cannot be read: {error.strerror}", PERMISSIONS)
    return BundleError(f"{path}: is neither a folder nor a zip as segad writes it ({error!s:.150})", REMEDY)


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
