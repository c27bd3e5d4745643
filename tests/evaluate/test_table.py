"""The table: mean ± sample standard deviation over seeds, and the mean over categories."""

from segad_core.evaluate import Figures, markdown_table, results_frame


def _figures(category: str, seed: int, row: str, auroc: float) -> Figures:
    return Figures(category, seed, row, auroc, 1 - auroc, 10, 20, 0, 0)


def test_cells_and_means_worked_by_hand() -> None:
    figures = [
        _figures("a", 0, "X", 0.90),
        _figures("a", 1, "X", 0.94),
        _figures("b", 0, "X", 0.80),
        _figures("b", 1, "X", 0.80),
    ]
    # a: mean 92, s = 4 / sqrt(2) = 2.83; over categories: seeds 85 and 87, mean 86, s = 1.41
    assert markdown_table(figures, "auroc").splitlines() == [
        "| Cl. AUROC |          a |          b |       mean |",
        "| --------- | ---------: | ---------: | ---------: |",
        "| X         | 92.0 ± 2.8 | 80.0 ± 0.0 | 86.0 ± 1.4 |",
    ]


def test_one_seed_has_no_spread_and_one_category_no_mean() -> None:
    text = markdown_table([_figures("a", 0, "X", 0.9), _figures("a", 0, "Longer", 0.5)], "fpr95")
    assert text.splitlines() == [
        "| FPR@95TPR |    a |",
        "| --------- | ---: |",
        "| X         | 10.0 |",
        "| Longer    | 50.0 |",
    ]


def test_results_have_the_promised_columns() -> None:
    columns = list(results_frame([_figures("a", 0, "X", 0.9)]).columns)
    assert columns[:7] == ["category", "seed", "row", "auroc", "fpr95", "n_good", "n_bad"]
