"""Two distributions, one name: bare, it is segad's own, or an error for who uses it; a full name is clear."""

import pytest

from segad_core.errors import PluginError
from segad_core.plugins.finding import find_any
from segad_core.plugins.registry import Provider, Registry, suggest

RIVAL = "[segad.detectors]\npatchcore = tiny_module:Tiny\n"


@pytest.fixture
def rivals(house):
    """A house in which `patchcore` is also the name of a plugin of the distribution `rival`."""
    house.plugin("rival", RIVAL, *house.TINY[2:], version="3.0")
    house.pictures()
    return house


def test_segads_own_shadows_the_rival_and_none_is_imported(rivals):
    listed = rivals.segad("list-plugins", "--json")
    assert listed.code == 0
    plugins = listed.plugins()
    assert plugins["detectors", "segad:patchcore"]["status"] == "found"
    assert plugins["detectors", "rival:patchcore"]["status"] == "shadowed"
    assert {line["status"] for (kind, _), line in plugins.items() if kind != "detectors"} == {"found"}
    assert not rivals.traces


def test_the_bare_name_is_segads_own_with_a_warning(rivals):
    recipe = rivals.recipe({"one": "patchcore"}, more="encoder: efficientnet_lite0\n")
    answer = rivals.segad("check", recipe)
    assert answer.code == 0, answer.err
    (warning,) = [line for line in answer.err.splitlines() if "rival:patchcore" in line]
    assert "'patchcore' is segad's own detector" in warning
    assert not rivals.traces
    assert "rival" not in rivals.segad("check", recipe.replace(".yaml", ".yaml"), "--no-plugins").err


def test_shipped_recipes_are_not_stopped(rivals):
    images = f"dataset={{use: folder, params: {{root: '{rivals.home / 'parts'}'}}}}"
    answer = rivals.segad("check", "elpv", "--set", images, "--set", "segmenter=whole_image")
    assert answer.code == 0, answer.err
    assert "rival:patchcore" in answer.err and "is provided by" not in answer.err
    assert not rivals.traces


@pytest.fixture
def two_rivals(house):
    """A house in which two third parties have a plugin of one name, and segad none."""
    for distribution, version in (("rival", "3.0"), ("other", "1.0")):
        house.plugin(distribution, "[segad.detectors]\nlinked = tiny_module:Tiny\n", version=version)
    house.plugin(*house.TINY)
    house.pictures()
    return house


def test_two_third_parties_are_ambiguous_and_an_error_lists_them(two_rivals):
    plugins = two_rivals.segad("list-plugins", "--json").plugins()
    assert {plugins["detectors", f"{d}:linked"]["status"] for d in ("rival", "other")} == {"ambiguous"}
    answer = two_rivals.segad("check", two_rivals.recipe({"one": "linked"}))
    assert answer.code == 2
    assert "recipe.yaml:6: detectors.one.use: 'linked' is provided by " in answer.err
    assert "other:linked 1.0, rival:linked 3.0" in answer.err
    assert "such as 'other:linked'" in answer.err
    assert not two_rivals.traces


def test_a_full_name_picks_the_rival(rivals):
    answer = rivals.segad("run", rivals.recipe({"one": "rival:patchcore"}))
    assert answer.code == 0, answer.err
    assert rivals.traces == {"tiny_module"}
    assert list(rivals.results("recipe")) == ["one"]


@pytest.mark.slow
def test_a_full_name_picks_ours(rivals):
    use = "{use: 'segad:patchcore', params: {coreset_ratio: 0.1}}"
    recipe = rivals.recipe({"one": use}, more="encoder: efficientnet_lite0\n")
    answer = rivals.segad("run", recipe, "--device", "cpu")
    assert answer.code == 0, answer.err
    assert not rivals.traces


@pytest.mark.slow
def test_both_stand_in_one_recipe(rivals):
    detectors = {"ours": "'segad:patchcore'", "theirs": "'rival:patchcore'"}
    answer = rivals.segad("check", rivals.recipe(detectors, more="encoder: efficientnet_lite0\n"))
    assert answer.code == 0, answer.err


@pytest.mark.slow
def test_without_third_parties_there_is_no_clash(rivals):
    listed = rivals.segad("list-plugins", "--no-plugins", "--json").plugins()
    assert listed["detectors", "segad:patchcore"]["status"] == "found"
    recipe = rivals.recipe({"one": "patchcore"}, more="encoder: efficientnet_lite0\n")
    assert rivals.segad("check", recipe, "--no-plugins").code == 0
    assert not rivals.traces


def test_a_name_that_nobody_shares_is_not_touched(rivals):
    rivals.plugin("other", "[segad.detectors]\ntiny = tiny_module:Tiny\n")
    assert rivals.segad("run", rivals.recipe({"tiny": "tiny"})).code == 0


def test_the_same_name_of_another_kind_is_no_clash(house):
    house.plugin("rival", "[segad.encoders]\npatchcore = tiny_module:Tiny\n", *house.TINY[2:])
    plugins = house.segad("list-plugins", "--json").plugins()
    assert plugins["detectors", "segad:patchcore"]["status"] == "found"
    assert plugins["encoders", "rival:patchcore"]["status"] == "found"


def test_a_name_that_looks_like_a_full_name_does_not_get_in_its_way(house):
    house.plugin("rival", "[segad.detectors]\nsegad:patchcore = tiny_module:Tiny\n")
    house.pictures()
    recipe = house.recipe({"one": "'segad:patchcore'"}, more="encoder: efficientnet_lite0\n")
    answer = house.segad("check", recipe)
    assert answer.code == 0, answer.err


def test_a_distribution_is_known_by_any_spelling_of_its_name(house):
    house.plugin("My.Own-Rival", RIVAL, *house.TINY[2:])
    house.pictures()
    answer = house.segad("check", house.recipe({"one": "'my_own_rival:patchcore'"}))
    assert answer.code == 0, answer.err


@pytest.mark.parametrize("spelling", ["My.Own-Rival", "my_own_rival", "my-own-rival"])
def test_commands_and_recipes_know_a_distribution_by_any_spelling(spelling):
    found = Provider("detectors", "patchcore", "My.Own-Rival", "3.0", "tiny_module:Tiny")
    own = Provider("detectors", "patchcore", "segad", "0.1", "segad_plugins.x:X")
    registry = Registry()
    registry._installed = [found, own]
    assert find_any(registry, f"{spelling}:patchcore") is found
    assert registry.find("detectors", f"{spelling}:patchcore") is found
    assert find_any(registry, "segad:patchcore") is own


def test_a_distribution_that_is_not_installed_is_named_with_a_near_one() -> None:
    with pytest.raises(PluginError) as caught:
        Registry().find("detectors", "sega:patchcore")
    assert "'sega'" in caught.value.what and "did you mean 'segad'?" in caught.value.what
    assert "patchcore_" not in caught.value.what
    with pytest.raises(PluginError, match="no detector is called 'segad:patchcor'"):
        Registry().find("detectors", "segad:patchcor")


def test_lists_of_known_names_are_cut() -> None:
    told = suggest("zzz", [f"name_{i}" for i in range(99)])
    assert "name_29 and 69 more" in told and "name_30" not in told
