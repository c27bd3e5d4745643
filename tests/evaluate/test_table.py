"""The table: mean ± sample standard deviation over seeds, and the mean over categories."""

import pytest
from some_figures import figures

from segad_core.evaluate import markdown_table


def test_cells_and_means_worked_by_hand() -> None:
    some = [
        figures("a", 0, "X", 0.90),
        figures("a", 1, "X", 0.94),
        figures("b", 0, "X", 0.80),
        figures("b", 1, "X", 0.80),
    ]
    # a: mean 92, s = 4 / sqrt(2) = 2.83; over categories: seeds 85 and 87, mean 86, s = 1.41
    assert markdown_table(some, "auroc").splitlines() == [
        "| Cl. AUROC |          a |          b |       mean |",
        "| --------- | ---------: | ---------: | ---------: |",
        "| X         | 92.0 ± 2.8 | 80.0 ± 0.0 | 86.0 ± 1.4 |",
    ]


def test_one_seed_has_no_spread_and_one_category_no_mean() -> None:
    text = markdown_table([figures("a", 0, "X", 0.9), figures("a", 0, "Longer", 0.5)], "fpr95")
    assert text.splitlines() == [
        "| FPR@95TPR |    a |",
        "| --------- | ---: |",
        "| X         | 10.0 |",
        "| Longer    | 50.0 |",
    ]


def test_one_seed_shows_its_interval_where_it_has_one() -> None:
    """A mean over categories has none, and neither has a row that is the mean of others."""
    some = [
        figures("a", 0, "X", 0.952, auroc_low=0.931, auroc_high=0.9691),
        figures("b", 0, "X", 0.5, auroc_low=0.4, auroc_high=0.6),
        figures("a", 0, "Y", 0.7),
        figures("b", 0, "Y", 0.9),
    ]
    assert markdown_table(some, "auroc").splitlines()[2:] == [
        "| X         | 95.2 [93.1, 96.9] | 50.0 [40.0, 60.0] | 72.6 |",
        "| Y         |              70.0 |              90.0 | 80.0 |",
    ]


def test_several_seeds_show_no_interval() -> None:
    some = [figures("a", seed, "X", 0.9, auroc_low=0.8, auroc_high=1.0) for seed in (0, 1)]
    assert "| 90.0 ± 0.0 |" in markdown_table(some, "auroc")


def test_a_row_that_a_category_lacks_has_no_mean() -> None:
    some = [figures("a", 0, "X", 0.9), figures("b", 0, "X", 0.8), figures("b", 0, "Y", 0.7)]
    assert markdown_table(some, "auroc").splitlines()[2:] == [
        "| X         | 90.0 | 80.0 | 85.0 |",
        "| Y         |      | 70.0 |      |",
    ]


def test_runs_with_a_defect_held_out_stay_out() -> None:
    some = [figures("a", 0, "X", 0.9), figures("a", 0, "X", 0.1, held_out="dent")]
    assert markdown_table(some, "auroc") == markdown_table(some[:1], "auroc")


def test_the_roc_definition_has_a_table_of_its_own() -> None:
    text = markdown_table([figures("a", 0, "X", 0.9, fpr95_roc=0.25)], "fpr95_roc")
    assert text.splitlines()[::2] == ["| FPR@95TPR (ROC) |    a |", "| X               | 25.0 |"]


def test_a_category_called_mean_is_a_category() -> None:
    some = [figures("a", 0, "X", 0.5), figures("mean", 0, "X", 0.9, auroc_low=0.8, auroc_high=1.0)]
    assert markdown_table(some, "auroc").splitlines() == [
        "| Cl. AUROC |    a |               mean | mean over categories |",
        "| --------- | ---: | -----------------: | -------------------: |",
        "| X         | 50.0 | 90.0 [80.0, 100.0] |                 70.0 |",
    ]


def test_a_single_category_called_mean_has_its_figures_and_its_interval() -> None:
    some = [figures("mean", 0, "X", 0.9, auroc_low=0.8, auroc_high=1.0)]
    assert markdown_table(some, "auroc").splitlines()[2] == "| X         | 90.0 [80.0, 100.0] |"


@pytest.mark.parametrize("name", ["seed", "row", "category", "auroc", "held_out", "all", "", "nan", "0"])
def test_a_category_or_row_may_be_called_like_anything_in_the_table(name: str) -> None:
    some = [figures(name, 0, name, 0.9), figures("b", 0, name, 0.5)]
    header, _, line = markdown_table(some, "auroc").splitlines()
    assert [cell.strip() for cell in header.split("|")[2:-1]] == [name, "b", "mean"]
    assert [cell.strip() for cell in line.split("|")[1:-1]] == [name, "90.0", "50.0", "70.0"]


def test_a_line_break_in_a_name_ends_no_line() -> None:
    text = markdown_table([figures("a\nb|c", 0, "A\nB", 0.9)], "auroc")
    assert len(text.splitlines()) == 3
    assert {line.replace(r"\|", "").count("|") for line in text.splitlines()} == {3}


def test_a_bar_in_a_name_ends_no_cell() -> None:
    assert r"| A \| B    | 90.0 |" in markdown_table([figures("a", 0, "A | B", 0.9)], "auroc")
