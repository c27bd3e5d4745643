"""The images that a command names: files, folders, patterns, pipes."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from segad_core.base.decoding import Decoding
from segad_core.bundle.runtime.opening import whole
from segad_core.errors import ImageError, ResourceError, UsageError
from segad_core.images.find import ImagePaths, find_images
from segad_core.images.folder import image_files


@pytest.fixture
def lots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (
        "lot2/b.png",
        "lot2/a.JPG",
        "lot2/sub/c.tiff",
        "lot10/a.png",
        "notes.txt",
        "lot2/.hidden.png",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(found: ImagePaths) -> list[str]:
    return list(found.images)


def test_a_folder_gives_its_images_sorted(lots: Path) -> None:
    found = find_images(["lot2"])
    assert names(found) == ["lot2/a.JPG", "lot2/b.png", "lot2/sub/c.tiff"]
    assert found.count == 3
    assert found.notes == ["1 other file is left out (the first: lot2/.hidden.png)"]


def test_everything_in_the_order_given_and_twice_if_named_twice(lots: Path) -> None:
    found = find_images(["lot10/a.png", "lot2", "lot10", "lot10/a.png"])
    assert names(found) == [
        "lot10/a.png",
        "lot2/a.JPG",
        "lot2/b.png",
        "lot2/sub/c.tiff",
        "lot10/a.png",
        "lot10/a.png",
    ]
    assert found.count == 6


def test_other_files_are_counted(lots: Path) -> None:
    assert find_images(["."]).notes == ["2 other files are left out (the first: ./lot2/.hidden.png)"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("lot*/a.*", ["lot10/a.png", "lot2/a.JPG"]),
        ("lot?", ["lot2/a.JPG", "lot2/b.png", "lot2/sub/c.tiff"]),
        ("**/*.png", ["lot10/a.png", "lot2/b.png"]),
        ("lot2/**", ["lot2/a.JPG", "lot2/b.png", "lot2/sub/c.tiff"]),
        ("*.txt", ["notes.txt"]),
        ("./lot10/*", ["lot10/a.png"]),
        ("lot2/.h*", []),
    ],
)
def test_patterns(lots: Path, pattern: str, expected: list[str]) -> None:
    found = find_images([pattern, "lot10/a.png"])
    assert names(found) == [*expected, "lot10/a.png"]


@pytest.mark.parametrize("pattern", ["lot*/*.png", "**/*.png", "lot10/*", "l*/**"])
def test_a_pattern_reports_a_folder_that_cannot_be_read(
    lots: Path, pattern: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python's own patterns pass over it, and its images would be missing without a word."""
    real, real_list = Path.iterdir, os.listdir

    def forbidden(path: Path) -> Iterator[Path]:
        if path.name == "lot10":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    def forbidden_list(path: str) -> list[str]:
        if Path(path).name == "lot10":
            raise PermissionError(13, "Permission denied", path)
        return real_list(path)

    monkeypatch.setattr(Path, "iterdir", forbidden)
    monkeypatch.setattr(os, "listdir", forbidden_list)
    found = find_images([pattern, "notes.txt"])
    assert "lot10" in names(found)
    assert any("lot10" in note and "Permission denied" in note for note in found.notes)


def test_what_is_no_pattern_is_an_error(lots: Path) -> None:
    with pytest.raises(UsageError, match=r"\*\*lot: (is not a valid pattern|matches nothing)"):
        find_images(["**lot"])


def test_a_name_with_signs_of_a_pattern_is_a_name_first(lots: Path) -> None:
    Path("part[1].png").touch()
    Path("part1.png").touch()
    assert names(find_images(["part[1].png"])) == ["part[1].png"]


def test_what_is_not_there_stays_to_be_reported(lots: Path) -> None:
    assert names(find_images(["gone.png", "no/such.png"])) == ["gone.png", "no/such.png"]


def test_links_are_followed_once(lots: Path) -> None:
    Path("lot2/again").symlink_to(lots / "lot2")
    Path("lot2/up").symlink_to(lots)
    assert sorted(names(find_images(["lot2"]))) == [
        "lot2/a.JPG",
        "lot2/b.png",
        "lot2/sub/c.tiff",
        "lot2/up/lot10/a.png",
    ]
    assert names(find_images(["lot2/**/*.png"])) == ["lot2/b.png"]
    found = names(find_images(["lot2/*"]))  # four files, however many ways lead to them
    assert sorted(Path(name).resolve().name for name in found) == ["a.JPG", "a.png", "b.png", "c.tiff"]


