"""A broken plugin is listed without being imported, named by --check, and harms only who uses it."""

import pytest

import segad_core

ENTRY_POINT = "[segad.detectors]\nodd = odd_module:Odd\n"
LEAVE_A_TRACE = "import os, pathlib\npathlib.Path(os.environ['ZOO_TRACES'], __name__).touch()\n"
NO_LIBRARY = LEAVE_A_TRACE + "import a_library_that_is_not_there\n"
NOT_A_DETECTOR = LEAVE_A_TRACE + "class Odd:\n    'Looks like one.'\n"
A_FUNCTION = LEAVE_A_TRACE + "def Odd(params=None, device='cpu'):\n    'Looks like one.'\n"
UNFINISHED = LEAVE_A_TRACE + (
    "from segad_core.contracts import Detector\n"
    "class Odd(Detector):\n    'Learns, and can do no more.'\n    def fit(self, images, run): pass\n"
)
UNDESCRIBED = "from tiny_module import Tiny\nclass Odd(Tiny): pass\n"
PLAIN_PARAMS = (
    "from tiny_module import Tiny\nclass Odd(Tiny):\n    'Takes anything.'\n    class Params: pass\n"
)

NO_IMPORT = (
    "detectors: the plugin 'odd' of odd-one 1.2 cannot be imported with segad "
    f"{segad_core.__version__}: ModuleNotFoundError: No module named 'a_library_that_is_not_there'"
)
NO_CONTRACT = "odd_module:Odd is not a subclass of segad_core.contracts.Detector"

BROKEN = {
    "no library": (NO_LIBRARY, NO_IMPORT),
    "no such class": (LEAVE_A_TRACE, "AttributeError: module 'odd_module' has no attribute 'Odd'"),
    "not Python": (LEAVE_A_TRACE + "def", "SyntaxError: "),
    "raises": (LEAVE_A_TRACE + "1 / 0", "ZeroDivisionError: division by zero"),
    "not a detector": (NOT_A_DETECTOR, NO_CONTRACT),
    "a function": (A_FUNCTION, NO_CONTRACT),
    "unfinished": (UNFINISHED, "Odd does not define anomaly_maps, restore, state"),
    "undescribed": (UNDESCRIBED, "Odd has no docstring"),
    "plain params": (PLAIN_PARAMS, "Odd.Params is not a subclass of segad_core.contracts.Parameters"),
}


@pytest.fixture
def zoo(house):
    """A house with a sound plugin, pictures, and a recipe for it."""
    house.plugin("tiny", "[segad.detectors]\ntiny = tiny_module:Tiny\n", "tiny_module", house.TINY)
    house.pictures()
    house.recipe({"tiny": "tiny"}, name="sound")
    return house


@pytest.mark.parametrize(("source", "reason"), BROKEN.values(), ids=BROKEN)
def test_it_is_found_by_list_plugins_and_broken_to_check(zoo, source, reason):
    zoo.plugin("odd-one", ENTRY_POINT, "odd_module", source)

    listed = zoo.segad("list-plugins", "--json")
    assert listed.code == 0
    line = listed.plugins()["detectors", "odd-one:odd"]
    assert (line["version"], line["status"]) == ("1.2", "found")
    assert not zoo.traces  # nothing was imported to know this

    checked = zoo.segad("list-plugins", "--check", "--json", "--kind", "detectors")
    assert checked.code == 1
    line = checked.plugins()["detectors", "odd-one:odd"]
    assert line["status"] == "broken"
    assert reason in line["about"]
    assert checked.plugins()["detectors", "tiny:tiny"]["status"] == "ok"


@pytest.mark.parametrize(("source", "reason"), BROKEN.values(), ids=BROKEN)
def test_a_recipe_that_names_it_says_whose_fault_it_is(zoo, source, reason):
    zoo.plugin("odd-one", ENTRY_POINT, "odd_module", source)
    answer = zoo.segad("check", zoo.recipe({"odd": "odd", "tiny": "tiny"}))
    assert answer.code == 2
    assert "recipe.yaml:6: detectors.odd.use: detectors: the plugin 'odd' of odd-one 1.2 " in answer.err
    assert reason in answer.err
    assert "odd-one" in answer.err.splitlines()[-1]  # what to do about it
    assert "Traceback" not in answer.err


