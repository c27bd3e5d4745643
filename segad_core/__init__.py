"""segad's engine: contracts, registry, recipes, store, plan, execution and metrics. It knows no plugin.

For plugin authors: `segad_core.api` and `segad_core.testing`. To inspect images from Python: `Bundle`,
`DriftWatch`, and the functions `predict_parts`, `verify` and `learn`, which take one.
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segad_core.bundle.runtime.bundle import Bundle as Bundle
    from segad_core.bundle.runtime.bundle import Contribution as Contribution
    from segad_core.bundle.runtime.bundle import Inspection as Inspection
    from segad_core.bundle.runtime.bundle import Prediction as Prediction
    from segad_core.bundle.runtime.drift import Drift as Drift
    from segad_core.bundle.runtime.drift import DriftWatch as DriftWatch
    from segad_core.bundle.runtime.learning import learn as learn
    from segad_core.bundle.runtime.parts import predict_parts as predict_parts
    from segad_core.bundle.runtime.regions import DefectRegion as DefectRegion
    from segad_core.bundle.runtime.selftest import verify as verify

__version__ = "0.1.0"

# pydantic imports its own third-party plugins at its first use; listing segad's must import none of anybody
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

_HOMES = {
    **dict.fromkeys(("Bundle", "Contribution", "Inspection", "Prediction"), "bundle.runtime.bundle"),
    **dict.fromkeys(("Drift", "DriftWatch"), "bundle.runtime.drift"),
    "predict_parts": "bundle.runtime.parts",
    "learn": "bundle.runtime.learning",
    "verify": "bundle.runtime.selftest",
    "DefectRegion": "bundle.runtime.regions",
}


def __getattr__(name: str) -> Any:
    """Bundles are imported on first use: commands that need none start faster."""
    if name not in _HOMES:
        raise AttributeError(f"module 'segad_core' has no attribute '{name}'")
    return getattr(importlib.import_module(f"segad_core.{_HOMES[name]}"), name)
