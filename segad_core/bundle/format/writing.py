"""Writing bundles: all or nothing, and the same contents always give the same bytes."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from segad_core.base.files import replace_folder, sync_file, sync_folder
from segad_core.base.leftovers import temporary_name
from segad_core.bundle.format.container import MANIFEST, SEAL, Member, seal_of
from segad_core.bundle.format.manifest import FileFacts, Manifest
from segad_core.bundle.format.members import check_names
from segad_core.errors import BundleError

Content = bytes | Path | Member
"""A file to be written: its bytes, a file to copy, or a file of another bundle."""

_Put = Callable[[str, Content], FileFacts]
_BLOCK = 1 << 20


def write_bundle(out: Path, manifest: Manifest, contents: Mapping[str, Content]) -> None:
    """Writes a bundle, all or nothing: a zip if its name ends in `.zip`, otherwise a folder.

    Files that one folder takes over from another are hard links where possible: nothing is read or copied.

    Args:
        out: must not exist yet.
        manifest: its list of files is filled in here.
        contents: the files by name.

    Raises:
        BundleError: `out` exists, it cannot be written, a file of another bundle does not match that bundle's
            manifest, or a name is one that no bundle may hold.
    """
    _write(out, manifest, contents, as_zip=out.suffix == ".zip")


def replace_bundle(path: Path, manifest: Manifest, contents: Mapping[str, Content]) -> None:
    """Replaces an existing bundle, keeping its form.

    Readers see the old or the new bundle. Replacing a folder takes two steps, between which there is none.

    Raises:
        BundleError: as for `write_bundle`, or it cannot be replaced; the old bundle is still there.
    """
    fresh = temporary_name(path)
    folder = path.is_dir()
    _write(fresh, manifest, contents, as_zip=not folder)
    try:
        if folder:
            replace_folder(path, fresh)
        else:
            fresh.replace(path)
            sync_folder(path.parent)
    except OSError as error:
        raise BundleError(
            f"{path}: cannot be replaced: {error.strerror or error}", f"The new bundle is {fresh}."
        ) from error
    except BaseException:  # interrupted: the same command makes it again
        _remove(fresh)
        raise


def _write(out: Path, manifest: Manifest, contents: Mapping[str, Content], as_zip: bool) -> None:
    if out.exists() or out.is_symlink():
        raise BundleError(f"{out}: already exists", "Choose another place with -o, or move it away.")
    check_names(out, [*contents, MANIFEST, SEAL])
    temporary = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with _zip(temporary) if as_zip else _folder(temporary) as put:
            files = {name: put(name, content) for name, content in sorted(contents.items())}
            head = (manifest.model_copy(update={"files": files}).model_dump_json(indent=1) + "\n").encode()
            put(MANIFEST, head)
            put(SEAL, seal_of(head))
        temporary.rename(out)
        sync_folder(out.parent)
    except OSError as error:
        raise BundleError(
            f"{out}: cannot be written: {error.strerror or error}",
            "Free some space, or choose another location.",
        ) from error
    finally:
        _remove(temporary)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def _folder(folder: Path) -> Iterator[_Put]:
    """Writes files into a new folder and forces them onto the disk."""

    def put(name: str, content: Content) -> FileFacts:
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Member) and content.link(place):
            return content.facts
        with place.open("xb") as target:
            facts = _copy(content, target)
        sync_file(place)
        return facts

    yield put
    for inner in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
        sync_folder(inner)


@contextmanager
def _zip(path: Path) -> Iterator[_Put]:
    """Writes files into a new uncompressed zip and forces it onto the disk."""
    with zipfile.ZipFile(path, "x", zipfile.ZIP_STORED) as archive:

        def put(name: str, content: Content) -> FileFacts:
            info = zipfile.ZipInfo(name)  # with a fixed date: the same contents give the same bytes
            info.external_attr = 0o644 << 16
            with archive.open(info, "w", force_zip64=True) as target:
                return _copy(content, target)

        yield put
    sync_file(path)


def _copy(content: Content, target: IO[bytes]) -> FileFacts:
    """Copies a file in one pass; its size and digest."""
    if isinstance(content, Member):
        content.copy(target)
        return content.facts
    digest, size = hashlib.sha256(), 0
    with io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as source:
        while block := source.read(_BLOCK):
            target.write(block)
            digest.update(block)
            size += len(block)
    return FileFacts(sha256=digest.hexdigest(), size=size)
