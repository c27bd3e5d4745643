"""VAD, the Valeo Anomaly Dataset: one part from a production line, with bad images for training."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import Field

from segad_core.api import (
    DataError,
    Dataset,
    InputFolder,
    Parameters,
    RecipeError,
    Sample,
    image_files,
    is_file,
    is_folder,
    subfolders,
)
from segad_plugins.datasets.low_shot import choices_of
from segad_plugins.datasets.trees import by_stem, elsewhere, log, samples_in

_EXPECTED = """\
It should look like this, with or without vad/ (what is in [] may be absent):
    ROOT/vad/train/good/*.png
    [ROOT/vad/train/bad/*.png]
    ROOT/vad/test/good/*.png
    ROOT/vad/test/bad/*.png
    ROOT/vad/test/bad_unseen_defects/*.png
    [ROOT/vad/low_shot_train.json or ROOT/vad/low_shot_train/KEY/bad/*.png]
    [ROOT/vad/ground_truth/{bad,bad_unseen_defects}/*.png]"""

_UNSEEN = "bad_unseen_defects"
_FOLDERS = {"train": ("good", "bad"), "test": ("good", "bad", _UNSEEN)}


class Vad(Dataset):
    """VAD, Valeo Anomaly Dataset: 2000 good and 1000 bad for training, bad ones of unseen defects to test.

    The 165 unseen are counted within the 1000 bad test images. Its published choices of 100 bad training
    images (the low-shot benchmark) come from `low_shot_train.json`, or from the folders that its script
    makes of it; their keys have no further meaning. A release with masks, or without bad training images,
    is read too.
    """

    licence = (
        "VAD, CC BY-NC-SA 4.0: Baitieva et al., 'Supervised Anomaly Detection for Complex Industrial "
        "Images', CVPR 2024"
    )
    source = (
        "https://github.com/abc-125/vad (the page links the archive). Hosted anew as VAD.zip: since "
        "September 2025 with masks (sha256 8655b46d...0050a), before without (bfffce21...5760b). 5,000 PNG "
        "of 512x512, at most 4 GB unpacked. The unpacked folder vad, or the one that holds it, is the root."
    )

    class Params(Parameters):
        """Where the images are."""

        root: InputFolder = Field(description="the folder that holds train/ and test/, or vad/ with them")

    params: Params

    def categories(self) -> Sequence[str]:
        self._home()
        return ("vad",)

    def samples(self, category: str) -> Sequence[Sample]:
        home = self._home()
        if category != "vad":
            raise RecipeError(f"data set vad: there is no category '{category}' in {home}", _EXPECTED)
        for part, names in _FOLDERS.items():
            for folder in subfolders(home / part):
                if folder.name not in names and image_files(folder):
                    log.warning("data set vad: %s is left out: it is not a published folder", folder)
        if not is_folder(home / "train" / "bad"):
            log.warning(
                "data set vad: there is no %s: nothing can learn from bad images", home / "train" / "bad"
            )
        samples = [
            *samples_in(home, "train/good", 0, "train"),
            *samples_in(home, "train/bad", 1, "train"),
            *samples_in(home, "test/good", 0, "test"),
        ]
        for name in ("bad", _UNSEEN):
            masks = _masks(home / "ground_truth" / name, image_files(home / "test" / name))
            samples += samples_in(home, f"test/{name}", 1, "test", unseen=name == _UNSEEN, masks=masks)
        return samples

    def published_counts(self, category: str) -> Mapping[str, int]:
        if category != "vad":
            return {}
        train = {"train good": 2000, "train bad": 1000}
        return train | {"test good": 1000, "test bad": 835, "test bad, unseen": 165}

    def bad_subsets(self, category: str) -> Mapping[str, Sequence[str]]:
        home = self._home()
        file, folders, bad = home / "low_shot_train.json", home / "low_shot_train", home / "train" / "bad"
        if category != "vad":
            return {}
        if is_folder(file):
            raise DataError(f"{file} is a folder", "Put the file of the published archive there.")
        if not is_file(file) and not is_folder(folders):
            log.warning("data set vad: there is no %s, which names the low-shot choices", file)
            return {}
        if not is_folder(bad):
            log.warning("data set vad: %s has no train/bad, so its low-shot choices are left out", home)
            return {}
        known = {path.relative_to(bad).as_posix() for path in image_files(bad)}
        chosen = choices_of(file, folders, known)
        if not is_file(file):
            log.warning(
                "data set vad: %s is not there: its low-shot choices are taken from %s in the order of their "
                "names (%s), which may not be the published one",
                file,
                folders,
                ", ".join(chosen),
            )
        return {key: [f"train/bad/{name}" for name in names] for key, names in chosen.items()}

    def _home(self) -> Path:
        root = self.params.root
        home, missing = _look(root)
        if missing:
            where = home if is_folder(home) else root
            better = elsewhere(root, lambda folder: not _look(folder)[1])
            raise RecipeError(f"data set vad: there is no {missing[0]} in {where}{better}", _EXPECTED)
        return home


def _look(root: Path) -> tuple[Path, list[str]]:
    """The folder that holds train/ and test/, and which of its folders are not there."""
    home = root if is_folder(root / "train") or is_folder(root / "test") else root / "vad"
    needed = ("train/good", "test/good", "test/bad", f"test/{_UNSEEN}")
    return home, [name for name in needed if not is_folder(home / name)]


def _masks(folder: Path, images: Sequence[Path]) -> dict[str, Path]:
    """The mask of each image's stem; the stem of a mask contains it as a word (`0007_mask.png`).

    Raises:
        DataError: several masks fit one image.
    """
    masks = by_stem(folder)
    found = {}
    for image in images:
        stem = image.stem
        word = re.compile(rf"(?<![^\W_]){re.escape(stem)}(?![^\W_])")  # 10 is no word of 0105_mask
        fits = [stem] if stem in masks else [name for name in masks if word.search(name)]
        if len(fits) > 1:
            raise DataError(
                f"data set vad: {len(fits)} masks in {folder} fit the image {image.name}: "
                f"{masks[fits[0]].name} and {masks[fits[1]].name}",
                "Name each mask after its image.",
            )
        if fits:
            found[stem] = masks[fits[0]]
    return found
