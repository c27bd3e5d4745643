"""`segad plugin new`: distributions of every kind that install, pass their tests, run and are linted."""

import ast
import os
import shutil
import subprocess
import sys

import pytest
import yaml

from segad_core.contracts import KINDS
from segad_core.tools.scaffold.example import camel, module_of

PLUGINS = {kind: f"my_{kind.removesuffix('s')}" for kind in KINDS}

BUILD = """
import os, sys
from setuptools import build_meta  # which pip imports anew for each
for folder in sys.argv[2:]:
    if not (child := os.fork()):
        os.chdir(folder)
        build_meta.build_wheel(sys.argv[1])
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, folder
"""


@pytest.fixture(scope="module")
def made(environments):
    """An environment with images and a new plugin of each kind, each from a folder of its own."""
    house = environments("scaffold")
    for kind, name in PLUGINS.items():
        answer = house.segad("plugin", "new", kind, name)
        assert answer.code == 0, answer.err
        assert "pytest" in answer.out
    folders = [house.home / f"segad-{name.replace('_', '-')}" for name in PLUGINS.values()]
    copies = [
        shutil.copytree(folder, house.home / "copies" / folder.name) for folder in folders
    ]  # built there
    built = house.process("-c", BUILD, house.home / "wheels", *copies)
    assert built.code == 0, built.err
    house.pip("install", "--no-index", "--no-deps", *(house.home / "wheels").glob("*.whl"))
    drawn = house.process(folders[0] / "draw_images.py")
    assert drawn.code == 0, drawn.err
    return house


def folder_of(house, kind):
    return house.home / f"segad-{PLUGINS[kind].replace('_', '-')}"


def test_all_are_listed(made):
    listed = made.segad("list-plugins", "--json").plugins()
    for kind, name in PLUGINS.items():
        line = listed[kind, f"segad-{name.replace('_', '-')}:{name}"]
        assert (line["version"], line["status"]) == ("0.1.0", "found")


def test_they_pass_their_own_tests(made):
    folders = [folder_of(made, kind) for kind in PLUGINS]
    options = ["-q", "--import-mode=importlib", "-p", "no:cacheprovider", f"--rootdir={made.home}"]
    answer = made.process("-m", "pytest", *options, *[folder / "tests" for folder in folders])
    assert answer.code == 0, answer.out[-3000:]
    assert " passed" in answer.out
    assert " failed" not in answer.out and " skipped" not in answer.out


def test_they_are_linted(made):
    folders = [folder_of(made, kind) for kind in PLUGINS]
    for words in (["check", "--no-cache"], ["format", "--check", "--no-cache"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *words, *folders],
            capture_output=True,
            text=True,
            env={k: v for k, v in os.environ.items() if k != "RUFF_CONFIG"},
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("kind", PLUGINS)
def test_its_recipe_runs(made, kind):
    folder, name = folder_of(made, kind), PLUGINS[kind]
    shutil.copy(folder / "recipe.yaml", made.home / f"{kind}.yaml")
    answer = made.segad("run", f"{kind}.yaml")
    assert answer.code == 0, answer.err
    assert len(made.results(kind)) == len(yaml.safe_load((folder / "recipe.yaml").read_text())["rows"])
    recipe = (made.home / "runs" / kind / "latest" / "recipe.resolved.yaml").read_text()
    assert f"segad-{name.replace('_', '-')}:{name}" in recipe or kind == "hooks"
    if kind == "features":  # the drawn images are not so easy that everything is right
        assert 0.6 < min(float(line["auroc"]) for line in made.results(kind).values()) < 1
    if kind == "hooks":
        assert (made.home / name / "rows.jsonl").is_file()


def test_names_that_recipes_could_not_use_are_refused(made):
    for name, why in (("My-Detector", "lower-case"), ("patchcore", "segad's own detector")):
        answer = made.segad("plugin", "new", "detectors", name)
        assert answer.code == 2
        assert why in answer.err
    answer = made.segad("plugin", "new", "detectors", PLUGINS["detectors"])
    assert (answer.code, "is there already" in answer.err) == (2, True)


def test_images_that_were_not_drawn_yet_are_a_step_of_their_own(made):
    folder = folder_of(made, "detectors")
    answer = made.segad("check", folder / "recipe.yaml")
    assert answer.code == 2
    assert "there is no folder '" in answer.err and "`python draw_images.py`" in answer.err


@pytest.mark.parametrize("name", ["class", "async", "x_", "a__b", "path", "image", "detector", "sample"])
def test_names_that_no_module_or_class_can_have_are_refused(house, name):
    answer = house.segad("plugin", "new", "datasets", name)
    assert (answer.code, f"'{name}'" in answer.err) == (2, True)
    assert not list(house.home.glob("segad-*"))


def test_all_draw_the_same_images(made):
    assert len({(folder_of(made, kind) / "draw_images.py").read_text() for kind in PLUGINS}) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_the_module_is_the_contracts_example_under_another_name(kind):
    tree = ast.parse(module_of(kind, "quite_another"))
    (cls,) = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    assert cls.name == camel("quite_another") == "QuiteAnother"
    assert [base.id for base in cls.bases if isinstance(base, ast.Name)]
    assert ast.get_docstring(cls)
    assert ast.unparse(cls.body[1]) == f"contract = {KINDS[kind].contract}"
