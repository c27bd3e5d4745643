"""A broken plugin is listed without being imported, named by --check, and harms only who uses it."""

import textwrap

import pytest

import segad_core

ENTRY_POINT = "[segad.detectors]\nodd = odd_module:Odd\n"
LEAVE_A_TRACE = "import os, pathlib\npathlib.Path(os.environ['ZOO_TRACES'], __name__).touch()\n"
NO_LIBRARY = LEAVE_A_TRACE + "import a_library_that_is_not_there\n"
NOT_A_DETECTOR = LEAVE_A_TRACE + "class Odd:\n    'Looks like one.'\n"
A_FUNCTION = LEAVE_A_TRACE + "def Odd(params=None, device='cpu'):\n    'Looks like one.'\n"
UNFINISHED = LEAVE_A_TRACE + (
    "from segad_core.api import Detector\n"
    "class Odd(Detector):\n    'Learns, and can do no more.'\n    def fit(self, images, run): pass\n"
)
UNDESCRIBED = "from tiny_module import Tiny\nclass Odd(Tiny): pass\n"
PLAIN_PARAMS = (
    "from tiny_module import Tiny\nclass Odd(Tiny):\n    'Takes anything.'\n    class Params: pass\n"
)
WRONG_DEFAULTS = """
from typing import Literal
from pydantic import Field
from segad_core.api import Parameters
from tiny_module import Tiny
class Odd(Tiny):
    'Its own default is out of its limits; None and 1 have the wrong type, which has always worked.'
    class Params(Parameters):
        sigma: float = Field(-1.0, gt=0)
        names: list[str] = None
        blur: str = Field(1, min_length=1)
"""

BROKEN = {
    "no-library": (NO_LIBRARY, "ModuleNotFoundError: No module named 'a_library_that_is_not_there'"),
    "interrupts": (LEAVE_A_TRACE + "raise KeyboardInterrupt", "the module raises KeyboardInterrupt"),
    "quits": (LEAVE_A_TRACE + "import sys\nsys.exit('no licence')", "SystemExit: no licence"),
    "exits": (LEAVE_A_TRACE + "os._exit(0)", "SystemExit: os._exit(0) would end the process"),
    "panics": (LEAVE_A_TRACE + "raise type('Panic', (BaseException,), {})('no GPU')", "Panic: no GPU"),
    "property": (
        "from tiny_module import Tiny\nclass Odd(Tiny):\n    'Odd.'\n    layers = property(repr)\n",
        "Odd.layers is a property, not a method",
    ),
    "final": (
        "from tiny_module import Tiny\nclass Odd(Tiny):\n    'Odd.'\n"
        "    def __init_subclass__(cls, **words): raise TypeError('final')\n",
        "no class can be derived from Odd, as segad does: TypeError: final",
    ),
    "no-class": (LEAVE_A_TRACE, "AttributeError: module 'no_class' has no attribute 'Odd'"),
    "no-python": (LEAVE_A_TRACE + "def", "SyntaxError: "),
    "raises": (LEAVE_A_TRACE + "1 / 0", "ZeroDivisionError: division by zero"),
    "not-one": (NOT_A_DETECTOR, "not_one:Odd is not a subclass of segad_core.api.Detector"),
    "function": (A_FUNCTION, "function:Odd is not a subclass of segad_core.api.Detector"),
    "unfinished": (UNFINISHED, "Odd does not define anomaly_maps, restore, state"),
    "undescribed": (UNDESCRIBED, "Odd has no docstring"),
    "wrong-default": (
        WRONG_DEFAULTS,
        "Odd.Params: the default of 'sigma' is -1.0, but its input should be greater than 0",
    ),
    "plain-params": (PLAIN_PARAMS, "Odd.Params is not a subclass of segad_core.api.Parameters"),
}
"""By distribution: the source of its only module, and what is wrong with it."""


