"""Published figures: what is shipped is what the paper says, and what is wrong in a file is named."""

from pathlib import Path

import pytest
from published_trees import MVTEC, VISA

from segad_core.errors import RecipeError
from segad_core.recipe.published import MEAN, published, shipped_figures

_HERE = Path(__file__).parent
_VAD = {name: f"paper/vad_{name}" for name in ("oneclass", "highshot", "lowshot", "ablation")}


def test_every_published_table_is_shipped() -> None:
    visa = ["paper/visa", "paper/visa_baselines", "paper/visa_readme"]
    assert shipped_figures() == sorted([*_VAD.values(), *visa, "paper/mvtec"])


_NAMES = {"F": "FastFlow", "R": "RD4AD", "P": "PatchCore", "E": "EfficientAD", "All": "All AD", "O": "SegAD"}
"""As the tables below call them; O is "Ours" in the paper."""

_VAD_TABLES = {  # AUROC and its deviation, FPR@95TPR and its deviation; `-` where none was published
    _VAD["oneclass"]: """
        F         79.1 1.7   76.2 1.9
        R         84.5 0.2   65.8 2
        P         88.3 0.3   60.4 2.8
        E         89.1 0.8   44.5 2.2
        F + O     83.3 1.3   71.5 5
        R + O     87.5 1.2   61.0 7.9
        P + O     89.7 0.8   58.8 3.7
        E + O     85.6 1.6   100  0
        All + O   90.4 0.5   52.4 4.5
    """,
    _VAD["highshot"]: """
        DevNet          86.9 1.2   66.6 2.7
        DRA             87.4 0.6   60.9 4.4
        WRN             95.0 0.6   32.8 4.3
        F + O           86.9 0.5   56.9 3.9
        R + O           90.2 0.3   46.9 2.6
        P + O           91.7 0.3   48.0 2.9
        E + O           91.4 0.2   36.8 1
        All + WRN + O   96.5 0.3   16.4 1.9
        E + WRN + O     96   -     19.4 -
    """,
    _VAD["lowshot"]: """
        DevNet    73.1 2.3   88.3 2.3
        DRA       78.9 1.8   74.6 1.9
        WRN       78.7 1.8   77.9 4.4
        F + O     84.3 1.4   64.5 2.5
        R + O     88.6 0.2   51.1 0.9
        P + O     90.8 0.5   52.7 4.3
        E + O     90.6 0.7   40.1 2.4
        All + O   92.7 0.5   36.8 3.1
    """,
    _VAD["ablation"]: """
        An. Det.  87.3 -
        One Seg.  88.6 -
        Max.      89.4 -
        BT        88.4 -
        RF        89.8 -
        SegAD     90.1 -
    """,
}

_TABLES = {  # AUROC of each category, and the mean; for VisA from Table 8 but for the means, of Table 5
    "paper/visa": """
        R        94.6 85.4 96.3 98.8 93.7 96.5 84.7 96.0 97.1 95.9 99.9 97.5   94.2
        E        98.3 92.3 96.0 100  98.5 99.1 96.7 98.6 99.9 98.4 98.3 99.4   97.9
        R + O    98.4 80.1 98.9 99.3 96.2 97.4 90.6 96.4 96.3 94.1 99.9 95.8   96.1
        E + O    98.7 89.7 98.6 99.9 98.6 99.5 98.1 99.5 99.7 98.4 99.3 99.2   98.3
        All + O  99.1 90.1 99.1 99.9 98.6 99.6 98.4 99.2 99.9 98.1 99.8 99.4   98.4
    """,
    "paper/visa_baselines": """
        DRA      96.0 70.6 94.6 91.4 99.2 92.2 74.4 92.1 91.6 77.7 90.9 96.5   88.9
        DevNet   94.7 78.2 97.4 91.9 98.3 92.1 72.3 94.4 89.5 73.4 95.7 94.3   89.3
    """,
    "paper/visa_readme": """
        R        94.6 85.4 96.3 98.8 93.7 96.5 84.7 96.0 97.1 95.9 99.9 97.5   94.7
        E        98.3 92.3 96.0 100  98.5 99.1 96.7 98.6 99.9 98.4 98.3 99.4   97.9
        R + O    98.5 80.2 98.9 99.4 96.1 97.4 90.7 96.4 96.3 94.1 99.9 95.8   95.3
        E + O    98.7 89.7 98.6 99.9 98.6 99.5 98.1 99.5 99.7 98.4 99.3 99.2   98.3
        All + O  99.0 90.7 99.0 99.9 98.5 99.4 98.1 99.2 99.7 98.3 99.8 99.1   98.4
    """,
    "paper/mvtec": """
        F        100  88.2 95.0 99.2 100  78.4 99.6 97.6 94.3 74.7 100  88.1 89.8 99.4 97.7   93.5
        R        99.8 94.7 97.5 99.2 95.3 100  100  100  96.2 98.4 100  93.8 97.1 99.6 97.9   98.0
        E        100  91.1 97.6 97.1 98.2 99.6 99.4 99.9 97.9 92.4 99.7 99.8 99.8 99.6 98.8   98.1
        F + O    99.7 71.6 94.4 96.9 97.5 98.2 99.4 96.6 95.2 74.9 99.9 99.2 95.4 98.5 99.4   94.5
        R + O    99.6 95.7 97.9 98.6 99.7 100  100  100  97.5 95.7 100  97.3 95.9 99.0 98.4   98.4
        E + O    99.5 88.6 95.9 95.6 98.1 99.5 98.5 99.2 97.3 90.4 99.9 95.2 96.7 99.1 96.3   96.7
        All + O  100  92.5 98.3 98.5 99.6 100  100  99.5 98.2 95.2 100  96.3 99.3 99.0 99.3   98.4
    """,
}

