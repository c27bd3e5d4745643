"""The example plugin as its users meet it: a wheel, installed, listed, run beside ours, uninstalled."""

import re

import pytest

PADIM = {"padim": "{use: padim, params: {dimensions: 20, blur_sigma: 1}}"}
PATCHCORE = {"patchcore": "{use: patchcore, params: {coreset_ratio: 0.1}}"}
ENCODER = "encoder: efficientnet_lite0\n"
SEGAD = f"""
{ENCODER}segmenter: whole_image
features: [q995, mean]
final: {{use: brf, params: {{n_estimators: 2, num_parallel_tree: 5}}}}
"""


@pytest.fixture(scope="module")
def installed(environments, example_wheel):
    """An environment with the example plugin in it, and pictures."""
    house = environments("installed")
    listed = house.segad("list-plugins", "--kind", "detectors", "--json")
    assert ("detectors", "segad:patchcore") in listed.plugins(), listed.err
    assert ("detectors", "segad-plugin-example:padim") not in listed.plugins(), (
        "the test environment has segad-plugin-example itself: uninstall it there, the test has its own"
    )
    house.install(example_wheel)
    house.pictures()
    return house


def test_it_is_listed(installed):
    text = installed.process("-m", "segad_core.cli", "list-plugins")
    assert text.code == 0
    assert text.line("detectors", "padim") == [
        "detectors",
        "padim",
        "segad-plugin-example",
        "0.1.0",
        "found",
        "segad_plugin_example.padim:PaDiM",
    ]


def test_it_is_listed_as_json_among_its_kind(installed):
    listed = installed.segad("list-plugins", "--json", "--kind", "detectors").plugins()
    assert {kind for kind, _ in listed} == {"detectors"}
    assert listed["detectors", "segad-plugin-example:padim"] == {
        "kind": "detectors",
        "name": "padim",
        "distribution": "segad-plugin-example",
        "version": "0.1.0",
        "target": "segad_plugin_example.padim:PaDiM",
        "status": "found",
        "about": "",
    }
    others = installed.segad("list-plugins", "--json", "--kind", "encoders").plugins()
    assert not [name for _, name in others if "padim" in name]


def test_listing_imports_no_plugin(installed):
    answer = installed.process("-X", "importtime", "-m", "segad_core.cli", "list-plugins")
    assert "padim" in answer.out
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in answer.err.splitlines()}
    assert "segad_core" in imported
    assert not imported & {"segad_plugin_example", "segad_plugins", "torch"}


@pytest.mark.slow
def test_it_passes_the_check(installed):
    checked = installed.segad("list-plugins", "--kind", "detectors", "--check")
    assert checked.code == 0
    line = checked.line("detectors", "padim")
    assert line[4] == "loads"
    assert line[5].startswith("PaDiM (Defard et al., ICPR 2020)")


def test_no_plugins_leaves_it_out(installed):
    listed = installed.segad("list-plugins", "--no-plugins", "--json").plugins()
    assert {line["distribution"] for line in listed.values()} == {"segad"}

    recipe = installed.recipe(PADIM, name="left_out", more=ENCODER)
    answer = installed.segad("run", recipe, "--no-plugins")
    assert answer.code == 2
    assert "left_out.yaml:6: detectors.padim.use: no detector is called 'padim'" in answer.err
    known = "efficientad, fastflow, onnx, openvino, patchcore, precomputed, rd4ad"
    assert f"known: {known}. --no-plugins" in answer.err
    assert not (installed.home / "runs" / "left_out").exists()


@pytest.mark.slow
def test_its_rows_stand_beside_ours(installed):
    rows = [
        "{name: PaDiM, score: padim}",
        "{name: PatchCore, score: patchcore}",
        "{name: PaDiM + SegAD, detectors: [padim]}",
        "{name: both + SegAD, detectors: all}",
    ]
    recipe = installed.recipe({**PATCHCORE, **PADIM}, name="beside", rows=rows, more=SEGAD)
    answer = installed.segad("run", recipe, "--device", "cpu")
    assert answer.code == 0, answer.err
    results = installed.results("beside")
    assert list(results) == ["PaDiM", "PatchCore", "PaDiM + SegAD", "both + SegAD"]
    assert float(results["PaDiM"]["auroc"]) > 0.99  # blots far brighter than the noise
    assert "PaDiM + SegAD" in answer.out
    resolved = (installed.home / "runs/beside/latest/recipe.resolved.yaml").read_text()
    assert "use: segad-plugin-example:padim" in resolved
    environment = (installed.home / "runs/beside/latest/environment.json").read_text()
    assert '"detectors/segad-plugin-example:padim": "0.1.0"' in environment


@pytest.mark.parametrize(
    ("use", "sentence"),
    [
        ("padin", "no detector is called 'padin' - did you mean 'padim'? known: "),
        ("{use: padim, params: {dimension: 3}}", "unknown key 'dimension' - did you mean 'dimensions'?"),
        ("{use: padim, params: {dimensions: 0}}", "params.dimensions: input should be greater than or equal"),
    ],
)
def test_a_mistake_in_its_name_or_parameters_is_told_as_for_ours(installed, use, sentence):
    answer = installed.segad("check", installed.recipe({"padim": use}, name="mistake", more=ENCODER))
    assert answer.code == 2
    assert "mistake.yaml:6: detectors.padim." in answer.err
    assert sentence in answer.err


@pytest.mark.slow
def test_uninstalled_it_is_gone_and_nothing_else_is(environments, example_wheel):
    house = environments("uninstalled")
    house.pictures()
    house.plugin(*house.TINY)
    named = house.recipe({"padim": "padim", "tiny": "tiny"}, name="named", more=ENCODER)
    other = house.recipe({"tiny": "tiny"}, name="other")

    house.install(example_wheel)
    assert house.segad("run", named).code == 0

    house.pip("uninstall", "--yes", "segad-plugin-example")
    listed = house.segad("list-plugins", "--json").plugins()
    assert not [name for _, name in listed if "padim" in name]

    answer = house.segad("run", named)
    assert answer.code == 2
    sentence = "named.yaml:6: detectors.padim.use: no detector is called 'padim'"
    assert re.match(rf"error: {sentence}(\.| - did you mean '\w+'\?) known: .*patchcore.*tiny\n$", answer.err)
    assert house.segad("run", other).code == 0
    assert list(house.results("other")) == ["tiny"]
    ours = house.recipe(PATCHCORE, name="ours", more=ENCODER)
    assert house.segad("check", ours).code == 0
