"""A wrong recipe or command line: each mistake by file, line and path, the remedy beside it, exit code 2."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from builders import RECIPE, data_set, said, segad, write_recipe

from segad_core.recipe.document import MAX_BYTES

BAD_RECIPES = Path(__file__).parents[1] / "bad_recipes"

TOO_LARGE = (
    "is too large or nested too deeply: a recipe may have 20000 values, 20 deep, and what an alias names "
    "counts at each use"
)
WORD = "is not a plain word; put it in quotes"


def refused(*words: str | Path) -> list[str]:
    """The lines of a refusal with exit code 2, without `error: `."""
    result = segad(*words)
    text = said(result)
    assert result.exit_code == 2, text
    assert text.startswith("error: "), text
    return text.removeprefix("error: ").splitlines()


def fits(lines: list[str], expected: list[str]) -> None:
    """Every line is as expected; one that ends in `...` is only begun."""
    assert len(lines) == len(expected), lines
    for line, wanted in zip(lines, expected, strict=True):
        if wanted.endswith("..."):
            assert line.startswith(wanted.removesuffix("..."))
        else:
            assert line == wanted


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a data set of categories a and b, which is the working folder."""
    for category in ("a", "b"):
        (tmp_path / "data" / category / "good").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


FILES = {
    "empty": ["FILE: a recipe is a mapping; begin with 'segad: 1'"],
    "only_comments": ["FILE: a recipe is a mapping; begin with 'segad: 1'"],
    "list": ["FILE: a recipe is a mapping; begin with 'segad: 1'"],
    "one_word": ["FILE: a recipe is a mapping; begin with 'segad: 1'"],
    "unclosed_bracket": [
        "FILE:4: is not valid YAML: while parsing a flow sequence, expected ',' or ']', but got ':'"
    ],
    "tab": [
        "FILE:3: is not valid YAML: while scanning for the next token, found character '\\t' that cannot "
        "start any token"
    ],
    "two_documents": [
        "FILE:2: is not valid YAML: expected a single document in the stream, but found another document"
    ],
    "duplicate_keys": [
        "FILE:4: split.test.good: is given twice, first in line 4",
        "FILE:5: batch_size: is given twice, first in line 2",
    ],
    "strange_keys": [
        f"FILE:2: the key '1' {WORD}",
        f"FILE:4: split: the key 'yes' {WORD}",
        f"FILE:5: split: the key {WORD}",
    ],
    "merge_key": [f"FILE:2: image: the key '<<' {WORD}"],
    "tags": [
        "FILE:2: title: has the tag 'tag:yaml.org,2002:python/object/apply:os.system', and a recipe has none",
        "FILE:3: dataset: is not a plain value: could not determine a constructor for the tag "
        "'tag:yaml.org,2002:python/name:os.system'",
        "FILE:4: encoder: has the tag '!mine', and a recipe has none",
    ],
    "not_finite": [
        "FILE:3: split.test.good: .nan is not a finite number",
        "FILE:5: detectors.patchcore.params.blur_sigma: .inf is not a finite number",
    ],
    "unset_variables": [
        "FILE:2: dataset.params.root: the environment variable SEGAD_TEST_UNSET is not set: "
        "export SEGAD_TEST_UNSET=...",
        "FILE:2: dataset.params.root: the environment variable SEGAD_TEST_ALSO_UNSET is not set: "
        "export SEGAD_TEST_ALSO_UNSET=...",
    ],
    "alias_bomb": [f"FILE:2: {TOO_LARGE}"],
    "alias_of_itself": [f"FILE:2: {TOO_LARGE}"],
    "nested_deeply": [f"FILE:2: {TOO_LARGE}"],
    "unknown_alias": ["FILE:2: is not valid YAML: found undefined alias 'nothing'"],
    "impossible_date": ["FILE:2: title: is not a plain value: month must be in 1..12..."],
}


def test_every_bad_recipe_is_expected() -> None:
    assert sorted(path.stem for path in BAD_RECIPES.glob("*.yaml")) == sorted(FILES)


@pytest.mark.parametrize("name", FILES)
def test_files_that_are_no_recipe(name: str) -> None:
    path = BAD_RECIPES / f"{name}.yaml"
    fits(refused("check", path), [line.replace("FILE", str(path)) for line in FILES[name]])