_VISA_FPR = {"R": 25.5, "E": 8.3, "R + O": 15.5, "E + O": 8.1, "All + O": 7.5}
_FPR = {  # means, of Table 5
    "paper/visa": _VISA_FPR,
    "paper/visa_readme": _VISA_FPR,
    "paper/visa_baselines": {"DRA": 42.4, "DevNet": 44.0},
    "paper/mvtec": {},
}


def _lines(table: str, numbers: int) -> list[tuple[str, list[str]]]:
    """The rows of a table: the name, and as many words after it."""
    found = [line.split() for line in table.strip().splitlines()]
    return [(_called(" ".join(words[:-numbers])), words[-numbers:]) for words in found]


def _called(name: str) -> str:
    """A row's name as the recipes have it."""
    return " + ".join(_NAMES.get(word, word) for word in name.split(" + "))


def _cell(mean: str, std: str = "-") -> tuple[float, float | None]:
    return float(mean), None if std == "-" else float(std)


@pytest.mark.parametrize("name", _VAD_TABLES)
def test_every_cell_of_vad_is_the_papers(name: str) -> None:
    rows = _lines(_VAD_TABLES[name], 2 if name == _VAD["ablation"] else 4)
    wanted = {"auroc": {row: {"vad": _cell(*words[:2])} for row, words in rows}}
    if name != _VAD["ablation"]:
        wanted["fpr95"] = {row: {"vad": _cell(*words[2:])} for row, words in rows}
    assert published(name, _HERE).figures == wanted


@pytest.mark.parametrize("name", _TABLES)
def test_every_cell_of_visa_and_mvtec_is_the_papers(name: str) -> None:
    categories = [*(MVTEC if name == "paper/mvtec" else VISA), MEAN]
    rows = _lines(_TABLES[name], len(categories))
    wanted = {
        "auroc": {row: dict(zip(categories, map(_cell, words), strict=True)) for row, words in rows},
        "fpr95": {_called(row): {MEAN: (mean, None)} for row, mean in _FPR[name].items()},
    }
    assert published(name, _HERE).figures == {metric: own for metric, own in wanted.items() if own}


def test_means_are_those_of_the_categories_but_for_the_two_that_the_notes_name() -> None:
    """A tenth apart at most: both are rounded."""
    apart = []
    for name in shipped_figures():
        for row, own in published(name, _HERE).figures["auroc"].items():
            values = [value for category, (value, _) in own.items() if category != MEAN]
            if MEAN in own and abs(sum(values) / len(values) - own[MEAN][0]) > 0.1:
                apart.append((name, row))
    assert apart == [("paper/visa", "RD4AD"), ("paper/visa", "RD4AD + SegAD")]
    assert "RD4AD 94.2 and 94.7, RD4AD + SegAD 96.1 and 95.3" in " ".join(
        published("paper/visa", _HERE).notes
    )


