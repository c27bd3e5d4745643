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
)
from segad_plugins.datasets.beside import unread_sentences
from segad_plugins.datasets.low_shot import choices_of
from segad_plugins.datasets.trees import by_stem, elsewhere, log, samples_in

_EXPECTED = """\
Expected layout, with or without vad/ (parts in [] are optional):
    ROOT/vad/train/good/*.png
    [ROOT/vad/train/bad/*.png]
    ROOT/vad/test/good/*.png
    ROOT/vad/test/bad/*.png
    ROOT/vad/test/bad_unseen_defects/*.png
    [ROOT/vad/low_shot_train.json or ROOT/vad/low_shot_train/KEY/bad/*.png]
    [ROOT/vad/ground_truth/{bad,bad_unseen_defects}/*.png]"""

_UNSEEN = "bad_unseen_defects"


class Vad(Dataset):
    """VAD, Valeo Anomaly Dataset: 2000 good and 1000 bad training images; test set with unseen defects.

    The 1000 bad test images include 165 with unseen defects. The published choices of 100 bad training images
    (the low-shot benchmark) come from `low_shot_train.json`, or from the folders that VAD's script makes from
    it; their keys have no further meaning. Releases with masks, and releases without bad training images, are
    read as well.
    """

    licence = (
        "VAD, CC BY-NC-SA 4.0: Baitieva et al., 'Supervised Anomaly Detection for Complex Industrial "
        "Images', CVPR 2024"
    )
    source = (
        "https://github.com/abc-125/vad (links to the archive, VAD.zip). Since September 2025 it contains "
        "masks (sha256 8655b46d...0050a), before that it did not (bfffce21...5760b). 5,000 PNG images of "
        "512x512, at most 4 GB unpacked. Use the unpacked folder vad, or its parent, as the root."
    )

    class Params(Parameters):
        """Location of the images."""

        root: InputFolder = Field(description="folder with train/ and test/, or with vad/ that contains them")

    params: Params

    def categories(self) -> Sequence[str]:
        self._home()
        return ("vad",)

    def samples(self, category: str) -> Sequence[Sample]:
        home = self._home()
        if category != "vad":
            raise RecipeError(f"data set vad: {home} has no category '{category}'", _EXPECTED)
        if not is_folder(home / "train" / "bad"):
            log.warning(
                "data set vad: %s does not exist, so no bad images are available for training",
                home / "train" / "bad",
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

    def unread(self, category: str | None) -> Sequence[str]:
        if category is None:
            return ()
        return unread_sentences(self._home(), self.samples(category), ("ground_truth", "low_shot_train"))

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
            raise DataError(
                f"{file} is a folder, not a file", "Replace it with the file from the published archive."
            )
        if not is_file(file) and not is_folder(folders):
            log.warning("data set vad: %s does not exist, so there are no low-shot choices", file)
            return {}
        if not is_folder(bad):
            log.warning("data set vad: %s has no train/bad, so its low-shot choices are ignored", home)
            return {}
        known = {path.relative_to(bad).as_posix() for path in image_files(bad)}
        chosen = choices_of(file, folders, known)
        if not is_file(file):
            log.warning(
                "data set vad: %s does not exist: low-shot choices are read from %s, sorted by name (%s); "
                "the published order may differ",
                file,
                folders,
                ", ".join(chosen),
            )
        return {key: [f"train/bad/{name}" for name in names] for key, names in chosen.items()}

    def _home(self) -> Path:
        root = self.params.root
        home, missing = _layout(root)
        if missing:
            where = home if is_folder(home) else root
            hint = elsewhere(root, lambda folder: not _layout(folder)[1])
            raise RecipeError(f"data set vad: {where} has no {missing[0]}{hint}", _EXPECTED)
        return home


def _layout(root: Path) -> tuple[Path, list[str]]:
    """The folder that contains train/ and test/, and the required folders that it lacks."""
    home = root if is_folder(root / "train") or is_folder(root / "test") else root / "vad"
    needed = ("train/good", "test/good", "test/bad", f"test/{_UNSEEN}")
    return home, [name for name in needed if not is_folder(home / name)]


def _masks(folder: Path, images: Sequence[Path]) -> dict[str, Path]:
    """Maps each image's stem to its mask, whose stem contains it as a word (`0007_mask.png`).

    Raises:
        DataError: several masks match one image.
    """
    masks = by_stem(folder)
    by_image = {}
    for image in images:
        stem = image.stem
        word = re.compile(rf"(?<![^\W_]){re.escape(stem)}(?![^\W_])")  # 10 does not match 0105_mask
        matches = [stem] if stem in masks else [name for name in masks if word.search(name)]
        if len(matches) > 1:
            raise DataError(
                f"data set vad: {len(matches)} masks in {folder} match the image {image.name}: "
                f"{masks[matches[0]].name} and {masks[matches[1]].name}",
                "Name each mask after its image.",
            )
        if matches:
            by_image[stem] = masks[matches[0]]
    return by_image