def _with_contract(value):
    return f"from tiny_module import Tiny\nclass Odd(Tiny):\n    'Odd.'\n    contract = {value}\n"


BROKEN |= {
    "contract-text": (_with_contract("'1'"), "Odd.contract is a str, not the version of the contract"),
    "contract-bool": (_with_contract("True"), "Odd.contract is a bool, not the version of the contract"),
    "contract-nought": (_with_contract("0"), "Odd.contract is 0, not the version of the contract"),
}

INVALID_NAMES = ["Odd-Name", "9lives", "with space", "dist:name"]


def sound(house):
    """Puts a sound plugin into a house, pictures, and a recipe that needs no more."""
    house.plugin(*house.TINY)
    house.pictures()
    house.recipe({"tiny": "tiny"}, name="sound")
    return house


@pytest.fixture
def zoo(house):
    """The test's own house with a sound plugin in it."""
    return sound(house)


@pytest.fixture(scope="module")
def crowded(houses):
    """A house with every broken plugin, and a sound one."""
    house = sound(houses("crowded"))
    for distribution, (source, _) in BROKEN.items():
        module = distribution.replace("-", "_")
        house.plugin(distribution, f"[segad.detectors]\n{module} = {module}:Odd\n", module, source)
    invalid = "".join(f"{name} = tiny_module:Tiny\n" for name in INVALID_NAMES)
    house.plugin("invalid", "[segad.detectors]\n" + invalid)
    return house


@pytest.fixture(scope="module")
def listed(crowded):
    """`list-plugins`, before anything else was run there."""
    answer = crowded.segad("list-plugins", "--json")
    assert not crowded.traces  # no plugin was imported to list them
    return answer


@pytest.fixture(scope="module")
def checked(crowded, listed):
    """`list-plugins --check`."""
    return crowded.segad("list-plugins", "--check", "--json", "--kind", "detectors")


@pytest.fixture(scope="module")
def named(crowded, listed):
    """`check` of a recipe that names all of them."""
    uses = [distribution.replace("-", "_") for distribution in BROKEN] + INVALID_NAMES
    return crowded.segad("check", crowded.recipe({f"d{i}": f'"{use}"' for i, use in enumerate(uses)}))


def test_list_plugins_finds_them_all(listed):
    assert listed.code == 0
    for distribution in BROKEN:
        line = listed.plugins()["detectors", f"{distribution}:{distribution.replace('-', '_')}"]
        assert (line["version"], line["status"]) == ("1.2", "found")
    for name in INVALID_NAMES:
        assert listed.plugins()["detectors", f"invalid:{name}"]["status"] == "found"


def test_the_exit_code_of_a_check_says_that_something_is_broken(checked):
    assert checked.code == 1
    statuses = {name: line["status"] for (_, name), line in checked.plugins().items()}
    assert statuses.pop("tiny:tiny") == "loads"
    assert statuses.pop("segad:patchcore") == "loads"
    assert {status for name, status in statuses.items() if not name.startswith("segad:")} == {"broken"}


@pytest.mark.parametrize("distribution", BROKEN)
def test_a_check_says_what_is_wrong(checked, distribution):
    line = checked.plugins()["detectors", f"{distribution}:{distribution.replace('-', '_')}"]
    assert BROKEN[distribution][1] in line["about"]


@pytest.mark.parametrize("distribution", BROKEN)
def test_a_recipe_that_names_it_says_whose_fault_it_is(named, distribution):
    assert named.code == 2
    i = list(BROKEN).index(distribution)
    place = f"recipe.yaml:{6 + i}: detectors.d{i}.use: detectors: "
    fault = f"the plugin '{distribution.replace('-', '_')}' of {distribution} 1.2 "
    start = named.err.index(place + fault)
    what, _, remedy = named.err[start:].splitlines()[0].rpartition(". ")
    assert BROKEN[distribution][1] in what
    assert distribution in remedy
    assert "Traceback" not in named.err