def test_text_shows_the_whole_reason(zoo):
    zoo.plugin("odd-one", ENTRY_POINT, "odd_module", NO_LIBRARY)
    checked = zoo.segad("list-plugins", "--check", "--kind", "detectors")
    assert checked.line("detectors", "odd") == ["detectors", "odd", "odd-one", "1.2", "broken", NO_IMPORT]


def test_debug_shows_the_original_traceback(zoo):
    zoo.plugin("odd-one", ENTRY_POINT, "odd_module", NO_LIBRARY)
    answer = zoo.segad("check", zoo.recipe({"odd": "odd"}), "--debug")
    assert answer.code == 1
    assert "Traceback" in answer.err
    assert "import a_library_that_is_not_there" in answer.err


def test_a_recipe_that_does_not_name_it_runs(zoo):
    zoo.plugin("odd-one", ENTRY_POINT, "odd_module", NO_LIBRARY)
    answer = zoo.segad("run", "sound.yaml")
    assert answer.code == 0, answer.err
    assert list(zoo.results("sound")) == ["tiny"]
    assert zoo.traces == {"tiny_module"}


@pytest.mark.parametrize("name", ["Odd-Name", "9lives", "with space", "dist:name"])
def test_an_invalid_name_is_broken(zoo, name):
    zoo.plugin("odd-one", f"[segad.detectors]\n{name} = tiny_module:Tiny\n")
    listed = zoo.segad("list-plugins", "--json").plugins()
    assert listed["detectors", f"odd-one:{name}"]["status"] == "found"

    sentence = f"its name '{name}' is not of the form [a-z][a-z0-9_]*"
    checked = zoo.segad("list-plugins", "--check", "--json", "--kind", "detectors")
    assert checked.code == 1
    assert sentence in checked.plugins()["detectors", f"odd-one:{name}"]["about"]

    answer = zoo.segad("check", zoo.recipe({"odd": f'"{name}"'}))
    assert answer.code == 2
    assert f"of odd-one 1.2 does not keep its contract: {sentence}" in answer.err
    assert zoo.segad("check", "sound.yaml").code == 0


@pytest.mark.xfail(strict=True, reason="importlib.metadata gives up on all distributions: registry.py")
@pytest.mark.parametrize(
    ("metadata", "entry_points"),
    [
        ("Metadata-Version: 2.1\nName: odd-one\nVersion: 1.2\n", "[segad.detectors]\nno equals sign\n"),
        ("Metadata-Version: 2.1\nName: odd-one\nVersion: 1.2\n", "[console_scripts]\nno equals sign\n"),
        ("Metadata-Version: 2.1\nName: odd-one\n", ENTRY_POINT),
        (None, ENTRY_POINT),
    ],
    ids=["broken line of ours", "broken line of another's", "no version", "no metadata"],
)
def test_spoilt_metadata_harm_nobody_else(zoo, metadata, entry_points):
    info = zoo.plugin("odd-one", entry_points, "odd_module", NO_LIBRARY)
    if metadata is None:
        (info / "METADATA").unlink()
    else:
        (info / "METADATA").write_text(metadata)
    listed = zoo.segad("list-plugins", "--json")
    assert listed.code == 0, listed.err
    assert listed.plugins()["detectors", "tiny:tiny"]["status"] == "found"
    assert zoo.segad("check", "sound.yaml").code == 0


@pytest.mark.xfail(strict=True, reason="only Exception is caught: registry.py, Provider.load")
@pytest.mark.parametrize("code", ["0", "'this needs a licence'"])
def test_a_module_that_ends_the_process_is_broken_like_any_other(zoo, code):
    zoo.plugin("odd-one", ENTRY_POINT, "odd_module", f"import sys\nsys.exit({code})\n")
    checked = zoo.segad("list-plugins", "--check", "--json", "--kind", "detectors")
    assert checked.code == 1
    assert "SystemExit" in checked.plugins()["detectors", "odd-one:odd"]["about"]
    answer = zoo.segad("check", zoo.recipe({"odd": "odd"}))
    assert answer.code == 2
    assert "the plugin 'odd' of odd-one 1.2 cannot be imported" in answer.err
