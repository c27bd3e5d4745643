"""Names from elsewhere in tables and CSV: shown as text by whatever renders the one or opens the other."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator

import pytest
from some_figures import figures

from segad_core.evaluate import compare, comparison_csv, plain_cell, results_csv, results_text
from segad_core.recipe.published import Published

EVIL = "<img src=x onerror=alert(1)>&lt;|![i](https://example.org/1.png)\n# line\x1b[2J"
FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1"]


def published(row: str, category: str) -> Published:
    plain = {
        "source": EVIL,
        "spread": EVIL,
        "notes": [EVIL],
        "categories": [category],
        "figures": {"auroc": {row: {category: 50}, EVIL + "x": {category: 50}}},
    }
    return Published.model_validate(plain)


def test_a_rendered_table_runs_no_html_and_loads_no_image() -> None:
    parted = {f"{n}_{w}": 0.5 for n in ("auroc", "fpr95") for w in ("seen", "unseen")}
    parted |= {"missed_seen": 1, "missed_unseen": 1, "n_unseen": 2}
    some = [
        figures(EVIL, 0, EVIL, 0.9, n_doubtful=2, **parted),
        figures(EVIL, 0, EVIL, 0.9, held_out=EVIL, **parted),
    ]
    text = results_text(EVIL, some, published=published(EVIL, EVIL), notes=[EVIL], licence=EVIL)
    assert text.count("&lt;img") > 10
    assert not re.search(r"<|>|&(?!amp;|lt;|gt;)|\]\(|\x1b", text)
    assert [line for line in text.splitlines() if line.startswith("# ")] == [text.splitlines()[0]]
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        widths = {len(re.split(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(widths) == 1, block


@pytest.mark.parametrize(
    ("name", "cell"),
    [("a|b", r"a\|b"), (r"a\|b", r"a\\\|b"), (r"a\b", r"a\b"), ("`a`", "`a`"), ("R&D", "R&amp;D")],
)
def test_a_cell_ends_where_it_should(name: str, cell: str) -> None:
    assert plain_cell(name) == cell


def cells(text: str) -> Iterator[str]:
    for line in csv.DictReader(io.StringIO(text)):
        yield from (line[name] for name in ("category", "row", "held_out") if name in line)


@pytest.mark.parametrize("name", FORMULAS)
def test_names_in_csv_run_as_no_formula(name: str) -> None:
    measured = results_csv([figures(name, 0, name, 0.9, held_out=name)])
    compared = comparison_csv(compare([figures(name, 0, name, 0.4)], published(name, name)))
    assert "-10.0" in compared  # a number keeps its sign
    for text in (measured, compared):
        assert {*cells(text)} == {f"'{name}"}
