"""Runs that judge parts: splits of parts, figures over parts, and no part on two sides."""

from __future__ import annotations

import csv
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import fakes
import pytest
import views
import yaml
from builders import run_command, said, segad
from PIL import Image
from small_runs import done, prepared, row
from views import recipe, serial

from segad_core.errors import DataError, RecipeError
from segad_core.run.cells import FitTask
from segad_plugins.datasets.folder import Folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    fakes.install(monkeypatch)
    return tmp_path


def lines(home: Path, name: str) -> list[dict[str, str]]:
    with (home / "runs" / "tiny" / "latest" / name).open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("one_bad", [False, True])
def test_a_part_has_the_score_of_its_worst_view(home: Path, one_bad: bool) -> None:
    """Worked out from the drawn values: `spotty` scores the brightest pixel."""
    drawn = views.views(home / "data", one_bad=one_bad)
    said(run_command(recipe(home)))
    scores = [line for line in lines(home, "scores.csv") if line["row"] == "alone"]
    assert {line["image"]: float(line["score"]) for line in scores}.items() <= drawn.items()
    found = {line["part"]: line for line in lines(home, "parts.csv") if line["row"] == "alone"}
    assert found.keys() == {serial(line["image"]) for line in scores} and len(found) == 7
    for name, line in found.items():
        own = {image[-5]: value for image, value in drawn.items() if serial(image) == name}
        assert float(line["score"]) == max(own.values()) and own[line["view"]] == max(own.values())
        assert line["images"] == "2" and line["label"] == str(int(int(name[2:]) >= 12))
    good, bad = ([float(x["score"]) for x in found.values() if x["label"] == label] for label in "01")
    (figures,) = [line for line in lines(home, "results.csv") if line["row"] == "alone"]
    assert (figures["n_good"], figures["n_bad"]) == ("4", "3")
    won = sum(b > g for b in bad for g in good) / 12
    assert float(figures["auroc"]) == won == 1.0
    table = (home / "runs" / "tiny" / "latest" / "table.md").read_text()
    assert "Test parts: a 4 good, 3 bad." in table and "over test parts" in table


def test_images_alone_would_have_other_figures(home: Path) -> None:
    """Half of the images of bad parts look good: what is counted decides."""
    views.views(home / "data")
    result = run_command(recipe(home, parts=None))
    assert "19 of 19 parts have several images" in said(result)
    (figures,) = [line for line in lines(home, "results.csv") if line["row"] == "alone"]
    assert float(figures["auroc"]) < 0.9 and int(figures["n_good"]) == 4
    assert not (home / "runs" / "tiny" / "latest" / "parts.csv").exists()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("folds", [None, 3])
def test_no_part_serves_two_purposes(home: Path, seed: int, folds: int | None) -> None:
    """With lots as well, with good images of bad parts, and with parts that lack a view."""
    views.views(home / "data", one_bad=True, missing={"SN001_A", "SN013_B"})
    lots = "SN0([0-9])"  # ten parts a lot, so one has no bad part
    dataset = {"use": "folder", "params": {**views.DATASET["params"], "lot": lots}}  # type: ignore[dict-item]
    for given in (views.DATASET, dataset):
        split: dict[str, Any] = {**views.SPLIT, "seeds": [seed]}
        if folds:
            split["detectors"] = {"folds": folds}
        if given is dataset:
            split["group"] = "serial"
        found = prepared(recipe(home, dataset=given, split=split))
        (drawn,) = found.splits["a"].values()
        purposes = [drawn.test, drawn.final, drawn.unused, *([] if folds else [drawn.detectors])]
        names = [{serial(i) for i in images} for images in purposes]
        assert sum(map(len, names)) == len(set.union(*names)) == 19
        assert sum(map(len, purposes)) == 36
        assert names[2] == {"SN001", "SN013"}
        for part in found.parts["a"].judged():  # type: ignore[union-attr]
            (where,) = [i for i, own in enumerate(names) if part.sample.id in own]
            assert {s.id for s in part.images} <= {*purposes[where]}
        for fold in drawn.detector_folds:
            assert all(count == 2 for count in Counter(map(serial, fold)).values())


def test_amounts_count_parts_and_bad_parts_give_no_image_to_detectors(home: Path) -> None:
    views.views(home / "data", names="ABC", one_bad=True)
    plan, _ = done(recipe(home))
    (fit,) = [task for task in plan.tasks if isinstance(task, FitTask)]
    assert len(fit.samples) == 12 and len({s.serial for s in fit.samples}) == 4
    assert all(int(s.serial[2:]) < 12 for s in fit.samples)
    segad_row = row(plan, "SegAD")
    assert len(segad_row.scored) == 21
    # the images of bad parts that look good are learnt as good ones
    assert Counter(segad_row.train_labels) == {0: 4 * 3 + 4 * 2, 1: 4}
    assert sorted(Counter(segad_row.train_groups).values()) == [3] * 8


