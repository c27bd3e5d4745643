"""How large the files of a bundle may be, by kind."""

from __future__ import annotations

MOST_BYTES = 64 << 30
"""Limit on all files together."""
MOST_GOLDEN = 100
"""Limit on the images of a self-test."""
MOST_IMAGE = 64 << 20
"""Limit on an image of the self-test."""
MOST_VECTORS = 1 << 30
"""Limit on what describes images to a classifier."""

_MIB = 1 << 20
_MOST = {
    "operating.json": _MIB,
    "golden.json": _MIB,
    "regions.json": _MIB,
    "recipe.yaml": _MIB,
    "appearance.safetensors": _MIB,
    "splits.json": 64 * _MIB,
    "calibration.json": 64 * _MIB,
    "training.json": 64 * _MIB,
    "calibration.safetensors": 256 * _MIB,
    "training.safetensors": 256 * _MIB,
    "golden/": MOST_IMAGE,
    "vectors/": MOST_VECTORS,
    "features/": 256 * _MIB,
    "image_features/": 256 * _MIB,
    "segmenter/": 256 * _MIB,
    "final/": 512 * _MIB,
}
_MOST_STATE = 4 << 30  # of learners, and the files that parameters name; SAM's largest has 2.4 GiB


def most_of(name: str) -> int:
    """How many bytes the file of this name may have."""
    kind, folder, _ = name.partition("/")
    return _MOST.get(kind + folder, _MOST_STATE)
