"""MVTec AD: fifteen objects and textures with 73 defect types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import Field

from segad_core.api import Dataset, InputFolder, Parameters, Sample, is_folder, subfolders
from segad_plugins.datasets.beside import unread_sentences
from segad_plugins.datasets.trees import (
    by_stem,
    categories_in,
    log,
    need,
    samples_in,
)

_PUBLISHED = {  # good training images, good test images, bad test images
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

_DEFECT_TYPES = {  # by category
    "bottle": "broken_large broken_small contamination",
    "cable": "bent_wire cable_swap combined cut_inner_insulation cut_outer_insulation missing_cable "
    "missing_wire poke_insulation",
    "capsule": "crack faulty_imprint poke scratch squeeze",
    "carpet": "color cut hole metal_contamination thread",
    "grid": "bent broken glue metal_contamination thread",
    "hazelnut": "crack cut hole print",
    "leather": "color cut fold glue poke",
    "metal_nut": "bent color flip scratch",
    "pill": "color combined contamination crack faulty_imprint pill_type scratch",
    "screw": "manipulated_front scratch_head scratch_neck thread_side thread_top",
    "tile": "crack glue_strip gray_stroke oil rough",
    "toothbrush": "defective",
    "transistor": "bent_lead cut_lead damaged_case misplaced",
    "wood": "color combined hole liquid scratch",
    "zipper": "broken_teeth combined fabric_border fabric_interior rough split_teeth squeezed_teeth",
}

_EXPECTED = """\
Expected layout (parts in [] are optional):
    ROOT/CATEGORY/train/good/*.png
    ROOT/CATEGORY/test/good/*.png
    ROOT/CATEGORY/test/DEFECT/*.png
    [ROOT/CATEGORY/ground_truth/DEFECT/*_mask.png]
where CATEGORY is one of: """ + ", ".join(_PUBLISHED)


class MVTec(Dataset):
    """MVTec AD: 15 categories as published; folder names give the defect types.

    File names repeat across folders, so an image is identified by its path within the category's folder.
    A comma in a defect type becomes a semicolon, since commas separate several types.
    """

    licence = (
        "MVTec AD, CC BY-NC-SA 4.0: Bergmann et al., 'MVTec AD: A Comprehensive Real-World Dataset for "
        "Unsupervised Anomaly Detection', CVPR 2019"
    )
    source = (
        "https://www.mvtec.com/company/research/datasets/mvtec-ad: mvtec_anomaly_detection.tar.xz, 5.3 GB, "
        "sha256 cf4313b13603bec67abb49ca959488f7eedce2a9f7795ec54446c649ac98cd3d; 5,354 images in 15 "
        "categories. Unpack it into an empty folder and use that as the root."
    )

    class Params(Parameters):
        """Location of the images."""

        root: InputFolder = Field(description="folder that contains bottle/, cable/ and so on")

    params: Params

    def categories(self) -> Sequence[str]:
        return categories_in("mvtec", self.params.root, tuple(_PUBLISHED), _fault, _EXPECTED)

    def samples(self, category: str) -> Sequence[Sample]:
        home = self.params.root / category
        need("mvtec", category, self.params.root, _fault, _EXPECTED)
        samples = samples_in(home, "train/good", 0, "train")
        for folder in subfolders(home / "test"):
            name = folder.name
            if name == "good":
                samples += samples_in(home, "test/good", 0, "test")
            else:
                if category in _DEFECT_TYPES and name not in _DEFECT_TYPES[category].split():
                    log.warning(
                        "data set mvtec: %s is not a published defect type; its images count as bad",
                        folder,
                    )
                masks, defect = by_stem(home / "ground_truth" / name, "_mask"), name.replace(",", ";")
                samples += samples_in(home, f"test/{name}", 1, "test", defect=defect, masks=masks)
        return samples

    def unread(self, category: str | None) -> Sequence[str]:
        if category is None:
            return ()
        home = self.params.root / category
        return unread_sentences(home, self.samples(category), ("ground_truth",))

    def published_categories(self) -> Sequence[str]:
        return tuple(_PUBLISHED)

    def published_counts(self, category: str) -> Mapping[str, int]:
        counts = _PUBLISHED.get(category, ())
        return dict(zip(("train good", "test good", "test bad"), counts, strict=False))


def _fault(home: Path) -> str:
    """What a category's folder lacks, or an empty string; one defect type is enough."""
    if missing := [part for part in ("train/good", "test/good") if not is_folder(home / part)]:
        return f"{missing[0]} does not exist"
    defects = [folder for folder in subfolders(home / "test") if folder.name != "good"]
    return "" if defects else "test contains no defect type"