def test_a_lot_is_kept_together_with_its_parts(home: Path) -> None:
    """A burst: parts of one lot that look the same never stand on both sides."""
    views.views(home / "data", good=24, bad=12)
    params = {"root": "data", "part": r"(?P<serial>(?P<lot>SN\d\d)\d)_(?P<view>[A-Z])"}
    split = {**views.SPLIT, "seeds": [0, 1, 2], "test": {"good": 0.3, "bad": 0.3}}
    found = prepared(recipe(home, dataset={"use": "folder", "params": params}, split=split))
    assert str(found.groups["a"]) == "4 lots and 36 parts by serial number, kept together"
    for drawn in found.splits["a"].values():
        lots = [{serial(i)[:4] for i in images} for images in (drawn.test, (*drawn.final, *drawn.detectors))]
        assert not lots[0] & lots[1]


def test_copies_across_parts_keep_these_together(home: Path) -> None:
    views.views(home / "data")
    (home / "data/a/good/SN003_B.png").write_bytes((home / "data/a/good/SN004_B.png").read_bytes())
    for seed in range(4):
        found = prepared(recipe(home, split={**views.SPLIT, "seeds": [seed]}))
        (drawn,) = found.splits["a"].values()
        for images in (drawn.test, drawn.final, drawn.detectors):
            assert len({serial(i) for i in images} & {"SN003", "SN004"}) in (0, 2)


def test_a_file_of_splits_serves_again_and_may_not_divide_a_part(home: Path) -> None:
    views.views(home / "data", missing={"SN001_A"})
    said(run_command(recipe(home)))
    before = lines(home, "parts.csv")
    splits = home / "runs" / "tiny" / "latest" / "splits.json"
    kept = home / "splits.json"
    kept.write_bytes(splits.read_bytes())
    said(run_command(recipe(home, split={"file": "splits.json"})))
    assert lines(home, "parts.csv") == before
    plain = json.loads(kept.read_text())
    one = plain["a"]["0"]
    moved = one["test"].pop()
    one["final"].append(moved)
    kept.write_text(json.dumps(plain))
    with pytest.raises(DataError) as caught:
        prepared(recipe(home, split={"file": "splits.json"}))
    assert serial(moved) in caught.value.what and "'test'" in caught.value.what


def test_check_tells_parts_views_and_what_is_missing(home: Path) -> None:
    views.views(home / "data", missing={"SN001_A", "SN013_B"})
    said_by = said(segad("check", recipe(home), "--store", home / "store"))
    assert "  parts: 19 (12 good, 7 bad), views A, B; verdict: worst\n" in said_by
    assert "2 of 19 parts lack a view (UNKNOWN, so not used): SN001 (A), SN013 (B)" in said_by
    assert "images for detectors 8 (4 parts), final classifier 12 (6 parts)" in said_by
    assert "test 14 (7 parts), doubtful 0, unused 2 (2 parts)" in said_by
    allowed = said(segad("check", recipe(home, parts={"missing": "allow"}), "--store", home / "store"))
    assert "judged by the others" in allowed and "unused 0" in allowed


def test_a_view_that_cannot_be_read_is_missing(home: Path) -> None:
    views.views(home / "data")
    (home / "data" / "a" / "good" / "SN002_B.png").write_bytes(b"nothing")
    result = run_command(recipe(home))
    assert result.exit_code == 3
    assert "1 of 19 parts lacks a view (UNKNOWN, so not used): SN002 (B)" in said(result)