BYTES = {
    "latin-1": (b"segad: 1\ntitle: \xfc\n", "is not UTF-8 text (byte 16); save it as UTF-8"),
    "utf-16": (RECIPE.encode("utf-16"), "is not UTF-8 text (byte 0); save it as UTF-8"),
    "nul": (b"segad: 1\ntitle: \0\n", "is not valid YAML: unacceptable character #x0000: special..."),
    "huge": (b"# " + MAX_BYTES * b"x", f"has more than the {MAX_BYTES} bytes that a recipe may have"),
    "deeper than Python goes": (b"title: " + 3000 * b"[", "is nested too deeply"),
}


@pytest.mark.parametrize("name", BYTES)
def test_bytes_that_are_no_recipe(name: str, folder: Path) -> None:
    content, sentence = BYTES[name]
    (folder / "tiny.yaml").write_bytes(content)
    fits(refused("check", "tiny.yaml"), [f"tiny.yaml: {sentence}"])


def test_a_byte_order_mark_is_no_mistake(folder: Path) -> None:
    data_set(folder / "data", ("a", "b"))
    (folder / "tiny.yaml").write_bytes(RECIPE.encode("utf-8-sig"))
    assert segad("check", "tiny.yaml").exit_code == 0


SPLIT = "split:\n  seeds: [0]\n  test: {good: 4, bad: 3}\n  detectors: {good: 4}\n"
ROWS = RECIPE[RECIPE.index("  - {name: PatchCore") :]
SHARE = "a share lies between 0 and 1, as in 0.5; a count is a whole number; 'rest' takes all"
ALIAS = "cannot name a detector: use letters, digits, '_' and '-', and not the word 'all'"