def test_a_folder_that_looks_like_an_image_is_a_folder(lots: Path) -> None:
    Path("lot2/d.png").mkdir()
    Path("lot2/d.png/e.png").touch()
    assert "lot2/d.png/e.png" in names(find_images(["lot2"]))


def test_nothing_is_an_error(lots: Path) -> None:
    Path("empty").mkdir()
    for given, words in (
        ([], "no images are named"),
        (["empty"], "empty: contains no images"),
        (["*.tif"], r"\*\.tif: matches nothing"),
        (["empty", "x*"], "empty: contains no images; x.: matches nothing"),
        (["-", "-"], "given twice"),
    ):
        with pytest.raises(UsageError, match=words) as caught:
            find_images(given, io.BytesIO())
        assert caught.value.remedy


def test_nothing_among_others_is_a_note(lots: Path) -> None:
    Path("empty").mkdir()
    found = find_images(["empty", "lot10", "*.gif"])
    assert names(found) == ["lot10/a.png"]
    assert found.notes == ["empty: contains no images", "*.gif: matches nothing"]


def test_a_folder_that_cannot_be_read_is_not_passed_over(lots: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = os.listdir

    def forbidden(path):
        if str(path).endswith("sub"):
            raise PermissionError(13, "Permission denied")
        return listed(path)

    monkeypatch.setattr(os, "listdir", forbidden)
    found = find_images(["lot2"])
    assert names(found) == ["lot2/a.JPG", "lot2/b.png", "lot2/sub"]
    assert "lot2/sub: cannot be read (Permission denied)" in found.notes


def test_a_folder_on_a_broken_disk_ends_the_search(lots: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its images would all be called UNKNOWN, or be missing from a data set."""

    def broken(path):
        raise OSError(errno.EIO, "Input/output error", path)

    monkeypatch.setattr(os, "listdir", broken)
    for search in (lambda: find_images(["lot2"]), lambda: image_files(Path("lot2"))):
        with pytest.raises(ResourceError, match="folder lot2: Input/output error"):
            search()


def test_a_folder_that_may_not_be_read_says_so(lots: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stands for its images; that it is a folder is not what is wrong with it."""

    def forbidden(path):
        raise PermissionError(13, "Permission denied", path)

    with pytest.raises(ImageError, match="is a folder"):
        whole("lot2", Decoding(255))
    monkeypatch.setattr(os, "scandir", forbidden)
    with pytest.raises(ImageError, match=r"cannot be read \(Permission denied\)"):
        whole("lot2", Decoding(255))


@pytest.mark.parametrize(
    ("data", "null", "expected"),
    [
        (b"a.png\nb c.png\n", False, ["a.png", "b c.png"]),
        (b"a.png\r\n\r\n\nb.png", False, ["a.png", "b.png"]),
        (b"a\nb.png\0c.png\0", True, ["a\nb.png", "c.png"]),
        (b"\xff.png\n", False, ["\udcff.png"]),
        (b"x*.png\n", False, ["x*.png"]),
        (b"", False, []),
    ],
)
def test_a_pipe_gives_paths(data: bytes, null: bool, expected: list[str]) -> None:
    found = find_images(["-"], io.BytesIO(data), null)
    assert (names(found), found.count) == (expected, None)


def test_a_pipe_is_read_as_paths_come() -> None:
    given, taken = os.pipe()
    with os.fdopen(given, "rb") as pipe, os.fdopen(taken, "wb", buffering=0) as other:
        images = iter(find_images(["-"], pipe).images)
        other.write(b"a.png\nb.p")
        assert next(images) == "a.png"
        other.write(b"ng\nc.png\n")
        assert next(images) == "b.png"


def test_a_pipe_among_others(lots: Path) -> None:
    found = find_images(["lot10", "-", "lot2/b.png"], io.BytesIO(b"x.png\n"))
    assert names(found) == ["lot10/a.png", "x.png", "lot2/b.png"]
