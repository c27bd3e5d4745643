"""A release of anomaly maps and segmentations, in the layout of the official SegAD release for VisA."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

WORDS = ("good", "bad")


def release(
    root: Path,
    images: Sequence[tuple[int, str]],
    category: str = "a",
    models: Sequence[str] = ("efficient_ad", "rd4ad"),
    segments: int = 3,
    size: tuple[int, int] = (256, 256),
    segmentation_size: tuple[int, int] | None = None,
    training: int = 4,
) -> Path:
    """Writes a category's part of a release.

    In fold, each image lacks one of the segments, or none; each has a corner whose label has no name.

    Args:
        root: of the release.
        images: label (0 good, 1 bad) and stem of each.
        category: whose images they are.
        models: the detectors whose maps are released.
        segments: how many have names.
        size: height and width of the maps.
        segmentation_size: height and width of the segmentations; by default those of the maps.
        training: how many of the good images stand in `df_training.csv`; the others, and all bad ones, are
            in `df_test.csv`.
    """
    height, width = segmentation_size or size
    for i, (label, stem) in enumerate(images):
        for place, model in enumerate(models):
            # skewed, with heavy tails, and of another size for each model, as maps are
            values = np.random.default_rng([i, label, place]).gamma(0.7, 0.2 + place, size) - 0.1
            _save(map_file(root, model, category, label, stem), values.astype(np.float32))
        labels, lacking = (
            np.random.default_rng([i, label]).integers(0, segments, (height, width)),
            i % (segments + 1),
        )
        labels[labels == lacking] = 0 if lacking else segments - 1
        labels[: height // 4, : width // 4] = segments + 300 * (i % 2)
        _save(segmentation_file(root, category, label, stem), labels)
    good = [image for image in images if image[0] == 0]
    for model in models:
        home = root / "anomaly_maps" / model / category
        _list(home / "df_training.csv", category, "train", good[:training])
        _list(home / "df_test.csv", category, "test", [one for one in images if one not in good[:training]])
    return root


def map_file(root: Path, model: str, category: str, label: int, stem: str) -> Path:
    """Where a release has an image's anomaly map."""
    return maps_of(root, model, category) / WORDS[label] / f"{stem}.npy"


def maps_of(root: Path, model: str, category: str) -> Path:
    """Where a release has a category's anomaly maps."""
    return root / "anomaly_maps" / model / category / "anomaly_maps"


def segmentation_file(root: Path, category: str, label: int, stem: str) -> Path:
    """Where a release has an image's segmentation."""
    return root / "visa_segm" / category / WORDS[label] / f"{stem}.npy"


def _save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)


def _list(path: Path, category: str, split: str, images: Sequence[tuple[int, str]]) -> None:
    with path.open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["object", "split", "label", "image", "mask"])
        for label, stem in images:
            word, folder = (("normal", "Normal"), ("anomaly", "Anomaly"))[label]
            mask = f"{category}/Data/Masks/Anomaly/{stem}.png" if label else ""
            lines.writerow([category, split, word, f"{category}/Data/Images/{folder}/{stem}.JPG", mask])
