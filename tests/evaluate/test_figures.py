"""The figures as a frame, and rows that are means of rows."""

import csv
import io

import pytest
from some_figures import figures

from segad_core.evaluate import Figures, results_frame, with_means

_COLUMNS = [
    *("category", "seed", "row", "held_out"),
    *("auroc", "auroc_low", "auroc_high", "fpr95", "fpr95_low", "fpr95_high", "fpr95_roc"),
    *("n_good", "n_bad", "n_unseen", "n_doubtful", "doubtful_above"),
    *("auroc_seen", "auroc_unseen", "fpr95_seen", "fpr95_unseen", "missed_seen", "missed_unseen"),
]


def test_results_have_the_promised_columns_also_where_nothing_is_done() -> None:
    assert list(results_frame([figures("a", 0, "X", 0.9)]).columns) == _COLUMNS
    assert list(results_frame([]).columns) == _COLUMNS


def test_what_there_is_not_is_an_empty_cell_and_counts_are_whole_numbers() -> None:
    full = figures(
        "a", 0, "X", 0.75, auroc_low=0.5, missed_seen=3, missed_unseen=1, n_doubtful=4, doubtful_above=2
    )
    bare = figures("a", 1, "X", 0.5, n_doubtful=4)
    text = results_frame([full, bare]).to_csv(index=False)
    assert text.splitlines()[1:] == [
        "a,0,X,,0.75,0.5,,0.25,,,,10,20,0,4,2,,,,,3,1",
        "a,1,X,,0.5,,,0.5,,,,10,20,0,4,0,,,,,,",
    ]


def test_numbers_come_back_as_they_were() -> None:
    one = figures("a", 0, "X", 0.1 + 0.2, missed_seen=1 / 3, missed_unseen=2)
    line = next(csv.DictReader(io.StringIO(results_frame([one]).to_csv(index=False))))
    assert float(line["auroc"]) == 0.1 + 0.2
    assert float(line["missed_seen"]) == 1 / 3


def _two(seed: int, **given: float | None) -> list[Figures]:
    shared = {
        "n_unseen": 5,
        "n_doubtful": 4,
        "auroc_low": 0.1,
        "auroc_high": 1.0,
        "fpr95_low": 0,
        "fpr95_high": 1,
    }
    one = figures(
        "a", seed, "X", 0.8, fpr95_roc=0.25, doubtful_above=1, missed_seen=2, auroc_seen=0.75, **shared
    )
    other = {"fpr95_roc": 0.75, "doubtful_above": 2, "missed_seen": 3, "auroc_seen": 0.25, **shared, **given}
    return [one, figures("a", seed, "Y", 0.6, **other)]


def test_a_mean_of_rows_worked_by_hand() -> None:
    found = with_means(_two(0), {"Both": ["X", "Y"]}, ["X", "Y", "Both"])
    assert [f.row for f in found] == ["X", "Y", "Both"]
    mean = found[2]
    assert (mean.category, mean.seed, mean.held_out) == ("a", 0, "")
    assert mean.auroc == pytest.approx(0.7)
    assert mean.fpr95 == pytest.approx(0.3)
    assert (mean.fpr95_roc, mean.auroc_seen, mean.missed_seen, mean.doubtful_above) == (0.5, 0.5, 2.5, 1.5)
    assert (mean.n_good, mean.n_bad, mean.n_unseen, mean.n_doubtful) == (10, 20, 5, 4)
    assert (mean.auroc_low, mean.auroc_high, mean.fpr95_low, mean.fpr95_high) == (None,) * 4
    assert (mean.auroc_unseen, mean.missed_unseen) == (None, None)


def test_a_rate_that_one_member_lacks_has_no_mean() -> None:
    mean = with_means(_two(0, auroc_seen=None), {"Both": ["X", "Y"]}, ["Both", "X", "Y"])[0]
    assert mean.row == "Both"
    assert mean.auroc_seen is None
    assert mean.missed_seen == 2.5


def test_means_are_there_where_all_members_are_and_each_turn_has_its_own() -> None:
    held = [figures("a", 0, row, auroc, held_out="dent") for row, auroc in (("Y", 0.2), ("X", 0.4))]
    given = [*_two(0), *held, figures("a", 1, "X", 0.9), figures("b", 0, "Y", 0.9)]
    found = with_means(given, {"Both": ["X", "Y"]}, ["Both", "X", "Y"])
    assert [(f.category, f.seed, f.held_out, f.row) for f in found] == [
        *[("a", 0, "", row) for row in ("Both", "X", "Y")],
        *[("a", 0, "dent", row) for row in ("Both", "X", "Y")],
        ("a", 1, "", "X"),
        ("b", 0, "", "Y"),
    ]
    assert [f.auroc for f in found if f.row == "Both"] == pytest.approx([0.7, 0.3])


def test_without_means_only_the_order_changes() -> None:
    given = _two(0)
    assert with_means(given, {}, ["Y", "X"]) == given[::-1]
