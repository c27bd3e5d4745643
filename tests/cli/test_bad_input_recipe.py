"""A wrong recipe or command line: each mistake by file, line and path, the remedy beside it, exit code 2."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from builders import RECIPE, data_set, said, segad, write_recipe

from segad_core.recipe.document import MAX_BYTES

BAD_RECIPES = Path(__file__).parents[1] / "bad_recipes"

TOO_LARGE = "too large or nested too deeply | 20000 | 20 deep"


def refused(*words: str | Path) -> list[str]:
    """The lines of a refusal with exit code 2, without `error: `."""
    result = segad(*words)
    text = said(result)
    assert result.exit_code == 2, text
    assert text.startswith("error: "), text
    return text.removeprefix("error: ").splitlines()


def fits(lines: list[str], expected: list[str]) -> None:
    """Each line begins with the expected location, and has the facts that follow it after ` | `."""
    assert len(lines) == len(expected), lines
    for line, wanted in zip(lines, expected, strict=True):
        location, *facts = wanted.split(" | ")
        assert line.startswith(location), (line, location)
        for fact in facts:
            assert fact in line.removeprefix(location), (line, fact)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a data set of categories a and b, which is the working folder."""
    for category in ("a", "b"):
        (tmp_path / "data" / category / "good").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


FILES = {
    "empty": ["FILE: | must be a mapping | 'segad: 1'"],
    "only_comments": ["FILE: | must be a mapping | 'segad: 1'"],
    "list": ["FILE: | must be a mapping | 'segad: 1'"],
    "one_word": ["FILE: | must be a mapping | 'segad: 1'"],
    "unclosed_bracket": ["FILE:4: | not valid YAML | expected ',' or ']', but got ':'"],
    "tab": ["FILE:3: | not valid YAML | '\\t'"],
    "two_documents": ["FILE:2: | not valid YAML | expected a single document"],
    "duplicate_keys": [
        "FILE:4: split.test.good: | twice | line 4",
        "FILE:5: batch_size: | twice | line 2",
    ],
    "strange_keys": [
        "FILE:2: | key '1' | quotes",
        "FILE:4: split: | key 'yes' | quotes",
        "FILE:5: split: | key | quotes",
    ],
    "merge_key": ["FILE:2: image: | key '<<' | quotes"],
    "tags": [
        "FILE:2: title: | tag | 'tag:yaml.org,2002:python/object/apply:os.system'",
        "FILE:3: dataset: | 'tag:yaml.org,2002:python/name:os.system'",
        "FILE:4: encoder: | tag | '!mine'",
    ],
    "not_finite": [
        "FILE:3: split.test.good: | .nan | not a finite number",
        "FILE:5: detectors.patchcore.params.blur_sigma: | .inf | not a finite number",
    ],
    "unset_variables": [
        "FILE:2: dataset.params.root: | SEGAD_TEST_UNSET is not set | export SEGAD_TEST_UNSET=",
        "FILE:2: dataset.params.root: | SEGAD_TEST_ALSO_UNSET is not set | export SEGAD_TEST_ALSO_UNSET=",
    ],
    "alias_bomb": [f"FILE:2: | {TOO_LARGE}"],
    "alias_of_itself": [f"FILE:2: | {TOO_LARGE}"],
    "nested_deeply": [f"FILE:2: | {TOO_LARGE}"],
    "unknown_alias": ["FILE:2: | not valid YAML | undefined alias 'nothing'"],
    "impossible_date": ["FILE:2: title: | month must be in 1..12"],
}


def test_every_bad_recipe_is_expected() -> None:
    assert sorted(path.stem for path in BAD_RECIPES.glob("*.yaml")) == sorted(FILES)


@pytest.mark.parametrize("name", FILES)
def test_files_that_are_no_recipe(name: str) -> None:
    path = BAD_RECIPES / f"{name}.yaml"
    fits(refused("check", path), [line.replace("FILE", str(path)) for line in FILES[name]])


BYTES = {
    "latin-1": (b"segad: 1\ntitle: \xfc\n", "UTF-8 | byte 16"),
    "utf-16": (RECIPE.encode("utf-16"), "UTF-8 | byte 0"),
    "nul": (b"segad: 1\ntitle: \0\n", "not valid YAML | unacceptable character #x0000"),
    "huge": (b"# " + MAX_BYTES * b"x", f"{MAX_BYTES} bytes"),
    "deeper than Python goes": (b"title: " + 3000 * b"[", "nested too deeply"),
}


