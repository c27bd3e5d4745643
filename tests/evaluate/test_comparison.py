"""Measured beside published: which cells, the difference, and what is beyond the published deviation."""

from typing import Any

import pytest
from some_figures import figures

from segad_core.evaluate import compare, comparison_csv
from segad_core.evaluate.comparison import comparison_text
from segad_core.recipe.published import Published


def _published(auroc: dict[str, Any], categories: tuple[str, ...] = ("a", "b"), **given: Any) -> Published:
    plain = {"source": "a paper, Table 1", "categories": categories, "figures": {"auroc": auroc}}
    return Published.model_validate({**plain, **given})


_BOTH = [
    figures("a", 0, "X", 0.90),
    figures("a", 1, "X", 0.94),
    figures("b", 0, "X", 0.80),
    figures("b", 1, "X", 0.80),
]


def test_cells_worked_by_hand() -> None:
    told = _published({"X": {"a": [91.0, 0.5], "b": 82.0, "mean": [86.5, 0.6]}})
    found = compare(_BOTH, told)
    assert [(c.category, c.measured, c.published, c.difference, c.beyond) for c in found] == [
        ("a", 92.0, 91.0, 1.0, True),
        ("b", 80.0, 82.0, -2.0, None),
        ("mean", 86.0, 86.5, -0.5, False),
    ]
    assert [c.measured_std for c in found] == pytest.approx([2.828427, 0.0, 1.414214])
    assert {(c.metric, c.row) for c in found} == {("auroc", "X")}


@pytest.mark.parametrize(
    ("auroc", "beyond"), [(0.968, False), (0.9681, True), (0.962, False), (0.9619, True), (0.965, False)]
)
def test_a_difference_is_beyond_where_it_is_larger_than_the_deviation(auroc: float, beyond: bool) -> None:
    """96.8 - 96.5 is a rounding error more than 0.3 in binary."""
    told = _published({"X": {"a": [96.5, 0.3]}}, ("a",))
    assert [c.beyond for c in compare([figures("a", 0, "X", auroc)], told)] == [beyond]


def test_only_rows_and_categories_that_both_have() -> None:
    told = _published({"X": {"a": 90.0}, "Z": {"a": 90.0}, "Y": {"b": 90.0}})
    some = [figures("a", 0, "X", 0.9), figures("a", 0, "Y", 0.9), figures("b", 0, "X", 0.9)]
    assert [(c.row, c.category) for c in compare(some, told)] == [("X", "a")]


@pytest.mark.parametrize("measured", [("a",), ("a", "c"), ("a", "b", "c")])
def test_a_mean_over_other_categories_is_omitted_with_a_note(measured: tuple[str, ...]) -> None:
    told = _published({"X": {"a": 90.0, "mean": 85.0}})
    some = [figures(category, 0, "X", 0.9) for category in measured]
    assert [c.category for c in compare(some, told)] == ["a"]
    notes = [line for line in comparison_text(some, told).splitlines() if "published means" in line]
    assert len(notes) == 1
    assert "over 2 categories" in notes[0]


def test_nothing_is_said_of_means_where_they_are_compared() -> None:
    text = comparison_text(_BOTH, _published({"X": {"mean": 85.0}}))
    assert "published means" not in text
    assert "| X               | 86.0 ± 1.4 |      85.0 |       +1.0 |" in text


def test_both_metrics_but_not_the_roc_definition() -> None:
    told = _published({}, ("a",), figures={"auroc": {"X": {"a": 90}}, "fpr95": {"X": {"a": 12}}})
    found = compare([figures("a", 0, "X", 0.9, fpr95_roc=0.5)], told)
    assert [(c.metric, c.difference) for c in found] == [("auroc", 0.0), ("fpr95", -2.0)]


