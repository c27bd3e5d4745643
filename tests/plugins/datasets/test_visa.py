"""VisA: the release and the prepared layouts, and what can be wrong with them."""

import csv
import shutil
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from published_trees import VISA, visa_defects, visa_prepared_tree, visa_tree

from segad_core.errors import DataError, RecipeError
from segad_plugins.datasets.visa import VisA

COUNTS = {"train good": 6, "test good": 4, "test bad": 5}
NORMAL = "pcb1/Data/Images/Normal/"


def visa(root, **params) -> VisA:
    return VisA(VisA.Params(root=root, **params))


def parts(dataset, category="pcb1") -> Counter:
    return Counter(sample.stratum for sample in dataset.samples(category))


def lines(table) -> list[list[str]]:
    with table.open(newline="") as file:
        return list(csv.reader(file))


def change(table, *changes) -> None:
    """Replaces pieces of a file, as bytes, so that its line endings stay."""
    text = table.read_bytes().decode()
    for old, new in changes:
        assert old in text, f"{table.name} has no {old!r}"
        text = text.replace(old, new, 1)
    table.write_bytes(text.encode())


def refusal(dataset, category="pcb1") -> DataError:
    with pytest.raises(DataError) as caught:
        dataset.samples(category)
    return caught.value


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    return visa(visa_tree(tmp_path_factory.mktemp("visa")))


@pytest.fixture
def small(tmp_path):
    return visa_tree(tmp_path / "tree", ("pcb1", "fryum"), counts=COUNTS)


@pytest.fixture
def split(small):
    return small / "split_csv" / "1cls.csv"


class TestPublishedRelease:
    def test_categories_are_the_twelve_in_the_paper_s_order(self, published, caplog) -> None:
        names = "candle capsules cashew chewinggum fryum macaroni1 macaroni2 pcb1 pcb2 pcb3 pcb4 pipe_fryum"
        assert list(published.categories()) == names.split()
        assert not caplog.messages

    def test_counts_are_the_published_ones(self, published) -> None:
        total = Counter()
        for category in VISA:
            counts = parts(published, category)
            assert counts == published.published_counts(category), category
            total += counts
        assert total["test bad"] == 1200 and total["train good"] + total["test good"] == 9621

    def test_the_order_is_that_of_the_table(self, published) -> None:
        table = lines(published.params.root / "split_csv" / "1cls.csv")
        for category in ("candle", "pcb3"):
            named = [row[3] for row in table if row[0] == category]
            assert [f"{category}/{s.id}" for s in published.samples(category)] == named
            assert named != sorted(named)

    def test_names_have_four_digits_where_there_are_a_thousand(self, published) -> None:
        for category in VISA:
            good = {len(s.path.stem) for s in published.samples(category) if s.label == 0}
            bad = {len(s.path.stem) for s in published.samples(category) if s.label == 1}
            assert (good, bad) == ({4 if sum(VISA[category]) >= 1000 else 3}, {3}), category

    def test_types_of_defect_are_the_annotated_ones(self, published) -> None:
        bad = {s.path.stem: s for s in published.samples("pcb4") if s.label == 1}
        expected = {f"{i:03}": tuple(types) for i, types in enumerate(visa_defects("pcb4", 100))}
        assert {stem: s.defects() for stem, s in bad.items()} == expected
        assert bad["004"].defect == "bent, melt"

    def test_masks_hold_ids_of_types_and_belong_to_the_bad_image_of_their_name(self, published) -> None:
        ids = set()
        for s in published.samples("fryum"):
            assert (s.mask is None) == (s.label == 0)
            if s.mask:
                assert (s.mask.stem, s.mask.parent.name) == (s.path.stem, "Anomaly")
                ids |= set(np.unique(np.asarray(Image.open(s.mask))))
        assert ids == {0, 1, 2, 3, 4}

    def test_ids_are_paths_in_the_category_s_folder(self, published) -> None:
        for s in published.samples("capsules"):
            assert published.params.root / "capsules" / s.id == s.path
        assert s.id == "Data/Images/Anomaly/099.JPG"

    @pytest.mark.parametrize("setup, good, bad", [("2cls_highshot", 600, 60), ("2cls_fewshot", 200, 20)])
    def test_two_class_splits_have_bad_images_for_training(self, published, setup, good, bad) -> None:
        dataset = visa(published.params.root, setup=setup)
        counts = {"train good": good, "train bad": bad, "test good": 1000 - good, "test bad": 100 - bad}
        assert parts(dataset, "candle") == counts
        assert dataset.published_counts("candle") == {}


