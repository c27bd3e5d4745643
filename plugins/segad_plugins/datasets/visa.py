"""VisA: twelve categories, in the layout of the release or as prepared by its script and other tools."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from segad_core.api import Dataset, InputFolder, Parameters, RecipeError, Sample, is_folder
from segad_plugins.datasets.beside import unread_sentences
from segad_plugins.datasets.trees import Part, by_stem, categories_in, elsewhere, need, samples_in
from segad_plugins.datasets.visa_lists import listed
from segad_plugins.datasets.visa_raw import contradictions, is_raw, raw_samples

_PUBLISHED = {  # good training and good test images of the set-up 1cls; each category has 100 bad images
    "candle": (900, 100),
    "capsules": (542, 60),
    "cashew": (450, 50),
    "chewinggum": (453, 50),
    "fryum": (450, 50),
    "macaroni1": (900, 100),
    "macaroni2": (900, 100),
    "pcb1": (904, 100),
    "pcb2": (901, 100),
    "pcb3": (905, 101),
    "pcb4": (904, 101),
    "pipe_fryum": (450, 50),
}

_EXPECTED = """\
Expected layout (parts in [] are optional), as released:
    ROOT/split_csv/SETUP.csv
    ROOT/CATEGORY/Data/Images/{Normal,Anomaly}/*.JPG
    [ROOT/CATEGORY/Data/Masks/Anomaly/*.png]
    [ROOT/CATEGORY/image_anno.csv]
or as prepared:
    ROOT/[VisA_pytorch/ or visa_pytorch/][SETUP/]CATEGORY/train/good/*.JPG
    ROOT/.../CATEGORY/train/bad/*.JPG (in the 2cls set-ups only)
    ROOT/.../CATEGORY/test/{good,bad}/*.JPG
    [ROOT/.../CATEGORY/ground_truth/bad/*.png (1cls) or ground_truth/{train,test}/bad/*.png (2cls)]
SETUP is 1cls, 2cls_highshot or 2cls_fewshot; CATEGORY is one of: """ + ", ".join(_PUBLISHED)


class VisA(Dataset):
    """VisA: 12 categories, from the raw release (with defect types) or from any prepared layout.

    The layout is detected: first the release, which also has defect types, then prepared folders. The
    release's `split_csv` lists training and test images; a listed image must exist, and an unlisted one is
    skipped. Masks contain ids of defect types rather than 0 and 255: any value other than 0 is defect.

    With `lists`, images and their order are those of the official SegAD release, on which the draws of its
    seeds depend: its training list contains only the good images of the final classifier.
    """

    licence = (
        "VisA, CC BY 4.0, according to its release (other tools state CC BY-NC-SA 4.0): Zou et al., 'SPot-"
        "the-Difference Self-Supervised Pre-training for Anomaly Detection and Segmentation', ECCV 2022"
    )
    source = (
        "https://github.com/amazon-science/spot-diff: VisA_20220922.tar, 1.9 GB, sha256 "
        "2eb8690c803ab37de0324772964100169ec8ba1fa3f7e94291c9ca673f40f362; 10,821 images in 12 categories. "
        "Unpack it into an empty folder and use that as the root."
    )

    class Params(Parameters):
        """Location of the images, and the split into training and test images."""

        root: InputFolder = Field(description="folder of the release, or of a layout prepared from it")
        layout: Literal["auto", "raw", "prepared"] = Field(
            "auto", description="raw: the release; prepared: folders train and test; auto: detected"
        )
        setup: Literal["1cls", "2cls_highshot", "2cls_fewshot"] = Field(
            "1cls", description="published split; 1cls has no bad training images"
        )
        lists: InputFolder | None = Field(
            None,
            description="folder anomaly_maps/<model> of the official SegAD release, whose df_training.csv "
            "and df_test.csv give the training and test images and their order",
        )

    params: Params

    def categories(self) -> Sequence[str]:
        raw, home = self._home()
        return categories_in("visa", home, tuple(_PUBLISHED), self._fault_of(raw), _EXPECTED)

    def samples(self, category: str) -> Sequence[Sample]:
        raw, home = self._home()
        place = home / category
        need("visa", category, home, self._fault_of(raw), _EXPECTED)
        samples = raw_samples(home, category, self.params.setup, _EXPECTED) if raw else self._prepared(place)
        return samples if self.params.lists is None else listed(samples, self.params.lists, category)

    def unread(self, category: str | None) -> Sequence[str]:
        raw, home = self._home()
        if category is None or raw or self.params.lists is not None:  # lists say which images count
            return ()
        return unread_sentences(home / category, self.samples(category), ("ground_truth",))

    def published_categories(self) -> Sequence[str]:
        return tuple(_PUBLISHED)

    def published_counts(self, category: str) -> Mapping[str, int]:
        if category not in _PUBLISHED or self.params.setup != "1cls" or self.params.lists is not None:
            return {}
        train, test = _PUBLISHED[category]
        return {"train good": train, "test good": test, "test bad": 100}

    def contradictions(self, category: str) -> Sequence[str]:
        raw, home = self._home()
        return contradictions(home, category) if raw else ()

    def _home(self) -> tuple[bool, Path]:
        """Whether the root is the release, and the folder that contains the categories."""
        root, setup = self.params.root, self.params.setup
        if home := self._home_in(root):
            return home
        missing = {
            "auto": "neither released nor prepared",
            "raw": "no released",
            "prepared": "no prepared",
        }
        what = f"{root} contains {missing[self.params.layout]} categories of the set-up {setup}"
        hint = elsewhere(root, lambda folder: self._home_in(folder) is not None)
        raise RecipeError(f"data set visa: {what}{hint}", _EXPECTED)

    def _home_in(self, root: Path) -> tuple[bool, Path] | None:
        """What `_home` returns for a valid root; None for any other folder."""
        setup, layout = self.params.setup, self.params.layout
        if layout != "prepared" and any(is_raw(root / name) for name in _PUBLISHED):
            return True, root
        tops = (root, root / "VisA_pytorch", root / "visa_pytorch")
        homes = [*(top / setup for top in tops), *tops] if layout != "raw" else []
        for home in homes:
            if any(not self._fault(home / name) for name in _PUBLISHED):
                return False, home
        return None

    def _fault_of(self, raw: bool) -> Callable[[Path], str]:
        return (lambda place: "" if is_raw(place) else "Data/Images does not exist") if raw else self._fault

    def _fault(self, place: Path) -> str:
        """Why a folder is not a prepared category; empty if it is one."""
        two = self.params.setup != "1cls"
        parts = ("train/good", "train/bad", "test/good", "test/bad")
        missing = [part for part in parts if not is_folder(place / part) and (two or part != "train/bad")]
        if missing:
            return f"{missing[0]} does not exist"
        stray = is_folder(place / "train" / "bad") and not two
        return (
            f"train/bad exists, but the set-up {self.params.setup} has no bad training images"
            if stray
            else ""
        )

    def _prepared(self, place: Path) -> list[Sample]:
        two = self.params.setup != "1cls"
        samples = []
        parts: tuple[Part, ...] = ("train", "test")
        for part in parts:
            masks = by_stem(place / "ground_truth" / (f"{part}/bad" if two else "bad"))
            samples += samples_in(place, f"{part}/good", 0, part)
            samples += samples_in(place, f"{part}/bad", 1, part, masks=masks)
        return samples
