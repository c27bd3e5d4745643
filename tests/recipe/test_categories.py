"""Which categories a recipe works on: a part of a data set will do where its categories are named."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from builders import said, segad
from published_trees import mvtec_tree

from segad_core.errors import RecipeError
from segad_core.plugins.registry import Registry
from segad_core.recipe import load_recipe

TREE = "ROOT/CATEGORY/train/good/*.png"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    mvtec_tree(tmp_path / "data", ("cable", "grid"), counts={"train good": 3, "test good": 2, "test bad": 8})
    return tmp_path


def _open(home: Path, categories: object, *of_their_own: str, **more: object) -> list[str]:
    own = {"per_category": {name: {"coreset_ratio": 0.5} for name in of_their_own}}
    plain = {
        "segad": 1,
        "dataset": {"use": "mvtec", "params": {"root": str(home / "data")}},
        "categories": categories,
        "encoder": "efficientnet_lite0",
        "detectors": {"patchcore": {"use": "patchcore", **(own if of_their_own else {})}},
        "rows": [{"name": "PatchCore", "score": "patchcore"}],
        **more,
    }
    (home / "r.yaml").write_text(yaml.safe_dump(plain))
    return load_recipe(str(home / "r.yaml"), Registry(third_parties=False)).open_dataset()[1]


def test_all_are_all_that_were_published(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(RecipeError, match="has no category 'bottle'") as caught:
        _open(home, "all")
    assert TREE in caught.value.remedy
    assert caught.value.remedy.endswith("categories: [cable, grid].")
    assert "contains 2 of 15 categories; missing: bottle, capsule" in caplog.text


def test_a_published_one_that_is_asked_for_prints_the_expected_tree(home: Path) -> None:
    with pytest.raises(RecipeError, match="has no category 'bottle'") as caught:
        _open(home, ["cable", "bottle"])
    assert TREE in caught.value.remedy


def test_another_name_is_an_error_of_the_recipe(home: Path) -> None:
    with pytest.raises(RecipeError, match="there is no category 'cabel' - did you mean 'cable'") as caught:
        _open(home, ["cabel"])
    assert TREE not in str(caught.value)


def test_a_category_of_the_command_line_is_named_as_it_was_given(home: Path) -> None:
    assert _open(home, ["cable", "grid"]) == ["cable", "grid"]
    recipe = str(home / "r.yaml")
    loaded = load_recipe(recipe, Registry(third_parties=False), (), ["grid"])
    assert loaded.open_dataset()[1] == ["grid"]
    command = ("fit", recipe, "--row", "PatchCore", "-o", home / "b", "--category", "gird")
    assert "error: --category gird: there is no category 'gird' - did you mean 'grid'" in said(
        segad(*command)
    )


def test_settings_of_a_published_one_that_is_not_there_are_no_error(home: Path) -> None:
    assert _open(home, ["grid"], "bottle", "grid") == ["grid"]
    with pytest.raises(RecipeError, match="there is no category 'gird' - did you mean 'grid'"):
        _open(home, ["grid"], "gird")


def test_a_check_of_one_that_is_not_there_prints_the_expected_tree(home: Path) -> None:
    result = segad("datasets", "check", "mvtec", "--root", home / "data", "--category", "bottle")
    assert result.exit_code == 2
    assert "has no category 'bottle'" in said(result)
    assert TREE in said(result)


def test_an_unknown_name_is_told_before_the_parameters_that_it_lacks(home: Path) -> None:
    """As where all categories have their own, so that those for all are incomplete."""
    mask = home / "mask.png"
    mask.touch()
    own = {"cable": {"mask": str(mask), "segments": ["part"]}}
    with pytest.raises(RecipeError) as caught:
        _open(home, ["cabel"], segmenter={"use": "static_mask", "per_category": own})
    (problem,) = caught.value.problems
    assert "there is no category 'cabel' in segmenter.per_category - did you mean 'cable'" in problem
    assert _open(home, ["cable"], segmenter={"use": "static_mask", "per_category": own}) == ["cable"]
    with pytest.raises(RecipeError, match="'mask' is missing"):
        _open(home, ["cable"], segmenter={"use": "static_mask", "params": {"segments": ["part"]}})
