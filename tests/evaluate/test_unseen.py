"""Seen and unseen defects: the official unseen and the held-out types, each in a table of its own."""

from typing import Any

from some_figures import figures

from segad_core.evaluate import Figures
from segad_core.evaluate.unseen import held_out_table, held_out_types, unseen_table


def _parted(
    seed: int,
    auroc_unseen: float,
    missed_unseen: float,
    category: str = "a",
    held_out: str = "",
    **given: Any,
) -> Figures:
    plain = {
        "n_bad": 50,
        "n_unseen": 10,
        "auroc_seen": 0.9,
        "auroc_unseen": auroc_unseen,
        "fpr95_seen": 0.2,
        "fpr95_unseen": 0.4,
        "missed_seen": 2,
        "missed_unseen": missed_unseen,
    }
    return figures(category, seed, "X", 0.8, held_out=held_out, **{**plain, **given})


def _cells(table: str) -> list[str]:
    return [cell.strip() for cell in table.splitlines()[2].strip("|").split("|")]


def test_a_line_worked_by_hand() -> None:
    table = unseen_table([_parted(0, 0.70, 3), _parted(1, 0.74, 4)])
    assert table.splitlines()[0].split("|")[1].strip() == "per cent"
    # unseen: 72, s 2.83; missed 30 and 40 % of 10: 35, s 7.07; of the seen 2 of 40
    assert _cells(table) == [
        *("X", "90.0 ± 0.0", "72.0 ± 2.8", "20.0 ± 0.0", "40.0 ± 0.0"),
        *("5.0 ± 0.0 (2 of 40)", "35.0 ± 7.1 (3.5 of 10)"),
    ]


def test_over_categories_rates_are_means_and_counts_are_totals() -> None:
    table = unseen_table([_parted(0, 0.7, 3), _parted(0, 0.9, 1, "b", n_bad=25, n_unseen=5, missed_seen=1)])
    assert _cells(table)[2] == "80.0"
    assert _cells(table)[5:] == ["5.0 (3 of 60)", "25.0 (4 of 15)"]  # 30 % and 20 %


def test_means_go_over_types_first_then_over_categories() -> None:
    some = [
        _parted(0, 0.6, 1, "a", "dent"),
        _parted(0, 0.8, 2, "a", "hole"),
        _parted(0, 0.4, 6, "b", "dent"),
    ]
    table = held_out_table(some)
    assert _cells(table)[2] == "55.0"  # 70 and 40, not the mean of three
    assert _cells(table)[6] == "37.5 (9 of 30)"  # 15 and 60 %
    assert held_out_types(some) == 3  # b's dents are not a's


def test_the_official_unseen_and_those_held_out_are_never_mixed() -> None:
    official, held = _parted(0, 0.7, 3), _parted(0, 0.1, 9, held_out="dent")
    assert unseen_table([official, held]) == unseen_table([official])
    assert held_out_table([official, held]) == held_out_table([held])
    assert held_out_types([official, held]) == 1


def test_there_is_no_table_of_nothing() -> None:
    alone = [figures("a", 0, "X", 0.9), figures("a", 0, "X", 0.9, held_out="dent")]
    assert (unseen_table(alone), held_out_table(alone), held_out_types(alone)) == ("", "", 0)


def test_a_type_without_test_images_under_one_seed_is_left_out_there() -> None:
    met, absent = _parted(0, 0.6, 1, held_out="dent"), figures("a", 1, "X", 0.9, held_out="dent")
    assert held_out_table([met, absent]) == held_out_table([met])