@pytest.mark.parametrize("name", INVALID_NAMES)
def test_an_invalid_name_is_broken(checked, named, name):
    for text in (checked.plugins()["detectors", f"invalid:{name}"]["about"], named.err):
        assert f"'{name}'" in text
        assert "[a-z][a-z0-9_]*" in text
    assert f"the plugin '{name}' of invalid 1.2 " in named.err


def test_a_recipe_that_names_none_of_them_runs(crowded, listed):
    for trace in crowded.traces:
        (crowded.home / "traces" / trace).unlink()
    answer = crowded.segad("run", "sound.yaml")
    assert answer.code == 0, answer.err
    assert list(crowded.results("sound")) == ["tiny"]
    assert crowded.traces == {"tiny_module"}


def test_text_shows_the_whole_reason(zoo):
    zoo.plugin("odd-one", ENTRY_POINT, "odd_module", NO_LIBRARY)
    checked = zoo.segad("list-plugins", "--check", "--kind", "detectors")
    assert checked.line("detectors", "odd") == [
        "detectors",
        "odd",
        "odd-one",
        "1.2",
        "broken",
        "detectors: the plugin 'odd' of odd-one 1.2 cannot be imported with segad "
        f"{segad_core.__version__}: ModuleNotFoundError: No module named 'a_library_that_is_not_there'",
    ]


def test_debug_shows_the_original_traceback(zoo):
    zoo.plugin("odd-one", ENTRY_POINT, "odd_module", NO_LIBRARY)
    answer = zoo.segad("check", zoo.recipe({"odd": "odd"}), "--debug")
    assert answer.code == 2
    assert "Traceback" in answer.err
    assert "import a_library_that_is_not_there" in answer.err


@pytest.mark.parametrize(
    "metadata", ["Metadata-Version: 2.1\nName: odd-one\n", None], ids=["no version", "none"]
)
def test_incomplete_metadata_harm_nobody_else(zoo, metadata):
    info = zoo.plugin("odd-one", ENTRY_POINT, "odd_module", NO_LIBRARY)
    if metadata is None:
        (info / "METADATA").unlink()
    else:
        (info / "METADATA").write_text(metadata)
    listed = zoo.segad("list-plugins", "--json")
    assert listed.code == 0, listed.err
    assert listed.plugins()["detectors", "tiny:tiny"]["status"] == "found"
    text = zoo.segad("list-plugins", "--kind", "detectors")
    assert text.code == 0, text.err
    assert zoo.segad("check", "sound.yaml").code == 0


DAMAGED = {
    "no value": ("entry_points.txt", b"[segad.detectors]\nodd\n", "odd", "'odd' has no '='"),
    "no text": ("entry_points.txt", b"[segad.detectors]\nodd\xff = a:B\n", "odd\\xff", "UnicodeDecodeError"),
    "no name": (
        "METADATA",
        b"Metadata-Version: 2.1\nName: odd\xff\nVersion: 1\n",
        "odd",
        "UnicodeDecodeError",
    ),
}
"""By what is wrong: the file, its content, the plugin that it has, and what is said."""


@pytest.mark.parametrize("how", DAMAGED)
def test_damaged_metadata_are_broken_and_harm_nobody_else(zoo, how):
    file, content, name, what = DAMAGED[how]
    info = zoo.plugin("odd-one", ENTRY_POINT)
    (info / file).write_bytes(content)
    for words in ((), ("--check",)):
        listed = zoo.segad("list-plugins", "--json", "--kind", "detectors", *words)
        assert listed.code == len(words), listed.err
        distribution = "odd-one" if file == "entry_points.txt" else "odd_one"  # of its folder
        line = listed.plugins()["detectors", f"{distribution}:{name}"]
        assert (line["version"], line["status"]) == ("1.2", "broken")
        assert str(info / file) in line["about"] and what in line["about"]
        assert ("detectors", "tiny:tiny") in listed.plugins()
    assert zoo.segad("check", "sound.yaml").code == 0
    answer = zoo.segad("check", zoo.recipe({"odd": f"'{name}'"}))
    assert answer.code == 2
    assert f"the plugin '{name}' of {distribution} 1.2 cannot be used: {info / file}" in answer.err


