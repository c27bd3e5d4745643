"""The data set `folder` keeps its contract, whichever way the folder is laid out."""

import pytest
from PIL import Image
from pydantic import ValidationError

from segad_core.api import DataError
from segad_core.testing import DatasetSuite, good_images
from segad_plugins.datasets.folder import Folder

LAYOUTS = {
    "one category": ("good/a.png", "good/b.png", "bad/a.png", "bad/scratch/a.png"),
    "one divided category": ("train/good/a.png", "test/good/a.png", "test/bad/deep scratch/old/a.png"),
    "categories": ("nut/good/a.png", "nut/bad/c.png", "bolt/train/good/a.png", "bolt/test/good/ä b.png"),
}


class TestFolder(DatasetSuite):
    @pytest.fixture(autouse=True, params=LAYOUTS)
    def tree(self, request, tmp_path):
        for name in LAYOUTS[request.param]:
            path = tmp_path / "parts" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(good_images(1, 8, 8)[0]).save(path)
        self.root = tmp_path / "parts"

    def make(self):
        return Folder(Folder.Params(root=self.root))


def test_a_comma_does_not_part_a_type(tmp_path):
    for name in ("good/a.png", "bad/bent, or so/a.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        Image.fromarray(good_images(1, 8, 8)[0]).save(tmp_path / name)
    (sample,) = [s for s in Folder(Folder.Params(root=tmp_path)).samples(tmp_path.name) if s.label]
    assert sample.defects() == ("bent; or so",)


def test_lots_are_found_in_paths(tmp_path):
    for name in ("good/lot7/a.png", "good/b_lot12.png", "good/c.png", "bad/bent/lot7_a.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(good_images(1, 8, 8)[0]).save(tmp_path / name)

    def lots(**params):
        found = Folder(Folder.Params(root=tmp_path, **params)).samples(tmp_path.name)
        return {sample.id: sample.group for sample in found}

    assert lots(lot="lot([0-9]+)") == {
        "good/lot7/a.png": "7",
        "good/b_lot12.png": "12",
        "good/c.png": "",
        "bad/bent/lot7_a.png": "7",
    }
    assert set(lots().values()) == {""}
    assert set(lots(lot="(lot9)?").values()) == {""}


def test_serials_are_found_beside_lots(tmp_path):
    for name in ("good/lot7/0042_top.png", "good/lot7/0042_side.png", "bad/lot8/0043.png", "bad/x.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(good_images(1, 8, 8)[0]).save(tmp_path / name)
    folder = Folder(Folder.Params(root=tmp_path, lot="lot([0-9]+)", serial="/([0-9]{4})"))
    assert {s.id: (s.group, s.serial) for s in folder.samples(tmp_path.name)} == {
        "good/lot7/0042_top.png": ("7", "0042"),
        "good/lot7/0042_side.png": ("7", "0042"),
        "bad/lot8/0043.png": ("8", "0043"),
        "bad/x.png": ("", ""),
    }


@pytest.mark.parametrize("name", ["lot", "serial"])
@pytest.mark.parametrize(("given", "words"), [("x7", "has no group"), ("(x", "not a regular expression")])
def test_an_expression_that_finds_nothing_is_told(tmp_path, name, given, words):
    with pytest.raises(ValidationError, match=words):
        Folder.Params(root=tmp_path, **{name: given})


def images(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(good_images(1, 8, 8)[0]).save(root / name)


def test_one_pattern_finds_serial_view_and_lot(tmp_path):
    images(tmp_path, "good/L7/SN1_A.png", "good/L7/SN1_B.png", "bad/dent/L8/SN2_A.png")
    pattern = r"(?P<lot>L\d)/(?P<serial>SN\d+)_(?P<view>[A-Z])"
    folder = Folder(Folder.Params(root=tmp_path, part=pattern))
    found = {s.id: (s.serial, s.view, s.group) for s in folder.samples(tmp_path.name)}
    assert found == {
        "good/L7/SN1_A.png": ("SN1", "A", "L7"),
        "good/L7/SN1_B.png": ("SN1", "B", "L7"),
        "bad/dent/L8/SN2_A.png": ("SN2", "A", "L8"),
    }
    assert folder.part_pattern() == pattern
    assert Folder(Folder.Params(root=tmp_path)).part_pattern() == ""


@pytest.mark.parametrize("view", ["_(?P<view>[A-Z])", "(_(?P<view>[A-Z]))?"])
def test_a_pattern_that_does_not_fit_all_images_is_refused(tmp_path, view):
    """With the number of images and the first names: also where it finds the part and not the view."""
    images(tmp_path, *(f"good/SN{i}_A.png" for i in range(4)), *(f"good/SN{i}.png" for i in range(7)))
    folder = Folder(Folder.Params(root=tmp_path, part=rf"(?P<serial>SN\d+){view}"))
    with pytest.raises(DataError) as caught:
        folder.samples(tmp_path.name)
    assert "7 of 11 images: 'good/SN0.png'" in caught.value.what
    assert "'good/SN4.png' and 2 more" in caught.value.what and "SN5" not in caught.value.what
    assert "view" in caught.value.remedy


def test_a_lot_beside_the_pattern_and_not_in_it(tmp_path):
    images(tmp_path, "good/L7_SN1_A.png")
    params = {"root": tmp_path, "part": r"(?P<serial>SN\d+)_(?P<view>[A-Z])"}
    (sample,) = Folder(Folder.Params(**params, lot=r"(L\d)")).samples(tmp_path.name)
    assert (sample.group, sample.serial, sample.view) == ("L7", "SN1", "A")


@pytest.mark.parametrize(
    ("params", "word"),
    [
        ({"part": r"SN(\d+)"}, "serial"),
        ({"part": r"(?P<serial>SN\d+"}, "regular expression"),
        ({"part": r"(?P<serial>SN\d+)", "serial": "(x)"}, "remove 'serial'"),
        ({"part": r"(?P<lot>L)(?P<serial>SN\d+)", "lot": "(x)"}, "remove 'lot'"),
    ],
)
def test_patterns_that_name_no_part_or_two(tmp_path, params, word):
    images(tmp_path, "good/a.png")
    with pytest.raises(ValidationError) as caught:
        Folder.Params(root=tmp_path, **params)
    assert word in str(caught.value)
