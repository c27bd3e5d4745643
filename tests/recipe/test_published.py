"""Published figures: what is shipped is what the paper says, and what is wrong in a file is named."""

from pathlib import Path

import pytest

from segad_core.errors import RecipeError
from segad_core.recipe.published import MEAN, published, shipped_figures

_HERE = Path(__file__).parent
_VAD = {name: f"paper/vad_{name}" for name in ("oneclass", "highshot", "lowshot", "ablation")}


def test_every_published_table_is_shipped() -> None:
    visa = ["paper/visa", "paper/visa_baselines", "paper/visa_readme"]
    assert shipped_figures() == sorted([*_VAD.values(), *visa, "paper/mvtec"])


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        (_VAD["oneclass"], 18),
        (_VAD["highshot"], 18),
        (_VAD["lowshot"], 16),
        (_VAD["ablation"], 6),
        ("paper/visa", 5 * 13 + 5),
        ("paper/visa_baselines", 2 * 13 + 2),
        ("paper/visa_readme", 5 * 13 + 5),
        ("paper/mvtec", 7 * 16),
    ],
)
def test_no_cell_is_missing(name: str, cells: int) -> None:
    told = published(name, _HERE)
    assert sum(len(own) for rows in told.figures.values() for own in rows.values()) == cells


@pytest.mark.parametrize(
    ("name", "metric", "row", "category", "value"),
    [
        (_VAD["oneclass"], "fpr95", "EfficientAD + SegAD", "vad", (100.0, 0.0)),
        (_VAD["oneclass"], "auroc", "All AD + SegAD", "vad", (90.4, 0.5)),
        (_VAD["highshot"], "auroc", "All AD + WRN + SegAD", "vad", (96.5, 0.3)),
        (_VAD["highshot"], "fpr95", "EfficientAD + WRN + SegAD", "vad", (19.4, None)),
        (_VAD["lowshot"], "fpr95", "PatchCore + SegAD", "vad", (52.7, 4.3)),
        (_VAD["ablation"], "auroc", "One Seg.", "vad", (88.6, None)),
        ("paper/visa", "auroc", "RD4AD", MEAN, (94.2, None)),
        ("paper/visa", "fpr95", "All AD + SegAD", MEAN, (7.5, None)),
        ("paper/visa", "auroc", "All AD + SegAD", "pipe_fryum", (99.4, None)),
        ("paper/visa_baselines", "auroc", "DevNet", "pcb3", (73.4, None)),
        ("paper/visa_readme", "auroc", "All AD + SegAD", "capsules", (90.7, None)),
        ("paper/mvtec", "auroc", "FastFlow + SegAD", "cable", (71.6, None)),
        ("paper/mvtec", "auroc", "FastFlow + SegAD", "carpet", (96.9, None)),
    ],
)
def test_cells_are_the_papers(
    name: str, metric: str, row: str, category: str, value: tuple[float, float | None]
) -> None:
    assert published(name, _HERE).value(metric, row, category) == value


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
    assert [told.value("auroc", "X", "c"), told.value("auroc", "Y", "a"), told.value("fpr95", "X", "a")] == [
        None
    ] * 3


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("paper/visaa", "did you mean 'paper/visa'?"),
        ("vad_highshot", "paper/vad_highshot"),
        ("../elpv", "there are no published figures '../elpv'"),
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
        ("a: 90", "a: high", "mine.yaml:5: figures.auroc.X.a: is neither a number nor [mean, std]"),
        ("a: 90", "a: true", "mine.yaml:5: figures.auroc.X.a: is neither a number nor [mean, std]"),
        ("a: 90", "a: [1, 2, 3]", "mine.yaml:5: figures.auroc.X.a: is neither a number nor [mean, std]"),
        ("a: 90", "a: []", "mine.yaml:5: figures.auroc.X.a: is neither a number nor [mean, std]"),
        ("a: 90", "a: 190", "mine.yaml:5: figures.auroc.X.a: figures are in per cent, between 0 and 100"),
        ("a: 90", "a: .nan", "mine.yaml:5: figures.auroc.X.a: .nan is not a finite number"),
        ("[80.5, 1]", "[80.5, -1]", "mine.yaml:5: figures.auroc.X.b: a standard deviation is not negative"),
        ("b: [", "c: [", "mine.yaml:5: figures.auroc.X.c: there is no category 'c'. known: a, b, mean"),
        ("auroc:", "aurok:", "mine.yaml:4: figures.aurok"),
        ("source: mine", "sauce: mine", "mine.yaml:1: there is no 'sauce' here - did you mean 'source'?"),
        ("categories: [a, b]", "", "'categories' is missing"),
        ("[a, b]", "[]", "mine.yaml:2: categories"),
        ("{a: 90,", "{a: 90, a: 91,", "mine.yaml:5: figures.auroc.X.a: is given twice"),
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
