"""What lies beside the images that a data set reads is named, counted, and told apart from them."""

from pathlib import Path

import pytest
from builders import said, segad, workshop
from PIL import Image

from segad_core.errors import RecipeError
from segad_core.testing import good_images
from segad_plugins.datasets.beside import Unread, guess, unread_in
from segad_plugins.datasets.folder import Folder


def tree(root: Path, **counts: int) -> Path:
    """Images below a folder: `tree(root, **{"test/not good": 3})`."""
    for folder, count in counts.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            Image.fromarray(good_images(1, 8, 8)[0]).save(root / folder / f"{number}.png")
    return root


def notes(root: Path, category: str | None = None, **params: str) -> list[str]:
    dataset = Folder(Folder.Params(root=root, **params))
    return list(dataset.unread(category or dataset.categories()[0]))


@pytest.mark.parametrize(
    "name", ["not good", "Not_Good", "n.i.O.", "NIO", "NOK", "ng", "NG2", "Bad parts", "defective"]
)
def test_names_of_bad_images(name: str) -> None:
    assert guess(name) == "bad"


@pytest.mark.parametrize("name", ["Good", "OK images", "i.O.", "normal", "no_defects"])
def test_names_of_good_images(name: str) -> None:
    assert guess(name) == "good"


@pytest.mark.parametrize(
    ("name", "kind"), [("Val", "test"), ("Training", "train"), ("ground_truth", "masks")]
)
def test_names_of_other_folders(name: str, kind: str) -> None:
    assert guess(name) == kind


@pytest.mark.parametrize("name", ["scratch", "goodyear", "ng-line-camera", "2026-03-02", "lot7"])
def test_names_that_say_nothing(name: str) -> None:
    assert guess(name) is None


def test_only_what_is_read_is_read(tmp_path: Path) -> None:
    tree(tmp_path, **{"good": 2, "bad/dent": 1, "bad": 1, "test/a/b": 3, "other/deep": 2, "other": 1})
    Image.new("L", (8, 8)).save(tmp_path / "loose.png")
    read = [*(tmp_path / "good").iterdir(), *(tmp_path / "bad/dent").iterdir()]
    assert unread_in(tmp_path, read) == [
        Unread(".", 1, True),
        Unread("bad", 1, True),
        Unread("other", 3, False),
        Unread("test/a", 3, False),
    ]
    assert [one.folder for one in unread_in(tmp_path, read, ["other", "test"])] == [".", "bad"]


def test_a_link_to_what_is_read_is_not_named(tmp_path: Path) -> None:
    tree(tmp_path, good=2)
    (tmp_path / "a link").symlink_to("good")  # comes first in the order of names
    assert unread_in(tmp_path, (tmp_path / "good").iterdir()) == []


def test_a_sound_folder_has_no_note(tmp_path: Path) -> None:
    tree(tmp_path, **{"train/good": 2, "test/good": 1, "test/bad/dent": 1})
    assert notes(tmp_path) == []
    assert Folder(Folder.Params(root=tmp_path)).unread(None) == []


@pytest.mark.parametrize("name", ["not good", "NOK", "ng", "defective"])
def test_bad_images_under_another_name(tmp_path: Path, name: str) -> None:
    tree(tmp_path, **{"train/good": 2, "test/good": 1, f"test/{name}": 30})
    (note,) = notes(tmp_path)
    assert str(tmp_path / "test" / name) in note
    assert "30 images" in note
    assert f"set bad: '{name}'" in note
    assert notes(tmp_path, bad=name) == []


def test_several_names_of_bad_images(tmp_path: Path) -> None:
    """A parameter names one of them: what each needs is a place of its own in the folder that is read."""
    tree(tmp_path, **{"train/good": 2, "train/NOK": 3, "test/good": 1, "test/NOK": 30, "test/ng": 4})
    found = notes(tmp_path)
    assert [note.split(": ", 1)[0] for note in found] == [
        str(tmp_path / name) for name in ("test/NOK", "test/ng", "train/NOK")
    ]
    for note, place in zip(found, ("test/bad/NOK", "test/bad/ng", "train/bad/NOK"), strict=True):
        assert f"move it to '{place}'" in note and "set bad" not in note
    for name in ("test/NOK", "test/ng", "train/NOK"):
        part, own = name.split("/")
        (tmp_path / part / "bad").mkdir(exist_ok=True)
        (tmp_path / name).rename(tmp_path / part / "bad" / own)
    assert notes(tmp_path) == []