def test_one_category_has_a_line_for_each_row() -> None:
    told = _published({"X": {"a": [91.0, 0.5]}, "Y": {"a": 60}}, ("a",), spread="over 5 seeds", notes=["So."])
    some = [figures("a", seed, row, v) for row, v in (("X", 0.9), ("Y", 0.65)) for seed in (0, 1)]
    assert comparison_text(some, told).splitlines() == [
        "## Comparison with published figures",
        "",
        "| Cl. AUROC, a |   measured |  published | difference |",
        "| ------------ | ---------: | ---------: | ---------: |",
        "| X            | 90.0 ± 0.0 | 91.0 ± 0.5 |     −1.0 * |",
        "| Y            | 65.0 ± 0.0 |       60.0 |       +5.0 |",
        "",
        "Published: a paper, Table 1.",
        "Per cent; the difference is measured - published, before rounding.",
        "Published ±: over 5 seeds.",
        "A difference marked * exceeds the published ±.",
        "Differences are not marked where no ± was published.",
        "",
        "- So.",
    ]


def test_several_categories_have_three_lines_for_each_row() -> None:
    told = _published({"X": {"a": 93.5, "b": 80, "mean": 86.0}, "Y": {"a": 50}})
    some = [figures(c, 0, r, v) for c, r, v in (("a", "X", 0.9), ("b", "X", 0.85), ("a", "Y", 0.5))]
    assert comparison_text(some, told).splitlines()[2:10] == [
        "| Cl. AUROC |            |    a |    b | mean |",
        "| --------- | ---------- | ---: | ---: | ---: |",
        "| X         | measured   | 90.0 | 85.0 | 87.5 |",
        "|           | published  | 93.5 | 80.0 | 86.0 |",
        "|           | difference | −3.5 | +5.0 | +1.5 |",
        "| Y         | measured   | 50.0 |      |      |",
        "|           | published  | 50.0 |      |      |",
        "|           | difference | +0.0 |      |      |",
    ]


def test_a_comparison_without_common_cells_says_so() -> None:
    text = comparison_text(_BOTH, _published({"Other": {"a": 90.0}}, notes=["So."]))
    assert "No figures were published for these rows and categories." in text
    assert "- So." in text


def test_published_rows_that_were_not_measured_are_named() -> None:
    """Of either metric; a row that was measured in another category was measured."""
    auroc, fpr = {"X": {"a": 90.0}, "Y": {"b": 80.0}, "Z": {"a": 70.0}}, {"W": {"a": 9.0}, "Z": {"a": 8.0}}
    told = _published({}, figures={"auroc": auroc, "fpr95": fpr})
    some = [figures("a", 0, row, 0.9) for row in ("X", "Y")]
    assert "Published, but not measured here: Z, W." in comparison_text(some, told).splitlines()
    some += [figures("a", 0, row, 0.9) for row in ("Z", "W")]
    assert "Published, but not" not in comparison_text(some, told)


_CATEGORY_MEAN = [figures("a", 0, "X", 0.5), figures("mean", 0, "X", 0.9)]


def test_a_measured_category_called_mean_is_not_compared_with_the_published_mean() -> None:
    told = _published({"X": {"a": 50.0, "mean": 70.0}}, ("a",))
    assert [(c.category, c.measured, c.published) for c in compare(_CATEGORY_MEAN, told)] == [("a", 50, 50)]


def test_a_category_with_a_bar_or_a_line_break_stays_in_its_cell() -> None:
    names = ("a|b", "c\nd")
    told = _published({"X": dict.fromkeys(names, 90.0)}, names)
    some = [figures(name, 0, "X", 0.9) for name in names]
    for chosen in (some, some[:1], some[1:]):
        lines = [line for line in comparison_text(chosen, told).splitlines() if line.startswith("|")]
        assert len({line.replace(r"\|", "").count("|") for line in lines}) == 1
        assert len(lines) == (5 if len(chosen) > 1 else 3)


def test_held_out_runs_are_not_compared() -> None:
    held = figures("a", 0, "X", 0.1, held_out="dent")
    told = _published({"X": {"a": 92.0}})
    assert compare([*_BOTH, held], told) == compare(_BOTH, told)


def test_the_lines_of_the_csv() -> None:
    told = _published({"X": {"a": [91.0, 0.5], "b": 82.0}})
    assert comparison_csv(compare(_BOTH, told)).splitlines() == [
        "metric,row,category,measured,measured_std,published,published_std,difference,beyond",
        "auroc,X,a,92.0,2.828427,91.0,0.5,1.0,1",
        "auroc,X,b,80.0,0.0,82.0,,-2.0,",
    ]
