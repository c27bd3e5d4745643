"""Types in recipes and beside them: each wrong value by file, line and place, with what is expected."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

import pytest
from builders import data_set, write_recipe
from pydantic import ValidationError
from typing_extensions import TypedDict  # pydantic wants this one below Python 3.12

from segad_core.api import Parameters
from segad_core.errors import RecipeError
from segad_core.plugins.registry import Registry
from segad_core.recipe import Recipe, load_recipe
from segad_core.recipe.published import published
from segad_core.split.file import read_splits

USE = "{use: patchcore, params: {coreset_ratio: 0.1, blur_sigma: 1}}"


def load(folder: Path, *changes: tuple[str, str], words: tuple[str, ...] = ()) -> Recipe:
    data_set(folder / "data", good=1, bad=1)
    return load_recipe(str(write_recipe(folder, *changes)), Registry(), words)


WRONG = {
    "seeds: [true]": (("seeds: [0]", "seeds: [true]"), 8, "split.seeds[0]", "valid integer (got True)"),
    "seeds: ['1']": (("seeds: [0]", "seeds: ['1']"), 8, "split.seeds[0]", "(got '1'): remove the quotes"),
    "segad: true": (("segad: 1", "segad: true"), 1, "segad", "(got True)"),
    "segad: 1.0": (("segad: 1\n", "segad: 1.0\n"), 1, "segad", "(got 1.0)"),
    "size": (("[48, 48]", "[48.0, 48]"), 4, "image.size[0]", "valid integer (got 48.0)"),
    "batch_size": (("batch_size: 4", "batch_size: 4.0"), 5, "batch_size", "valid integer (got 4.0)"),
    "good": (("good: 4, bad: 3", 'good: "0.5", bad: 3'), 9, "split.test.good", "must be a share"),
    "title": (("title: tiny", "title: 7"), 2, "title", "(got 7): put it in quotes"),
    "version": (
        (USE, "{use: patchcore, version: 1.2}"),
        *(12, "detectors.patchcore.version", "(got 1.2): put it in quotes, as 1.10 is not 1.1"),
    ),
    "a parameter": (("0.1, blur", '"0.1", blur'), 12, "detectors.patchcore.params.coreset_ratio", "quotes"),
    "true": (
        ("0.1, blur", "true, blur"),
        12,
        "detectors.patchcore.params.coreset_ratio",
        "(got True)",
    ),
    "epochs": (
        (USE, '{use: fastflow, params: {epochs: "20"}}'),
        *(12, "detectors.patchcore.params.epochs", "valid integer (got '20'): remove the quotes"),
    ),
    "epochs: true": (
        (USE, "{use: fastflow, params: {epochs: true}}"),
        *(12, "detectors.patchcore.params.epochs", "valid integer (got True)"),
    ),
    "a category": (
        (USE, "{use: fastflow, per_category: {a: {epochs: 2.0}}}"),
        *(12, "detectors.patchcore.per_category.a.epochs", "valid integer (got 2.0)"),
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_value_of_the_wrong_type_is_refused_in_its_place(name: str, tmp_path: Path) -> None:
    change, line, place, words = WRONG[name]
    with pytest.raises(RecipeError) as caught:
        load(tmp_path, change)
    problem = caught.value.problems[0]
    assert f"tiny.yaml:{line}: {place}: " in problem and words in problem, problem


@pytest.mark.parametrize("word", ["batch_size=4.0", "split.seeds=[true]", "batch_size='4'"])
def test_words_of_the_command_line_too(word: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        load(tmp_path, words=(word,))
    assert caught.value.problems[0].startswith(f"--set {word}: ")


@pytest.mark.parametrize("number", ["1e-1", "1.0e-1", "1E-1", "0.1", ".1"])
def test_each_form_of_a_number_is_one(number: str, tmp_path: Path) -> None:
    recipe = load(tmp_path, ("coreset_ratio: 0.1", f"coreset_ratio: {number}"))
    assert recipe.detectors["patchcore"].params.coreset_ratio == 0.1  # type: ignore[union-attr]


def test_a_name_that_looks_like_a_number_stays_a_name(tmp_path: Path) -> None:
    recipe = load(tmp_path, ("title: tiny", "title: 1e-3"), ("name: PatchCore", "name: 12e4"))
    assert (recipe.skeleton.title, recipe.rows[0].name) == ("1e-3", "12e4")


def test_environment_variables_are_what_is_expected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data_set(tmp_path / "12", good=1, bad=1)
    for name, value in {"COUNT": "12", "RATIO": "1e-1", "YES": "true", "BAD": "twelve"}.items():
        monkeypatch.setenv(name, value)
    recipe = load(
        tmp_path,
        ("batch_size: 4", "batch_size: ${COUNT}"),
        ("coreset_ratio: 0.1", 'coreset_ratio: "${RATIO}"'),
        ("root: data", 'root: "${COUNT}"'),
        ("good: 4, bad: 3", "good: ${RATIO}, bad: 3".replace("${", '"${').replace("},", '}",')),
    )
    assert recipe.skeleton.batch_size == 12
    assert recipe.detectors["patchcore"].params.coreset_ratio == 0.1  # type: ignore[union-attr]
    assert recipe.skeleton.split.test is not None and recipe.skeleton.split.test.good == 0.1
    assert recipe.dataset.params.root == tmp_path / "12"  # type: ignore[union-attr]
    with pytest.raises(RecipeError, match=r"tiny.yaml:5: batch_size: .* \(got 'twelve'\)"):
        load(tmp_path, ("batch_size: 4", "batch_size: ${BAD}"))


def test_published_figures(tmp_path: Path) -> None:
    text = "source: s\ncategories: [a]\nfigures: {auroc: {row: {a: FIGURE}}}\n"
    for wrong in ("true", "'50'", "[50, true]"):
        (tmp_path / "p.yaml").write_text(text.replace("FIGURE", wrong))
        with pytest.raises(RecipeError, match=r"p.yaml:3: figures.auroc.row.a: must be a number"):
            published("p.yaml", tmp_path)
    (tmp_path / "p.yaml").write_text(text.replace("FIGURE", "[5e1, 1]"))
    assert published("p.yaml", tmp_path).value("auroc", "row", "a") == (50.0, 1.0)


@pytest.mark.parametrize("seed", [True, "1", 1.0])
def test_files_of_splits(seed: object, tmp_path: Path) -> None:
    entry = {"seed": seed, "detectors": ["a"], "final": ["b"], "test": ["c"]}
    (tmp_path / "splits.json").write_text(json.dumps({"a": {"0": entry}}))
    with pytest.raises(RecipeError, match=r"a.0.seed: Input should be a valid integer"):
        read_splits(tmp_path / "splits.json")


class Level(IntEnum):
    LOW = 1
    HIGH = 2


@dataclass
class Pair:
    first: int
    second: float = 0.0


class Named(NamedTuple):
    count: int


class Box(TypedDict):
    side: int


class Chain(Parameters):
    length: int = 1
    following: Chain | None = None


class Everything(Parameters):
    chain: Chain | None = None
    level: Level = Level.LOW
    pair: Pair = Pair(1)
    named: Named = Named(1)
    box: Box = Box(side=1)
    path: Path = Path()
    size: tuple[int, int] = (1, 1)
    ratio: float = 0.5


@pytest.mark.parametrize(
    "given",
    [
        {"level": True},
        {"pair": {"first": True}},
        {"pair": {"first": "2"}},
        {"named": {"count": True}},
        {"named": ["2"]},
        {"box": {"side": True}},
        {"box": {"side": "2"}},
        {"size": [1.0, 2]},
        {"chain": {"length": True}},
        {"chain": {"following": {"following": {"length": "2"}}}},
        {"ratio": True},
    ],
    ids=str,
)
def test_no_kind_of_parameter_converts_values(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Everything.model_validate(given)


def test_forms_that_yaml_does_not_have_are_made_from_those_that_it_has() -> None:
    made = Everything.model_validate(
        {"level": 2, "pair": {"first": 2, "second": 1}, "named": [3], "path": "a", "size": [4, 5], "ratio": 1}
    )
    assert (made.level, made.pair, made.named) == (Level.HIGH, Pair(2, 1.0), Named(3))
    assert (made.path, made.size, made.ratio) == (Path("a"), (4, 5), 1.0)


@pytest.mark.parametrize("name", [".yaml", "..yaml", "...yaml"])
def test_no_name_of_a_recipe_leads_out_of_the_folder_of_runs(name: str, tmp_path: Path) -> None:
    data_set(tmp_path / "data", good=1, bad=1)
    path = write_recipe(tmp_path).rename(tmp_path / name)
    assert load_recipe(str(path), Registry(third_parties=False)).name == name
