"""All views of a part in one feature vector: in runs, bundles, predictions and lessons."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import fakes
import numpy as np
import pytest
import views
from builders import run_command, said, segad
from PIL import Image
from small_runs import done, prepared, row
from views import fitted, recipe

from segad_core import Bundle, Prediction, learn, predict_parts, verify
from segad_core.bundle.format.tables import read_golden, read_table
from segad_core.errors import ImageError, RecipeError, UsageError
from segad_core.operate.parts import part_digest
from segad_core.run.cells import StatisticsTask
from segad_core.run.rows import feature_table, read_final, scored_table, training_table

TOGETHER = {"views": ["A", "B"], "verdict": "together"}
GENERATED = {"bad": {"from": "generated", "use": ["dot"]}}
ROWS = [{"name": "SegAD", "detectors": ["spotty"]}, {"name": "alone", "score": "spotty"}]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    fakes.install(monkeypatch)
    return tmp_path


def together(home: Path, missing: str = "unknown", **changes: Any) -> Path:
    return recipe(home, parts={**TOGETHER, "missing": missing}, rows=ROWS, **changes)


def scores_of(home: Path, row: str) -> dict[str, dict[str, str]]:
    with (home / "runs/tiny/latest/parts.csv").open(newline="") as file:
        return {line["part"]: line for line in csv.DictReader(file) if line["row"] == row}


def found(bundle: Bundle, *paths: Path) -> dict[str, Prediction]:
    return {one.image: one for one in predict_parts(bundle, paths)}


def images(home: Path, *names: str) -> list[Path]:
    return [next((home / "data").rglob(f"{name}.png")) for name in names]


def test_a_part_is_one_line_of_all_its_features(home: Path) -> None:
    """Whatever the order of files: view A's features, then view B's, each as the image has them alone."""
    views.views(home / "data", one_bad=True)
    plan, store = done(together(home))
    task = row(plan, "SegAD")
    (drawn,) = prepared(together(home)).splits["a"].values()
    alone, names = feature_table(task, task.table, store)
    place = {image.id: line for line, image in enumerate(_samples(plan))}
    learnt, labels = training_table(task, store)
    serials = list(dict.fromkeys(image.rpartition("/")[2][:5] for image in drawn.final))
    assert labels.tolist() == [int(int(name[2:]) >= 12) for name in serials] and len(set(labels)) == 2
    for name, vector in zip(serials, learnt, strict=True):
        own = [
            next(alone[line] for image, line in place.items() if image.endswith(f"{name}_{view}.png"))
            for view in "AB"
        ]
        np.testing.assert_array_equal(vector, np.concatenate(own))
    assert read_final(task, store)[1] == [f"{view}/{name}" for view in "AB" for name in names]
    assert len(task.scored_ids) == 7 == len(scored_table(task, store))
    assert len(set(task.train_groups)) == len(serials)


def _samples(plan: Any) -> Any:
    return next(task.samples for task in plan.tasks if isinstance(task, StatisticsTask))


def test_a_run_and_a_bundle_agree_to_the_last_bit(home: Path) -> None:
    """The fake final classifier's score is the last feature: the brightest value of view B."""
    drawn = views.views(home / "data", missing={"SN001_A"})
    path = together(home)
    table = said(run_command(path))
    assert "Test parts: a 4 good, 3 bad." in table
    lines = scores_of(home, "SegAD")
    assert len(lines) == 7 and {line["view"] for line in lines.values()} == {""}
    by_name = {Path(name).stem: float(value) for name, value in drawn.items()}
    assert {n: float(line["score"]) for n, line in lines.items()} == {n: by_name[f"{n}_B"] for n in lines}
    assert all(line["view"] for line in scores_of(home, "alone").values())
    with Bundle.load(fitted(path), "cpu") as bundle:
        rule = bundle.manifest.pipeline.parts
        assert rule is not None and rule.verdict == "together"
        predicted = found(bundle, *sorted((home / "data").rglob("*.png")))
        assert {n: predicted[n].score for n in lines} == {n: by_name[f"{n}_B"] for n in lines}
        assert predicted["SN001"].reason == "view A is missing"
        rejected = [one for one in predicted.values() if one.verdict == "NG"]
        assert rejected
        for one in rejected:
            assert one.reason.startswith("view B, whole image (peak in whole), spotty max, +")
            assert one.contributions[0].view == "B" and len(one.contributions) == 4
        assert bundle.operating_point.caught.of == 3 and bundle.operating_point.unit == "part"
        assert not verify(bundle).problems
        golden = read_golden(bundle.container)
        assert [one.view for one in golden[:2]] == ["A", "B"] and golden[0].serial == golden[1].serial
        tested = {image.id: image.digest for image in read_table(bundle.container, "calibration").images}
        assert tested[golden[0].serial or ""] == part_digest(one.digest for one in golden[1::-1])
    with Bundle.load(fitted(path, "alone"), "cpu") as bundle:
        rule = bundle.manifest.pipeline.parts
        assert rule is not None and rule.verdict == "worst"