@pytest.mark.parametrize("name", BYTES)
def test_bytes_that_are_no_recipe(name: str, folder: Path) -> None:
    content, facts = BYTES[name]
    (folder / "tiny.yaml").write_bytes(content)
    fits(refused("check", "tiny.yaml"), [f"tiny.yaml: | {facts}"])


def test_a_byte_order_mark_is_no_mistake(folder: Path) -> None:
    data_set(folder / "data", ("a", "b"))
    (folder / "tiny.yaml").write_bytes(RECIPE.encode("utf-8-sig"))
    assert segad("check", "tiny.yaml").exit_code == 0


SPLIT = "split:\n  seeds: [0]\n  test: {good: 4, bad: 3}\n  detectors: {good: 4}\n"
ROWS = RECIPE[RECIPE.index("  - {name: PatchCore") :]
SHARE = "share | 'rest'"
ALIAS = "'all' is reserved"

# what is changed in the tiny recipe; the location and the facts of each error
MISTAKES: dict[str, tuple[list[tuple[str, str]], list[str]]] = {
    "detector": (
        [("use: patchcore", "use: patchcor")],
        ["12: detectors.patchcore.use: | detector | 'patchcor' | did you mean 'patchcore'?"],
    ),
    "encoder": (
        [("efficientnet_lite0", "eficientnet_lite0")],
        ["6: encoder.use: | encoder | 'eficientnet_lite0' | did you mean 'efficientnet_lite0'?"],
    ),
    "parameter": (
        [("coreset_ratio", "coreset_ration")],
        [
            "12: detectors.patchcore.params: | 'coreset_ration' | did you mean 'coreset_ratio'? | "
            "known: layers, coreset_ratio, "
        ],
    ),
    "category": (
        [("batch_size", "categories: [b, aa]\nbatch_size")],
        ["5: categories[1]: | category 'aa' | did you mean 'a'? known: a, b"],
    ),
    "per_category": (
        [("whole_image", "{use: whole_image, per_category: {aa: {}}}")],
        ["13: segmenter.per_category.aa: | category 'aa' | did you mean 'a'? known: a, b"],
    ),
    "per_category where there is one for all": (
        [("efficientnet_lite0", "{use: efficientnet_lite0, per_category: {a: {}}}")],
        ["6: encoder.per_category: | 'params'"],
    ),
    "detector of a row": (
        [("[patchcore]", "[patchcor]"), ("score: patchcore", "score: padim")],
        [
            "18: rows[0].score: | detector or classifier 'padim' | known: patchcore",
            "19: rows[1].detectors: | detector 'patchcor' | did you mean 'patchcore'? known: patchcore",
        ],
    ),
    "key": (
        [("batch_size", "batchsize")],
        ["5: | 'batchsize' | did you mean 'batch_size'? known: segad, title, "],
    ),
    "key inside": (
        [("seeds", "sed")],
        [
            "8: split: | 'sed' | did you mean 'seeds'? known: seeds, order, hold_out, file, "
            "leave_out, group, test, detectors, final, classifiers"
        ],
    ),
    "number": (
        [("batch_size: 4", "batch_size: four")],
        ["5: batch_size: | valid integer | 'four'"],
    ),
    "list": ([("seeds: [0]", "seeds: 5")], ["8: split.seeds: | must be a list | 5"]),
    "plugin": (
        [("encoder: efficientnet_lite0", "encoder: 7")],
        ["6: encoder: | {use: NAME, params: ...}"],
    ),
    "mapping": ([("{size: [48, 48]}", "7")], ["4: image: | mapping | 7"]),
    "mapping, a list": ([(SPLIT, "split: [1]\n")], ["7: split: | mapping"]),
    "text": ([("title: tiny", "title: 7")], ["2: title: | valid string | 7"]),
    "range": (
        [("batch_size: 4", "batch_size: 0")],
        ["5: batch_size: | greater than or equal to 1 | 0"],
    ),
    "format": ([("segad: 1", "segad: 2")], ["1: segad: | 1 | 2"]),
    "missing": ([("dataset: {use: folder, params: {root: data}}\n", "")], ["1: | 'dataset' is missing"]),
    "missing use": ([("{use: folder, ", "{")], ["3: dataset: | 'use' is missing"]),
    "missing parameter": (
        [("params: {root: data}", "params: {}")],
        ["3: dataset.params: | 'root' is missing: params: {root: ...}"],
    ),
    "shares": (
        [("good: 4, bad: 3", "good: 1.5, bad: -3")],
        [f"9: split.test.{k}: | {SHARE}" for k in ("good", "bad")],
    ),
    "share": (
        [("good: 4, bad: 3", "good: half, bad: 3")],
        [f"9: split.test.good: | {SHARE}"],
    ),
    "seeds": (
        [("seeds: [0]", "seeds: [-1, 99999999999]")],
        [
            "8: split.seeds[0]: | greater than or equal to 0 | -1",
            "8: split.seeds[1]: | less than or equal to 4294967295 | 99999999999",
        ],
    ),
    "rows": (
        [
            (
                ROWS,
                "  - {name: x}\n  - {name: y, score: patchcore, final: brf}\n  - {name: z, detectors: []}\n",
            )
        ],
        [
            "18: rows[0]: | 'score' | 'detectors' | 'mean_of'",
            "19: rows[1]: | 'final' | 'score'",
            "20: rows[2].detectors: | at least 1 item",
        ],
    ),
    "names of rows": (
        [("name: SegAD", "name: PatchCore")],
        ["19: rows[1].name: | two rows | 'PatchCore'"],
    ),
    "no features": (
        [("features: [mean, max]\n", "")],
        ["18: rows[1]: | 'features' is missing"],
    ),
    "no features in a row": (
        [("[patchcore]}", "[patchcore], features: []}")],
        ["19: rows[1].features: | at least 1 item"],
    ),
    "no category": (
        [("batch_size", "categories: []\nbatch_size")],
        ["5: categories: | at least 1"],
    ),
    "name all": (
        [("  patchcore: {use", "  all: {use"), ("score: patchcore", "score: all"), ("[patchcore]", "all")],
        [f"12: detectors.all: | {ALIAS}"],
    ),
    "name with a bracket": (
        [("  patchcore: {use", "  'p<c': {use"), ("score: patchcore", "score: p<c"), ("[patchcore]", "all")],
        [f"12: detectors.p<c: | {ALIAS}"],
    ),
    "layer": (
        [("blur_sigma: 1", "layers: [layer2, layer9]")],
        [
            "12: detectors.patchcore: | encoder layer 'layer9' | did you mean "
            "'layer4'? known: layer0, layer1, layer2, layer3, layer4"
        ],
    ),
    "layer of a category": (
        [("blur_sigma: 1}", "blur_sigma: 1}, per_category: {a: {layers: [layer9]}}")],
        ["12: detectors.patchcore.per_category.a: | encoder layer 'layer9'"],
    ),
    "no encoder": (
        [("encoder: efficientnet_lite0\n", "")],
        [
            f"11: detectors.patchcore: | encoder layer '{layer}' | the recipe has no encoder"
            for layer in ("layer2", "layer3")
        ],
    ),
    "several in the skeleton": (
        [("batch_size: 4", "batch_size: 0"), ("seeds: [0]", "seeds: 5"), ("title: tiny", "titel: tiny")],
        [
            "5: batch_size: | greater than or equal to 1 | 0",
            "8: split.seeds: | must be a list | 5",
            "2: | 'titel' | did you mean 'title'? known: ",
        ],
    ),
    "several names": (
        [
            ("efficientnet_lite0", "eficientnet_lite0"),
            ("use: brf", "use: bfr"),
            ("[mean, max]", "[men, max]"),
        ],
        [
            "6: encoder.use: | encoder | 'eficientnet_lite0' | did you mean 'efficientnet_lite0'?",
            "16: final.use: | final classifier | 'bfr' | did you mean 'brf'? known: ",
            "14: features[0].use: | feature | 'men' | did you mean 'mean'? known: ",
        ],
    ),
    "several parameters": (
        [
            ("coreset_ratio: 0.1", "coreset_ratio: 7"),
            ("num_parallel_tree", "num_tree"),
            ("root: data", "root: dta"),
        ],
        [
            "3: dataset.params.root: | folder 'HERE/dta'",
            "12: detectors.patchcore.params.coreset_ratio: | less than or equal to 1 | 7",
            "16: final.params: | 'num_tree' | did you mean 'num_parallel_tree'? known: ",
        ],
    ),
    "folder with too long a name": (
        [("root: data", f"root: {5000 * 'x'}")],
        [f"3: dataset.params.root: | folder 'HERE/{5000 * 'x'}'"],
    ),
    "mask": (
        [("whole_image", "{use: static_mask, params: {mask: m.png, segments: [sky, sky]}}")],
        [
            "13: segmenter.params.segments: | segments | same name",
        ],
    ),
    "no mask": (
        [("whole_image", "{use: static_mask, params: {mask: m.png, segments: [sky]}}")],
        ["13: segmenter.params.mask: | file 'HERE/m.png'"],
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_in_a_recipe(name: str, folder: Path) -> None:
    changes, expected = MISTAKES[name]
    write_recipe(folder, *changes)
    expected = [f"tiny.yaml:{line.replace('HERE', str(folder))}" for line in expected]
    fits(refused("check", "tiny.yaml"), expected)


FORM = ["a.b=value", "  | --set split.seeds=[0,1]"]
PLACE = "  | keys | numbers from 0"

OVERRIDES = {
    "batch_size": FORM,
    "=3": FORM,
    "a..b=1": FORM,
    "batch_size.x=1": ["'x' | the value 4", PLACE],
    "split.seeds.5=1": ["'5' | a list of 1", PLACE],
    "split.seeds.x=1": ["'x' | a list of 1", PLACE],
    "title.x=1": ["valid string"],
    "rows.0.name.x=1": ["valid string"],
    "rows[0].name=x": ["'rows[0]' | did you mean 'rows'? known: "],
    "image.size=[64]": ["number 2 is missing"],
    "nothing=1": ["'nothing' | known: segad, "],
    "split.seds=1": ["'seds' | did you mean 'seeds'? known: "],
    "batch_size=four": ["valid integer | 'four'"],
    "batch_size=": ["valid integer | None"],
    "split.seeds=[0": ["not valid YAML"],
    "split.seeds=" + 3000 * "[": ["not valid YAML"],
    "title=" + 30 * "[" + 30 * "]": [TOO_LARGE],
    "title=${SEGAD_TEST_UNSET}": ["SEGAD_TEST_UNSET is not set | export SEGAD_TEST_UNSET="],
    "detectors.patchcore.params.coreset_ration=1": ["'coreset_ration' | did you mean 'coreset_ratio'?"],
    "encoder.params.x=1": ["'x' | known: exact_features"],
    "features.0.params.x=1": ["'x' | known: none"],
    "categories=[aa]": ["category 'aa' | did you mean 'a'? known: a, b"],
    "segmenter={use: whole_image, per_category: {aa: {}}}": ["category 'aa' | did you mean 'a'? known: a, b"],
}


@pytest.mark.parametrize("word", OVERRIDES)
def test_mistakes_in_set(word: str, folder: Path) -> None:
    write_recipe(folder)
    first, *rest = OVERRIDES[word]
    fits(refused("check", "tiny.yaml", "--set", word), [f"--set {word}: | {first}", *rest])


def test_a_recipe_that_is_not_there(folder: Path) -> None:
    for name in ("elvp", "recipes/elvp.yaml"):
        fits(refused("run", name), [f"no recipe file '{name}' | did you mean 'elpv'? known: "])
    long = 5000 * "x"
    fits(refused("run", long), [f"no recipe file '{long}' | known: "])
    fits(refused("run", "data"), ["'data' is a folder", "  | YAML file"])


def test_a_wrong_command_line(folder: Path) -> None:
    write_recipe(folder)
    (folder / "file").write_text("")
    for words, sentence in (
        (["chek"], "No such command 'chek'. Did you mean 'check'?"),
        (["run"], "Missing argument 'RECIPE'."),
        (
            ["run", "tiny.yaml", "--devise", "cpu"],
            "No such option '--devise'. (Did you mean one of: '--device', '--set'?)",
        ),
        (["run", "tiny.yaml", "--device", "tpu"], "'tpu' is not one of 'auto', 'cpu', 'cuda'."),
        (["run", "tiny.yaml", "--store", "file"], "Directory 'file' is a file."),
        (["run", "tiny.yaml", "--runs", "file"], "Directory 'file' is a file."),
    ):
        result = segad(*words)
        assert result.exit_code == 2
        assert sentence in said(result)


def test_a_process_ends_with_the_same_words_and_code(folder: Path) -> None:
    write_recipe(folder, ("patchcore: {use: patchcore", "patchcore: {use: patchcor"))
    words = [sys.executable, "-m", "segad_core.cli", "check", "tiny.yaml"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: tiny.yaml:12: detectors.patchcore.use: ")
    assert "'patchcor'" in done.stderr
    assert "Traceback" not in done.stderr