# what is changed in the tiny recipe, and what is said of it
MISTAKES: dict[str, tuple[list[tuple[str, str]], list[str]]] = {
    "detector": (
        [("use: patchcore", "use: patchcor")],
        ["12: detectors.patchcore.use: no detector is called 'patchcor' - did you mean 'patchcore'? ..."],
    ),
    "encoder": (
        [("efficientnet_lite0", "eficientnet")],
        ["6: encoder.use: no encoder is called 'eficientnet' - did you mean 'efficientnet_lite0'? ..."],
    ),
    "parameter": (
        [("coreset_ratio", "coreset_ration")],
        [
            "12: detectors.patchcore.params: there is no 'coreset_ration' here - did you mean "
            "'coreset_ratio'? known: layers, coreset_ratio, ..."
        ],
    ),
    "category": (
        [("batch_size", "categories: [b, aa]\nbatch_size")],
        ["5: categories[1]: there is no category 'aa' - did you mean 'a'? known: a, b"],
    ),
    "per_category": (
        [("whole_image", "{use: whole_image, per_category: {aa: {}}}")],
        ["13: segmenter.per_category.aa: there is no category 'aa' - did you mean 'a'? known: a, b"],
    ),
    "per_category where there is one for all": (
        [("efficientnet_lite0", "{use: efficientnet_lite0, per_category: {a: {}}}")],
        ["6: encoder.per_category: one serves all categories here: give 'params' alone"],
    ),
    "detector of a row": (
        [("[patchcore]", "[patchcor]"), ("score: patchcore", "score: padim")],
        [
            "18: rows[0].score: the recipe has no detector or classifier 'padim'. known: patchcore",
            "19: rows[1].detectors: the recipe has no detector 'patchcor' - did you mean 'patchcore'? "
            "known: patchcore",
        ],
    ),
    "key": (
        [("batch_size", "batchsize")],
        ["5: there is no 'batchsize' here - did you mean 'batch_size'? known: segad, title, ..."],
    ),
    "key inside": (
        [("seeds", "sed")],
        [
            "8: split: there is no 'sed' here - did you mean 'seeds'? known: seeds, order, hold_out, file, "
            "leave_out, test, detectors, final, classifiers"
        ],
    ),
    "number": (
        [("batch_size: 4", "batch_size: four")],
        ["5: batch_size: input should be a valid integer..."],
    ),
    "list": ([("seeds: [0]", "seeds: 5")], ["8: split.seeds: input should be a valid list (it is 5)"]),
    "plugin": (
        [("encoder: efficientnet_lite0", "encoder: 7")],
        ["6: encoder: is neither the name of a plugin nor {use: NAME, params: ...}"],
    ),
    "mapping": ([("{size: [48, 48]}", "7")], ["4: image: is not a mapping (it is 7)"]),
    "mapping, a list": ([(SPLIT, "split: [1]\n")], ["7: split: is not a mapping"]),
    "text": ([("title: tiny", "title: 7")], ["2: title: input should be a valid string (it is 7)"]),
    "range": (
        [("batch_size: 4", "batch_size: 0")],
        ["5: batch_size: input should be greater than or equal..."],
    ),
    "format": ([("segad: 1", "segad: 2")], ["1: segad: input should be 1 (it is 2)"]),
    "missing": ([("dataset: {use: folder, params: {root: data}}\n", "")], ["1: 'dataset' is missing"]),
    "missing use": ([("{use: folder, ", "{")], ["3: dataset: 'use' is missing"]),
    "missing parameter": ([("params: {root: data}", "params: {}")], ["3: dataset.params: 'root' is missing"]),
    "shares": (
        [("good: 4, bad: 3", "good: 1.5, bad: -3")],
        [f"9: split.test.{k}: {SHARE}" for k in ("good", "bad")],
    ),
    "share": (
        [("good: 4, bad: 3", "good: half, bad: 3")],
        ["9: split.test.good: is neither a share between 0 and 1, a count, nor 'rest'"],
    ),
    "seeds": (
        [("seeds: [0]", "seeds: [-1, 99999999999]")],
        [
            "8: split.seeds[0]: input should be greater than or equal to 0 (it is -1)",
            "8: split.seeds[1]: input should be less than or equal to 4294967295 (it is 99999999999)",
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
            "18: rows[0]: a row has either 'score' (one detector or classifier alone), 'detectors' "
            "(detectors + SegAD) or 'mean_of' (other rows)",
            "19: rows[1]: a row with 'score' has no final of its own",
            "20: rows[2].detectors: list should have at least 1 item...",
        ],
    ),
    "names of rows": (
        [("name: SegAD", "name: PatchCore")],
        ["19: rows[1].name: two rows are called 'PatchCore'"],
    ),
    "no features": (
        [("features: [mean, max]\n", "")],
        ["18: rows[1]: has no 'features', and neither has the recipe"],
    ),
    "no features in a row": (
        [("[patchcore]}", "[patchcore], features: []}")],
        ["19: rows[1].features: list should have at least 1 item..."],
    ),
    "no category": (
        [("batch_size", "categories: []\nbatch_size")],
        ["5: categories: list should have at least 1..."],
    ),
    "name all": (
        [("  patchcore: {use", "  all: {use"), ("score: patchcore", "score: all"), ("[patchcore]", "all")],
        [f"12: detectors.all: {ALIAS}"],
    ),
    "name with a bracket": (
        [("  patchcore: {use", "  'p<c': {use"), ("score: patchcore", "score: p<c"), ("[patchcore]", "all")],
        [f"12: detectors.p<c: {ALIAS}"],
    ),
    "layer": (
        [("blur_sigma: 1", "layers: [layer2, layer9]")],
        [
            "12: detectors.patchcore: wants the encoder layer 'layer9', which is not there - did you mean "
            "'layer4'? known: layer0, layer1, layer2, layer3, layer4"
        ],
    ),
    "layer of a category": (
        [("blur_sigma: 1}", "blur_sigma: 1}, per_category: {a: {layers: [layer9]}}")],
        ["12: detectors.patchcore.per_category.a: wants the encoder layer 'layer9', which is not ..."],
    ),
    "no encoder": (
        [("encoder: efficientnet_lite0\n", "")],
        [
            f"11: detectors.patchcore: wants the encoder layer '{layer}', which is not there, because the "
            "recipe has no encoder"
            for layer in ("layer2", "layer3")
        ],
    ),
    "several in the skeleton": (
        [("batch_size: 4", "batch_size: 0"), ("seeds: [0]", "seeds: 5"), ("title: tiny", "titel: tiny")],
        [
            "5: batch_size: input should be greater than or equal to 1 (it is 0)",
            "8: split.seeds: input should be a valid list (it is 5)",
            "2: there is no 'titel' here - did you mean 'title'? known: ...",
        ],
    ),
    "several names": (
        [("efficientnet_lite0", "eficientnet"), ("use: brf", "use: bfr"), ("[mean, max]", "[men, max]")],
        [
            "6: encoder.use: no encoder is called 'eficientnet' - did you mean 'efficientnet_lite0'? ...",
            "16: final.use: no final classifier is called 'bfr' - did you mean 'brf'? known: ...",
            "14: features[0].use: no feature is called 'men' - did you mean 'mean'? known: ...",
        ],
    ),
    "several parameters": (
        [
            ("coreset_ratio: 0.1", "coreset_ratio: 7"),
            ("num_parallel_tree", "num_tree"),
            ("root: data", "root: dta"),
        ],
        [
            "3: dataset.params.root: there is no folder 'HERE/dta'",
            "12: detectors.patchcore.params.coreset_ratio: input should be less than or equal to 1 (it is 7)",
            "16: final.params: there is no 'num_tree' here - did you mean 'num_parallel_tree'? known: ...",
        ],
    ),
    "folder with too long a name": (
        [("root: data", f"root: {5000 * 'x'}")],
        [f"3: dataset.params.root: there is no folder 'HERE/{5000 * 'x'}'"],
    ),
    "mask": (
        [("whole_image", "{use: static_mask, params: {mask: m.png, segments: [sky, sky]}}")],
        [
            "13: segmenter.params.segments: two segments have the same name",
        ],
    ),
    "no mask": (
        [("whole_image", "{use: static_mask, params: {mask: m.png, segments: [sky]}}")],
        ["13: segmenter.params.mask: there is no file 'HERE/m.png'"],
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_in_a_recipe(name: str, folder: Path) -> None:
    changes, expected = MISTAKES[name]
    write_recipe(folder, *changes)
    expected = [f"tiny.yaml:{line.replace('HERE', str(folder))}" for line in expected]
    fits(refused("check", "tiny.yaml"), expected)


FORM = ["is not of the form a.b=value", "  For example: --set split.seeds=[0,1]"]
PLACE = "  Name keys of mappings, and entries of lists by their number from 0."

OVERRIDES = {
    "batch_size": FORM,
    "=3": FORM,
    "a..b=1": FORM,
    "batch_size.x=1": ["'x' is looked for in the value 4", PLACE],
    "split.seeds.5=1": ["'5' is looked for in a list of 1", PLACE],
    "split.seeds.x=1": ["'x' is looked for in a list of 1", PLACE],
    "title.x=1": ["input should be a valid string"],
    "rows.0.name.x=1": ["input should be a valid string"],
    "rows[0].name=x": ["there is no 'rows[0]' here - did you mean 'rows'? known: ..."],
    "image.size=[64]": ["has too few values: number 2 is missing"],
    "nothing=1": ["there is no 'nothing' here. known: segad, ..."],
    "split.seds=1": ["there is no 'seds' here - did you mean 'seeds'? known: ..."],
    "batch_size=four": ["input should be a valid integer..."],
    "batch_size=": ["input should be a valid integer (it is None)"],
    "split.seeds=[0": ["the value is not valid YAML"],
    "split.seeds=" + 3000 * "[": ["the value is not valid YAML"],
    "title=" + 30 * "[" + 30 * "]": [TOO_LARGE],
    "title=${SEGAD_TEST_UNSET}": [
        "the environment variable SEGAD_TEST_UNSET is not set: export SEGAD_TEST..."
    ],
    "detectors.patchcore.params.coreset_ration=1": ["there is no 'coreset_ration' here - did you mean ..."],
    "encoder.params.x=1": ["there is no 'x' here. known: none"],
    "features.0.params.x=1": ["there is no 'x' here. known: none"],
    "categories=[aa]": ["there is no category 'aa' - did you mean 'a'? known: a, b"],
    "segmenter={use: whole_image, per_category: {aa: {}}}": [
        "there is no category 'aa' - did you mean 'a'? known..."
    ],
}


@pytest.mark.parametrize("word", OVERRIDES)
def test_mistakes_in_set(word: str, folder: Path) -> None:
    write_recipe(folder)
    first, *rest = OVERRIDES[word]
    fits(refused("check", "tiny.yaml", "--set", word), [f"--set {word}: {first}", *rest])


def test_a_recipe_that_is_not_there(folder: Path) -> None:
    end = ", and no shipped recipe of that name"
    for name in ("elvp", "recipes/elvp.yaml"):
        fits(
            refused("run", name), [f"there is no recipe file '{name}'{end} - did you mean 'elpv'? known: ..."]
        )
    long = 5000 * "x"
    fits(refused("run", long), [f"there is no recipe file '{long}'{end}. known: ..."])
    fits(refused("run", "data"), ["'data' is a folder, not a recipe", "  Name a YAML file in it."])


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
    assert done.stderr.startswith(
        "error: tiny.yaml:12: detectors.patchcore.use: no detector is called 'patchcor'"
    )
    assert "Traceback" not in done.stderr
