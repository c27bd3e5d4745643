"""The version of the contract that a plugin is written for decides whether this segad can use it."""

import json
import logging
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from segad_core.bundle.format.manifest import PluginUse
from segad_core.bundle.runtime.building import Builder
from segad_core.contracts import KINDS, Detector
from segad_core.contracts.versions import ENDING, declared_version, is_version
from segad_core.errors import BundleError, PluginError
from segad_core.plugins.contract_version import written_for
from segad_core.plugins.listing import Listed, loaded
from segad_core.plugins.registry import Provider, Registry
from segad_plugins.detectors.patchcore import PatchCore

SOURCE = '''
from segad_core.api import Detector, Hook, hookimpl


class Silent(Detector):
    """Says nothing."""

    def fit(self, images, run): pass
    def anomaly_maps(self, batch): return batch.pixels[..., 0] * 0.0
    def state(self): return {}
    def restore(self, state): pass


class First(Silent):
    """Says 1."""
    contract = 1


class Second(Silent):
    """Says 2."""
    contract = 2


class Heir(Second):
    """Says nothing itself."""


class Ninth(Detector):
    """Says 9, and defines what that contract wants."""
    contract = 9
    def scores_of_the_future(self): pass


class Old:
    """An observer from before there were contracts of hooks; its attribute is its own."""
    contract = "with the devil"

    @hookimpl
    def run_finished(self, folder): pass
'''


@pytest.fixture(scope="module")
def provided(tmp_path_factory):
    """How a plugin that is a class of the module above is provided; nothing is installed."""
    folder = tmp_path_factory.mktemp("path")
    (folder / "versions_of_contracts.py").write_text(SOURCE)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield lambda name, kind="detectors": Provider(
            kind, name.lower(), "segad-odd", "1.2", f"versions_of_contracts:{name}"
        )


@pytest.fixture
def second(monkeypatch):
    """A segad whose detectors have version 2 of their contract, and which still supports version 1."""
    monkeypatch.setattr(Detector, "contract", 2)
    monkeypatch.setitem(ENDING, "detectors", {1: "0.3"})


def test_every_kind_has_a_version_of_its_own():
    assert {kind: vars(contract).get("contract") for kind, contract in KINDS.items()} == dict.fromkeys(
        KINDS, 1
    )


@pytest.mark.parametrize(
    ("name", "version"), [("Silent", 1), ("First", 1), ("Second", 2), ("Heir", 2), ("Ninth", 9)]
)
def test_what_a_class_is_written_for(provided, second, name, version):
    assert written_for(provided(name), provided(name).load()) == version


def test_segads_own_are_written_for_the_current_version(second):
    own = Provider("detectors", "patchcore", "segad", "0.3", "")
    assert written_for(own, PatchCore) == 2
    assert declared_version(PatchCore) == 1  # says nothing
    assert Registry().component(Registry().find("detectors", "patchcore")).contract == 2


@pytest.mark.parametrize("name", ["Silent", "First"])
def test_the_version_of_today_loads_without_a_word(provided, caplog, name):
    assert issubclass(Registry().component(provided(name)), Detector)
    assert not caplog.records


def test_an_observer_that_is_no_hook_says_nothing(provided):
    old = provided("Old", "hooks")
    assert Registry().loaded(old) is old.load()
    assert written_for(old, old.load()) == 1


@pytest.mark.parametrize("name", ["Second", "Heir", "Ninth"])
def test_a_newer_version_is_refused_with_both_versions_and_the_remedy(provided, name):
    with pytest.raises(PluginError) as caught:
        Registry().component(provided(name))
    version = 9 if name == "Ninth" else 2
    assert f"the plugin '{name.lower()}' of segad-odd 1.2 is written for version {version} " in (
        caught.value.what
    )
    assert "supports version 1" in caught.value.what
    assert "does not define" not in caught.value.what  # 9 may want other methods
    assert caught.value.remedy.startswith("Upgrade segad, ")


