"""VAD: the published tree, its low-shot choices, and what can be wrong with them."""

import json
import shutil
from collections import Counter

import pytest
from published_trees import VAD, VAD_KEYS, vad_tree

from segad_core.errors import DataError, RecipeError
from segad_core.images import decode
from segad_plugins.datasets.vad import Vad

COUNTS = {"train good": 4, "train bad": 6, "test good": 3, "test bad": 5, "test bad, unseen": 2}


def vad(root) -> Vad:
    return Vad(Vad.Params(root=root))


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    return vad(vad_tree(tmp_path_factory.mktemp("vad")))


@pytest.fixture
def small(tmp_path):
    return vad_tree(tmp_path, counts=COUNTS, low_shot_size=3)


def write(home, data) -> Vad:
    text = data if isinstance(data, str) else json.dumps(data)
    (home / "low_shot_train.json").write_text(text, encoding="utf-8")
    return vad(home)


def refusal(dataset) -> DataError:
    with pytest.raises(DataError) as caught:
        dataset.bad_subsets("vad")
    return caught.value


class TestPublishedTree:
    def test_counts_are_the_published_ones(self, published) -> None:
        assert published.categories() == ("vad",)
        counts = Counter(sample.stratum for sample in published.samples("vad"))
        assert counts == published.published_counts("vad") == VAD
        assert counts["test bad"] + counts["test bad, unseen"] == 1000

    def test_unseen_are_bad_test_images_of_their_own_folder(self, published) -> None:
        unseen = [s for s in published.samples("vad") if s.unseen]
        assert len(unseen) == 165
        assert {(s.label, s.split, s.path.parent.name) for s in unseen} == {(1, "test", "bad_unseen_defects")}

    def test_a_name_that_repeats_is_another_image_each_time(self, published) -> None:
        same = [s for s in published.samples("vad") if s.path.name == "0007.png"]
        assert [s.id for s in same] == [
            "train/good/0007.png",
            "train/bad/0007.png",
            "test/good/0007.png",
            "test/bad/0007.png",
            "test/bad_unseen_defects/0007.png",
        ]
        assert len({decode(s.path).pixels.tobytes() for s in same}) == 5

    def test_low_shot_choices_are_five_times_a_hundred_in_the_file_s_order(self, published) -> None:
        subsets = published.bad_subsets("vad")
        assert tuple(subsets) == VAD_KEYS
        file = json.loads((published.params.root / "low_shot_train.json").read_text())
        assert {
            key: [name.removeprefix("train/bad/") for name in names] for key, names in subsets.items()
        } == (file)
        bad = {s.id for s in published.samples("vad") if s.stratum == "train bad"}
        assert all(len(set(names)) == 100 and bad.issuperset(names) for names in subsets.values())

    def test_the_folder_that_holds_vad_is_a_root_too(self, published) -> None:
        above = vad(published.params.root.parent)
        assert above.samples("vad") == published.samples("vad")
        assert above.bad_subsets("vad") == published.bad_subsets("vad")

    def test_there_are_no_masks(self, published) -> None:
        assert not any(s.mask for s in published.samples("vad"))


class TestExpandedFolders:
    @pytest.fixture
    def copied(self, tmp_path):
        return vad_tree(tmp_path / "copied", counts=COUNTS, low_shot_size=3, low_shot="folders")

    def test_hold_the_same_choices(self, small, copied) -> None:
        listed, looked = vad(small).bad_subsets("vad"), vad(copied).bad_subsets("vad")
        assert {key: sorted(names) for key, names in listed.items()} == looked
        assert list(looked) == sorted(VAD_KEYS)

    def test_alone_are_a_warning_since_their_order_is_not_published(self, small, copied, caplog) -> None:
        vad(small).bad_subsets("vad")
        assert not caplog.messages
        vad(copied).bad_subsets("vad")
        assert f"{copied / 'low_shot_train.json'} does not exist" in caplog.text
        assert f"sorted by name ({', '.join(sorted(VAD_KEYS))})" in caplog.text

    def test_are_no_images_of_the_data_set(self, small, copied) -> None:
        ids = [s.id for s in vad(copied).samples("vad")]
        assert ids == [s.id for s in vad(small).samples("vad")] and len(ids) == 20

    def test_may_stand_beside_the_file_and_the_file_gives_the_order(self, tmp_path, small) -> None:
        both = vad_tree(tmp_path / "both", counts=COUNTS, low_shot_size=3, low_shot="both")
        assert vad(both).bad_subsets("vad") == vad(small).bad_subsets("vad")

    @pytest.mark.parametrize("change", ["less", "more", "another", "key"])
    def test_that_differ_from_the_file_are_an_error(self, tmp_path, change) -> None:
        home = vad_tree(tmp_path, counts=COUNTS, low_shot_size=3, low_shot="both")
        key = home / "low_shot_train" / "251"
        chosen = sorted((key / "bad").iterdir())
        if change == "less":
            chosen[0].unlink()
        elif change == "more":
            (key / "bad" / "0099.png").write_bytes(b"x")
        elif change == "another":
            rest = {path.name for path in (home / "train" / "bad").iterdir()} - {path.name for path in chosen}
            chosen[0].rename(key / "bad" / min(rest))
        else:
            key.rename(home / "low_shot_train" / "252")
        assert "different images for '251'" in refusal(vad(home)).what

    def test_without_images_are_an_error(self, copied) -> None:
        shutil.rmtree(copied / "low_shot_train" / "3" / "bad")
        assert "low_shot_train/3/bad contains no images" in refusal(vad(copied)).what

    def test_with_an_image_that_train_bad_lacks_are_an_error(self, copied) -> None:
        (copied / "low_shot_train" / "8" / "bad" / "0042.png").write_bytes(b"x")
        assert "low_shot_train: '8' names 0042.png, which is not in train/bad" in refusal(vad(copied)).what


