"""A final classifier is asked whether its row's features suit it before any image is read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import fakes
import pytest
from small_runs import done, prepared, workplace, write

from segad_core.errors import PluginError, RecipeError
from segad_core.plugins.registry import Registry
from segad_core.recipe import load_recipe
from segad_core.run.final_checks import feature_names
from segad_core.run.rows import feature_table


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return workplace(tmp_path, monkeypatch)


def recipe(home: Path, feature: str) -> Path:
    forest = {"use": "brf", "params": {"num_parallel_tree": 2, "base_margin": feature}}
    rows: list[dict[str, Any]] = [
        {"name": "memory", "score": "memory"},
        {"name": "SegAD", "detectors": ["spotty"]},
        {"name": "SegAD + g", "detectors": ["spotty"], "classifier": "memory", "final": forest},
    ]
    return write(home, classifiers={"memory": "memory"}, rows=rows)


def test_an_unknown_feature_is_refused_before_any_image_is_read(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("segad_core.run.prepare.take_inventory", lambda *_: pytest.fail("images are read"))
    with pytest.raises(RecipeError) as caught:
        prepared(recipe(home, "image.memory.scores"))
    (what,) = caught.value.problems
    assert "rows[2].final" in what and "did you mean 'image.memory.score'" in what
    assert what.startswith(f"{home / 'tiny.yaml'}:")
    assert "whole.spotty.mean, image.spotty.max, image.memory.score" in caught.value.remedy


PROBED = {"name": "SegAD + g", "detectors": ["spotty"], "classifier": "g"}


class Told(fakes.Recall):
    """`Recall`, which calls its first score a risk and can name both before it has learnt."""

    def outputs(self) -> Sequence[str]:
        return ("risk", "known")

    def planned_outputs(self, layers: Sequence[str]) -> Sequence[str]:
        return ("risk", "known", *layers)


class Secretive(fakes.Recall):
    """`Recall`, whose names only its training tells."""

    def outputs(self) -> Sequence[str]:
        return ("risk", "known")


class Clashing(Told):
    """`Told`, with a score that is called as the statistic of whole maps is."""

    def outputs(self) -> Sequence[str]:
        return ("risk", "max")

    def planned_outputs(self, layers: Sequence[str]) -> Sequence[str]:
        return self.outputs()


class Hidden(Secretive):
    """`Clashing`, as only its training tells."""

    def outputs(self) -> Sequence[str]:
        return ("risk", "max")


class Doubled(Clashing):
    """Its second score has the name that the first one gets."""

    def outputs(self) -> Sequence[str]:
        return ("risk", "score")


def names_of(path: Path) -> dict[str, list[str] | None]:
    recipe = load_recipe(str(path), Registry())
    encoder = recipe.encoder.build() if recipe.encoder else None
    return {row.name: feature_names(recipe, row, "a", encoder) for row in recipe.rows}


def told_and_made(path: Path) -> list[tuple[list[str] | None, list[str]]]:
    """The names of each SegAD row's features before the training, and those of its table."""
    (plan, store), told = done(path), names_of(path)
    return [(told[t.row.name], feature_table(t, t.table, store)[1]) for t in plan.rows() if not t.row.score]


def test_the_names_are_those_of_the_table(home: Path) -> None:
    for told, made in told_and_made(recipe(home, "image.memory.score")):
        assert told == made


def test_so_are_those_of_several_outputs_and_the_first_is_the_score(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fakes, "Recall", Told)
    ((told, made),) = told_and_made(write(home, classifiers={"g": "recall"}, rows=[PROBED]))
    assert told == made
    assert made == ["whole.spotty.mean", "image.spotty.max", "image.g.score", "image.g.known"]


@pytest.mark.parametrize("layers", [None, ["layer2"], ["layer2", "layer1"]])
def test_so_are_those_of_a_probe_of_layers(home: Path, layers: list[str] | None) -> None:
    probe = {"use": "linear_probe", "params": {"per_layer": True, "layers": layers, "C": [0.1]}}
    final = {"use": "brf", "params": {"num_parallel_tree": 2, "base_margin": "image.g.layer2"}}
    row = {**PROBED, "final": final}
    ((told, made),) = told_and_made(write(home, encoder="tinyencoder", classifiers={"g": probe}, rows=[row]))
    assert told == made
    assert made[2:] == ["image.g.score", *(f"image.g.{n}" for n in layers or ["layer1", "layer2", "layer3"])]


def test_what_only_the_training_tells_is_not_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fakes, "Recall", Secretive)
    final = {"use": "brf", "params": {"num_parallel_tree": 2, "base_margin": "image.g.known"}}
    path = write(home, classifiers={"g": "recall"}, rows=[{**PROBED, "final": final}])
    assert names_of(path) == {"SegAD + g": None}
    done(path)


@pytest.mark.parametrize(("kind", "name"), [(Clashing, "'max'"), (Doubled, "'score'")])
def test_scores_that_look_like_something_else_are_refused(
    home: Path, monkeypatch: pytest.MonkeyPatch, kind: type, name: str
) -> None:
    monkeypatch.setattr(fakes, "Recall", kind)
    monkeypatch.setattr("segad_core.run.prepare.take_inventory", lambda *_: pytest.fail("images are read"))
    with pytest.raises(PluginError, match=rf"'g'.*{name}"):
        prepared(write(home, classifiers={"g": "recall"}, rows=[PROBED]))


def test_also_if_only_the_training_tells(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fakes, "Recall", Hidden)
    with pytest.raises(PluginError, match=r"'g'.*'max'"):
        done(write(home, classifiers={"g": "recall"}, rows=[PROBED]))


# ---- scores of images that the classifier has not seen ----


class Trusting(fakes.Table):
    """`Table`, misled by scores of images that the classifier trained on."""

    needs_unseen_scores: ClassVar[bool] = True


@pytest.mark.parametrize(
    ("classifier", "final", "named"),
    [
        ({"use": "memory"}, "table", True),
        ({"use": "memory", "out_of_fold": 3}, "table", False),
        ({"use": "recall"}, "table", False),  # out of fold by default
        ({"use": "recall", "out_of_fold": 0}, "table", True),
        ({"use": "memory"}, "brf", False),
    ],
)
def test_scores_of_seen_images_are_noted_where_they_mislead(
    home: Path, monkeypatch: pytest.MonkeyPatch, classifier: dict[str, Any], final: str, named: bool
) -> None:
    monkeypatch.setattr(fakes, "Table", Trusting)
    notes = prepared(write(home, classifiers={"g": classifier}, rows=[{**PROBED, "final": final}])).notes
    found = [note for note in notes if "out_of_fold: 5" in note]
    assert len(found) == named
    assert all("'SegAD + g'" in note and "'g'" in note and "'table'" in note for note in found)


def test_a_blend_is_such_a_final_classifier(home: Path) -> None:
    rows = [{**PROBED, "final": "blend"}, {**PROBED, "name": "plain", "final": "brf"}]
    notes = prepared(write(home, classifiers={"g": "memory"}, rows=rows)).notes
    (found,) = [note for note in notes if "out_of_fold: 5" in note]
    assert "'SegAD + g'" in found and "'blend'" in found