def test_a_second_name_beside_the_first(tmp_path: Path) -> None:
    tree(tmp_path, **{"good": 2, "bad": 1, "NG": 4})
    (note,) = notes(tmp_path)
    assert "4 images" in note
    assert "move them into 'bad'" in note


def test_a_name_in_another_case(tmp_path: Path) -> None:
    tree(tmp_path, **{"good": 2, "Bad": 4})
    if (tmp_path / "bad").exists():
        assert notes(tmp_path) == []  # the file system reads it
    else:
        (note,) = notes(tmp_path)
        assert "only in case" in note


@pytest.mark.parametrize(
    ("part", "wanted"), [("Test", "test"), ("validation", "test"), ("Training", "train")]
)
def test_a_part_under_another_name(tmp_path: Path, part: str, wanted: str) -> None:
    other = {"test": "train", "train": "test"}[wanted]
    tree(tmp_path, **{f"{other}/good": 2, f"{part}/good": 1, f"{part}/bad": 3})
    found = notes(tmp_path)
    assert [str(tmp_path / part / name) in note for name, note in zip(("bad", "good"), found, strict=True)]
    assert all(f"rename it '{wanted}'" in note for note in found)


def test_types_of_defects_beside_good(tmp_path: Path) -> None:
    tree(tmp_path, **{"test/good": 2, "test/scratch": 3, "masks": 1})
    masks, scratch = notes(tmp_path)
    assert "'test/bad/scratch'" in scratch
    assert "masks" in masks


def test_images_in_other_formats(tmp_path: Path) -> None:
    """Files that a person sees as images, and segad does not."""
    tree(tmp_path, **{"good": 2, "bad": 1})
    for name in ("bad/1.JP2", "bad/2.jp2", "good/a.dng", "good/notes.txt", "good/.x.jp2", ".hidden/x.jp2"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    jp2, dng = notes(tmp_path)
    assert jp2.startswith(f"{tmp_path / 'bad'}: 2 files ending in '.jp2'")
    assert dng.startswith(f"{tmp_path / 'good'}: 1 file ending in '.dng'")


def test_folders_beside_the_categories(tmp_path: Path) -> None:
    tree(tmp_path, **{"nut/good": 2, "nut/bad": 1, "bolt/pictures": 5})
    dataset = Folder(Folder.Params(root=tmp_path))
    assert dataset.categories() == ["nut"]
    (note,) = dataset.unread(None)
    assert str(tmp_path / "bolt") in note
    assert "5 images" in note


def test_without_a_category_the_parameters_are_named(tmp_path: Path) -> None:
    tree(tmp_path, **{"train/OK": 3, "test/OK": 1, "test/NG/dent": 2})
    with pytest.raises(RecipeError, match=r"good: 'OK' \(4 images\), bad: 'NG' \(2 images\)"):
        Folder(Folder.Params(root=tmp_path)).categories()


def test_without_a_category_one_name_of_a_label_is_proposed(tmp_path: Path) -> None:
    tree(tmp_path, OK=3, NOK=2, ng=4)
    with pytest.raises(RecipeError) as caught:
        Folder(Folder.Params(root=tmp_path)).categories()
    wanted = "set good: 'OK' (3 images), bad: 'ng' (4 images) and move the 2 images of 'NOK' into it"
    assert caught.value.what.endswith(wanted)


def test_commands_tell_it(tmp_path: Path) -> None:
    recipe = workshop(tmp_path)
    tree(tmp_path / "data", **{"a/not good": 30, "b/pictures": 2})
    store = ("--store", tmp_path / "store")
    checked = segad("datasets", "check", "folder", "--root", tmp_path / "data", *store)
    assert "30 images" in said(checked)
    assert checked.exit_code == 0
    assert "0 problems, 2 notes" in checked.output.replace("\n", " ")
    warned = said(segad("check", recipe, *store))
    assert str(tmp_path / "data/a/not good") in warned.replace("\n", "")
    assert str(tmp_path / "data/b") in warned.replace("\n", "")
