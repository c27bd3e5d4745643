"""segad's engine: contracts, registry, recipes, store, plan, execution and metrics. It knows no plugin.

`segad_core.Bundle` is a trained setup, ready to inspect images.
"""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segad_core.bundle.bundle import Bundle as Bundle
    from segad_core.bundle.bundle import Contribution as Contribution
    from segad_core.bundle.bundle import Inspection as Inspection
    from segad_core.bundle.bundle import Prediction as Prediction

__version__ = "0.1.0"

# pydantic imports its own third-party plugins at its first use; listing segad's must import none of anybody
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")


def __getattr__(name: str) -> Any:
    """What bundles are made of is imported when it is asked for: commands without one start faster."""
    if name not in ("Bundle", "Contribution", "Inspection", "Prediction"):
        raise AttributeError(f"module 'segad_core' has no attribute '{name}'")
    from segad_core.bundle import bundle

    return getattr(bundle, name)
