"""VisA's images and their order as the official SegAD release lists them."""

from dataclasses import replace

import pytest
from published_trees import visa_prepared_tree, visa_tree

from segad_core.errors import DataError
from segad_plugins.datasets.visa import VisA

COUNTS = {"train good": 6, "test good": 4, "test bad": 5}
TRAINING = """,object,split,label,image,mask
4,pcb1,train,normal,pcb1/Data/Images/Normal/0007.JPG,
0,pcb1,train,normal,pcb1/Data/Images/Normal/0002.JPG,
"""
TEST = """,object,split,label,image,mask
3,pcb1,test,normal,pcb1/Data/Images/Normal/0005.JPG,
9,pcb1,test,anomaly,pcb1/Data/Images/Anomaly/004.JPG,pcb1/Data/Masks/Anomaly/004.png
8,pcb1,test,anomaly,pcb1/Data/Images/Anomaly/001.JPG,pcb1/Data/Masks/Anomaly/001.png
2,pcb1,test,normal,pcb1/Data/Images/Normal/0000.JPG,
"""
ORDER = [(0, "train", "0007"), (0, "train", "0002")]
ORDER += [(0, "test", "0005"), (1, "test", "004"), (1, "test", "001"), (0, "test", "0000")]


@pytest.fixture
def lists(tmp_path):
    (tmp_path / "rd4ad" / "pcb1").mkdir(parents=True)
    return write(tmp_path / "rd4ad", TRAINING, TEST)


@pytest.fixture(params=["raw", "prepared"])
def root(request, tmp_path):
    make = visa_tree if request.param == "raw" else visa_prepared_tree
    return make(tmp_path / "tree", classes=("pcb1",), counts=COUNTS)


def write(folder, training, test):
    (folder / "pcb1" / "df_training.csv").write_text(training)
    (folder / "pcb1" / "df_test.csv").write_text(test)
    return folder


def samples(root, lists):
    return VisA(VisA.Params(root=root, lists=lists)).samples("pcb1")


def order(root, lists):
    return [(s.label, s.split, s.path.stem) for s in samples(root, lists)]


def refusal(root, lists) -> str:
    with pytest.raises(DataError) as caught:
        samples(root, lists)
    return caught.value.what


def test_images_are_those_of_the_lists_in_their_order(root, lists) -> None:
    assert order(root, lists) == ORDER


def test_the_list_decides_what_trains_and_the_rest_stays(root, lists) -> None:
    whole = {s.id: s for s in VisA(VisA.Params(root=root)).samples("pcb1")}
    found = samples(root, lists)
    assert [replace(sample, split=whole[sample.id].split) for sample in found] == [whole[s.id] for s in found]
    assert any(sample.split != whole[sample.id].split for sample in found)


def test_lists_as_the_official_code_writes_them_are_read(root, lists) -> None:
    """Its columns are filepath, an_map_path, label (0, 1) and prediction_an_det; it may run on Windows."""
    head = "filepath,an_map_path,label,prediction_an_det\r\n"
    training = head + "".join(f"v/pcb1/train/good/{s}.JPG,o/{s}.npy,0,0.5\r\n" for s in ("0007", "0002"))
    rows = (("good", "0005", 0), ("bad", "004", 1), ("bad", "001", 1), ("good", "0000", 0))
    test = head + "".join(rf"v\pcb1\test\{w}\{s}.JPG,o\{s}.npy,{y},0.5" + "\r\n" for w, s, y in rows)
    assert order(root, write(lists, training, test)) == ORDER
    assert (
        order(root, write(lists, training.replace("filepath", "x"), test.replace("filepath", "x"))) == ORDER
    )


def test_good_and_bad_are_words_for_labels(root, lists) -> None:
    words = TEST.replace(",normal,", ",good,").replace(",anomaly,", ",bad,")
    assert order(root, write(lists, TRAINING, words)) == ORDER


def test_no_counts_are_published_of_them(root, lists) -> None:
    assert VisA(VisA.Params(root=root, lists=lists)).published_counts("pcb1") == {}


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("Normal/0005", "Normal/0099", "lacks 1 images on the lists; the first: {test}:2 names pcb1/Data"),
        ("Anomaly/004", "Anomaly/0004", "lacks 1 images"),
        ("anomaly,pcb1/Data/Images/Anomaly/004", "normal,pcb1/Data/Images/Anomaly/004", "lacks 1 images"),
        ("Normal/0005", "Normal/0000", "{test}:5: pcb1/Data/Images/Normal/0000.JPG is listed twice"),
        ("Normal/0005", "Normal/0007", "{test}:2: pcb1/Data/Images/Normal/0007.JPG is listed twice"),
        (",anomaly,", ",2,", "{test}:3: expected the label good or bad, not '2'"),
        ("3,pcb1,", "3,pcb2,", "{test}:2: expected the object 'pcb1', not 'pcb2'"),
        (",label,image", ",kind,image", "has no column 'label'"),
        (",image,", ",picture,", "has none of the columns image, filepath, an_map_path"),
    ],
)
def test_lists_that_do_not_fit_are_an_error(root, lists, old, new, message) -> None:
    assert old in TEST
    write(lists, TRAINING, TEST.replace(old, new, 1))
    assert message.format(test=lists / "pcb1" / "df_test.csv") in refusal(root, lists)


@pytest.mark.parametrize("name", ["df_training.csv", "df_test.csv"])
def test_a_list_that_is_missing_is_an_error(root, lists, name) -> None:
    (lists / "pcb1" / name).unlink()
    assert f"{lists / 'pcb1' / name} cannot be read (No such file" in refusal(root, lists)


def test_images_that_the_lists_cannot_tell_apart_are_an_error(tmp_path, lists) -> None:
    root = visa_prepared_tree(tmp_path / "tree", "1cls", ("pcb1",), counts=COUNTS)
    place = root / "1cls" / "pcb1"
    (place / "test" / "good" / "extra.JPG").write_bytes(b"x")
    (place / "train" / "good" / "extra.JPG").write_bytes(b"x")
    assert "test/good/extra.JPG and train/good/extra.JPG in 'pcb1'" in refusal(root, lists)


def test_a_training_list_of_the_test_is_refused(root, lists) -> None:
    message = refusal(root, write(lists, TRAINING.replace("4,pcb1,train", "4,pcb1,test"), TEST))
    table = lists / "pcb1" / "df_training.csv"
    assert message == f"{table}:2: expected the split 'train', not 'test'"
