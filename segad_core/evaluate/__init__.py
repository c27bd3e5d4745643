"""What scores are worth: metrics over images, tables over categories and seeds."""

from segad_core.evaluate.metrics import auroc, fpr_at_tpr, threshold_at_tpr
from segad_core.evaluate.table import Figures, markdown_table, plain_cell, results_frame

__all__ = [
    "Figures",
    "auroc",
    "fpr_at_tpr",
    "markdown_table",
    "plain_cell",
    "results_frame",
    "threshold_at_tpr",
]