class TestRelease:
    def test_lines_may_end_as_in_unix(self, small, split) -> None:
        before = visa(small).samples("pcb1")
        assert b"\r\n" in split.read_bytes()
        split.write_bytes(b"\xef\xbb\xbf" + split.read_bytes().replace(b"\r\n", b"\n"))
        assert visa(small).samples("pcb1") == before

    def test_endings_differ_in_case(self, small) -> None:
        path = small / NORMAL / "0003.JPG"
        path.rename(path.with_suffix(".jpg"))
        assert "Data/Images/Normal/0003.jpg" in {s.id for s in visa(small).samples("pcb1")}

    def test_types_are_unknown_without_annotations(self, small, caplog) -> None:
        (small / "pcb1" / "image_anno.csv").unlink()
        found = visa(small).samples("pcb1")
        assert len(found) == 15 and not any(s.defect for s in found)
        assert not caplog.messages

    def test_a_bad_image_without_a_type_is_a_warning(self, small, caplog) -> None:
        change(small / "pcb1" / "image_anno.csv", ("001.JPG,melt,", "001.JPG,normal,"))
        assert {s.path.stem for s in visa(small).samples("pcb1") if s.label and not s.defect} == {"001"}
        assert "no defect type for 1 bad images of 'pcb1'" in caplog.text
        assert "Data/Images/Anomaly/001.JPG" in caplog.text

    def test_annotations_that_deny_a_label_are_contradictions(self, small) -> None:
        table = small / "pcb1" / "image_anno.csv"
        assert list(visa(small).contradictions("pcb1")) == []
        change(
            table,
            ("001.JPG,melt,", "001.JPG,normal,"),
            (f"{NORMAL}0003.JPG,normal", f"{NORMAL}0003.JPG,bent"),
        )
        assert list(visa(small).contradictions("pcb1")) == [
            f"{table}:3: labels pcb1/Data/Images/Anomaly/001.JPG as normal, but it is a bad image",
            f"{table}:10: labels {NORMAL}0003.JPG as bent, but it is a good image",
        ]
        assert len(visa(small).samples("pcb1")) == 15

    def test_an_image_annotated_twice_has_one_type(self, small) -> None:
        table = small / "pcb1" / "image_anno.csv"
        change(table, ("000.JPG,bent,", "001.JPG,melt,"))
        assert len(visa(small).samples("pcb1")) == 15
        change(table, ("001.JPG,melt,", "001.JPG,bent,"))
        assert f"{table}:3: pcb1/Data/Images/Anomaly/001.JPG is listed twice" in refusal(visa(small)).what

    def test_annotations_that_are_something_else_are_an_error(self, small) -> None:
        change(small / "pcb1" / "image_anno.csv", ("image,label,mask", "image,kind,mask"))
        message = refusal(visa(small)).what
        assert "image_anno.csv has no column 'label'" in message and "'image,kind,mask'" in message

    def test_a_named_image_that_is_missing_is_an_error(self, small) -> None:
        named = [row[3] for row in lines(small / "split_csv" / "1cls.csv") if row[0] == "pcb1"]
        for name in (named[2], named[8]):
            (small / name).unlink()
        error = refusal(visa(small))
        assert "2 of 15 images of 'pcb1'" in error.what
        assert error.what.endswith(f"do not exist; the first: {named[2]}")
        assert len(visa(small).samples("fryum")) == 15

    def test_images_that_are_not_named_are_left_out_with_a_warning(self, small, caplog) -> None:
        shutil.copy(small / NORMAL / "0000.JPG", small / NORMAL / "0777.JPG")
        shutil.copy(small / NORMAL / "0000.JPG", small / NORMAL / ".0778.JPG")
        assert len(visa(small).samples("pcb1")) == 15
        assert "skipping 1 images of 'pcb1'" in caplog.text

    def test_a_mask_that_is_missing_is_still_named(self, small) -> None:
        """For `segad datasets check`, which tells that it is not there."""
        mask = small / "pcb1" / "Data" / "Masks" / "Anomaly" / "002.png"
        mask.unlink()
        bad = [s for s in visa(small).samples("pcb1") if s.label]
        assert [s.mask for s in bad if s.path.stem == "002"] == [mask]
        assert all(s.mask.is_file() for s in bad if s.path.stem != "002")

    @pytest.mark.parametrize(
        "old, new, message",
        [
            ("object,split", "thing,split", "has no column 'object'; its header is 'thing,split,label"),
            (
                "pcb1,train,normal",
                "pcb1,validation,normal",
                "expected the split train or test, not 'validation'",
            ),
            ("pcb1,train,normal", "pcb1,train,good", "expected the label normal or anomaly, not 'good'"),
            ("pcb1,train,normal,", "pcb1,train,", "number of values"),
            ("pcb1,train,normal,", "pcb1,train,normal,,", "number of values"),
            (f"{NORMAL}0001", f"{NORMAL}0002", "is listed twice"),
            ("pcb1,train,normal", 'pcb1,train,"normal', "cannot be read"),
            ("pcb1,train,normal", "pcb1,train,anomaly", f"labels {NORMAL}"),
            (f"{NORMAL}0001", "fryum/Data/Images/Normal/001", "1 of 15 images of 'pcb1'"),
            (f"{NORMAL}0001", "../../0001", "1 of 15 images of 'pcb1'"),
        ],
    )
    def test_a_table_that_is_something_else_is_an_error(self, small, split, old, new, message) -> None:
        change(split, (old, new))
        error = refusal(visa(small))
        assert message in error.what and str(split) in error.what

    def test_an_error_in_a_row_names_its_line(self, small, split) -> None:
        change(split, ("pcb1,train,normal", "pcb1,train,good"))
        assert f"{split}:2: " in refusal(visa(small)).what

    def test_a_table_that_is_missing_is_an_error(self, small, split) -> None:
        split.unlink()
        error = refusal(visa(small))
        assert f"{split} cannot be read (No such file" in error.what
        assert "ROOT/split_csv/SETUP.csv" in error.remedy

    def test_a_table_that_is_no_text_is_an_error(self, small, split) -> None:
        split.write_bytes(b"object,split,label,image,mask\r\npcb1,train,\xff\xff,x,y\r\n")
        assert f"{split} cannot be read" in refusal(visa(small)).what

    def test_a_category_that_the_table_does_not_name_is_an_error(self, small, split) -> None:
        kept = [row for row in lines(split) if row[0] != "fryum"]
        split.write_text("\n".join(",".join(row) for row in kept))
        assert "lists no image of 'fryum'" in refusal(visa(small), "fryum").what

    def test_missing_categories_are_a_warning(self, small, caplog) -> None:
        assert list(visa(small).categories()) == ["fryum", "pcb1"]
        assert "2 of 12 categories" in caplog.text and "candle, capsules" in caplog.text
        assert list(visa(small).published_categories()) == list(VISA)