class TestLowShotFile:
    def test_keys_and_names_keep_the_file_s_order(self, small) -> None:
        given = {"b": ["0005.png", "0001.png"], "a": ["0002.png"]}
        assert write(small, given).bad_subsets("vad") == {
            "b": ["train/bad/0005.png", "train/bad/0001.png"],
            "a": ["train/bad/0002.png"],
        }
        assert list(vad(small).bad_subsets("vad")) == ["b", "a"]

    def test_a_name_that_is_not_in_train_bad_is_an_error(self, small) -> None:
        error = refusal(write(small, {"a": ["0001.png", "0006.png", "0007.png"]}))
        assert "'a' names 0006.png, which is not in train/bad (2 of its 3 names" in error.what

    @pytest.mark.parametrize(
        "name", ["../good/0000.png", "train/bad/0001.png", "/0001.png", "bad\\0001.png", "0001", ""]
    )
    def test_a_name_is_that_of_a_file_in_train_bad(self, small, name) -> None:
        error = refusal(write(small, {"a": [name]}))
        assert f"names {name}, which is not in train/bad" in error.what
        assert ("without a folder" in error.remedy) == ("/" in name or "\\" in name)

    @pytest.mark.parametrize(
        "data, message",
        [
            (["0001.png"], "is not a JSON object"),
            ({}, "is not a JSON object"),
            ({"": ["0001.png"]}, "the key '' is blank"),
            ({" ": ["0001.png"]}, "the key ' ' is blank"),
            ({"a": "0001.png"}, "'a' is not a list of names"),
            ({"a": {"0001.png": 1}}, "'a' is not a list of names"),
            ({"a": [1]}, "'a' is not a list of names"),
            ({"a": []}, "'a' is not a list of names"),
            ({"a": ["0001.png", "0002.png", "0001.png"]}, "'a' lists 0001.png twice"),
            ('{"a": ["0001.png"], "a": ["0002.png"]}', "the key 'a' is given twice"),
            ('{"a": ["0001.png"]', "cannot be read (Expecting"),
            ("[" * 100_000, "cannot be read (it is nested too deeply)"),
            ("", "cannot be read (Expecting value"),
            ('{"a": ["' + "x" * 2**24 + '"]}', "larger than 16 MiB"),
        ],
        ids=lambda value: str(value)[:24],
    )
    def test_that_is_something_else_is_an_error(self, small, data, message) -> None:
        error = refusal(write(small, data))
        assert message in error.what and "low_shot_train.json" in error.what

    def test_that_is_no_text_is_an_error(self, small) -> None:
        (small / "low_shot_train.json").write_bytes(b"\xff\xfe\x00{")
        assert "low_shot_train.json cannot be read" in refusal(vad(small)).what

    def test_that_is_a_folder_is_an_error(self, small) -> None:
        (small / "low_shot_train.json").unlink()
        (small / "low_shot_train.json").mkdir()
        assert f"{small / 'low_shot_train.json'} is a folder" in refusal(vad(small)).what

    def test_is_not_needed(self, tmp_path, caplog) -> None:
        home = vad_tree(tmp_path, counts=COUNTS, low_shot="none")
        assert vad(home).bad_subsets("vad") == {} and len(vad(home).samples("vad")) == 20
        assert f"{home / 'low_shot_train.json'} does not exist" in caplog.text


