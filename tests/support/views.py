"""Data sets of parts with several views, `LABEL/SN000_A.png`, and recipes that judge parts."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import small_runs
from builders import fit_command, said
from PIL import Image

PATTERN = r"(?P<serial>SN\d+)_(?P<view>[A-Z])"
DATASET = {"use": "folder", "params": {"root": "data", "part": PATTERN}}
SPLIT: dict[str, Any] = {"seeds": [0], "test": {"good": 4, "bad": 3}, "detectors": {"good": 4}}
ROWS: list[dict[str, Any]] = [
    {"name": "alone", "score": "spotty"},
    {"name": "SegAD", "detectors": ["spotty"]},
]


def views(
    root: Path,
    good: int = 12,
    bad: int = 7,
    names: str = "AB",
    missing: Collection[str] = (),
    one_bad: bool = False,
    category: str = "a",
) -> dict[str, int]:
    """Draws parts, of which each bad one has a bright spot in one view.

    Args:
        root: of the data set.
        good, bad: how many parts; good ones come first.
        names: of the views.
        missing: images that are not written, such as `SN003_B`.
        one_bad: whether the other images of a bad part are filed as good ones.
        category: the folder.

    Returns:
        The brightest value of each image, by id; no two are the same.
    """
    brightest = {}
    for n in range(good + bad):
        for place, view in enumerate(names):
            spot = n >= good and place == n % len(names)
            value = (180 if spot else 100) + (29 * (n * len(names) + place)) % 75
            pixels = np.random.default_rng([n, place]).integers(60, 90, (48, 48), dtype=np.uint8)
            pixels[10 + n % 20 :, 20:26][:6] = value
            label = "bad" if n >= good and (spot or not one_bad) else "good"
            if (name := f"SN{n:03}_{view}") in missing:
                continue
            path = root / category / label / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.repeat(pixels[:, :, None], 3, 2)).save(path)
            brightest[f"{label}/{name}.png"] = value
    return brightest


def stack(path: Path, pages: Sequence[Image.Image], **options: Any) -> Path:
    """A TIFF file of several pages."""
    pages[0].save(path, save_all=True, append_images=pages[1:], **options)
    return path


def stacked(root: Path) -> None:
    """Makes the images of each part one TIFF file, `SN000.tif`, whose pages are the views in their order."""
    parts: dict[Path, list[Path]] = {}
    for path in sorted(root.rglob("*.png")):
        parts.setdefault(path.with_name(f"{path.stem[:5]}.tif"), []).append(path)
    for part, images in parts.items():
        stack(part, [Image.open(path) for path in images])
        for path in images:
            path.unlink()


PAGES: dict[str, Any] = {
    "dataset": {"use": "folder", "params": {"root": "data", "part": r"(?P<serial>SN\d+)"}},
    "image": {"size": [48, 48], "page": "views"},
    "parts": {"views": [1, 2]},
}
"""Of a recipe for such files."""


def recipe(home: Path, **changes: Any) -> Path:
    """A recipe that judges parts: of each label 4 and 3 are tested."""
    given = {"dataset": DATASET, "split": SPLIT, "rows": ROWS, "parts": {"verdict": "worst"}, **changes}
    return small_runs.write(home, **given)


def serial(image: str) -> str:
    """The part that an image shows."""
    return image.rpartition("/")[2][:5]


def fitted(path: Path, row: str = "SegAD") -> Path:
    """The bundle of a row of a recipe; images that cannot be read are no failure."""
    result = fit_command(path, row, f"{row}.segad")
    assert result.exit_code in (0, 3), said(result)
    return path.parent / f"{row}.segad"
