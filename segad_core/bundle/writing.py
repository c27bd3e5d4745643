"""Writing a bundle: whole or not at all, the same contents as the same bytes."""

from __future__ import annotations

import hashlib
import os
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path

from segad_core.bundle.container import MANIFEST, SEAL, seal_of
from segad_core.bundle.manifest import FileFacts, Manifest
from segad_core.bundle.members import check_names
from segad_core.digest import bytes_digest
from segad_core.errors import BundleError
from segad_core.files import sync_file, sync_folder


def write_bundle(out: Path, manifest: Manifest, contents: Mapping[str, bytes | Path]) -> None:
    """Writes a bundle, whole or not at all: a zip if its name ends in `.zip`, else a folder.

    Args:
        out: must not be there yet.
        manifest: without its files, which are filled in here.
        contents: bytes, or a file to copy, by name.

    Raises:
        BundleError: there is something at `out`, it cannot be written, or could not be loaded.
    """
    if out.exists() or out.is_symlink():
        raise BundleError(f"{out}: is there already", "Name another place with -o, or move it away.")
    check_names(out, [*contents, MANIFEST, SEAL])
    temporary = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        facts = {name: _facts_of(content) for name, content in sorted(contents.items())}
        head = (manifest.model_copy(update={"files": facts}).model_dump_json(indent=1) + "\n").encode()
        everything = {**dict(sorted(contents.items())), MANIFEST: head, SEAL: seal_of(head)}
        if out.suffix == ".zip":
            _write_zip(temporary, everything)
            sync_file(temporary)
        else:
            _write_folder(temporary, everything)
        temporary.rename(out)
        sync_folder(out.parent)
    except OSError as error:
        raise BundleError(
            f"{out}: cannot be written: {error.strerror or error}", "Free some space, or name another place."
        ) from error
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)


def replace_bundle(path: Path, manifest: Manifest, contents: Mapping[str, bytes | Path]) -> None:
    """Writes a bundle in the place of one that is there: a reader finds the old or the new one."""
    fresh = path.with_name(f".{path.stem}.{os.getpid()}.new{path.suffix}")
    old = path.with_name(f".{path.stem}.{os.getpid()}.old{path.suffix}")
    write_bundle(fresh, manifest, contents)
    try:
        if path.is_dir():  # a folder cannot be replaced in one step
            path.rename(old)
            fresh.rename(path)
            shutil.rmtree(old, ignore_errors=True)
        else:
            fresh.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise BundleError(
            f"{path}: cannot be replaced: {error.strerror or error}", f"See {fresh}."
        ) from error


def _facts_of(content: bytes | Path) -> FileFacts:
    if isinstance(content, bytes):
        return FileFacts(sha256=bytes_digest(content), size=len(content))
    with content.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return FileFacts(sha256=digest, size=content.stat().st_size)


def _write_folder(folder: Path, contents: Mapping[str, bytes | Path]) -> None:
    for name, content in contents.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            place.write_bytes(content)
        else:
            shutil.copyfile(content, place)
        sync_file(place)


def _write_zip(path: Path, contents: Mapping[str, bytes | Path]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in contents.items():
            info = zipfile.ZipInfo(name)  # a fixed date: the same contents are the same bytes
            info.external_attr = 0o644 << 16
            with archive.open(info, "w", force_zip64=True) as target:
                if isinstance(content, bytes):
                    target.write(content)
                else:
                    with content.open("rb") as source:
                        shutil.copyfileobj(source, target, 1 << 20)
