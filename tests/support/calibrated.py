"""Bundles that hold little but a calibration table, and tables with scores that a test chooses."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from segad_core.bundle.format.manifest import FORMAT, Manifest, Pipeline, Provenance
from segad_core.bundle.format.operating_point import operating_json
from segad_core.bundle.format.tables import table_files
from segad_core.bundle.format.writing import write_bundle
from segad_core.operate.image_table import Image, ImageTable
from segad_core.operate.operating_point import Rule, operating_point


def table(
    good: Sequence[float] = (),
    bad: Sequence[float] = (),
    unseen: Sequence[float] = (),
    lots: Sequence[str] = (),
) -> ImageTable:
    """Images with these scores, in this order; lots name theirs one after the other."""
    scores = [*good, *bad, *unseen]
    labels = [0] * len(good) + [1] * (len(bad) + len(unseen))
    new = [False] * (len(good) + len(bad)) + [True] * len(unseen)
    groups = lots or [""] * len(scores)
    images = [
        Image(id=f"{i}.png", digest=digest(i), label=label, unseen=strange, group=group)
        for i, (label, strange, group) in enumerate(zip(labels, new, groups, strict=True))
    ]
    return ImageTable(images, np.zeros((len(scores), 1)), np.array(scores, float))


def digest(number: int) -> str:
    """Of the image with this number."""
    return hashlib.sha256(str(number).encode()).hexdigest()


def bundle(place: Path, tested: ImageTable, learnt: ImageTable | None = None) -> Path:
    """A bundle with this calibration table, its threshold at a catch of 0.95, and a file besides."""
    manifest = Manifest(
        format=FORMAT,
        pipeline=Pipeline(category="a", row="r", seed=0, size=(16, 16), white=255, batch_size=1, score=True),
        provenance=Provenance(segad="0", dataset="d"),
        files={},
    )
    contents: dict[str, bytes | Path] = {
        **table_files(tested, "calibration"),
        "detectors/a.safetensors": b"a state",
    }
    contents["operating.json"] = operating_json(operating_point(tested, Rule(kind="catch", catch=0.95)))
    if learnt is not None:
        contents |= table_files(learnt, "training")
    write_bundle(place, manifest, contents)
    return place


def stored(folder: Path) -> dict[str, object]:
    """The operating point of a bundle that is a folder, as plain data."""
    found: dict[str, object] = json.loads((folder / "operating.json").read_text())
    return found
