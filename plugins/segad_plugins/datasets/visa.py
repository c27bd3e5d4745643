"""VisA: twelve categories, as the release has them or as its script and other tools prepare them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from segad_core.api import Dataset, InputFolder, Parameters, RecipeError, Sample, is_folder
from segad_plugins.datasets.trees import Part, by_stem, categories_in, elsewhere, need, samples_in
from segad_plugins.datasets.visa_lists import listed
from segad_plugins.datasets.visa_raw import contradictions, is_raw, raw_samples

_PUBLISHED = {  # good images for training and for testing of the set-up 1cls; each has 100 bad ones
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
It should look like this (what is in [] may be absent), as the release has it:
    ROOT/split_csv/SETUP.csv
    ROOT/CATEGORY/Data/Images/{Normal,Anomaly}/*.JPG
    [ROOT/CATEGORY/Data/Masks/Anomaly/*.png]
    [ROOT/CATEGORY/image_anno.csv]
or prepared:
    ROOT/[VisA_pytorch/ or visa_pytorch/][SETUP/]CATEGORY/train/good/*.JPG
    ROOT/.../CATEGORY/train/bad/*.JPG (in the 2cls set-ups only)
    ROOT/.../CATEGORY/test/{good,bad}/*.JPG
    [ROOT/.../CATEGORY/ground_truth/bad/*.png (1cls) or ground_truth/{train,test}/bad/*.png (2cls)]
SETUP is 1cls, 2cls_highshot or 2cls_fewshot, CATEGORY each of: """ + ", ".join(_PUBLISHED)


class VisA(Dataset):
    """VisA: 12 categories, from the raw release (types of defect with it) or any prepared layout.

    What the root holds is found by looking: first the release, which also knows types of defect, then
    prepared folders. The release's `split_csv` says which images train and which test; an image that it
    names has to be there, and one that it does not name is left out. Masks hold ids of types of defect,
    not 0 and 255: whatever is not 0 is defect.

    With `lists`, the images and their order are those of the official SegAD release, on which its seeds'
    draws depend: its training list holds the good images of the final classifier only.
    """

    licence = (
        "VisA, CC BY 4.0, as its own release says (other tools call it CC BY-NC-SA 4.0): Zou et al., 'SPot-"
        "the-Difference Self-Supervised Pre-training for Anomaly Detection and Segmentation', ECCV 2022"
    )
    source = (
        "https://github.com/amazon-science/spot-diff: VisA_20220922.tar, 1.9 GB, sha256 "
        "2eb8690c803ab37de0324772964100169ec8ba1fa3f7e94291c9ca673f40f362; 10,821 images in 12 categories. "
        "Unpack it in an empty folder, which is then the root."
    )

    class Params(Parameters):
        """Where the images are, and which of them train and test."""

        root: InputFolder = Field(description="the folder of the release, or of what was prepared from it")
        layout: Literal["auto", "raw", "prepared"] = Field(
            "auto", description="raw: the release; prepared: folders train and test; auto: what is there"
        )
        setup: Literal["1cls", "2cls_highshot", "2cls_fewshot"] = Field(
            "1cls", description="the published split: 1cls has no bad image for training"
        )
        lists: InputFolder | None = Field(
            None,
            description="the folder anomaly_maps/<model> of the official SegAD release: which images train "
            "and test, in the order of its df_training.csv and df_test.csv",
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
        """Whether it is the release, and the folder that holds the categories."""
        root, setup = self.params.root, self.params.setup
        if found := self._home_in(root):
            return found
        wanted = {
            "auto": "neither the release nor prepared",
            "raw": "no release's",
            "prepared": "no prepared",
        }
        what = f"{root} holds {wanted[self.params.layout]} categories of the set-up {setup}"
        better = elsewhere(root, lambda folder: self._home_in(folder) is not None)
        raise RecipeError(f"data set visa: {what}{better}", _EXPECTED)

    def _home_in(self, root: Path) -> tuple[bool, Path] | None:
        """What `_home` gives for a root, if it is one."""
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
        return (lambda place: "" if is_raw(place) else "Data/Images is not there") if raw else self._fault

    def _fault(self, place: Path) -> str:
        """What keeps a folder from being a prepared category."""
        two = self.params.setup != "1cls"
        parts = ("train/good", "train/bad", "test/good", "test/bad")
        missing = [part for part in parts if not is_folder(place / part) and (two or part != "train/bad")]
        if missing:
            return f"{missing[0]} is not there"
        stray = is_folder(place / "train" / "bad") and not two
        return f"train/bad is there, which the set-up {self.params.setup} does not have" if stray else ""

    def _prepared(self, place: Path) -> list[Sample]:
        two = self.params.setup != "1cls"
        samples = []
        parts: tuple[Part, ...] = ("train", "test")
        for part in parts:
            masks = by_stem(place / "ground_truth" / (f"{part}/bad" if two else "bad"))
            samples += samples_in(place, f"{part}/good", 0, part)
            samples += samples_in(place, f"{part}/bad", 1, part, masks=masks)
        return samples
