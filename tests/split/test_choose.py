"""The splits of a category: VAD's and VisA's protocols, published subsets, who trains anew, leaks."""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import described
import fakes
import pandas as pd
import pytest
from PIL import Image
from published_trees import VAD_KEYS, vad_tree, visa_tree
from pydantic import ValidationError
from sklearn.model_selection import train_test_split
from small_runs import done, prepared, row
from small_splits import data, fits, workplace, write

from segad_core.errors import DataError, LeakageError, RecipeError
from segad_core.recipe.split_spec import SplitSpec
from segad_core.run.cells import FitTask, StatisticsTask
from segad_core.run.prepare import Prepared
from segad_core.run.rows import read_scores
from segad_core.split.draw import Fold, Split
from segad_core.split.file import splits_json

GENERATED: dict[str, Any] = {"final": {"bad": {"from": "generated", "use": ["dot"]}}}
SUBSETS: dict[str, Any] = {"final": {"bad": {"from": "subsets"}}}
COUNTS = {"train good": 12, "train bad": 10, "test good": 3, "test bad": 4, "test bad, unseen": 2}
SEEDS = (333, 576, 725, 823, 831, 902, 226, 598, 874, 589)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return workplace(tmp_path, monkeypatch)


def bad(ids: Sequence[str]) -> list[str]:
    return [image for image in ids if "bad" in image or "unseen" in image]


# ---- VAD ----


def vad(home: Path, **changes: Any) -> Path:
    return write(home, dataset={"use": "vad", "params": {"root": "data"}}, **changes)


def subsets_of(home: Path) -> dict[str, list[str]]:
    chosen: dict[str, list[str]] = json.loads((home / "data/vad/low_shot_train.json").read_text())
    return {key: [f"train/bad/{name}" for name in names] for key, names in chosen.items()}


@pytest.mark.parametrize(
    ("split", "learnt"),
    [({}, [f"train/bad/{i:04}.png" for i in range(10)]), (GENERATED, [])],
    ids=["high-shot", "one-class"],
)
def test_vad_has_half_of_the_good_images_and_all_or_none_of_the_bad(
    home: Path, split: dict[str, Any], learnt: list[str]
) -> None:
    vad_tree(home / "data", counts=COUNTS)
    found = prepared(vad(home, split={"seeds": [0, 1, 2], "detectors": {"good": 0.5}, **split}))
    good = {f"train/good/{i:04}.png" for i in range(12)}
    for own in found.splits["vad"].values():
        assert len(own.detectors) == 6
        assert {*own.final} == {*learnt} | (good - {*own.detectors})
        assert {Path(image).parts[1] for image in own.test} == {"good", "bad", "bad_unseen_defects"}
        assert len(own.test) == 9
        assert own.subset == ""
    assert len({own.detectors for own in found.splits["vad"].values()}) == 3


def test_each_low_shot_run_takes_the_next_published_subset(home: Path) -> None:
    """In the file's order, whatever the keys are called; a seed given twice is one."""
    vad_tree(home / "data", counts=COUNTS, low_shot_size=4)
    seeds = [7, 3, 90, 1, 0]
    splits = prepared(vad(home, split={"seeds": seeds, **SUBSETS})).splits["vad"]
    assert [fold.seed for fold in splits] == [7, 3, 90, 1, 0]
    expected = subsets_of(home)
    assert tuple(expected) == VAD_KEYS
    for split, (key, images) in zip(splits.values(), expected.items(), strict=True):
        assert bad(split.final) == sorted(images)
        assert split.subset == key
        assert {*bad(split.unused)} == {f"train/bad/{i:04}.png" for i in range(10)} - {*images}
    written = json.loads(splits_json({"vad": splits}))["vad"]
    assert [written[str(seed)]["subset"] for seed in (7, 3, 90, 1, 0)] == list(VAD_KEYS)


@pytest.mark.parametrize(
    ("low_shot", "seeds", "words"),
    [
        (
            "json",
            6,
            f"category 'vad': the data set has 5 published subsets of bad images "
            f"({', '.join(VAD_KEYS)}), and the recipe has 6 seeds",
        ),
        (
            "none",
            2,
            "category 'vad': the data set has no published subsets of bad images",
        ),
    ],
)
def test_more_seeds_than_subsets(home: Path, low_shot: Any, seeds: int, words: str) -> None:
    vad_tree(home / "data", counts=COUNTS, low_shot=low_shot, low_shot_size=4)
    with pytest.raises(RecipeError) as caught:
        prepared(vad(home, split={"seeds": list(range(seeds)), **SUBSETS}))
    assert caught.value.what == words
    told = {"json": "split.final.bad.from: train", "none": "vad/low_shot_train.json"}
    assert told[low_shot] in caught.value.remedy


