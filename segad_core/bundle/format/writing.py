"""Writing bundles: all or nothing, and the same contents always give the same bytes."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import stat
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from segad_core.base.files import replace_folder, replacing, sync_file, sync_folder
from segad_core.base.leftovers import temporary_folder
from segad_core.base.resources import guarded
from segad_core.base.text import size_words
from segad_core.bundle.format.container import MANIFEST, SEAL, Container, Member, seal_of
from segad_core.bundle.format.limits import most_of
from segad_core.bundle.format.manifest import FileFacts, Manifest
from segad_core.bundle.format.names import check_names
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
            manifest, or a file has a name or a size that no bundle may have.
        ResourceError: the machine failed.
    """
    check_free(out)
    with _writing(out), _none_if_it_fails(out) as placed:
        out.parent.mkdir(parents=True, exist_ok=True)
        if out.suffix == ".zip":
            with replacing(out) as file:
                _write_zip(file, out, manifest, contents)
                check_free(out)
                placed.append(os.fstat(file.fileno()))
        else:
            with temporary_folder(out) as fresh:
                _write_folder(fresh, out, manifest, contents)
                check_free(out)
                placed.append(fresh.stat())
                fresh.rename(out)
                sync_folder(out.parent)


def replace_bundle(container: Container, contents: Mapping[str, Content]) -> None:
    """Replaces an open bundle, keeping its form, and closes it: readers see the old or the new one.

    Its folder is removed as soon as nobody reads it.

    Raises:
        BundleError: as for `write_bundle`; the old bundle is still there.
        ResourceError: the machine failed; the old bundle is still there.
    """
    path, manifest = container.path.resolve(), container.manifest
    with _writing(path):
        if path.is_dir():
            with temporary_folder(path) as fresh:
                _write_folder(fresh, path, manifest, contents)
                container.close()
                replace_folder(path, fresh)
        else:
            with replacing(path) as file:
                _write_zip(file, path, manifest, contents)
                container.close()


def check_free(out: Path) -> None:
    """Refuses to write over something.

    Raises:
        BundleError: there is a file, a folder or a link at `out`.
    """
    if os.path.lexists(out):
        raise BundleError(f"{out}: already exists", "Choose another place with -o, or move it away.")


@contextmanager
def _none_if_it_fails(out: Path) -> Iterator[list[os.stat_result]]:
    """Removes a new bundle that took its place but may not be on the disk, and nothing that others put there.

    Yields:
        A list, to which the block adds the bundle's status before it moves it into place.
    """
    placed: list[os.stat_result] = []
    try:
        yield placed
    except BaseException:
        for one in placed:
            with suppress(FileNotFoundError):
                if not os.path.samestat(out.lstat(), one):
                    continue
                if stat.S_ISDIR(one.st_mode):
                    shutil.rmtree(out, ignore_errors=True)
                else:
                    out.unlink()
        raise


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    try:
        with guarded(f"writing the bundle {out}"):
            yield
    except OSError as error:
        raise BundleError(
            f"{out}: cannot be written: {error.strerror or error}",
            "Correct the permissions of its folder, or choose another location.",
        ) from error


def _write(put: _Put, out: Path, manifest: Manifest, contents: Mapping[str, Content]) -> None:
    """Writes the files of the bundle that `out` becomes, and then its manifest."""
    check_names(out, [*contents, MANIFEST, SEAL])
    files = dict[str, FileFacts]()
    for name, content in sorted(contents.items()):
        files[name] = facts = put(name, content)
        if facts.size > (most := most_of(name)):
            raise BundleError(
                f"{out}: '{name}' would have {size_words(facts.size)}, more than the limit of "
                f"{size_words(most)}",
                "Use fewer images, or a smaller model.",
            )
    head = (manifest.model_copy(update={"files": files}).model_dump_json(indent=1) + "\n").encode()
    put(MANIFEST, head)
    put(SEAL, seal_of(head))


def _write_folder(folder: Path, out: Path, manifest: Manifest, contents: Mapping[str, Content]) -> None:
    """Writes a bundle's files into a new folder and forces them onto the disk."""

    def put(name: str, content: Content) -> FileFacts:
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Member) and content.link(place):
            return content.facts
        with place.open("xb") as target:
            facts = _copy(content, target)
        sync_file(place)
        return facts

    _write(put, out, manifest, contents)
    for inner in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
        sync_folder(inner)


def _write_zip(file: IO[bytes], out: Path, manifest: Manifest, contents: Mapping[str, Content]) -> None:
    """Writes a bundle's files into a new uncompressed zip."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:

        def put(name: str, content: Content) -> FileFacts:
            info = zipfile.ZipInfo(name)  # with a fixed date: the same contents give the same bytes
            info.external_attr = 0o644 << 16
            with archive.open(info, "w", force_zip64=True) as target:
                return _copy(content, target)

        _write(put, out, manifest, contents)


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