class TestPrepared:
    @pytest.mark.parametrize("layout", ["1cls", "VisA_pytorch/1cls", "visa_pytorch", "."])
    def test_every_layout_is_found_by_looking(self, tmp_path, layout) -> None:
        visa_prepared_tree(tmp_path, layout, ("candle", "pcb1"), counts=COUNTS)
        assert list(visa(tmp_path).categories()) == ["candle", "pcb1"]
        assert parts(visa(tmp_path)) == COUNTS
        home = tmp_path / layout / "pcb1"
        for s in visa(tmp_path).samples("pcb1"):
            assert s.path == home / s.id
            assert s.mask == (home / "ground_truth" / "bad" / f"{s.path.stem}.png" if s.label else None)

    @pytest.mark.parametrize("layout", ["2cls_highshot", "VisA_pytorch/2cls_highshot", "."])
    def test_two_class_layouts_have_masks_for_both_parts(self, tmp_path, layout) -> None:
        made = "2cls_highshot" if layout == "." else layout
        visa_prepared_tree(tmp_path, made, ("pcb1",), counts=COUNTS)
        root = tmp_path / made if layout == "." else tmp_path
        found = visa(root, setup="2cls_highshot").samples("pcb1")
        counts = {"train good": 6, "train bad": 3, "test good": 4, "test bad": 2}
        assert Counter(s.stratum for s in found) == counts
        for s in found:
            if s.label:
                assert s.mask.parent == tmp_path / made / "pcb1" / "ground_truth" / s.split / "bad"

    def test_holds_the_published_counts(self, tmp_path) -> None:
        dataset = visa(visa_prepared_tree(tmp_path, "1cls", ("capsules", "pcb3")))
        assert parts(dataset, "capsules") == dataset.published_counts("capsules")
        assert parts(dataset, "pcb3") == {"train good": 905, "test good": 101, "test bad": 100}

    def test_has_the_release_s_images(self, tmp_path, small) -> None:
        prepared = visa(visa_prepared_tree(tmp_path / "1", "1cls", ("pcb1",), counts=COUNTS))
        names = [
            {(s.split, s.label, s.path.name) for s in d.samples("pcb1")} for d in (visa(small), prepared)
        ]
        assert names[0] == names[1] and len(names[0]) == 15

    def test_the_release_comes_first_where_both_are_there(self, small) -> None:
        visa_prepared_tree(small, "visa_pytorch", ("pcb1",), counts={**COUNTS, "test bad": 2})
        assert parts(visa(small)) == COUNTS
        assert parts(visa(small, layout="prepared"))["test bad"] == 2

    def test_masks_may_be_absent(self, tmp_path) -> None:
        visa_prepared_tree(tmp_path, "1cls", ("pcb1",), counts=COUNTS)
        shutil.rmtree(tmp_path / "1cls" / "pcb1" / "ground_truth")
        assert not any(s.mask for s in visa(tmp_path).samples("pcb1"))

    @pytest.mark.parametrize(
        "setup, layout, message",
        [
            (
                "2cls_fewshot",
                "auto",
                "neither released nor prepared categories of the set-up 2cls_fewshot",
            ),
            ("1cls", "raw", "no released categories of the set-up 1cls"),
        ],
    )
    def test_that_is_not_what_was_asked_for_is_an_error(self, tmp_path, setup, layout, message) -> None:
        visa_prepared_tree(tmp_path, ".", ("pcb1",), counts=COUNTS)
        with pytest.raises(RecipeError, match=message):
            visa(tmp_path, setup=setup, layout=layout).categories()

    def test_bad_images_for_training_are_not_1cls(self, tmp_path) -> None:
        root = visa_prepared_tree(tmp_path, "2cls_highshot", ("pcb1",), counts=COUNTS) / "2cls_highshot"
        with pytest.raises(RecipeError, match="neither released nor prepared"):
            visa(root).samples("pcb1")

    @pytest.mark.parametrize("gone", ["train/good", "test", "test/good", "test/bad"])
    def test_half_a_category_prints_the_expected_tree(self, tmp_path, gone) -> None:
        visa_prepared_tree(tmp_path, "1cls", ("candle", "pcb1"), counts=COUNTS)
        shutil.rmtree(tmp_path / "1cls" / "pcb1" / gone)
        with pytest.raises(RecipeError, match=f"1cls/pcb1 is not a valid category: {gone}") as caught:
            visa(tmp_path).samples("pcb1")
        assert "ROOT/.../CATEGORY/test/{good,bad}/*.JPG" in caught.value.remedy
        assert visa(tmp_path).categories() == ["candle", "pcb1"]  # it does not drop out
        assert visa(tmp_path).samples("candle")

    def test_a_release_is_not_prepared(self, small) -> None:
        with pytest.raises(RecipeError, match="no prepared categories"):
            visa(small, layout="prepared").categories()