def test_what_keeps_a_part_from_a_verdict(home: Path) -> None:
    views.views(home / "data")
    with Bundle.load(fitted(together(home)), "cpu") as bundle:
        a, b, other = images(home, "SN012_A", "SN012_B", "SN013_B")
        copy, torn = home / "x" / "SN012_A.png", home / "x" / "SN013_A.png"
        copy.parent.mkdir()
        copy.write_bytes(a.read_bytes())
        torn.write_bytes(a.read_bytes()[:500])
        twice = found(bundle, a, b, copy)["SN012"]
        assert (twice.verdict, twice.score) == ("UNKNOWN", None)
        assert twice.reason == f"view A is there 2 times: {a}, {copy}"
        broken = found(bundle, torn, other)["SN013"]
        assert broken.verdict == "UNKNOWN" and broken.reason.startswith("view A: is damaged")
        (alone,) = (one.prediction for one in bundle.inspect([a]))
        assert (alone.verdict, alone.score) == ("UNKNOWN", None) and "predict_parts" in alone.reason
        whole = found(bundle, b, a)["SN012"]
        assert whole.score is not None


def test_a_missing_view_looks_like_good_parts_where_that_is_allowed(home: Path) -> None:
    views.views(home / "data", missing={"SN001_B", "SN013_B"})
    path = together(home, "allow")
    said(run_command(path))
    plan, store = done(path)
    task = row(plan, "SegAD")
    learnt, labels = training_table(task, store)
    with Bundle.load(fitted(path), "cpu") as bundle:
        assert bundle.pipeline.segad is not None
        stands_in = bundle.pipeline.segad.stands_in
        assert stands_in is not None
        np.testing.assert_array_equal(stands_in, np.median(learnt[labels == 0], axis=0))
        for name in ("SN001", "SN013"):
            one = found(bundle, *images(home, f"{name}_A"))[name]
            assert one.score == stands_in[-1]
            assert ("view B is missing" in one.reason) == (one.verdict == "NG")
        lines = scores_of(home, "SegAD")
        everything = found(bundle, *sorted((home / "data").rglob("*.png")))
        assert {n: everything[n].score for n in lines} == {n: float(x["score"]) for n, x in lines.items()}
        assert not verify(bundle).problems


def test_a_part_is_taught_with_all_its_views(home: Path) -> None:
    views.views(home / "data")
    with Bundle.load(fitted(together(home)), "cpu") as bundle:
        tested = read_table(bundle.container, "calibration").images
        bad = next(image.id for image in tested if image.label)
        good = next(image.id for image in tested if not image.label)
        pair = images(home, f"{bad}_A", f"{bad}_B")
        other = images(home, f"{good}_B", f"{good}_A")
        result = learn(bundle, home / "new.segad", bad=pair, good=other, times=2)
        assert [(change.image, change.label) for change in result.taught] == [(bad, 1), (good, 0)]
        assert (result.after.caught.of, result.after.rejected.of) == (2, 3)
        before = len(read_table(bundle.container, "training").images)
        with Bundle.load(home / "new.segad", "cpu") as new:
            assert not verify(new).problems
            table = read_table(new.container, "training")
            assert len(table.images) == before + 4
            assert [i.id for i in table.images if i.taught] == [bad, bad, good, good]
            assert new.manifest.provenance.learnt == 2
        with pytest.raises(ImageError, match="view B is missing"):
            learn(bundle, home / "half.segad", bad=pair[:1])
        with pytest.raises(UsageError, match="good and as bad"):
            learn(bundle, home / "both.segad", bad=pair[:1], good=pair[1:])
        with pytest.raises(UsageError, match="names no part"):
            stray = home / "stray.png"
            stray.write_bytes(pair[0].read_bytes())
            learn(bundle, home / "stray.segad", bad=[stray])
    assert not [*home.glob("half*"), *home.glob("both*"), *home.glob("stray.segad")]


