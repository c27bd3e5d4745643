"""Digests of folders: every file counts, once, wherever links lead."""

from pathlib import Path

import pytest

from segad_core.base.digest import digest_of, file_digest, folder_digest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("folder/a.npy", "folder/in/b.npy", "folder/in/.c", "outside/good/d.npy"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path / "folder"


def named(folder: Path, *names: str) -> str:
    return digest_of([[name, file_digest(folder / name)] for name in names])


def test_it_is_of_the_names_and_bytes_of_all_files_in_order(folder: Path) -> None:
    before = folder_digest(folder)
    assert before == named(folder, "a.npy", "in/.c", "in/b.npy")
    (folder / "in" / ".c").write_text("changed")
    changed = folder_digest(folder)
    (folder / "a.npy").rename(folder / "e.npy")
    assert len({before, changed, folder_digest(folder)}) == 3


def test_what_a_linked_folder_holds_counts(folder: Path) -> None:
    (folder / "linked").symlink_to(folder.parent / "outside")
    assert folder_digest(folder) == named(folder, "a.npy", "in/.c", "in/b.npy", "linked/good/d.npy")


def test_a_folder_counts_once_and_links_that_lead_back_end(folder: Path) -> None:
    for name in ("y", "x"):
        (folder / name).symlink_to(folder.parent / "outside")
    (folder / "in" / "up").symlink_to(folder)
    (folder / "self").symlink_to("self")
    assert folder_digest(folder) == named(folder, "a.npy", "in/.c", "in/b.npy", "x/good/d.npy")


def test_a_link_to_the_folder_itself_is_the_folder(folder: Path) -> None:
    (folder.parent / "other").symlink_to(folder)
    assert folder_digest(folder.parent / "other") == folder_digest(folder)