@pytest.mark.parametrize(("seeds", "left"), [([0], VAD_KEYS[1:]), ([3, 1], VAD_KEYS[2:]), (range(5), ())])
def test_subsets_that_no_seed_takes_are_told(
    home: Path, caplog: pytest.LogCaptureFixture, seeds: Sequence[int], left: Sequence[str]
) -> None:
    vad_tree(home / "data", counts=COUNTS, low_shot_size=4)
    with caplog.at_level(logging.WARNING):
        prepared(vad(home, split={"seeds": list(seeds), **SUBSETS}))
    told = [message for message in caplog.messages if "published subsets" in message]
    assert len(told) == bool(left)
    for message in told:
        assert "category 'vad'" in message
        assert f"{5 - len(left)} of 5 published subsets" in message
        assert message.endswith(": " + ", ".join(left))


def test_an_image_of_a_subset_that_cannot_be_read_is_left_out(home: Path) -> None:
    vad_tree(home / "data", counts=COUNTS, low_shot_size=4)
    first, *others = subsets_of(home)[VAD_KEYS[0]]
    (home / "data/vad" / first).write_bytes(b"no image")
    found = prepared(vad(home, split=SUBSETS))
    assert bad(found.splits["vad"][Fold(0)].final) == sorted(others)
    assert list(found.unreadable["vad"]) == [first]


def test_a_broken_list_of_subsets_matters_only_to_who_wants_them(home: Path) -> None:
    vad_tree(home / "data", counts=COUNTS, low_shot_size=4)
    (home / "data/vad/low_shot_train.json").write_text("{")
    assert len(bad(prepared(vad(home)).splits["vad"][Fold(0)].final)) == 10
    with pytest.raises(DataError, match=r"low_shot_train\.json cannot be read"):
        prepared(vad(home, split=SUBSETS))


@pytest.mark.parametrize("split", [{}, GENERATED, SUBSETS, {"hold_out": "defects"}])
def test_detectors_train_for_each_seed_or_once_for_all(home: Path, split: dict[str, Any]) -> None:
    subsets = {key: ["train/bad/0.png", "train/bad/1.png"] for key in "xyz"}
    data(home, train=("melt", "bent", "melt"), test=("melt", "bent"), unseen=("hole",), subsets=subsets)
    own = {"seeds": [4, 5, 6], **split}
    plan = prepared(write(home, split=own)).plans[0]
    assert len({task.cells[0].key for task in fits(plan)}) == len(fits(plan)) == 3
    assert len({frozenset(s.id for s in task.samples) for task in fits(plan)}) == 3
    plan = prepared(write(home, split={**own, "detectors": {"good": 5, "seed": 9}})).plans[0]
    (fit,) = fits(plan)
    needs = [task.needs for task in plan.tasks if isinstance(task, StatisticsTask)]
    assert {*needs} == {(fit.cells[0].key,)}
    assert {task.seed for task in plan.rows()} == {4, 5, 6}


def test_the_seed_of_a_training_counts_though_its_images_are_the_same(home: Path) -> None:
    data(home)
    everything = {"seeds": [4, 5], "detectors": {"good": "rest"}, **GENERATED}
    changes: dict[str, Any] = {"rows": [{"name": "alone", "score": "spotty"}]}
    plan = prepared(write(home, split=everything, **changes)).plans[0]
    first, second = fits(plan)
    assert first.samples == second.samples
    assert first.cells[0].key != second.cells[0].key


# ---- VisA ----