def test_predict_draws_each_view_and_says_what_drifted(home: Path) -> None:
    views.views(home / "data", good=30, bad=12, names="AB")
    split = {**views.SPLIT, "test": {"good": 12, "bad": 3}}
    bundle = fitted(together(home, split=split))
    out = home / "out.jsonl"
    for path in sorted((home / "data" / "a" / "good").glob("SN00*.png")):
        brighter = np.asarray(Image.open(path)) + np.uint8(40)
        (home / "new").mkdir(exist_ok=True)
        Image.fromarray(brighter).save(home / "new" / path.name)
    result = segad("predict", bundle, home / "new", "-o", out, "--overlays", home / "seen", "--device", "cpu")
    assert "10 parts:" in said(result)
    assert len(list((home / "seen").rglob("*.jpg"))) == 20
    assert "drift in images 1 to 10" in said(result) and "view A, whole, spotty mean" in said(result)


def test_weights_of_segments_hold_for_every_view(home: Path) -> None:
    """Half of what the only segment adds; whole maps, of which the score is one, count as before."""
    drawn = views.views(home / "data")
    rows = [{"name": "SegAD", "detectors": ["spotty"], "segments": {"whole": 0.5}}]
    path = recipe(home, parts=TOGETHER, rows=rows, final="logistic")
    plain = recipe(home, parts=TOGETHER, rows=[{**rows[0], "segments": {"whole": 1.0}}], final="logistic")
    plain = plain.rename(home / "plain.yaml")
    path = recipe(home, parts=TOGETHER, rows=rows, final="logistic")
    explained = []
    for place in (path, plain):
        out = home / f"{place.stem}.segad"
        words = ("--category", "a", "--row", "SegAD", "--store", home / "store", "--device", "cpu")
        said(segad("fit", place, *words, "-o", out))
        with Bundle.load(out, "cpu") as bundle:
            explained.append(found(bundle, *images(home, "SN012_A", "SN012_B"))["SN012"])
    assert drawn
    amounts = [{(c.view, c.segment): c.amount for c in one.contributions} for one in explained]
    for key, amount in amounts[1].items():
        assert amounts[0][key] == pytest.approx(amount * (0.5 if key[1] == "whole" else 1))
    assert len(amounts[0]) == 4


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"final": "blend"}, "'blend' reads the features of one image"),
        ({"final": "blend"}, "parts.verdict: worst"),
        ({"final": "blend", "image_features": ["mean"]}, "'blend' reads the features of one image"),
        ({"final": "blend", "image_features": ["mean"]}, "For 'worst', add image_features: [max]"),
        (
            {"final": {"use": "brf", "params": {"base_margin": "image.spotty.max"}}},
            "names begin with a view, as in 'A/image",
        ),
        (
            {"split": {**views.SPLIT, "final": {"bad": {"from": "generated", "use": ["dot"]}}}},
            "single images",
        ),
    ],
)
def test_rows_that_cannot_judge_views_together(home: Path, changes: Any, words: str) -> None:
    views.views(home / "data")
    with pytest.raises(RecipeError) as caught:
        prepared(together(home, **changes))
    assert words in f"{caught.value.what} {caught.value.remedy}"


def test_a_view_without_a_defect_to_learn_from_is_told(home: Path) -> None:
    """Three bad parts to learn from, and four views; nothing is known if whole parts are filed as bad."""
    views.views(home / "data", names="ABCD", bad=6, one_bad=True)
    every = {**TOGETHER, "views": ["A", "B", "C", "D"]}
    given = prepared(recipe(home, parts=every, rows=ROWS))
    (drawn,) = given.splits["a"].values()
    shown = {image[-5] for image in drawn.final if image.startswith("bad/")}
    absent = ", ".join(view for view in "ABCD" if view not in shown)
    assert absent and len(shown) < 4
    assert any(f"defect in view {absent}, so" in note for note in given.notes)
    assert not any("learnt of defects" in n for n in prepared(recipe(home, rows=ROWS)).notes)
    views.views(home / "whole", names="ABCD", bad=6)
    dataset = {"use": "folder", "params": {**views.DATASET["params"], "root": "whole"}}  # type: ignore[dict-item]
    whole = prepared(recipe(home, parts=every, rows=ROWS, dataset=dataset))
    assert not any("learnt of defects" in note for note in whole.notes)


def test_two_images_of_a_view_are_refused(home: Path) -> None:
    views.views(home / "data")
    again = home / "data" / "a" / "good" / "again"
    again.mkdir()
    (again / "SN000_A.png").write_bytes(images(home, "SN003_A")[0].read_bytes())
    result = segad("check", together(home), "--store", home / "store")
    assert result.exit_code == 1 and "part 'SN000' has 2 images of view 'A'" in said(result)