class TestHostedAnew:
    @pytest.fixture
    def anew(self, tmp_path):
        return vad_tree(tmp_path, counts=COUNTS, masks=True, train_bad=False)

    def test_masks_belong_to_the_image_whose_name_they_contain(self, anew) -> None:
        masks = {s.id: s.mask for s in vad(anew).samples("vad") if s.mask}
        assert masks == {
            f"test/{folder}/{i:04}.png": anew / "ground_truth" / folder / f"{i:04}_mask.png"
            for folder, count in (("bad", 5), ("bad_unseen_defects", 2))
            for i in range(count)
        }

    def test_a_mask_may_have_the_image_s_own_name(self, anew) -> None:
        masks = anew / "ground_truth" / "bad"
        (masks / "0003_mask.png").rename(masks / "0003.png")
        assert [s.mask for s in vad(anew).samples("vad") if s.id == "test/bad/0003.png"] == [
            masks / "0003.png"
        ]

    def test_a_mask_that_is_missing_is_none(self, anew) -> None:
        (anew / "ground_truth" / "bad" / "0003_mask.png").unlink()
        bare = [s.id for s in vad(anew).samples("vad") if s.stratum == "test bad" and s.mask is None]
        assert bare == ["test/bad/0003.png"]

    @pytest.mark.parametrize(
        "mask, fits",
        [("x_10-y", True), ("a 10", True), ("0105_mask", False), ("10b", False), ("mask10", False)],
    )
    def test_the_image_s_name_is_a_word_of_the_mask_s(self, anew, mask, fits) -> None:
        bad, masks = anew / "test" / "bad", anew / "ground_truth" / "bad"
        (bad / "0003.png").rename(bad / "10.png")
        (masks / "0003_mask.png").rename(masks / f"{mask}.png")
        found = {s.id: s.mask for s in vad(anew).samples("vad")}
        assert found["test/bad/10.png"] == (masks / f"{mask}.png" if fits else None)

    def test_two_masks_for_one_image_are_an_error(self, anew) -> None:
        masks = anew / "ground_truth" / "bad"
        shutil.copy(masks / "0003_mask.png", masks / "other_0003.png")
        with pytest.raises(DataError, match=r"2 masks in .* the image 0003\.png"):
            vad(anew).samples("vad")

    def test_without_bad_training_images_only_the_counts_differ(self, anew, caplog) -> None:
        counts = Counter(sample.stratum for sample in vad(anew).samples("vad"))
        assert counts == {part: n for part, n in COUNTS.items() if part != "train bad"}
        assert f"{anew / 'train' / 'bad'} does not exist" in caplog.text
        assert vad(anew).bad_subsets("vad") == {}

    def test_low_shot_choices_without_bad_training_images_are_left_out(self, anew, caplog) -> None:
        assert write(anew, {"a": ["0001.png"]}).bad_subsets("vad") == {}
        assert f"{anew} has no train/bad" in caplog.text and "low-shot" in caplog.text


class TestOtherTrees:
    @pytest.mark.parametrize("gone", ["train/good", "test/good", "test/bad"])
    def test_a_missing_folder_prints_the_expected_tree(self, small, gone) -> None:
        shutil.rmtree(small / gone)
        with pytest.raises(RecipeError, match=f"{small}.* has no {gone}") as caught:
            vad(small).categories()
        assert "ROOT/vad/test/bad_unseen_defects/*.png" in caught.value.remedy
        with pytest.raises(RecipeError, match=f"has no {gone}"):
            vad(small).samples("vad")

    def test_a_wrong_root_prints_the_expected_tree(self, tmp_path) -> None:
        with pytest.raises(RecipeError, match=f"{tmp_path} has no train/good") as caught:
            vad(tmp_path).categories()
        assert "ROOT/vad/train/good/*.png" in caught.value.remedy

    def test_a_root_one_level_off_is_told(self, tmp_path) -> None:
        home = vad_tree(tmp_path / "data", counts=COUNTS)
        for wrong, better in ((tmp_path, "data/"), (home / "train", str(home))):
            with pytest.raises(RecipeError, match=rf"has no train/good .*{better}"):
                vad(wrong).categories()

    def test_there_is_no_other_category(self, small) -> None:
        with pytest.raises(RecipeError, match="no category 'candle'"):
            vad(small).samples("candle")
        assert vad(small).published_counts("candle") == vad(small).bad_subsets("candle") == {}

    def test_without_unseen_defects_it_is_not_the_published_one(self, small) -> None:
        shutil.rmtree(small / "test" / "bad_unseen_defects")
        with pytest.raises(RecipeError, match="has no test/bad_unseen_defects"):
            vad(small).samples("vad")

    def test_a_folder_that_was_not_published_is_left_out_with_a_warning(self, small, caplog) -> None:
        shutil.copytree(small / "test" / "bad", small / "test" / "doubtful")
        assert len(vad(small).samples("vad")) == 20
        (note,) = vad(small).unread("vad")
        assert f"{small / 'test' / 'doubtful'}: " in note

    def test_hidden_files_are_left_out(self, small) -> None:
        (small / "train" / "good" / "._0000.png").write_bytes(b"")
        (small / "train" / ".bad").mkdir()
        assert len(vad(small).samples("vad")) == 20


def test_licence_and_source_say_what_a_person_has_to_know() -> None:
    assert "CC BY-NC-SA 4.0" in Vad.licence
    assert all(word in Vad.source for word in ("github.com/abc-125/vad", "8655b46d", "GB"))
