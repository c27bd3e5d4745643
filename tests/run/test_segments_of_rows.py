"""Rows that weigh segments or switch them off: worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import said, segad
from numpy.typing import NDArray
from PIL import Image
from small_runs import done, prepared, row, workplace, write

from segad_core.bundle.runtime.bundle import Bundle
from segad_core.contracts import Arrays, FinalClassifier, Run
from segad_core.errors import PluginError, RecipeError
from segad_core.plugins.blame import named
from segad_core.plugins.registry import Registry
from segad_core.recipe import load_recipe
from segad_core.run.rows import feature_table, read_scores
from segad_core.scoring.segments import SegmentOrder
from segad_core.scoring.weighted import Weighted, weighted

LOGO = (slice(8, 20), slice(30, 44))
ALL = {"name": "All", "detectors": ["spotty"]}
OFF = {**ALL, "name": "Off", "segments": {"logo": 0}}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = workplace(tmp_path, monkeypatch)
    mask = np.zeros((48, 48), np.uint8)
    mask[:, 24:] = 2
    mask[LOGO] = 1
    Image.fromarray(mask).save(place / "mask.png")
    return place


def recipe(home: Path, *rows: dict[str, Any], **changes: Any) -> Path:
    params = {"mask": "mask.png", "segments": ["left", "logo", "right"]}
    return write(home, rows=list(rows), segmenter={"use": "static_mask", "params": params}, **changes)


def parts_of(home: Path, image: str) -> dict[str, NDArray[np.float64]]:
    pixels = np.array(Image.open(home / "data" / "a" / image))[..., 0].astype(np.float64)
    mask = np.array(Image.open(home / "mask.png"))
    return {name: pixels[mask == label] for label, name in enumerate(("left", "logo", "right"))}


def test_what_is_switched_off_is_in_no_feature_of_the_row(home: Path) -> None:
    plan, store = done(recipe(home, ALL, OFF, image_features=["max", "mean"]))
    every, some = row(plan, "All"), row(plan, "Off")
    features, names = feature_table(some, some.table, store)
    whole = ["image.spotty.max", "image.spotty.mean"]
    assert names == ["left.spotty.mean", "right.spotty.mean", *whole]
    for line, image in zip(some.scored, some.scored_ids, strict=True):
        left, _, right = parts_of(home, image).values()
        both = np.concatenate([left, right])
        assert features[line] == pytest.approx([left.mean(), right.mean(), both.max(), both.mean()], rel=1e-6)
    plain, names = feature_table(every, every.table, store)
    assert names == ["left.spotty.mean", "logo.spotty.mean", "right.spotty.mean", *whole]
    assert plain[0, 3] == max(part.max() for part in parts_of(home, plan_image(plan, 0)).values())


def plan_image(plan: Any, line: int) -> str:
    task = next(t for t in plan.tasks if type(t).__name__ == "StatisticsTask")
    return str(task.samples[line].id)


def test_other_rows_and_recipes_are_what_they_were(home: Path) -> None:
    def keys(path: Path, name: str) -> tuple[Any, ...]:
        task = row(prepared(path).plans[0], name)
        return (task.cells[0].key, *task.table.keys())

    before = keys(recipe(home, ALL), "All")
    assert keys(recipe(home, ALL, OFF), "All") == before
    assert keys(recipe(home, {**ALL, "segments": {"logo": 1, "left": 1.0}}), "All") == before
    off = keys(recipe(home, ALL, OFF), "Off")
    assert not {*off} & {*before}
    heavy = keys(recipe(home, {**ALL, "segments": {"logo": 2}}), "All")
    assert heavy[0] != before[0] and heavy[1:] == before[1:]  # the same statistics


def test_features_that_learn_do_so_from_the_rest(home: Path) -> None:
    plan, store = done(recipe(home, OFF, features=["mean"], image_features=["above"]))
    task = row(plan, "Off")
    features, _ = feature_table(task, task.table, store)
    samples = next(t for t in plan.tasks if type(t).__name__ == "StatisticsTask").samples
    good = [samples[line].id for line, label in zip(task.train, task.train_labels, strict=True) if not label]

    def rest(image: str) -> NDArray[np.float64]:
        parts = parts_of(home, image)
        return np.concatenate([parts["left"], parts["right"]])

    limit = max(rest(image).mean() for image in good)
    for line, image in zip(task.scored, task.scored_ids, strict=True):
        assert features[line, -1] == (rest(image) > limit).sum()


def test_generated_defects_spare_what_is_switched_off(home: Path) -> None:
    bad = {"from": "generated", "use": ["dot"]}  # a white pixel in the segment with the highest label
    off = {**ALL, "name": "Off", "segments": {"right": 0, "logo": 0}, "bad": bad}
    plan, _ = done(recipe(home, off))
    task = row(plan, "Off")
    assert task.generated is not None
    identities = [t.defects.identity("a") for t in plan.tasks if getattr(t, "defects", None)]
    assert [one["segmenter"]["off"] for one in identities] == [["logo", "right"]]


@pytest.mark.parametrize(
    "segments", [{"logo": 0}, {"logo": 0.5, "left": 3}, {"logo": 0, "right": 2}], ids=str
)
def test_bundles_give_the_scores_of_the_run_and_learn(home: Path, segments: dict[str, float]) -> None:
    path = recipe(home, {**ALL, "segments": segments}, final="logistic", image_features=["max", "mean"])
    plan, store = done(path)
    task = row(plan, "All")
    scores = dict(zip(task.scored_ids, read_scores(task, store), strict=True))
    words = ("--category", "a", "--row", "All", "--device", "cpu", "--store", home / "store")
    result = segad("fit", path, *words, "-o", home / "b")
    assert result.exit_code == 0, said(result)
    places = [home / "data" / "a" / image for image in scores]
    with Bundle.load(home / "b", "cpu") as bundle:
        for place, found in zip(places, bundle.predict(places), strict=True):
            assert found.score == scores[place.relative_to(home / "data" / "a").as_posix()]
            off = {name for name, weight in segments.items() if weight == 0}
            assert not {one.segment for one in found.contributions} & off
    verified = segad("bundle", "verify", home / "b")
    assert verified.exit_code == 0, said(verified)
    taught = segad("learn", home / "b", "--bad", home / "data" / "a" / "bad" / "000.png", "-o", home / "c")
    assert taught.exit_code == 0, said(taught)
    verified = segad("bundle", "verify", home / "c")
    assert verified.exit_code == 0, said(verified)


class Linear(FinalClassifier):
    """Twice each feature, and 1."""

    def fit(self, features: Any, names: Any, labels: Any, run: Run) -> None:
        pass

    def margins(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        return 2 * features.sum(axis=1) + 1

    def contributions(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack([2 * features, np.ones(len(features))])

    def state(self) -> Arrays:
        return {}

    def restore(self, state: Arrays) -> None:
        pass


def test_a_weight_multiplies_what_a_segment_adds_to_the_score() -> None:
    names = ["left.d.mean", "logo.d.mean", "image.d.max", "image.probe.score"]
    final = weighted(Linear(), names, {"logo": 0.5, "left": 3})
    features = np.array([[1.0, 10, 100, 1000], [0, 1, 0, 0]])
    assert final.margins(features).tolist() == [6 + 10 + 200 + 2000 + 1, 1 + 1]
    assert final.contributions(features)[0].tolist() == [6, 10, 200, 2000, 1]  # type: ignore[index]
    assert weighted(final, names, {}) is final


def test_a_final_classifier_without_contributions_cannot_be_weighted() -> None:
    final = Weighted(Linear(), ["left.d.mean"], {"left": 2})
    final._final.contributions = lambda _: None  # type: ignore[method-assign]
    with pytest.raises(PluginError, match="contributions"):
        final.margins(np.ones((1, 1)))


def test_one_order_of_all_segments() -> None:
    order = SegmentOrder.of(np.array([[2, 0], [255, 1]], np.uint8), 3).as_one
    assert order.pixels.tolist() == [0, 1, 3] and order.offsets.tolist() == [0, 3]


@pytest.mark.parametrize(
    ("segments", "word"),
    [
        ({"lgo": 0}, "'lgo'"),
        ({"lgo": 2}, "'lgo'"),
        ({"left": 0, "logo": 0, "right": 0}, "left"),
        ({"left": -1}, "left"),
        ({"left": 1000}, "left"),
        ({"left": "off"}, "left"),
        ({"image": 0}, "image"),
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_refused_before_training(home: Path, segments: Any, word: str) -> None:
    with pytest.raises(RecipeError, match=word):
        prepared(recipe(home, {**ALL, "segments": segments}))


def test_what_cannot_be_done_is_refused_before_training(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    score = {"name": "Spotty", "score": "spotty", "segments": {"left": 0}}
    with pytest.raises(RecipeError, match="segments"):
        prepared(recipe(home, score))
    learning = {**OFF, "segmenter": "levels", "segments": {"below": 0}}
    with pytest.raises(RecipeError, match="levels") as error:
        prepared(recipe(home, learning, encoder="tinyencoder"))
    assert all(word in str(error.value) for word in ("'below'", "each seed", "static_mask", "segad mask"))
    monkeypatch.delattr("fakes.Table.contributions")
    named.cache_clear()
    prepared(recipe(home, OFF))
    with pytest.raises(RecipeError, match="contributions"):
        prepared(recipe(home, {**ALL, "segments": {"left": 2}}))


def test_resolved_recipes_keep_them(home: Path) -> None:
    path = recipe(home, {**ALL, "segments": {"logo": 0, "left": 2, "right": 1}}, ALL | {"name": "Plain"})
    resolved = load_recipe(str(path), Registry()).resolved()
    assert "logo: 0.0" in resolved and "left: 2.0" in resolved and resolved.count("\n  segments:\n") == 1
    (home / "again.yaml").write_text(resolved)
    assert load_recipe(str(home / "again.yaml"), Registry()).resolved() == resolved
