"""ELPV: electroluminescence images of solar cells, real data installed as a package."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path

from segad_core.api import DataError, Dataset, RecipeError, Sample

_DOUBTFUL = {"0.333": "doubtful 1/3", "0.667": "doubtful 2/3"}
_LABELS = {"0.000": 0, "1.000": 1}
_PUBLISHED = {
    "mono": {"good": 588, "bad": 313, "doubtful": 117 + 56},
    "poly": {"good": 920, "bad": 402, "doubtful": 178 + 50},
}


class Elpv(Dataset):
    """ELPV solar cells: 2,624 real images, categories mono and poly, from the package elpv-dataset.

    A defect probability of 0 is good, 1 is bad. Cells of which the annotators were unsure (1/3 and 2/3) are
    doubtful: they are scored and reported separately, never trained on. The module that a cell comes from is
    not published, so a split can separate cells of one module.
    """

    licence = (
        "ELPV, CC BY-NC-SA 4.0: Buerhop-Lutz et al., 'A Benchmark for Visual Identification of Defective "
        "Solar Cells in Electroluminescence Imagery', 2018"
    )
    source = "the package elpv-dataset: pip install 'segad[elpv]' (2,624 greyscale PNG images of 300 x 300)"

    def categories(self) -> Sequence[str]:
        return ("mono", "poly")

    def published_counts(self, category: str) -> Mapping[str, int]:
        return _PUBLISHED.get(category, {})

    def samples(self, category: str) -> Sequence[Sample]:
        root = _root()
        return [_sample(root, *line) for line in _labels(root / "labels.csv") if line[2] == category]


def _root() -> Path:
    spec = importlib.util.find_spec("elpv_dataset")
    root = Path(spec.origin).parent / "data" if spec and spec.origin else None
    if root is None or not (root / "labels.csv").is_file():
        raise RecipeError(
            "data set elpv: its images are not installed",
            "Install the package elpv-dataset: pip install 'segad[elpv]'.",
        )
    return root


def _labels(path: Path) -> list[tuple[str, str, str]]:
    lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    for number, line in enumerate(lines, start=1):
        if len(line) != 3 or not line[1].replace(".", "", 1).isdecimal():
            raise DataError(f"{path}:{number}: expected 'path probability type'", "Reinstall elpv-dataset.")
    return [(name, f"{float(probability):.3f}", kind) for name, probability, kind in lines]


def _sample(root: Path, name: str, probability: str, kind: str) -> Sample:
    if probability in _LABELS:
        return Sample(name, root / name, _LABELS[probability])  # type: ignore[arg-type]
    if probability in _DOUBTFUL:
        return Sample(name, root / name, None, defect=_DOUBTFUL[probability])
    raise DataError(
        f"data set elpv: {name} has an unknown defect probability, {probability}",
        "Install a published release of elpv-dataset.",
    )
