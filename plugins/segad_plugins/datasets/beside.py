"""Images that lie beside what a data set reads, and what they probably are by the names of their folders."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from segad_core.api import Sample, image_files

Kind = Literal["good", "bad", "train", "test", "masks"]

_WORDS: dict[Kind, str] = {
    "good": "good goods ok okay io normal pass passed gut gutteil defectfree nondefective nodefect nodefects "
    "anomalyfree faultless accept accepted golden conforming",
    "bad": "bad ng nok nio ko notgood notok nogood nogo nichtok defect defects defective defectives anomaly "
    "anomalies anomalous abnormal fail failed failure failures fault faults faulty reject rejects rejected "
    "scrap schlecht ausschuss fehler nonconforming broken damaged",
    "train": "train training trainset trainingset",
    "test": "test testing tests testset val valid validation eval evaluation",
    "masks": "mask masks gt groundtruth label labels annotation annotations segmentation segmentations",
}
_KINDS: dict[str, Kind] = {word: kind for kind, words in _WORDS.items() for word in words.split()}
_FILLERS = {"image", "images", "img", "imgs", "picture", "pictures", "part", "parts", "sample", "samples"}

_OTHER_FORMATS = {
    *(".jp2", ".j2k", ".jpx", ".heic", ".heif", ".avif", ".jxl", ".jxr", ".exr", ".hdr", ".tga", ".psd"),
    *(".dng", ".raw", ".nef", ".cr2", ".cr3", ".arw", ".raf", ".orf", ".dcm", ".dicom", ".czi", ".svs"),
}


def guess(name: str) -> Kind | None:
    """What a name says that images are, however it is spelled: `Not_Good`, `n.i.O.`, `OK images`, `NG2`."""
    words = [word for word in re.split(r"[\W_]+", name.casefold()) if word and word not in _FILLERS]
    return _KINDS.get("".join(words).rstrip("0123456789"))


@dataclass(frozen=True)
class Unread:
    """Images of a folder that a data set does not read.

    Attributes:
        folder: its path within the category, with forward slashes; `.` for the category's own folder.
        images: how many there are, folders below it included unless others in it are read.
        partly: whether other images in it, or below it, are read.
    """

    folder: str
    images: int
    partly: bool


def unread_in(home: Path, read: Iterable[Path], apart: Collection[str] = ()) -> list[Unread]:
    """The images below a folder that are not read, counted by the topmost folder of which nothing is read.

    A folder that names an official part, such as `Test`, is told by what is in it.

    Args:
        home: the folder.
        read: the files that are read, in whatever spelling or through whatever links.
        apart: names of folders directly below `home` that hold no images to inspect.
    """
    identities: dict[Path, tuple[int, int]] = {}

    def identity(path: Path) -> tuple[tuple[int, int], str]:
        if path.parent not in identities:
            status = os.stat(path.parent)  # noqa: PTH116 (by identity, as a file system may ignore case)
            identities[path.parent] = (status.st_dev, status.st_ino)
        return identities[path.parent], path.name

    known = {identity(path) for path in read if path.parent.is_dir()}
    used: set[tuple[str, ...]] = set()
    left: list[tuple[str, ...]] = []
    for path in image_files(home):
        parents = path.relative_to(home).parts[:-1]
        if identity(path) in known:
            used |= {parents[:end] for end in range(len(parents) + 1)}
        elif not parents or parents[0] not in apart:
            left.append(parents)
    counted = Counter(_top(parents, used) for parents in left)
    return [Unread("/".join(top) or ".", n, top in used) for top, n in sorted(counted.items())]


def unread_sentences(home: Path, samples: Iterable[Sample], apart: Collection[str]) -> list[str]:
    """The images below the folder of a published category that are not among its samples, in words."""
    return [
        f"{home / one.folder}: {images(one.images)} not read, as the published data set has none there"
        for one in unread_in(home, [sample.path for sample in samples], apart)
    ]


def label_folders(root: Path) -> dict[tuple[Kind, str], int]:
    """The names of folders that look like those of good or bad images: how many images each of them holds."""
    counts: Counter[tuple[Kind, str]] = Counter()
    for path in image_files(root):
        for name in path.relative_to(root).parts[:-1]:
            if (kind := guess(name)) in ("good", "bad"):
                counts[kind, name] += 1
                break
    return dict(sorted(counts.items(), key=lambda one: (one[0][0] == "bad", -one[1])))


def _top(parents: tuple[str, ...], used: Collection[tuple[str, ...]]) -> tuple[str, ...]:
    """The topmost folder of an image of which nothing is read, or its own folder."""
    for end in range(1, len(parents) + 1):
        if parents[:end] not in used and (
            end == len(parents) or guess(parents[end - 1]) not in ("train", "test")
        ):
            return parents[:end]
    return parents


def other_formats(home: Path) -> list[str]:
    """Files that look like images in formats that segad does not read, by folder and ending, in words."""
    counts: Counter[tuple[str, str]] = Counter()
    for folder, below, files in os.walk(home):
        below[:] = [name for name in below if not name.startswith(".")]
        endings = [Path(name).suffix.lower() for name in files if not name.startswith(".")]
        counts.update((folder, ending) for ending in endings if ending in _OTHER_FORMATS)
    remedy = "not read; save them as PNG or TIFF"
    return [
        f"{folder}: {count:,} file{'s' * (count > 1)} ending in '{ending}' {remedy}"
        for (folder, ending), count in sorted(counts.items())
    ]


def images(count: int) -> str:
    """A number of images in words."""
    return "1 image" if count == 1 else f"{count:,} images"
