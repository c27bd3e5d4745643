"""MVTec AD: the published tree and what can be wrong with it."""

import shutil
from collections import Counter

import pytest
from published_trees import MVTEC, mvtec_tree

from segad_core.errors import DataError, RecipeError
from segad_core.images import decode
from segad_plugins.datasets.mvtec import MVTec


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    return MVTec(MVTec.Params(root=mvtec_tree(tmp_path_factory.mktemp("mvtec"))))


@pytest.fixture
def small(tmp_path):
    return mvtec_tree(tmp_path, ("cable", "grid"), counts={"train good": 3, "test good": 2, "test bad": 16})


def samples(root, category="cable"):
    return MVTec(MVTec.Params(root=root)).samples(category)


class TestPublishedTree:
    def test_categories_are_the_fifteen_in_the_paper_s_order(self, published, caplog) -> None:
        names = "bottle cable capsule carpet grid hazelnut leather metal_nut pill screw tile toothbrush"
        assert list(published.categories()) == [*names.split(), "transistor", "wood", "zipper"]
        assert not caplog.messages

    def test_counts_are_the_published_ones(self, published) -> None:
        total = Counter()
        for category in MVTEC:
            counts = Counter(sample.stratum for sample in published.samples(category))
            assert counts == published.published_counts(category), category
            total += counts
        assert total == {"train good": 3629, "test good": 467, "test bad": 1258}

    def test_types_of_defect_are_the_folders_names(self, published) -> None:
        types = {(category, s.defect) for category in MVTEC for s in published.samples(category) if s.label}
        assert len(types) == 73
        assert Counter(s.defects() for s in published.samples("bottle") if s.label) == {
            ("broken_large",): 20,
            ("broken_small",): 22,
            ("contamination",): 21,
        }

    def test_a_name_that_repeats_is_another_image_each_time(self, published) -> None:
        same = [s for s in published.samples("bottle") if s.path.name == "003.png"]
        assert [s.id for s in same] == [
            "train/good/003.png",
            "test/broken_large/003.png",
            "test/broken_small/003.png",
            "test/contamination/003.png",
            "test/good/003.png",
        ]
        assert len({decode(s.path).pixels.tobytes() for s in same}) == 5

    def test_every_bad_image_has_its_mask(self, published) -> None:
        for s in published.samples("wood"):
            if s.label == 0:
                assert s.mask is None
            else:
                assert s.mask.relative_to(published.params.root / "wood").as_posix() == (
                    f"ground_truth/{s.defect}/{s.path.stem}_mask.png"
                )