def test_damaged_metadata_of_what_has_no_plugins_are_not_listed(zoo):
    for distribution, entry_points in (("odd-one", b"[console_scripts]\nodd\n"), ("odd-two", b"\xff")):
        (zoo.plugin(distribution, "") / "entry_points.txt").write_bytes(entry_points)
    info = zoo.plugin("odd-three", "")
    (info / "METADATA").write_bytes(b"Name: \xff\n")
    (info / "top_level.txt").write_text("odd_three\n")
    zoo.plugin("new", "[segad.detectors]\nnew = new:New\n", "new", "from tiny_module import Tiny as New\n")
    for words in ((), ("--no-plugins",)):
        listed = zoo.segad("list-plugins", "--json", *words)
        assert listed.code == 0, listed.err
        assert not any("odd" in name for _, name in listed.plugins())
    answer = zoo.segad("run", zoo.recipe({"new": "new"}))  # its key asks who owns tiny_module
    assert answer.code == 0, answer.err


@pytest.mark.parametrize("code", ["0", "'this needs a licence'"])
def test_a_module_that_ends_the_process_is_broken_like_any_other(zoo, code):
    zoo.plugin("odd-one", ENTRY_POINT, "odd_module", f"import sys\nsys.exit({code})\n")
    checked = zoo.segad("list-plugins", "--check", "--json", "--kind", "detectors")
    assert checked.code == 1
    assert "SystemExit" in checked.plugins()["detectors", "odd-one:odd"]["about"]
    answer = zoo.segad("check", zoo.recipe({"odd": "odd"}))
    assert answer.code == 2
    assert "the plugin 'odd' of odd-one 1.2 cannot be imported" in answer.err


ENDS = {
    "exits": ("import ctypes\nctypes.CDLL(None)._exit(0)\n", "ends the process with exit code 0"),
    "crashes": (
        "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n",
        "ends the process by signal 11 (SIGSEGV)",
    ),
}


@pytest.mark.parametrize("how", ENDS)
def test_a_module_that_ends_the_process_at_once_does_not_end_the_list(zoo, how):
    source, about = ENDS[how]
    zoo.plugin("odd-one", ENTRY_POINT, "odd_module", source)
    checked = zoo.segad("list-plugins", "--check", "--json", "--kind", "detectors")
    assert checked.code == 1
    line = checked.plugins()["detectors", "odd-one:odd"]
    assert (line["status"], line["about"]) == ("broken", about)
    assert checked.plugins()["detectors", "tiny:tiny"]["status"] == "loads"
    assert zoo.segad("check", "sound.yaml").code == 0


def test_what_a_module_prints_spoils_neither_a_list_nor_a_table(zoo):
    noise = "import os\nprint('noise')\nos.write(1, b'more noise')\nfrom tiny_module import Tiny as Odd\n"
    zoo.plugin("odd-one", ENTRY_POINT, "odd_module", noise)
    checked = zoo.segad("list-plugins", "--check", "--json", "--kind", "detectors")
    assert checked.plugins()["detectors", "odd-one:odd"]["status"] == "loads"
    zoo.plugin(
        "odd-two",
        "[segad.detectors]\nloud = loud:Odd\n",
        "loud",
        noise.replace("os.write(1, b'more noise')", ""),
    )
    answer = zoo.segad("check", zoo.recipe({"odd": "loud"}))
    assert (answer.code, "noise" in answer.out, "noise" in answer.err) == (0, False, True)


