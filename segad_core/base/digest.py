"""SHA-256 digests of files, arrays and plain data: the names of everything in the store."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segad_core.base.parallel import in_order


def file_digest(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_digest(folder: Path) -> str:
    """Hex SHA-256 of all files below a folder: their relative names and their bytes.

    Each folder counts once, whatever links lead to it.
    """
    files = sorted(_files_below(folder))
    names = [path.relative_to(folder).as_posix() for path in files]
    return digest_of([list(pair) for pair in zip(names, in_order(file_digest, files), strict=True)])


def _files_below(folder: Path) -> Iterator[Path]:
    seen = set()
    for current, inner, names in os.walk(folder, followlinks=True):
        inner.sort()  # names decide which of two links is followed
        if (real := os.path.realpath(current)) in seen:
            inner.clear()
            continue
        seen.add(real)
        yield from (path for name in names if (path := Path(current, name)).is_file())


def bytes_digest(data: bytes) -> str:
    """Hex SHA-256 of bytes."""
    return hashlib.sha256(data).hexdigest()


def array_digest(array: NDArray[Any]) -> str:
    """Hex SHA-256 of an array's shape, dtype and values."""
    header = f"{array.shape}{array.dtype.str}".encode()
    digest = hashlib.sha256(header)
    digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)  # without a copy
    return digest.hexdigest()


def digest_of(value: Any) -> str:
    """Hex SHA-256 of plain data (anything JSON can represent), whatever the order of dictionary keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return bytes_digest(text.encode())