class TestExpectedTree:
    def test_is_printed_for_a_wrong_root(self, tmp_path) -> None:
        with pytest.raises(RecipeError, match=f"{tmp_path} contains neither released nor") as caught:
            visa(tmp_path).categories()
        for line in ("ROOT/split_csv/SETUP.csv", "ROOT/.../CATEGORY/test/{good,bad}/*.JPG", "pipe_fryum"):
            assert line in caught.value.remedy

    def test_a_root_one_level_off_is_told(self, small) -> None:
        for root, better in ((small.parent, "tree/"), (small / "pcb1", "/tree")):
            with pytest.raises(RecipeError, match=rf"set-up 1cls \(.*{better}"):
                visa(root).categories()

    @pytest.mark.parametrize("category", ["candle", "nut"])
    def test_is_printed_for_a_category_that_is_not_there(self, small, category) -> None:
        with pytest.raises(RecipeError, match=f"no category '{category}'") as caught:
            visa(small).samples(category)
        assert "ROOT/CATEGORY/Data/Images/{Normal,Anomaly}/*.JPG" in caught.value.remedy

    def test_is_printed_for_half_a_category_of_the_release(self, small) -> None:
        shutil.rmtree(small / "pcb1" / "Data")
        with pytest.raises(RecipeError, match=r"pcb1 is not a valid category: Data/Images") as caught:
            visa(small).samples("pcb1")
        assert "ROOT/CATEGORY/Data/Images/{Normal,Anomaly}/*.JPG" in caught.value.remedy


def test_licence_and_source_say_what_a_person_has_to_know() -> None:
    assert VisA.licence.startswith("VisA, CC BY 4.0") and "CC BY-NC-SA" in VisA.licence
    wanted = ("github.com/amazon-science/spot-diff", "VisA_20220922.tar", "1.9 GB", "2eb8690c803ab37de")
    assert all(word in VisA.source for word in wanted)
