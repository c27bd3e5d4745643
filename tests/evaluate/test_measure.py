"""From scores to figures: the doubtful apart, the seen and the unseen each against the good."""

import numpy as np
import pytest

from segad_core.evaluate import Figures, auroc, fpr_at_tpr, fpr_on_roc, measure
from segad_core.evaluate.bootstrap import intervals


def _measure(
    labels: list[int | None], scores: list[float], unseen: list[bool], held_out: str = ""
) -> Figures:
    return measure("c", 3, "X", labels=labels, scores=scores, unseen=unseen, held_out=held_out)


def test_worked_by_hand_with_unseen_and_doubtful_images() -> None:
    #         good                 seen           unseen     doubtful
    labels = [0, 0, 0, 0, *[1, 1, 1], *[1, 1], *[None, None]]
    scores = [1.0, 2.0, 3.0, 4.0, *[3.5, 5.0, 6.0], *[0.5, 9.0], *[0.9, 7.0]]
    found = _measure(labels, scores, [False] * 7 + [True] * 2 + [False] * 2)
    assert (found.category, found.seed, found.row, found.held_out) == ("c", 3, "X", "")
    assert (found.n_good, found.n_bad, found.n_unseen, found.n_doubtful) == (4, 5, 2, 2)
    # all bad: 0.5 3.5 5 6 9 win 0, 3, 4, 4, 4 of 4 pairs each
    assert found.auroc == 15 / 20
    # official: place 0.2 between 0.5 and 3.5, so 1.1: all good but the first; both doubtful but the first
    assert found.fpr95 == 3 / 4
    assert found.doubtful_above == 1
    assert found.fpr95_roc == 1.0  # all five must be caught
    # seen alone: 3.5 5 6 win 3, 4, 4; place 0.1 between 3.5 and 5, so 3.65: one good
    assert found.auroc_seen == 11 / 12
    assert found.fpr95_seen == 1 / 4
    # unseen alone: 0.5 9 win 0, 4; place 0.05 between 0.5 and 9, so 0.925: all good
    assert found.auroc_unseen == 1 / 2
    assert found.fpr95_unseen == 1.0
    # below 3.65, the threshold of the seen: 3.5 of the seen, 0.5 of the unseen
    assert (found.missed_seen, found.missed_unseen) == (1, 1)


def test_the_doubtful_change_nothing_but_their_own_counts() -> None:
    rng = np.random.default_rng(0)
    scores = list(rng.normal(size=40))
    labels: list[int | None] = [0] * 20 + [1] * 20
    alone = _measure(labels, scores, [False] * 40)
    beside = _measure([*labels, None, None], [*scores, -9.0, 9.0], [False] * 42)
    assert (beside.n_doubtful, beside.doubtful_above) == (2, 1)
    assert {**vars(beside), "n_doubtful": 0, "doubtful_above": 0} == vars(alone)


def test_figures_are_those_of_the_metrics_and_the_bootstrap() -> None:
    rng = np.random.default_rng(1)
    labels, scores = rng.integers(0, 2, 80), rng.normal(size=80)
    found = _measure(labels.tolist(), scores.tolist(), [False] * 80, "scratch")
    assert found.held_out == "scratch"
    assert found.auroc == auroc(labels, scores)
    assert (found.fpr95, found.fpr95_roc) == (fpr_at_tpr(labels, scores), fpr_on_roc(labels, scores))
    assert ((found.auroc_low, found.auroc_high), (found.fpr95_low, found.fpr95_high)) == intervals(
        labels, scores
    )


@pytest.mark.parametrize("unseen", [False, True])
def test_where_all_bad_images_are_of_one_kind_there_is_nothing_to_compare(unseen: bool) -> None:
    found = _measure([0, 0, 1, 1], [1.0, 2.0, 3.0, 4.0], [False, False, unseen, unseen])
    assert found.n_unseen == 2 * unseen
    names = [f"{figure}_{word}" for figure in ("auroc", "fpr95", "missed") for word in ("seen", "unseen")]
    assert [getattr(found, name) for name in names] == [None] * 6


def test_only_bad_images_are_unseen() -> None:
    found = _measure([0, None, 1, 1], [1.0, 2.0, 3.0, 4.0], [True, True, True, False])
    assert found.n_unseen == 1


@pytest.mark.parametrize(
    ("labels", "score"), [([1, 1], 1.0), ([None, None], 1.0), ([0, 1], np.nan), ([0, 0], np.inf)]
)
def test_what_cannot_be_measured_is_an_error(labels: list[int | None], score: float) -> None:
    with pytest.raises(ValueError, match=r"good images and finite scores"):
        _measure(labels, [0.0, score], [False, False])


def test_good_images_alone_by_hand() -> None:
    found = measure(
        "c",
        0,
        "X",
        labels=[0] * 5 + [None],
        scores=[1.0, 2.0, 3.0, 4.0, 9.0, 8.0],
        unseen=[False] * 6,
        threshold=6.5,
    )
    assert (found.auroc, found.fpr95, found.fpr95_roc, found.doubtful_above) == (None,) * 4
    assert (found.n_good, found.n_bad, found.n_doubtful) == (5, 0, 1)
    assert (found.good_median, found.good_highest, found.threshold, found.rejected) == (3.0, 9.0, 6.5, 1)
    assert found.good_q95 == pytest.approx(4 + 0.8 * 5)
    # Clopper and Pearson's for 1 of 5, as in their tables
    assert (found.rejected_low, found.rejected_high) == (0.005051, 0.716418)


@pytest.mark.parametrize("labels", [[0, 0, 0], [0, 0, 1]])
def test_equal_scores_are_no_figure(labels: list[int | None]) -> None:
    found = measure("c", 0, "X", labels=labels, scores=[0.0] * 3, unseen=[False] * 3)
    given = {name for name, value in vars(found).items() if value is not None}
    assert given == {
        *("category", "seed", "row", "held_out", "amount"),
        *("n_good", "n_bad", "n_unseen", "n_doubtful"),
    }


def test_who_lies_at_the_threshold_itself_is_rejected_and_not_missed() -> None:
    """One seen bad image at 2 is the threshold of the seen; with the unseen at 2 also that of all."""
    found = _measure([0, 1, 1, None], [1.0, 2.0, 2.0, 2.0], [False, False, True, False])
    assert (found.missed_seen, found.missed_unseen, found.doubtful_above) == (0, 0, 1)