def test_the_ablations_baseline_is_the_mean_of_three_detectors_as_its_note_says() -> None:
    detectors = {
        row: published(_VAD["oneclass"], _HERE).value("auroc", row, "vad")
        for row in ("FastFlow", "RD4AD", "PatchCore", "EfficientAD")
    }
    values = {row: value[0] for row, value in detectors.items() if value}
    assert sum(values.values()) / 4 == pytest.approx(85.25)
    told = published(_VAD["ablation"], _HERE)
    assert told.value("auroc", "An. Det.", "vad") == (87.3, None)
    assert (sum(values.values()) - values["FastFlow"]) / 3 == pytest.approx(87.3)
    assert "85.25" in " ".join(told.notes)


_GOOD = """\
source: mine
categories: [a, b]
figures:
  auroc:
    X: {a: 90, b: [80.5, 1], mean: 85.2}
"""


def _write(folder: Path, text: str) -> Path:
    (folder / "mine.yaml").write_text(text)
    return folder


def test_a_file_is_looked_for_beside_the_recipe(tmp_path: Path) -> None:
    told = published("mine.yaml", _write(tmp_path, _GOOD))
    assert told.value("auroc", "X", "a") == (90.0, None)
    assert told.value("auroc", "X", "b") == (80.5, 1.0)
    assert told.value("auroc", "X", None) == (85.2, None)
    assert told.value("auroc", "X", "mean") is None  # a category of that name was not published
    assert [told.value("auroc", "X", "c"), told.value("auroc", "Y", "a"), told.value("fpr95", "X", "a")] == [
        None
    ] * 3


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("paper/visaa", "did you mean 'paper/visa'?"),
        ("vad_highshot", "paper/vad_highshot"),
        ("../elpv", "no file '../elpv'"),
        ("", "known: paper/mvtec"),
    ],
)
def test_an_unknown_name_is_an_error_that_lists_the_known(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        published(name, tmp_path)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("a: 90", "a: high", "mine.yaml:5: figures.auroc.X.a: must be a number or [mean, std]"),
        ("a: 90", "a: true", "mine.yaml:5: figures.auroc.X.a: must be a number or [mean, std]"),
        ("a: 90", "a: [1, 2, 3]", "mine.yaml:5: figures.auroc.X.a: must be a number or [mean, std]"),
        ("a: 90", "a: []", "mine.yaml:5: figures.auroc.X.a: must be a number or [mean, std]"),
        ("a: 90", "a: 190", "mine.yaml:5: figures.auroc.X.a: must be in per cent, between 0 and 100"),
        ("a: 90", "a: .nan", "mine.yaml:5: figures.auroc.X.a: .nan is not a finite number"),
        (
            "[80.5, 1]",
            "[80.5, -1]",
            "mine.yaml:5: figures.auroc.X.b: a standard deviation cannot be negative",
        ),
        ("b: [", "c: [", "mine.yaml:5: figures.auroc.X.c: there is no category 'c'. known: a, b, mean"),
        ("auroc:", "aurok:", "mine.yaml:4: figures.aurok"),
        ("source: mine", "sauce: mine", "mine.yaml:1: unknown key 'sauce' - did you mean 'source'?"),
        ("categories: [a, b]", "", "'categories' is missing"),
        ("[a, b]", "[]", "mine.yaml:2: categories"),
        ("[a, b]", "[a, b, mean]", "mine.yaml:2: categories[2]: 'mean' is reserved"),
        ("{a: 90,", "{a: 90, a: 91,", "mine.yaml:5: figures.auroc.X.a: is listed twice"),
        ("a: 90", "a: 90, b", "mine.yaml:5"),
        ("source: mine", "source: mine\n  x: [", "is not valid YAML"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in _GOOD
    with pytest.raises(RecipeError) as caught:
        published("mine.yaml", _write(tmp_path, _GOOD.replace(old, new)))
    assert said in str(caught.value)


def test_every_problem_is_named_at_once(tmp_path: Path) -> None:
    text = _GOOD.replace("a: 90", "a: 190").replace("[80.5, 1]", "x")
    with pytest.raises(RecipeError) as caught:
        published("mine.yaml", _write(tmp_path, text))
    assert len(caught.value.problems) == 2
