"""`split.leave_out`: such images train and test nothing, so that one copy too many is no dead end."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import described
import pytest
from small_runs import done, prepared
from small_splits import OFFICIAL, data, workplace, write

from segad_core.errors import DataError, LeakageError, RecipeError
from segad_core.plugins.registry import Registry
from segad_core.recipe import load_recipe
from segad_core.split.draw import Fold, Split
from segad_core.split.file import splits_json

TRAINED, TESTED = "train/good/3.png", "test/good/1.png"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return workplace(tmp_path, monkeypatch)


def leaving(*images: str, **split: Any) -> dict[str, Any]:
    return {"split": {**split, "leave_out": {"a": list(images)}}}


def copy(home: Path, source: str, target: str) -> None:
    (home / "data" / target).write_bytes((home / "data" / source).read_bytes())


def parts(split: Split) -> set[str]:
    return {*split.detectors, *split.final, *split.test, *split.doubtful}


def test_an_image_that_leaks_can_be_left_out(home: Path) -> None:
    """Either of the two: the message says how; what is left is split as if the image were not there."""
    samples = data(home)
    everything = {"detectors": {"good": "rest"}, "final": {"bad": {"from": "generated", "use": ["dot"]}}}
    changes: dict[str, Any] = {"rows": [{"name": "alone", "score": "spotty"}]}
    copy(home, TRAINED, TESTED)
    with pytest.raises(LeakageError, match=rf"'{TESTED}' \(test\) and '{TRAINED}' \(detectors\)") as caught:
        prepared(write(home, split=everything, **changes))
    assert "split: {leave_out: {CATEGORY: [IMAGE]}}" in caught.value.remedy
    for image in (TRAINED, TESTED):
        found = prepared(write(home, **leaving(image, **everything), **changes))
        split = found.splits["a"][Fold(0)]
        assert image not in parts(split)
        assert image in split.unused
        assert parts(split) | {*split.unused} == {sample.id for sample in samples}
        entry = json.loads(splits_json(found.splits))["a"]["0"]
        assert image in entry["unused"]


def test_nothing_looks_at_what_is_left_out(home: Path) -> None:
    """No pass has it: not even the inventory, which it would spoil."""
    data(home, doubtful=2)
    left = ["train/good/0.png", "train/bad/1.png", "test/bad/0.png", "doubtful/1.png"]
    for image in left:
        (home / "data" / image).write_bytes(b"no image")
    path = write(home, **leaving(*left))
    found = prepared(path)
    assert found.unreadable == {"a": {}}
    assert {*left} <= {*found.splits["a"][Fold(0)].unused}
    plan, _ = done(path)
    seen = {sample.id for task in plan.tasks for sample in getattr(task, "samples", ())}
    assert seen
    assert not seen & {*left}


def test_the_other_images_are_drawn_as_if_it_were_not_there(home: Path) -> None:
    data(home)
    split: dict[str, Any] = {"test": {"good": 4, "bad": 3}, "seeds": [0, 1]}
    left_out = prepared(write(home, **leaving(TRAINED, **split))).splits["a"]
    described_as = json.loads((home / "data/described.json").read_text())
    own = described_as["a"]["samples"]
    described_as["a"]["samples"] = [sample for sample in own if sample["id"] != TRAINED]
    described.describe(home / "data", described_as)
    without = prepared(write(home, split=split)).splits["a"]
    assert [parts(one) for one in left_out.values()] == [parts(one) for one in without.values()]


def test_one_image_with_two_labels_can_be_left_out(home: Path) -> None:
    data(home)
    copy(home, "train/good/0.png", "train/bad/0.png")
    with pytest.raises(DataError, match="are the same image, labelled") as caught:
        prepared(write(home))
    assert "leave_out" in caught.value.remedy
    assert prepared(write(home, **leaving("train/bad/0.png"))).splits


def test_a_copy_of_an_unseen_defect_can_be_left_out(home: Path) -> None:
    data(home, unseen=("hole",))
    copy(home, "unseen/0.png", "train/bad/0.png")
    with pytest.raises(LeakageError, match="a defect that nothing may learn from") as caught:
        prepared(write(home))
    assert "leave_out" in caught.value.remedy
    assert prepared(write(home, **leaving("train/bad/0.png"))).splits


def test_a_published_subset_is_taken_without_it(home: Path) -> None:
    data(home, subsets={"few": ["train/bad/1.png", "train/bad/4.png"]})
    bad = {"final": {"bad": {"from": "subsets"}}}
    split = prepared(write(home, **leaving("train/bad/4.png", **bad))).splits["a"][Fold(0)]
    assert [image for image in split.final if "bad" in image] == ["train/bad/1.png"]
    assert "train/bad/4.png" in split.unused


def test_its_splits_can_be_used_again(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With or without saying again what is left out; where the file names it, it cannot be left out."""
    data(home, doubtful=1)
    before = prepared(write(home, **leaving(TRAINED, "doubtful/0.png"))).splits
    (home / "splits.json").write_text(splits_json(before))
    again: dict[str, Any] = {"file": "splits.json"}
    with caplog.at_level(logging.WARNING):
        assert prepared(write(home, split=again)).splits == before
        assert prepared(write(home, split={**again, **leaving(TRAINED)["split"]})).splits == before
    assert caplog.messages == []
    with pytest.raises(DataError, match=rf"there is no image '{TESTED}'"):
        prepared(write(home, split={**again, **leaving(TESTED)["split"]}))


@pytest.mark.parametrize("split", [OFFICIAL, {"file": "splits.json"}])
def test_the_resolved_recipe_leaves_out_the_same(home: Path, split: dict[str, Any]) -> None:
    data(home)
    (home / "splits.json").write_text(splits_json(prepared(write(home, **leaving(TRAINED))).splits))
    recipe = load_recipe(str(write(home, split={**split, **leaving(TRAINED)["split"]})), Registry())
    (home / "resolved.yaml").write_text(recipe.resolved())
    resolved = load_recipe(str(home / "resolved.yaml"), Registry())
    assert resolved.skeleton.split.leave_out == {"a": [TRAINED]}
    assert resolved.resolved() == recipe.resolved()


def test_what_is_not_there_cannot_be_left_out(home: Path) -> None:
    data(home, names=("a", "b"))
    with pytest.raises(RecipeError) as caught:
        prepared(write(home, **leaving("train/good/3.pgn", TRAINED, "x")))
    first, second = caught.value.problems
    assert first.endswith("split.leave_out.a[0]: category 'a' has no image 'train/good/3.pgn'")
    assert second.endswith("split.leave_out.a[2]: category 'a' has no image 'x'")
    with pytest.raises(RecipeError, match=r"split\.leave_out\.aa: there is no category 'aa'"):
        prepared(write(home, split={"leave_out": {"aa": [TRAINED]}}))


def test_each_category_has_its_own(home: Path) -> None:
    """Ids are unique within a category only; one that the recipe does not run may be named."""
    data(home, names=("a", "b"))
    path = write(home, split={"leave_out": {"b": ["b/train/good/3.png"]}})
    splits = prepared(path).splits
    assert TRAINED not in splits["a"][Fold(0)].unused
    assert "b/train/good/3.png" in splits["b"][Fold(0)].unused
    path = write(home, categories=["a"], split={"leave_out": {"b": ["b/train/good/3.png"]}})
    assert list(prepared(path).splits) == ["a"]
