"""The whole text: what is said below the tables, and when."""

from dataclasses import replace
from typing import Any

from some_figures import figures

from segad_core.evaluate import Figures, results_text
from segad_core.recipe.published import Published

_INTERVAL = {"auroc_low": 0.8, "auroc_high": 1.0, "fpr95_low": 0.0, "fpr95_high": 0.5}


_PARTED = {f"{n}_{w}": 0.5 for n in ("auroc", "fpr95") for w in ("seen", "unseen")} | {
    "missed_seen": 1,
    "missed_unseen": 1,
    "n_unseen": 2,
}


def _some(*seeds: int, **given: Any) -> list[Figures]:
    plain = {"fpr95_roc": 0.1, "n_good": 20, "n_bad": 86, **_INTERVAL, **given}
    return [figures("a", seed, "X", 0.9, **plain) for seed in seeds]


def test_one_seed_explains_its_brackets() -> None:
    text = results_text("T", _some(7))
    assert text.startswith("# T\n\n| Cl. AUROC |                  a |\n")
    assert "over 1 seed (7), with the 95% bootstrap interval over test images in brackets" in text
    assert "(1,000 resamples)." in text
    assert "standard deviation" not in text


def test_several_seeds_name_the_deviation_and_the_file_with_intervals() -> None:
    text = results_text("T", _some(7, 3))
    assert "over 2 seeds (7, 3), mean ± sample standard deviation (n - 1).\n" in text
    assert "results.csv lists each seed, with 95% bootstrap intervals over test images.\n" in text
    assert "brackets" not in text


def test_intervals_that_are_not_drawn_are_told() -> None:
    few = results_text("T", _some(7, n_good=19))
    assert "over 1 seed (7), with the 95% interval over test images in brackets.\n" in few
    assert "resamples" not in few
    both = results_text("T", [*_some(7), *_some(3, n_bad=19)])
    assert "with 95% bootstrap intervals over test images.\n" in both
    perfect = results_text("T", [figures("a", 0, "X", 1.0, **_INTERVAL, n_good=50, n_bad=90)])
    for text in (few, both, perfect, results_text("T", _some(7, n_bad=85))):
        assert "those of Newcombe (AUROC) and Clopper-Pearson (FPR, with fewer than 86 bad ones)" in text
    assert "Newcombe" not in results_text("T", _some(7))


def test_good_images_alone_have_a_section_and_no_empty_tables() -> None:
    known = {"good_median": 1.0, "good_q95": 2.0, "good_highest": 3.0, "threshold": 2.5}
    rejected = {"rejected": 1, "rejected_low": 0.001, "rejected_high": 0.25}
    none = {"auroc": None, "fpr95": None, "doubtful_above": None, "n_bad": 0, "n_doubtful": 2}
    one = replace(figures("a", 3, "X|Y", 0.5), **none, **known, **rejected)
    text = results_text("T", [one], budget="false rejects 5/100")
    line = r"| X\|Y | a        |    3 |   10 |      1 |   2 |       3 |       2.5 | 1 [0.1%, 25.0%] |"
    assert line in text
    assert "Threshold: for false rejects 5/100, as" in text
    assert [word for word in ("Cl. AUROC", "FPR@95TPR (ROC)", "Doubtful", "official") if word in text] == []
    both = results_text("T", [one, figures("b", 3, "X|Y", 0.9)], budget="x")
    assert "| Cl. AUROC |  a |    b | mean |\n| --------- | -: | ---: | ---: |\n" in both and line in both


def test_without_intervals_none_are_promised() -> None:
    assert "bootstrap" not in results_text("T", [figures("a", 0, "X", 0.9)])


def test_both_definitions_of_the_rate_have_a_table_and_an_explanation() -> None:
    text = results_text("T", _some(0))
    tables = [line.split("|")[1].strip() for line in text.splitlines() if "| ---" not in line and "|" in line]
    assert tables[::2] == ["Cl. AUROC", "FPR@95TPR", "FPR@95TPR (ROC)"]
    assert "FPR@95TPR is computed as in the paper's official code; (ROC) is read off the ROC curve." in text