def test_doubtful_images_make_a_doubtful_part_and_of_a_bad_part_are_not_learnt(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    views.views(home / "data")
    given = Folder.samples
    doubtful = {"good/SN000_A.png", *(f"bad/SN0{n}_{'BA'[n % 2]}.png" for n in range(12, 19))}

    def samples(self: Folder, category: str) -> Any:
        return [replace(s, label=None) if s.id in doubtful else s for s in given(self, category)]

    monkeypatch.setattr(Folder, "samples", samples)
    plan, _ = done(recipe(home))
    found = prepared(recipe(home))
    (drawn,) = found.splits["a"].values()
    assert drawn.doubtful == ("good/SN000_A.png", "good/SN000_B.png")
    assert len(drawn.final) == 2 * (3 + 4)
    task = row(plan, "SegAD")
    assert Counter(task.train_labels) == {0: 6, 1: 4}  # one image of each bad part
    said(run_command(recipe(home)))
    (figures,) = [line for line in lines(home, "results.csv") if line["row"] == "alone"]
    assert [figures[f"n_{kind}"] for kind in ("good", "bad", "doubtful")] == ["4", "3", "1"]


def test_a_defect_type_is_held_out_with_the_whole_part(home: Path) -> None:
    """Also the views of its parts that show nothing, or another defect."""
    views.views(home / "data", bad=10)
    for path in sorted((home / "data" / "a" / "bad").glob("*.png")):
        number = int(path.stem[2:5])
        kind = "dent" if number % 2 else "burr"
        kind = "scratch" if number == 15 and path.stem.endswith("A") else kind  # and a dent in the other view
        (path.parent / kind).mkdir(exist_ok=True)
        path.rename(path.parent / kind / path.name)
    split = {**views.SPLIT, "test": {"good": 4, "bad": 6}, "hold_out": "defects"}
    path = recipe(home, split=split)
    dented = {f"SN0{n}" for n in (13, 15, 17, 19, 21)}
    found = prepared(path)
    (held_out,) = [s for fold, s in found.splits["a"].items() if fold.held_out == "dent"]
    assert not {serial(i) for i in (*held_out.final, *held_out.detectors)} & dented
    assert {serial(i) for i in held_out.test} & dented
    said(run_command(path))
    for line in lines(home, "parts.csv"):
        if line["held_out"] == "dent":
            assert line["unseen"] == str(int(line["part"] in dented))
        if line["part"] == "SN015":
            assert line["defect"] == "scratch,dent"


def test_classifiers_learn_from_whole_parts_and_score_out_of_fold(home: Path) -> None:
    views.views(home / "data", one_bad=True)
    rows = [{"name": "SegAD", "detectors": ["spotty"], "classifier": "memory"}]
    classifiers = {"memory": {"use": "memory", "out_of_fold": 3}}
    path = recipe(home, rows=rows, classifiers=classifiers)
    (drawn,) = prepared(path).splits["a"].values()
    assert set(Counter(map(serial, drawn.classifiers["memory"])).values()) == {2}
    plan, _ = done(path)
    fits = [task for task in plan.tasks if isinstance(task, FitTask) and task.labels]
    everything = {s.serial for s in fits[0].samples}
    for fit in fits[1:]:
        own = {s.serial for s in fit.samples}
        assert own < everything and set(Counter(s.serial for s in fit.samples).values()) == {2}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"split": {**views.SPLIT, "group": False}}, "divide the images of a part"),
        ({"parts": {"views": ["A", "A"]}}, "'A' is listed twice"),
        ({"parts": {"pattern": "(SN)"}}, "serial"),
        ({"parts": {"view": ["A"]}}, "did you mean 'views'"),
        ({"parts": {"views": ["A", "Z"]}}, "'Z'"),
        ({"dataset": {"use": "folder", "params": {"root": "data"}}}, "no serial"),
    ],
)
def test_what_is_refused_before_anything_is_trained(home: Path, changes: Any, words: str) -> None:
    views.views(home / "data")
    with pytest.raises(RecipeError, match=words):
        prepared(recipe(home, **changes))


def test_too_few_parts_are_told_as_parts(home: Path) -> None:
    views.views(home / "data")
    with pytest.raises(DataError) as caught:
        prepared(recipe(home, split={**views.SPLIT, "test": {"good": 12, "bad": 3}}))
    assert "counts are of parts" in caught.value.remedy


def test_without_parts_nothing_in_a_run_changes(home: Path) -> None:
    """Serials alone neither add a file nor a column."""
    views.views(home / "data", names="A")
    plain = {"use": "folder", "params": {"root": "data"}}
    said(run_command(recipe(home, parts=None)))
    named = {p.name: p.read_bytes() for p in (home / "runs/tiny/latest").glob("*.csv")}
    said(run_command(recipe(home, parts=None, dataset=plain)))
    latest = home / "runs/tiny/latest"
    assert {p.name: p.read_bytes() for p in latest.glob("*.csv")} == named
    assert "parts" not in yaml.safe_load((latest / "recipe.resolved.yaml").read_text())


def test_drawn_views_are_what_tests_take_them_for(home: Path) -> None:
    drawn = views.views(home / "data", one_bad=True)
    assert len(drawn) == len(set(drawn.values())) == 38
    for name, value in drawn.items():
        assert Image.open(home / "data" / "a" / name).getextrema()[0][1] == value
