"""Export of anomaly maps as npy files: what to write, the folders, and the pass that fills them.

Maps come from the scoring pass of runs and bundles. Nothing is trained, and only folders that segad wrote are
ever replaced.
"""

from segad_core.tools.maps.folder import MapFolder
from segad_core.tools.maps.plan import MapPass, check_space, left_to_write, plan_maps, untrained
from segad_core.tools.maps.write import write_maps

__all__ = [
    "MapFolder",
    "MapPass",
    "check_space",
    "left_to_write",
    "plan_maps",
    "untrained",
    "write_maps",
]
