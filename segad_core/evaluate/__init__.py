"""Metrics over images, and tables over categories and seeds.

Works on labels and scores alone: it reads no images and trains nothing.
"""

from segad_core.evaluate.comparison import compare, comparison_csv
from segad_core.evaluate.figures import Figures, last_amounts, results_csv, results_frame, with_means
from segad_core.evaluate.measure import measure
from segad_core.evaluate.metrics import auroc, fpr_at_tpr, fpr_on_roc, threshold_at_tpr
from segad_core.evaluate.table import markdown_table, plain_cell
from segad_core.evaluate.text import results_text

__all__ = [
    "Figures",
    "auroc",
    "compare",
    "comparison_csv",
    "fpr_at_tpr",
    "fpr_on_roc",
    "last_amounts",
    "markdown_table",
    "measure",
    "plain_cell",
    "results_csv",
    "results_frame",
    "results_text",
    "threshold_at_tpr",
    "with_means",
]