def test_visas_release_is_split_as_the_official_code_splits_it(home: Path) -> None:
    """By name, and in the order of `1cls.csv`; the code has a table of the images and calls scikit-learn."""
    counts = {"train good": 20, "test good": 3, "test bad": 13}
    visa_tree(home / "data", ["capsules", "pcb1"], counts=counts)
    with (home / "data/split_csv/1cls.csv").open(newline="") as file:
        table = pd.DataFrame(csv.DictReader(file))
    split = {
        "seeds": list(SEEDS),
        "detectors": {"good": 0.9, "seed": 333},
        "final": {"bad": {"from": "test", "amount": 10}},
    }
    given = {"dataset": {"use": "visa", "params": {"root": "data"}}, "categories": ["capsules", "pcb1"]}
    for order in ("name", "listed"):
        found = prepared(write(home, **given, split={**split, "order": order}))
        assert list(found.splits) == ["capsules", "pcb1"]
        for plan, (category, splits) in zip(found.plans, found.splits.items(), strict=True):
            own = table[table["object"] == category]
            own = own.sort_values("image") if order == "name" else own
            bads = own[own["label"] == "anomaly"]
            goods = own[(own["label"] == "normal") & (own["split"] == "train")]
            trained, left = train_test_split(goods, test_size=0.1, random_state=333)
            assert list(splits) == [Fold(seed) for seed in SEEDS]
            for fold, one in splits.items():
                train, test = train_test_split(bads, test_size=len(bads) - 10, random_state=fold.seed)
                assert stems(one.detectors) == stems(trained["image"])
                assert stems(one.final) == stems([*left["image"], *train["image"]])
                assert stems(bad_visa(one.test)) == stems(test["image"])
                assert len(one.test) == 3 + 3
            assert len(fits(plan)) == 1


def stems(paths: Sequence[str]) -> list[str]:
    """Sorted, with their folder."""
    return sorted("/".join(Path(path).parts[-2:]) for path in paths)


def bad_visa(ids: Sequence[str]) -> list[str]:
    return [image for image in ids if "Anomaly" in image]


# ---- subsets ----


@pytest.mark.parametrize(
    "stray", ["test/bad/0.png", "unseen/0.png", "train/good/0.png", "doubtful/0.png", "x"]
)
def test_a_subset_of_anything_but_bad_training_images_is_refused(home: Path, stray: str) -> None:
    subsets = {"first": ["train/bad/1.png"], "second": ["train/bad/0.png", stray]}
    data(home, unseen=("hole",), doubtful=1, subsets=subsets)
    assert bad(prepared(write(home, split=SUBSETS)).splits["a"][Fold(0)].final) == ["train/bad/1.png"]
    with pytest.raises(DataError) as caught:
        prepared(write(home, split={"seeds": [0, 1], **SUBSETS}))
    for fact in ("category 'a'", f"'{stray}'", "'second'"):
        assert fact in caught.value.what


def test_a_subset_with_an_unseen_training_image_is_refused(home: Path) -> None:
    data(home, subsets={"only": ["train/bad/1.png", "train/bad/2.png"]})
    described_as = json.loads((home / "data/described.json").read_text())
    next(s for s in described_as["a"]["samples"] if s["id"] == "train/bad/2.png")["unseen"] = True
    described.describe(home / "data", described_as)
    assert "train/bad/2.png" in prepared(write(home)).splits["a"][Fold(0)].unused
    with pytest.raises(DataError, match=r"'train/bad/2\.png' of the published subset 'only'"):
        prepared(write(home, split=SUBSETS))


def test_a_subset_may_have_no_name(home: Path) -> None:
    data(home, subsets={"": ["train/bad/2.png"]})
    split = prepared(write(home, split=SUBSETS)).splits["a"][Fold(0)]
    assert bad(split.final) == ["train/bad/2.png"]


def test_an_empty_subset_leaves_nothing_to_learn_from(home: Path) -> None:
    data(home, subsets={"none": []})
    with pytest.raises(
        DataError, match="'a', seed 0: the split leaves no bad image for the final classifier"
    ):
        prepared(write(home, split=SUBSETS))


def test_a_part_of_a_subset(home: Path) -> None:
    names = [f"train/bad/{i}.png" for i in (5, 1, 3, 0)]
    data(home, subsets={"few": names})
    split = {"final": {"bad": {"from": "subsets", "amount": 3}}}
    own = bad(prepared(write(home, split=split)).splits["a"][Fold(0)].final)
    train, _ = train_test_split(sorted(names), test_size=1, random_state=0)
    assert own == sorted(train)


# ---- no good image for detectors ----


def test_without_a_detector_that_trains_there_need_be_no_good_images_for_them(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fakes.Spotty, "trains", False, raising=False)
    data(home)
    detectors = {"spotty": {"use": "spotty", "params": {"wrong": "nowhere"}}, "steps": "steps"}
    path = write(home, split={"detectors": {"good": 0}}, detectors=detectors)
    (split,) = prepared(path).splits["a"].values()
    assert split.detectors == ()
    assert len([image for image in split.final if "good" in image]) == 9
    plan, store = done(path)
    assert len(read_scores(row(plan, "SegAD"), store)) == len(split.test) == 7


