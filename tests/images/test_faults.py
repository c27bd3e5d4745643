"""A fault of the machine is told as such, and no image is blamed for it."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from segad_core.base.decoding import Decoding
from segad_core.bundle.runtime import opening
from segad_core.contracts import Sample
from segad_core.errors import ImageError, ResourceError
from segad_core.images import (
    FileImageSet,
    decode,
    decode_resized,
    read_array,
    read_labels,
    read_mask,
    take_inventory,
)
from segad_core.images.artifacts import keeper
from segad_core.images.image_set import Preprocessing
from segad_core.store.store import Store

MACHINE = [errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.ESTALE, 0]
"""0 stands for a MemoryError."""
OWN = [errno.ENOENT, errno.EACCES, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOTDIR]


def _inventory(path: Path) -> None:
    found = take_inventory([Sample("a", path, 0)], Decoding(), Store(path.parent / "store"))
    for error in found.unreadable.values():
        raise error


def _kept(path: Path) -> None:
    keeper(Store(path.parent / "store"), Decoding())(Sample("a", path, 0), {}, lambda pixels: {"a": pixels})


READERS: dict[str, Callable[[Path], object]] = {
    "decode": decode,
    "decode_resized": lambda path: decode_resized(path, (2, 2)),
    "read_array": lambda path: read_array(path.with_suffix(".npy"), "u"),
    "labels in an array": lambda path: read_labels(path.with_suffix(".npy")),
    "read_labels": read_labels,
    "read_mask": read_mask,
    "inventory": _inventory,
    "image set": lambda path: FileImageSet([Sample("a", path, 0)], Preprocessing((2, 2))).pixels(),
    "digest of an image set": lambda path: FileImageSet(
        [Sample("a", path, 0)], Preprocessing((2, 2))
    ).digest(),
    "artifact": _kept,
    "bundle": lambda path: opening.whole(path, Decoding()),
}


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image; beside it, an array of the same name."""
    pixels = np.zeros((4, 4), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "part 7.png")
    np.save(tmp_path / "part 7.npy", pixels)
    return tmp_path / "part 7.png"


def _failing(code: int, path: Path) -> Exception:
    return OSError(code, os.strerror(code), str(path)) if code else MemoryError()


def _opened(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """Makes the file impossible to open."""
    sound = Path.open

    def fails(self: Path, *args: Any, **kwargs: Any) -> Any:
        if self.stem == "part 7":
            raise _failing(code, self)
        return sound(self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", fails)


@pytest.mark.parametrize("code", MACHINE, ids=lambda code: errno.errorcode.get(code, "MemoryError"))
@pytest.mark.parametrize("reader", READERS)
def test_the_machine_failed(reader: str, code: int, image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    READERS[reader](image)
    READERS[reader](image)  # known to the store by now
    _opened(monkeypatch, code)
    with pytest.raises(ResourceError) as caught:
        READERS[reader](image)
    assert f"reading {image.with_suffix('')}." in caught.value.what
    assert (os.strerror(code) if code else "memory") in caught.value.what


@pytest.mark.parametrize("code", OWN, ids=errno.errorcode.get)
@pytest.mark.parametrize("reader", READERS)
def test_the_image_is_not_there_to_be_read(
    reader: str, code: int, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _opened(monkeypatch, code)
    with pytest.raises(ImageError) as caught:
        READERS[reader](image)
    assert caught.value.what.startswith(f"{image.with_suffix('')}.")
    assert caught.value.remedy


@pytest.mark.parametrize(
    "error",
    [OSError(errno.EIO, os.strerror(errno.EIO)), OSError("out of memory error when reading image file")],
    ids=str,
)
def test_the_machine_failed_while_pillow_decodes(
    error: Exception, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load_read", fails)
    for read in (decode, read_labels, read_mask):
        with pytest.raises(ResourceError, match="part 7"):
            read(image)


@pytest.mark.parametrize(
    "error", [RecursionError("too deep"), ValueError("odd"), OSError("broken data stream")]
)
def test_what_pillow_stumbles_over_is_the_image(
    error: Exception, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load_read", fails)
    for read in (decode, read_labels, read_mask):
        with pytest.raises(ImageError, match="is damaged or truncated") as caught:
            read(image)
        assert caught.value.what.startswith(f"{image}: ")


@pytest.mark.timeout(10)
@pytest.mark.parametrize("reader", READERS)
def test_a_pipe_is_rejected_and_not_waited_for(reader: str, image: Path) -> None:
    for place in (image, image.with_suffix(".npy")):
        place.unlink()
        os.mkfifo(place)
    with pytest.raises(ImageError, match=r"part 7.* is not a "):
        READERS[reader](image)


def test_a_path_that_cannot_be_looked_at(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for code, kind in ((errno.ESTALE, ResourceError), (errno.EIO, ResourceError), (errno.ELOOP, ImageError)):
        with monkeypatch.context() as patched:

            def fails(self: Path, code: int = code, **_: object) -> None:
                raise OSError(code, os.strerror(code), str(self))

            patched.setattr(Path, "stat", fails)
            with pytest.raises(kind) as caught:
                opening.whole(image, Decoding())
        assert str(image) in caught.value.what


def test_what_a_block_raises_is_not_the_image(image: Path) -> None:
    module = sys.modules["segad_core.images.decode"]
    with pytest.raises(ZeroDivisionError), module.at_full_size(image):
        raise ZeroDivisionError
