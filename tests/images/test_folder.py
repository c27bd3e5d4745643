"""The image files below a folder: which are found, once each, in one order."""

import errno
import os
from pathlib import Path

import pytest

from segad_core.contracts import Sample
from segad_core.errors import DataError
from segad_core.images import folder_samples, image_files


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def found(root: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in image_files(root)]


def test_every_ending_of_images_and_nothing_else(tmp_path: Path) -> None:
    images = ["a.png", "b.jpg", "c.jpeg", "d.bmp", "e.tif", "f.tiff", "g.webp", "h.PNG", "i.JpEg", "j.k.TIF"]
    touch(tmp_path, *images, "notes.txt", "png", "mask.npy", "x.png.part", "Thumbs.db", "noending")
    assert found(tmp_path) == images


def test_sorted_whatever_the_disk_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "b/2.png", "b/10.png", "b/c/1.png", "a/9.png", "z.png")
    expected = ["a/9.png", "b/10.png", "b/2.png", "b/c/1.png", "z.png"]
    assert found(tmp_path) == expected
    listed = os.listdir
    for order in (False, True):
        monkeypatch.setattr(os, "listdir", lambda path, order=order: sorted(listed(path), reverse=order))
        assert found(tmp_path) == expected


def test_hidden_names_are_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", ".b.png", ".hidden/c.png", "d/.e/f.png", "d/._g.jpg", "d/h.png")
    assert found(tmp_path) == ["a.png", "d/h.png"]


def test_a_folder_named_like_an_image(tmp_path: Path) -> None:
    assert found(touch(tmp_path, "roll.png/1.png")) == ["roll.png/1.png"]


def test_links_that_lead_back_end(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.png", "a/b/2.png")
    (tmp_path / "a" / "b" / "up").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "here").symlink_to(".")
    (tmp_path / "self").symlink_to("self")
    assert found(tmp_path) == ["a/1.png", "a/b/2.png"]


def test_a_folder_outside_is_followed_once(tmp_path: Path) -> None:
    touch(tmp_path, "outside/1.png")
    touch(tmp_path, "inside/0.png")
    for name in ("first", "second"):
        (tmp_path / "inside" / name).symlink_to(tmp_path / "outside")
    assert len(found(tmp_path / "inside")) == 2


def test_which_of_two_ways_is_taken_does_not_depend_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way is the image's name, and names decide how images are split."""
    touch(tmp_path, "a/1.png")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    listed, ways = os.listdir, []
    for order in (False, True):
        monkeypatch.setattr(os, "listdir", lambda path, order=order: sorted(listed(path), reverse=order))
        ways.append(found(tmp_path))
    assert ways[0] == ways[1]


def test_a_linked_image_is_an_image_and_a_broken_link_is_not_lost(tmp_path: Path) -> None:
    """Decoding says that the second is not there."""
    touch(tmp_path, "real/1.png")
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "linked.png").symlink_to(tmp_path / "real" / "1.png")
    (tmp_path / "parts" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    assert found(tmp_path / "parts") == ["gone.png", "linked.png"]


def test_samples_are_good_and_named_by_their_place(tmp_path: Path) -> None:
    touch(tmp_path, "b/2.png", "1.PNG")
    assert folder_samples(tmp_path) == [
        Sample("1.PNG", tmp_path / "1.PNG", 0),
        Sample("b/2.png", tmp_path / "b" / "2.png", 0),
    ]


@pytest.mark.parametrize("name", ["empty", "no images", "absent", "a file"])
def test_a_folder_without_images_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / "empty" / "deeper").mkdir(parents=True)
    touch(tmp_path, "no images/notes.txt", "a file")
    assert image_files(tmp_path / name) == []
    with pytest.raises(DataError) as caught:
        folder_samples(tmp_path / name)
    assert str(tmp_path / name) in caught.value.what
    assert ".png" in caught.value.remedy


def test_a_folder_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulated, because root may read everything."""
    touch(tmp_path, "1.png", "deep/2.png")
    listed = os.listdir

    def forbidden(path: str) -> list[str]:
        if Path(path).name == "deep":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return listed(path)

    monkeypatch.setattr(os, "listdir", forbidden)
    with pytest.raises(DataError) as caught:
        folder_samples(tmp_path)
    assert caught.value.what == f"the folder {tmp_path}/deep cannot be read (Permission denied)"


def test_a_folder_that_may_be_listed_and_not_entered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after `chmod -R 644`; simulated. A sentence, or its files as images that then cannot be read."""
    touch(tmp_path, "deep/1.png")
    stat = os.stat

    def forbidden(path: object, *args: object, **kwargs: object) -> object:
        if isinstance(path, str | Path) and Path(path).parent == tmp_path / "deep":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return stat(path, *args, **kwargs)  # type: ignore[arg-type,call-overload]

    monkeypatch.setattr(os, "stat", forbidden)
    try:
        samples = folder_samples(tmp_path)
    except DataError as error:
        assert str(tmp_path / "deep") in error.what
    else:
        assert [sample.id for sample in samples] == ["deep/1.png"]