def test_a_plugin_for_other_versions_of_segad_is_incompatible(zoo):
    info = zoo.plugin("odd-one", ENTRY_POINT, "odd_module", LEAVE_A_TRACE)
    metadata = (info / "METADATA").read_text()
    (info / "METADATA").write_text(f"{metadata}Requires-Dist: numpy\nRequires-Dist: segad (>=9)\n")
    line = zoo.segad("list-plugins", "--json").plugins()["detectors", "odd-one:odd"]
    assert (line["status"], line["about"]) == ("incompatible", "needs segad>=9")
    checked = zoo.segad("list-plugins", "--check", "--json", "--kind", "detectors")
    assert (checked.code, checked.plugins()["detectors", "odd-one:odd"]) == (1, line)
    answer = zoo.segad("check", zoo.recipe({"odd": "odd"}))
    assert answer.code == 2
    assert f"odd-one 1.2 needs segad>=9, and this is segad {segad_core.__version__}" in answer.err
    assert "odd_module" not in zoo.traces
    (info / "METADATA").write_text(
        f"{metadata}Requires-Dist: segad>=0.1,<9\nRequires-Dist: segad>=9; extra == 'x'\n"
    )
    assert zoo.segad("list-plugins", "--json").plugins()["detectors", "odd-one:odd"]["status"] == "found"


def test_a_group_that_is_none_is_listed_with_a_hint(zoo):
    zoo.plugin(
        "odd-one", "[segad.detector]\nodd = tiny_module:Tiny\n[segad.paints]\nred = tiny_module:Tiny\n"
    )
    listed = zoo.segad("list-plugins", "--json")
    assert listed.code == 0
    assert listed.plugins()["detector", "odd-one:odd"]["status"] == "unknown kind"
    assert "did you mean 'detectors'?" in listed.plugins()["detector", "odd-one:odd"]["about"]
    assert "final_classifiers" in listed.plugins()["paints", "odd-one:red"]["about"]
    assert "did you mean 'detectors'?" in zoo.segad("list-plugins").out


def test_only_named_distributions_take_part(zoo, monkeypatch):
    zoo.plugin("odd-one", "[segad.detectors]\nodd = tiny_module:Tiny\n")
    zoo.plugin("Odd_Two", "[segad.detectors]\nodd2 = tiny_module:Tiny\n")

    def third_parties(wanted):
        answer = zoo.segad("list-plugins", "--json", SEGAD_PLUGINS=wanted)
        return {name for _, name in answer.plugins() if not name.startswith("segad:")}

    assert third_parties("odd-two, tiny") == {"Odd_Two:odd2", "tiny:tiny"}
    assert third_parties("") == set()
    answer = zoo.segad("check", zoo.recipe({"odd": "odd"}), SEGAD_PLUGINS="tiny")
    assert answer.code == 2
    assert "SEGAD_PLUGINS restricts plugins to tiny" in answer.err
    answer = zoo.segad("plugin", "show", "odd", SEGAD_PLUGINS="tiny")
    assert answer.code == 2
    assert "SEGAD_PLUGINS restricts plugins to tiny" in answer.err


TINY = "from segad_core.api import Parameters\nfrom tiny_module import Tiny\nimport numpy as np\n"


def odd(body):
    return TINY + "class Odd(Tiny):\n    'Breaks when it is used.'\n" + textwrap.indent(body, "    ")


