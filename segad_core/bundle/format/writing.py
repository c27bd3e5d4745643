"""Writing a bundle: whole or not at all, the same contents as the same bytes."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path

from segad_core.base.digest import bytes_digest, file_digest
from segad_core.base.files import sync_file, sync_folder
from segad_core.bundle.format.container import MANIFEST, SEAL, seal_of
from segad_core.bundle.format.manifest import FileFacts, Manifest
from segad_core.bundle.format.members import check_names
from segad_core.errors import BundleError


def write_bundle(out: Path, manifest: Manifest, contents: Mapping[str, bytes | Path]) -> None:
    """Writes a bundle, whole or not at all: a zip if its name ends in `.zip`, else a folder.

    Args:
        out: must not be there yet.
        manifest: its files are filled in here; those that it has are what kept ones must still be.
        contents: bytes, or a file to copy, by name.

    Raises:
        BundleError: there is something at `out`, it cannot be written, or could not be loaded.
    """
    _write(out, manifest, contents, as_zip=out.suffix == ".zip")


def replace_bundle(path: Path, manifest: Manifest, contents: Mapping[str, bytes | Path]) -> None:
    """Writes a bundle in the place of one that is there, in its form.

    A reader finds the old or the new one; of a folder, which takes two steps, for a moment none.

    Raises:
        BundleError: it cannot be written or replaced; the old one is still there.
    """
    fresh, old = (path.with_name(f".{path.name}.{os.getpid()}.{age}") for age in ("new", "old"))
    folder = path.is_dir()
    _write(fresh, manifest, contents, as_zip=not folder)
    try:
        if folder:
            _replace_folder(path, fresh, old)
        else:
            fresh.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise BundleError(
            f"{path}: cannot be replaced: {error.strerror or error}", f"The new one is {fresh}."
        ) from error
    except BaseException:  # interrupted: the same command makes it again
        shutil.rmtree(fresh, ignore_errors=True)
        raise


def _replace_folder(path: Path, fresh: Path, old: Path) -> None:
    """In two steps, as a folder cannot be replaced in one; what comes between them leaves the old one."""
    try:
        path.rename(old)
        fresh.rename(path)
    except BaseException:
        if old.exists() and not path.exists():
            old.rename(path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _write(out: Path, manifest: Manifest, contents: Mapping[str, bytes | Path], as_zip: bool) -> None:
    if out.exists() or out.is_symlink():
        raise BundleError(f"{out}: is there already", "Name another place with -o, or move it away.")
    check_names(out, [*contents, MANIFEST, SEAL])
    temporary = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        facts = {name: _facts_of(content) for name, content in sorted(contents.items())}
        _check_kept(out, manifest, facts, contents)
        head = (manifest.model_copy(update={"files": facts}).model_dump_json(indent=1) + "\n").encode()
        everything = {**dict(sorted(contents.items())), MANIFEST: head, SEAL: seal_of(head)}
        if as_zip:
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


def _check_kept(
    out: Path, manifest: Manifest, facts: Mapping[str, FileFacts], contents: Mapping[str, bytes | Path]
) -> None:
    """That files taken over from another bundle are still what its manifest says."""
    for name, known in manifest.files.items():
        if isinstance(contents.get(name), Path) and facts[name] != known:
            raise BundleError(f"{out}: '{name}' changed while it was copied", "Get the bundle again.")


def _facts_of(content: bytes | Path) -> FileFacts:
    if isinstance(content, bytes):
        return FileFacts(sha256=bytes_digest(content), size=len(content))
    return FileFacts(sha256=file_digest(content), size=content.stat().st_size)


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
