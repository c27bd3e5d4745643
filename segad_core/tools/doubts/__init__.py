"""Doubtful labels: images whose label contradicts the scores of models that did not see them.

Judges labels and writes what was found; changes no data set and no recipe.
"""

from segad_core.tools.doubts.judge import Doubt, Judged, judge
from segad_core.tools.doubts.page import doubts_csv, doubts_page
from segad_core.tools.doubts.setup import only_row

__all__ = ["Doubt", "Judged", "doubts_csv", "doubts_page", "judge", "only_row"]