def test_an_older_version_that_is_supported_loads_with_a_warning(provided, second, caplog):
    with caplog.at_level(logging.WARNING, "segad.plugins"):
        assert issubclass(Registry().component(provided("First")), Detector)
        Registry().component(provided("First"))
    (record,) = caplog.records
    said = record.getMessage()
    assert "detector 'first' (segad-odd 1.2) is written for version 1 " in said
    assert "segad 0.3" in said and "version is 2" in said and said.endswith("upgrade segad-odd")


def test_the_current_version_loads_without_a_word_when_it_is_another(provided, second, caplog):
    assert issubclass(Registry().component(provided("Heir")), Detector)
    assert not caplog.records


def test_an_older_version_that_is_no_longer_supported_is_refused(provided, monkeypatch):
    monkeypatch.setattr(Detector, "contract", 3)
    monkeypatch.setitem(ENDING, "detectors", {2: "0.4"})
    with pytest.raises(PluginError) as caught:
        Registry().component(provided("Silent"))
    assert "written for version 1 " in caught.value.what and "supports versions 2, 3" in caught.value.what
    assert caught.value.remedy.startswith("Upgrade segad-odd, ")


def test_a_list_says_the_same(provided, second):
    names = ("Silent", "Second", "Ninth")
    silent, current, newer = loaded([Listed(provided(name), "found") for name in names])
    assert [one.status for one in (silent, current, newer)] == ["loads", "loads", "incompatible"]
    assert silent.about.startswith("Says nothing. (is written for version 1 ") and "0.3" in silent.about
    assert current.about == "Says 2."
    assert "version 9" in newer.about and "versions 1, 2. Upgrade segad" in newer.about


@pytest.mark.parametrize(
    ("value", "valid"),
    [(1, True), (7, True), (0, False), (-1, False), (True, False), ("1", False), (1.0, False)],
)
def test_what_a_version_can_be(value, valid):
    assert is_version(value) is valid


def test_a_bundle_of_one_that_is_not_supported_names_the_version_that_made_it(provided):
    registry = Registry()
    registry.find = lambda kind, name: provided("Ninth")
    builder = Builder(SimpleNamespace(path=Path("line.segad")), registry, "cpu")
    with pytest.raises(BundleError) as caught:
        builder.component("detectors", PluginUse(use="segad-odd:ninth", version="1.0"))
    assert "line.segad: needs plugin 'segad-odd:ninth' 1.0" in caught.value.what
    assert "written for version 9 of the contract of detectors" in caught.value.what
    assert caught.value.remedy.startswith("Install segad-odd 1.0 ")


@pytest.mark.parametrize(("current", "said"), [(1, 1), (2, 2), (3, 2)])
def test_a_class_can_be_written_for_two(monkeypatch, current, said):
    """As the page shows it."""
    monkeypatch.setattr(Detector, "contract", current)
    page = Path(__file__).parents[2] / "docs" / "plugins" / "versions.md"
    names = {"__name__": "a_plugin"}
    for block in re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.M | re.S):
        exec(block, names)
    assert declared_version(names["Both"]) == said
    assert declared_version(names["Halves"]) == 1
    assert names["PartName"] is not None


def test_commands_say_so(house):
    house.plugin(*house.TINY)
    source = "from tiny_module import Tiny\nclass Odd(Tiny):\n    'Odd.'\n    contract = 2\n"
    house.plugin("odd-one", "[segad.detectors]\nodd = odd_module:Odd\n", "odd_module", source)
    house.pictures()
    listed = house.segad("list-plugins", "--check", "--json", "--kind", "detectors")
    assert listed.code == 1
    assert listed.plugins()["detectors", "odd-one:odd"]["status"] == "incompatible"
    assert listed.plugins()["detectors", "tiny:tiny"]["status"] == "loads"
    for words in (["check", house.recipe({"odd": "odd"})], ["plugin", "show", "odd"]):
        answer = house.segad(*words)
        assert answer.code == (2 if words[0] == "check" else 1)
        assert "the plugin 'odd' of odd-one 1.2 is written for version 2 of the contract of detectors" in (
            answer.err
        )
        assert "Upgrade segad" in answer.err and "Traceback" not in answer.err
    tested = house.segad("plugin", "test", "odd")
    assert tested.code == 1 and "failed: import: is written for version 2" in tested.out
    assert json.loads(house.segad("plugin", "show", "tiny", "--json").out)["contract"] == 1
