"""Learning curves: which figures they show, and which the other tables show."""

from __future__ import annotations

from some_figures import figures

from segad_core.evaluate import last_amounts, results_csv, results_frame, results_text, with_means
from segad_core.evaluate.curve import learning_curves


def _lines(text: str) -> list[list[str]]:
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows if "---" not in row]


def test_a_column_per_amount_in_ascending_order_and_deviations_over_seeds() -> None:
    some = [
        figures("a", seed, row, value + 0.02 * seed, amount=amount)
        for seed in (0, 1)
        for amount, value in (("rest", 0.9), ("10", 0.8), ("5", 0.7))
        for row in ("X", "Y|Z")
    ]
    assert _lines(learning_curves(some)) == [
        ["Cl. AUROC", "5", "10", "rest"],
        ["X", "71.0 ± 1.4", "81.0 ± 1.4", "91.0 ± 1.4"],
        ["Y\\", "Z", "71.0 ± 1.4", "81.0 ± 1.4", "91.0 ± 1.4"],
        ["FPR@95TPR", "5", "10", "rest"],
        ["X", "29.0 ± 1.4", "19.0 ± 1.4", "9.0 ± 1.4"],
        ["Y\\", "Z", "29.0 ± 1.4", "19.0 ± 1.4", "9.0 ± 1.4"],
    ]


def test_categories_have_a_line_each_and_their_mean_where_all_have_the_amount() -> None:
    some = [figures("a", 0, "X", 0.6, amount="5"), figures("a", 0, "X", 0.8, amount="50")]
    some += [figures("b", 0, "X", 0.9, amount="5"), figures("b", 0, "X", 0.1, amount="5", held_out="dent")]
    assert _lines(learning_curves(some))[:4] == [
        ["Cl. AUROC", "category", "5", "50"],
        ["X", "a", "60.0", "80.0"],
        ["", "b", "90.0", ""],
        ["", "mean", "75.0", ""],
    ]


def test_shares_are_ordered_as_numbers() -> None:
    some = [figures("a", 0, "X", 0.6, amount=amount) for amount in ("0.5", "1e-05", "0.25")]
    assert _lines(learning_curves(some))[0] == ["Cl. AUROC", "1e-05", "0.25", "0.5"]


def test_without_amounts_there_is_no_curve() -> None:
    assert learning_curves([figures("a", 0, "X", 0.6)]) == ""
    assert learning_curves([]) == ""


def test_other_tables_show_the_last_amount_of_each_category() -> None:
    some = [figures("a", 0, "X", value, amount=n) for n, value in (("5", 0.1), ("20", 0.2), ("50", 0.9))]
    some += [figures("b", 0, "X", value, amount=n) for n, value in (("5", 0.3), ("20", 0.7))]
    some += [figures("b", 0, "X", 0.4, amount=n, held_out="dent") for n in ("5", "20")]
    assert [(f.category, f.amount, f.held_out) for f in last_amounts(some)] == [
        ("a", "50", ""),
        ("b", "20", ""),
        ("b", "20", "dent"),
    ]
    text = results_text("T", some)
    assert _lines(text)[:2] == [["Cl. AUROC", "a", "b", "mean"], ["X", "90.0", "70.0", "80.0"]]
    assert text.count("## Learning curves\n") == 1


def test_means_of_rows_are_of_one_amount() -> None:
    some = [figures("a", 0, row, value, amount=n) for n, value in (("5", 0.2), ("9", 0.6)) for row in "XY"]
    found = with_means(some, {"Both": ["X", "Y"]}, ["X", "Y", "Both"])
    assert [(f.row, f.amount, round(f.auroc, 6)) for f in found if f.row == "Both"] == [
        ("Both", "5", 0.2),
        ("Both", "9", 0.6),
    ]


def test_the_column_is_there_only_where_it_says_something() -> None:
    assert "amount" not in results_frame([figures("a", 0, "X", 0.6)])
    some = [figures("a", 0, "X", 0.6, amount="5"), figures("a", 0, "X", 0.6, amount="rest")]
    assert results_csv(some).splitlines()[0].startswith("category,seed,row,held_out,amount,auroc,")
    assert [line.split(",")[4] for line in results_csv(some).splitlines()[1:]] == ["5", "rest"]