def test_test_images_are_counted_over_seeds_and_without_the_runs_that_held_out() -> None:
    some = [figures("a", 0, "X", 0.9), figures("a", 1, "X", 0.9, n_bad=22, n_unseen=4)]
    text = results_text("T", [*some, figures("a", 0, "X", 0.9, n_good=99, held_out="dent")])
    assert "Test images: a 10 good, 20 to 22 bad (0 to 4 of them unseen).\n" in text


def test_doubtful_images_have_a_table_of_their_own() -> None:
    some = [figures("a", seed, "X", 0.9, n_doubtful=4, doubtful_above=seed) for seed in (0, 1)]
    text = results_text(
        "T", [*some, figures("a", 0, "X", 0.9, n_doubtful=4, doubtful_above=4, held_out="dent")]
    )
    assert "## Doubtful images\n" in text
    assert "| X   | a        |        4 |   12% |" in text  # 0 and 25 %


def test_line_breaks_in_names_end_no_line() -> None:
    some = [figures("a\nb|c", 0, "X\nY", 0.9, n_doubtful=4, doubtful_above=1, **_PARTED)]
    text = results_text("T\nU", some)
    assert text.startswith("# T\\x0aU\n")
    assert [line for line in text.splitlines() if line.startswith(("b", "Y", "U"))] == []
    assert r"| X\x0aY | a\x0ab\|c |        4 |   25% |" in text


def test_sections_without_content_are_omitted() -> None:
    plain = results_text("T", _some(0))
    assert "#" not in plain[1:]
    assert "Data:" not in plain
    assert "unreadable" not in plain


def test_unreadable_images_notes_and_the_licence_are_named() -> None:
    text = results_text("T", _some(0), notes=["One.", "Two."], unreadable=2, licence="CC0")
    assert "2 unreadable images excluded: see unreadable.csv.\n" in text
    assert text.endswith("## Notes\n\n- One.\n- Two.\n\nData: CC0\n")


def test_published_figures_and_unseen_defects_have_sections() -> None:
    told = Published.model_validate(
        {"source": "a paper", "categories": ["a"], "figures": {"auroc": {"X": {"a": 91.0}}}}
    )
    folds = _some(0, **_PARTED) + _some(0, **_PARTED, held_out="dent") + _some(0, **_PARTED, held_out="hole")
    text = results_text("T", folds, published=told)
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        "## Comparison with published figures",
        "## Seen and unseen defects",
        "## Held-out defect types (2)",
    ]


def test_seen_refers_to_the_data_set_and_not_to_what_a_row_was_trained_on() -> None:
    """On the one-class benchmark, and for a detector alone, nothing learnt from any bad image."""
    explanation = "Seen: of a type in the data set's training part, whether or not a row was trained on it.\n"
    assert explanation in results_text("T", _some(0, **_PARTED))
    assert "Seen:" not in results_text("T", _some(0, **_PARTED, held_out="dent"))
    assert "Seen:" not in results_text("T", _some(0))


def test_of_parts_no_name_changes() -> None:
    known = {"good_median": 1.0, "good_q95": 2.0, "good_highest": 3.0, "threshold": 2.5}
    rejected = {"rejected": 1, "rejected_low": 0.001, "rejected_high": 0.25}
    few: dict[str, Any] = {"auroc": None, "fpr95": None, "n_bad": 0, "n_doubtful": 2, "doubtful_above": 1}
    one = replace(figures("Image 7", 3, "SegAD, whole image", 0.5), **few, **known, **rejected)
    text = results_text("T", [one], budget="image budget", of_parts=True)
    assert "| SegAD, whole image | Image 7  |    3 |" in text and "for image budget, as" in text
    assert "## Tests without bad parts" in text and "Scores of the good test parts" in text
    assert "## Doubtful parts" in text and "Doubtful parts are scored" in text
    assert "Test parts: Image 7 10 good" in text
    images = results_text("T", [one], budget="image budget")
    assert "## Tests without bad images" in images and "Test images: Image 7 10 good" in images