@pytest.mark.parametrize("read", ["score", "detectors"])
def test_a_detector_that_trains_needs_good_images(
    home: Path, monkeypatch: pytest.MonkeyPatch, read: str
) -> None:
    """Though another one in a row does not."""
    monkeypatch.setattr(fakes.Spotty, "trains", False, raising=False)
    data(home)
    detectors = {"spotty": {"use": "spotty", "params": {"wrong": "nowhere"}}, "steps": "steps"}
    rows = [
        {"name": "one", "score": "spotty"},
        {"name": "two", read: "steps" if read == "score" else ["steps"]},
    ]
    with pytest.raises(DataError, match="'a', seed 0: the split leaves no good image for the detectors"):
        prepared(write(home, split={"detectors": {"good": 0}}, detectors=detectors, rows=rows))


def test_a_recipe_of_classifiers_alone_needs_none_either(home: Path) -> None:
    data(home)
    changes: dict[str, Any] = {"detectors": {}, "classifiers": {"memory": "memory"}}
    rows = [{"name": "memory", "score": "memory"}]
    found = prepared(write(home, split={"detectors": {"good": 0}}, **changes, rows=rows))
    (task,) = [task for task in found.plans[0].tasks if isinstance(task, FitTask)]
    assert sum(task.labels) == 4  # four fifths of six
    assert len(task.labels) == 4 + 7


# ---- leaks ----

KINDS: dict[str, dict[str, Any]] = {
    "official": {},
    "drawn": {"test": {"good": 3, "bad": 3}},
    "listed": {"test": {"good": 3, "bad": 3}, "order": "listed"},
    "moved": {"final": {"bad": {"from": "test", "amount": 2}}},
    "subsets": {"final": {"bad": {"from": "subsets"}}},
    "generated": GENERATED,
    "one training": {"detectors": {"good": 5, "seed": 9}},
    "held out": {"hold_out": "defects"},
    "file": {"file": "splits.json"},
}


def purposes(split: Split) -> dict[str, tuple[list[str], list[str]]]:
    """The good and the bad images of each purpose."""
    found = {name: getattr(split, name) for name in ("detectors", "final", "test")}
    return {name: ([i for i in ids if i not in bad(ids)], bad(ids)) for name, ids in found.items()}


@pytest.mark.parametrize("how", ["bytes", "pixels"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_image_in_two_purposes_stops_the_run(home: Path, kind: str, how: str) -> None:
    subsets = {"only": [f"train/bad/{i}.png" for i in (1, 3)]}
    data(home, train=("melt", "bent") * 3, test=("melt", "bent") * 3, subsets=subsets)
    (home / "splits.json").write_text(splits_json(prepared(write(home)).splits))
    path = write(home, split=KINDS[kind])
    found = purposes(prepared(path).splits["a"][Fold(0)])
    tried = 0
    for first, second in (("detectors", "final"), ("detectors", "test"), ("final", "test")):
        for own, other in zip(found[first], found[second], strict=True):
            if own and other:
                tried += 1
                leak(home, path, (own[0], first), (other[-1], second), how)
    assert tried == (3 if kind == "generated" else 4)


def leak(home: Path, path: Path, first: tuple[str, str], second: tuple[str, str], how: str) -> None:
    """Puts one image in the other's place for a moment."""
    source, target = home / "data" / first[0], home / "data" / second[0]
    before = target.read_bytes()
    if how == "bytes":
        target.write_bytes(source.read_bytes())
    else:
        described.save(target, Image.open(source).convert("RGBA"))
    pair = " and ".join(f"'{image}' ({purpose})" for image, purpose in sorted((first, second)))
    with pytest.raises(LeakageError, match=r"serves two purposes") as caught:
        prepared(path)
    assert pair in caught.value.what
    target.write_bytes(before)


def test_copies_within_one_purpose_are_no_leak(home: Path) -> None:
    data(home)
    split = prepared(write(home)).splits["a"][Fold(0)]
    for ids in purposes(split).values():
        for one in ids:
            if len(one) > 1:
                (home / "data" / one[1]).write_bytes((home / "data" / one[0]).read_bytes())
    found: Prepared = prepared(write(home))
    assert found.splits["a"][Fold(0)] == split


def test_subsets_belong_to_the_official_training_part() -> None:
    with pytest.raises(ValidationError, match=r"'test' .* 'subsets'"):
        SplitSpec.model_validate({"test": {"good": 3, "bad": 2}, "final": {"bad": {"from": "subsets"}}})
