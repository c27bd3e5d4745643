"""MVTec AD: fifteen objects and textures with 73 types of defect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import Field

from segad_core.contracts import Dataset, InputFolder, Parameters, Sample
from segad_core.files import is_folder
from segad_core.images.folder import entries, image_files
from segad_plugins.datasets.trees import (
    by_stem,
    categories_in,
    log,
    need,
    samples_in,
)

_PUBLISHED = {  # good images for training, good and bad ones for testing
    "bottle": (209, 20, 63),
    "cable": (224, 58, 92),
    "capsule": (219, 23, 109),
    "carpet": (280, 28, 89),
    "grid": (264, 21, 57),
    "hazelnut": (391, 40, 70),
    "leather": (245, 32, 92),
    "metal_nut": (220, 22, 93),
    "pill": (267, 26, 141),
    "screw": (320, 41, 119),
    "tile": (230, 33, 84),
    "toothbrush": (60, 12, 30),
    "transistor": (213, 60, 40),
    "wood": (247, 19, 60),
    "zipper": (240, 32, 119),
}

_EXPECTED = """\
It should look like this (what is in [] may be absent):
    ROOT/CATEGORY/train/good/*.png
    ROOT/CATEGORY/test/good/*.png
    ROOT/CATEGORY/test/DEFECT/*.png
    [ROOT/CATEGORY/ground_truth/DEFECT/*_mask.png]
with a CATEGORY for each of: """ + ", ".join(_PUBLISHED)


class MVTec(Dataset):
    """MVTec AD: 15 categories as published, types of defect from the folders' names.

    Names of images repeat from folder to folder, so an image is known by its path in the category's folder.
    """

    licence = (
        "MVTec AD, CC BY-NC-SA 4.0: Bergmann et al., 'MVTec AD: A Comprehensive Real-World Dataset for "
        "Unsupervised Anomaly Detection', CVPR 2019"
    )
    source = (
        "https://www.mvtec.com/company/research/datasets/mvtec-ad: mvtec_anomaly_detection.tar.xz, 5.3 GB, "
        "sha256 cf4313b13603bec67abb49ca959488f7eedce2a9f7795ec54446c649ac98cd3d; 5,354 images in 15 "
        "categories. Unpack it in an empty folder, which is then the root."
    )

    class Params(Parameters):
        """Where the images are."""

        root: InputFolder = Field(description="the folder that holds bottle/, cable/ and so on")

    params: Params

    def categories(self) -> Sequence[str]:
        return categories_in("mvtec", self.params.root, tuple(_PUBLISHED), _is_category, _EXPECTED)

    def samples(self, category: str) -> Sequence[Sample]:
        home = self.params.root / category
        need("mvtec", category, _is_category(home), self.params.root, _EXPECTED)
        samples = samples_in(home, "train/good", 0, "train")
        for folder in _folders(home / "train"):
            if folder.name != "good" and image_files(folder):
                log.warning("data set mvtec: %s is left out: only train/good is published", folder)
        for folder in _folders(home / "test"):
            name = folder.name
            if name == "good":
                samples += samples_in(home, "test/good", 0, "test")
            else:
                masks = by_stem(home / "ground_truth" / name, "_mask")
                samples += samples_in(home, f"test/{name}", 1, "test", defect=name, masks=masks)
        return samples

    def published_categories(self) -> Sequence[str]:
        return tuple(_PUBLISHED)

    def published_counts(self, category: str) -> Mapping[str, int]:
        counts = _PUBLISHED.get(category, ())
        return dict(zip(("train good", "test good", "test bad"), counts, strict=False))


def _is_category(home: Path) -> bool:
    """Whether a folder has every part of a category; of the defects one is enough."""
    goods = is_folder(home / "train" / "good") and is_folder(home / "test" / "good")
    return goods and any(folder.name != "good" for folder in _folders(home / "test"))


def _folders(home: Path) -> list[Path]:
    return sorted(path for path in entries(home) if is_folder(path))
