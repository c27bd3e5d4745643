"""Where a run computes: versions, processor, threads and device."""

from __future__ import annotations

import platform
import sys
from pathlib import Path
from typing import Any

from segad_core.base.distribution_code import own_version
from segad_core.base.parallel import compute_threads, cores
from segad_core.base.versions import LIBRARIES, version_of
from segad_core.recipe import Recipe

_LIBRARIES = (*LIBRARIES, "pandas", "pillow", "segment-anything")


def environment(recipe: Recipe, device: str) -> dict[str, Any]:
    """Versions of segad, of the recipe's plugins and of libraries; processor, threads and device."""
    choices = [recipe.dataset, recipe.encoder, recipe.executor, recipe.segmenter]
    choices += [*recipe.detectors.values(), *recipe.classifiers.values()]
    for row in recipe.rows:
        choices += [row.segmenter, *row.features, *row.image_features, *row.defects, row.final]
    plugins = {f"{c.provider.kind}/{c.provider.qualified}": c.provider.version for c in choices if c}
    return {
        "segad": own_version(),
        "plugins": dict(sorted(plugins.items())),
        "libraries": {name: version_of(name) for name in _LIBRARIES},
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "processor": processor(),
        "cores": cores(),
        "threads": compute_threads(),
        "device": device,
    }


def processor() -> str:
    """The processor's name."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()
