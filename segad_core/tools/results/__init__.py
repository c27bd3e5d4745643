"""Predictions as files (CSV, JSON lines, Parquet) and as lines on the terminal.

Files stay valid however a command ends, and a later command can resume them. Nothing here computes a score.
"""

from segad_core.tools.results.errors import reporting
from segad_core.tools.results.file import Mode, Results, check_output, open_results
from segad_core.tools.results.parts import Judged, place_of
from segad_core.tools.results.printed import Printed, explained_line, readable_line
from segad_core.tools.results.tally import Tally, summary

__all__ = [
    "Judged",
    "Mode",
    "Printed",
    "Results",
    "Tally",
    "check_output",
    "explained_line",
    "open_results",
    "place_of",
    "readable_line",
    "reporting",
    "summary",
]
