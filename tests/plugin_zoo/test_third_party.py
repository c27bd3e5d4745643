"""The example plugin as its users meet it: a wheel, installed, listed, run beside ours, uninstalled."""

import re
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "plugins" / "segad-plugin-example"
GAUSSIAN = {"gaussian": "{use: pixel_gaussian, params: {block: 2, smoothing: 1}}"}
PATCHCORE = {"patchcore": "{use: patchcore, params: {coreset_ratio: 0.1}}"}
SEGAD = """
encoder: efficientnet_lite0
segmenter: whole_image
features: [q995, mean]
final: {use: brf, params: {n_estimators: 2, num_parallel_tree: 5}}
"""


@pytest.fixture(scope="module")
def installed(environments, example_wheel):
    """An environment with the example plugin in it, and pictures."""
    house = environments("installed")
    listed = house.segad("list-plugins", "--kind", "detectors", "--json")
    assert ("detectors", "segad:patchcore") in listed.plugins(), listed.err
    assert ("detectors", "segad-plugin-example:pixel_gaussian") not in listed.plugins(), (
        "the test environment has segad-plugin-example itself: uninstall it there, the test has its own"
    )
    house.install(example_wheel)
    house.pictures()
    return house


def test_it_is_listed(installed):
    text = installed.process("-m", "segad_core.cli", "list-plugins")
    assert text.code == 0
    assert text.line("detectors", "pixel_gaussian") == [
        "detectors",
        "pixel_gaussian",
        "segad-plugin-example",
        "0.1.0",
        "found",
        "segad_plugin_example.pixel_gaussian:PixelGaussian",
    ]


def test_it_is_listed_as_json_among_its_kind(installed):
    listed = installed.segad("list-plugins", "--json", "--kind", "detectors").plugins()
    assert {kind for kind, _ in listed} == {"detectors"}
    assert listed["detectors", "segad-plugin-example:pixel_gaussian"] == {
        "kind": "detectors",
        "name": "pixel_gaussian",
        "distribution": "segad-plugin-example",
        "version": "0.1.0",
        "target": "segad_plugin_example.pixel_gaussian:PixelGaussian",
        "status": "found",
        "about": "",
    }
    others = installed.segad("list-plugins", "--json", "--kind", "encoders").plugins()
    assert not [name for _, name in others if "pixel_gaussian" in name]


def test_listing_imports_no_plugin(installed):
    answer = installed.process("-X", "importtime", "-m", "segad_core.cli", "list-plugins")
    assert "pixel_gaussian" in answer.out
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in answer.err.splitlines()}
    assert "segad_core" in imported
    assert not imported & {"segad_plugin_example", "segad_plugins", "torch"}


@pytest.mark.slow
def test_it_passes_the_check(installed):
    checked = installed.segad("list-plugins", "--kind", "detectors", "--check")
    assert checked.code == 0
    line = checked.line("detectors", "pixel_gaussian")
    assert line[4] == "loads"
    assert line[5].startswith("Squared distance of each block's colour")


def test_no_plugins_leaves_it_out(installed):
    listed = installed.segad("list-plugins", "--no-plugins", "--json").plugins()
    assert {line["distribution"] for line in listed.values()} == {"segad"}

    recipe = installed.recipe(GAUSSIAN, name="left_out")
    answer = installed.segad("run", recipe, "--no-plugins")
    assert answer.code == 2
    assert "left_out.yaml:6: detectors.gaussian.use: no detector is called 'pixel_gaussian'" in answer.err
    assert "known: efficientad, fastflow, patchcore, precomputed, rd4ad. --no-plugins" in answer.err
    assert not (installed.home / "runs" / "left_out").exists()


@pytest.mark.slow
def test_its_rows_stand_beside_ours(installed):
    rows = [
        "{name: Gaussian, score: gaussian}",
        "{name: PatchCore, score: patchcore}",
        "{name: Gaussian + SegAD, detectors: [gaussian]}",
        "{name: both + SegAD, detectors: all}",
    ]
    recipe = installed.recipe({**PATCHCORE, **GAUSSIAN}, name="beside", rows=rows, more=SEGAD)
    answer = installed.segad("run", recipe, "--device", "cpu")
    assert answer.code == 0, answer.err
    results = installed.results("beside")
    assert list(results) == ["Gaussian", "PatchCore", "Gaussian + SegAD", "both + SegAD"]
    assert float(results["Gaussian"]["auroc"]) > 0.99  # blots far brighter than the noise
    assert "Gaussian + SegAD" in answer.out
    resolved = (installed.home / "runs/beside/latest/recipe.resolved.yaml").read_text()
    assert "use: segad-plugin-example:pixel_gaussian" in resolved
    environment = (installed.home / "runs/beside/latest/environment.json").read_text()
    assert '"detectors/segad-plugin-example:pixel_gaussian": "0.1.0"' in environment


@pytest.mark.parametrize(
    ("use", "sentence"),
    [
        ("pixel_gausian", "no detector is called 'pixel_gausian' - did you mean 'pixel_gaussian'? known: "),
        ("{use: pixel_gaussian, params: {blocks: 3}}", "unknown key 'blocks' - did you mean 'block'?"),
        ("{use: pixel_gaussian, params: {block: 0}}", "params.block: input should be greater than or equal"),
    ],
)
def test_a_mistake_in_its_name_or_parameters_is_told_as_for_ours(installed, use, sentence):
    answer = installed.segad("check", installed.recipe({"gaussian": use}, name="mistake"))
    assert answer.code == 2
    assert "mistake.yaml:6: detectors.gaussian." in answer.err
    assert sentence in answer.err


@pytest.mark.slow
def test_its_own_tests_pass_where_it_is_installed(installed):
    answer = installed.run("-m", "pytest", "-q", "-p", "no:cacheprovider", EXAMPLE / "tests")
    assert answer.code == 0, answer.out + answer.err
    assert " passed" in answer.out


@pytest.mark.slow
def test_uninstalled_it_is_gone_and_nothing_else_is(environments, example_wheel):
    house = environments("uninstalled")
    house.pictures()
    house.plugin(*house.TINY)
    named = house.recipe({"gaussian": "pixel_gaussian", "tiny": "tiny"}, name="named")
    other = house.recipe({"tiny": "tiny"}, name="other")

    house.install(example_wheel)
    assert house.segad("run", named).code == 0

    house.pip("uninstall", "--yes", "segad-plugin-example")
    listed = house.segad("list-plugins", "--json").plugins()
    assert not [name for _, name in listed if "pixel_gaussian" in name]

    answer = house.segad("run", named)
    assert answer.code == 2
    sentence = "named.yaml:6: detectors.gaussian.use: no detector is called 'pixel_gaussian'"
    assert re.match(rf"error: {sentence}(\.| - did you mean '\w+'\?) known: .*patchcore.*tiny\n$", answer.err)
    assert house.segad("run", other).code == 0
    assert list(house.results("other")) == ["tiny"]
    ours = house.recipe(PATCHCORE, name="ours", more="encoder: efficientnet_lite0\n")
    assert house.segad("check", ours).code == 0