USED = {
    "raising constructor": (
        odd("def __init__(self, *given): raise OSError('no licence server')"),
        "constructor: OSError: no licence server",
    ),
    "another constructor": (odd("def __init__(self): pass"), "constructor: TypeError: "),
    "exiting constructor": (
        odd("def __init__(self, *given): __import__('os')._exit(0)"),
        "constructor: SystemExit: os._exit(0) would end the process",
    ),
    "panics": (
        odd("def check(self, size, shapes): raise type('Panic', (BaseException,), {})('no GPU')"),
        "check: Panic: no GPU",
    ),
    "layers in a text": (odd("def layers(self): return 'layer1'"), "layers: returns 'layer1', not a list of"),
    "raises": (odd("def fit(self, images, run): {}['x']"), "fit: KeyError: 'x'"),
    "quits": (odd("def fit(self, images, run): raise SystemExit('bye')"), "fit: SystemExit: bye"),
    "wrong signature": (odd("def fit(self, images): pass"), "fit: TypeError: "),
    "wrong shape": (
        odd("def anomaly_maps(self, batch): return np.zeros((1, 2, 3), np.float32)"),
        "(1, 2, 3)",
    ),
    "no array": (odd("def anomaly_maps(self, batch): return None"), "anomaly_maps() returned None"),
    "float64": (odd("def anomaly_maps(self, batch): return np.zeros(batch.pixels.shape[:3])"), "float64"),
    "NaN": (
        odd("def anomaly_maps(self, batch): return np.full(batch.pixels.shape[:3], np.nan, 'f')"),
        "not finite",
    ),
    "mutates": (odd("def anomaly_maps(self, batch): batch.pixels[:] = 0"), "read-only"),
    "mutates maps": (odd("def image_scores(self, batch, maps): maps -= maps.min()"), "read-only"),
    "no scores": (odd("def image_scores(self, batch, maps): return None"), "image_scores() returned None"),
    "scores of another shape": (
        odd("def image_scores(self, batch, maps): return maps.max(axis=2)"),
        "image_scores() returned float32 (",
    ),
    "object state": (odd("def state(self): return {'model': np.array([{}], object)}"), "array of object"),
    "pickled state": (
        odd("def state(self):\n    import pickle\n    return {'m': np.frombuffer(pickle.dumps([1]), 'u1')}"),
        "'m' holds a pickle",
    ),
    "no state": (odd("def state(self): return None"), "state: a state is named arrays, not a NoneType"),
    "cannot be restored": (
        odd("def restore(self, state): raise ValueError('what is that')"),
        "restore: ValueError",
    ),
    "odd layers": (odd("def layers(self): return 1 / 0"), "layers: ZeroDivisionError"),
    "odd check": (odd("def check(self, size, shapes): raise RuntimeError('no')"), "check: RuntimeError: no"),
    "odd estimate": (
        odd("def estimate(self, *given): raise RuntimeError('no')"),
        "estimate: RuntimeError: no",
    ),
    "odd notes": (odd("def notes(self): raise RuntimeError('no')"), "notes: RuntimeError: no"),
    "required parameter": (odd("class Params(Parameters):\n    weights: int"), "weights"),
}
"""By what is wrong: the source of a detector that loads, and what is said once a recipe uses it."""


@pytest.mark.parametrize("how", USED)
def test_what_breaks_when_it_is_used_names_whose_fault_it_is(zoo, how):
    source, what = USED[how]
    zoo.plugin("odd-one", ENTRY_POINT, "odd_module", source)
    answer = zoo.segad("run", zoo.recipe({"tiny": "tiny", "odd": "odd"}))
    assert answer.code in (1, 2), answer.out
    assert what in answer.err
    assert "'odd'" in answer.err or "detectors.odd" in answer.err
    if how != "required parameter":  # a fault of the recipe, in whose words it is told
        assert "(odd-one 1.2)" in answer.err
    assert "Traceback" not in answer.err


def test_a_crash_in_a_run_shows_the_line_of_the_plugin(zoo):
    crash = "import signal; signal.raise_signal(11)"
    source = zoo.TINY[3].replace("return np.abs", f"{crash}\n        return np.abs")
    zoo.plugin("segv", "[segad.detectors]\nsegv = segv_module:Tiny\n", "segv_module", source)
    answer = zoo.segad("run", zoo.recipe({"a": "segv"}))
    assert answer.code == -11
    assert "Segmentation fault" in answer.err
    line = 1 + source.strip("\n").splitlines().index(f"        {crash}") + 1
    assert f'segv_module.py", line {line} in anomaly_maps' in answer.err