class TestOtherTrees:
    def test_no_count_is_published_of_an_unknown_category(self, published) -> None:
        assert published.published_counts("nut") == {}

    def test_masks_may_be_absent(self, small) -> None:
        shutil.rmtree(small / "cable" / "ground_truth")
        found = samples(small)
        assert len(found) == 21 and not any(s.mask for s in found)

    def test_hidden_files_and_text_are_left_out(self, small) -> None:
        (small / "cable" / "test" / ".hidden").mkdir()
        (small / "cable" / "test" / ".hidden" / "000.png").write_bytes(b"")
        (small / "cable" / "test" / "good" / "._000.png").write_bytes(b"")
        (small / "cable" / "readme.txt").write_text("x")
        assert len(samples(small)) == 21

    def test_upper_case_names_are_images(self, small) -> None:
        path = small / "cable" / "train" / "good" / "000.png"
        path.rename(path.with_suffix(".PNG"))
        assert samples(small)[0].id == "train/good/000.PNG"

    def test_missing_categories_are_a_warning(self, small, caplog) -> None:
        assert list(MVTec(MVTec.Params(root=small)).categories()) == ["cable", "grid"]
        assert "2 of 15 categories" in caplog.text and "bottle, capsule, carpet, hazelnut" in caplog.text
        assert list(MVTec(MVTec.Params(root=small)).published_categories()) == list(MVTEC)

    def test_a_category_that_was_not_published_is_left_out_with_a_warning(self, small, caplog) -> None:
        shutil.copytree(small / "grid", small / "nut")
        assert list(MVTec(MVTec.Params(root=small)).categories()) == ["cable", "grid"]
        assert f"{small / 'nut'}, which is not a published category" in caplog.text

    def test_bad_images_for_training_are_left_out_with_a_warning(self, small, caplog) -> None:
        shutil.copytree(small / "cable" / "test" / "combined", small / "cable" / "train" / "combined")
        assert all(s.label == 0 for s in samples(small) if s.split == "train")
        (note,) = MVTec(MVTec.Params(root=small)).unread("cable")
        assert str(small / "cable" / "train" / "combined") in note

    @pytest.mark.parametrize("break_it", ["empty", "one category", "absent"])
    def test_a_wrong_root_prints_the_expected_tree(self, tmp_path, small, break_it) -> None:
        root = {"empty": tmp_path / "e", "one category": small / "cable", "absent": tmp_path / "no"}[break_it]
        (tmp_path / "e").mkdir()
        with pytest.raises(RecipeError, match="none of the 15 categories") as caught:
            MVTec(MVTec.Params(root=root)).categories()
        assert "ROOT/CATEGORY/ground_truth/DEFECT/*_mask.png" in str(caught.value)
        assert "metal_nut" in caught.value.remedy and "zipper" in caught.value.remedy

    @pytest.mark.parametrize("category", ["bottle", "nut"])
    def test_a_category_that_is_not_there_prints_the_expected_tree(self, small, category) -> None:
        with pytest.raises(RecipeError, match=f"no category '{category}'") as caught:
            samples(small, category)
        assert "ROOT/CATEGORY/train/good/*.png" in caught.value.remedy

    @pytest.mark.parametrize("gone", ["train/good", "test", "test/good", "the defects"])
    def test_half_a_category_prints_the_expected_tree_instead_of_dropping_out(self, small, gone) -> None:
        defects = [path for path in (small / "cable" / "test").iterdir() if path.name != "good"]
        for folder in defects if gone == "the defects" else [small / "cable" / gone]:
            shutil.rmtree(folder)
        dataset = MVTec(MVTec.Params(root=small))
        lacks = {"test": "test/good", "the defects": "test contains no defect type"}.get(gone, gone)
        with pytest.raises(
            RecipeError, match=f"{small / 'cable'} is not a valid category: {lacks}"
        ) as caught:
            dataset.samples("cable")
        assert "ROOT/CATEGORY/train/good/*.png" in caught.value.remedy
        assert "cable" in dataset.categories()
        assert dataset.samples("grid")

    def test_a_comma_does_not_part_a_type(self, small) -> None:
        for parent in ("test", "ground_truth"):
            (small / "grid" / parent / "bent").rename(small / "grid" / parent / "bent, or so")
        bent = [s for s in samples(small, "grid") if s.path.parent.name == "bent, or so"]
        assert len(bent) == 3 and {s.defects() for s in bent} == {("bent; or so",)}
        assert all(s.mask for s in bent)

    def test_a_type_that_was_not_published_is_a_warning(self, small, caplog) -> None:
        samples(small)
        assert not caplog.messages
        (small / "cable" / "test" / "bent_wire").rename(small / "cable" / "test" / "Good")
        assert {s.label for s in samples(small) if "/Good/" in s.id} == {1}
        assert f"{small / 'cable' / 'test' / 'Good'} is not a published defect type" in caplog.text

    def test_every_published_type_is_known(self, published, caplog) -> None:
        for category in MVTEC:
            published.samples(category)
        assert not caplog.messages

    def test_a_root_one_level_off_is_told(self, tmp_path) -> None:
        root = mvtec_tree(tmp_path / "ad", ("grid",), counts={"train good": 2, "test good": 2, "test bad": 5})
        for wrong, better in ((tmp_path, "ad/"), (root / "grid", str(root))):
            with pytest.raises(RecipeError, match=rf"of the 15 categories .*{better}"):
                MVTec(MVTec.Params(root=wrong)).categories()

    def test_two_masks_of_one_image_are_an_error(self, small) -> None:
        masks = small / "cable" / "ground_truth" / "combined"
        shutil.copy(masks / "000_mask.png", masks / "000.png")
        with pytest.raises(DataError, match=r"000.png and .*000_mask.png are masks of the same image"):
            samples(small)


def test_licence_and_source_say_what_a_person_has_to_know() -> None:
    assert "CC BY-NC-SA 4.0" in MVTec.licence
    assert all(word in MVTec.source for word in ("mvtec.com", "tar.xz", "5.3 GB", "sha256 cf4313b1"))
