"""Writes what the examples take as LABELS.pgm: the label of each pixel, at the size of a bundle's images.

python labels.py BUNDLE LABELS.pgm    with segad-runtime or segad installed, for a bundle with a static mask
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from segad_core.api import read_labels


def main(bundle: Path, out: Path) -> None:
    """Resizes the mask in a bundle as segad does: by nearest neighbour at pixel centres."""
    pipeline = json.loads((bundle / "manifest.json").read_bytes())["pipeline"]
    labels = read_labels(bundle / pipeline["segmenter"]["files"]["mask"][0])
    sides = zip(pipeline["size"], labels.shape, strict=True)
    rows, columns = (((np.arange(new) + 0.5) * old / new).astype(int) for new, old in sides)
    Image.fromarray(labels[rows[:, None], columns]).save(out)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
