"""VAD, VisA and MVTec AD as they are published, with small generated images: every name, count and oddity.

By default a tree has the published counts. `scale` keeps that share of each, at least two; `counts` says
how many of a `Sample.stratum` there are, in every category (`{"train good": 12, "test bad": 14}`).
"""

from __future__ import annotations

import csv
import io
import json
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import ceil
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
Counts = Mapping[str, int]

VAD: Counts = {
    "train good": 2000,
    "train bad": 1000,
    "test good": 1000,
    "test bad": 835,
    "test bad, unseen": 165,
}
VAD_KEYS = ("seed_17", "3", "251", "run b", "8")
"""Keys of VAD's low-shot choices, in the file's order; what the published ones are called is not known."""

VISA: dict[str, tuple[int, int]] = {
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
"""Good images of VisA's categories: train, test. Each has 100 bad ones."""

MVTEC: dict[str, tuple[int, int, dict[str, int]]] = {
    "bottle": (209, 20, {"broken_large": 20, "broken_small": 22, "contamination": 21}),
    "cable": (
        224,
        58,
        {
            "bent_wire": 13,
            "cable_swap": 12,
            "combined": 11,
            "cut_inner_insulation": 14,
            "cut_outer_insulation": 10,
            "missing_cable": 12,
            "missing_wire": 10,
            "poke_insulation": 10,
        },
    ),
    "capsule": (219, 23, {"crack": 23, "faulty_imprint": 22, "poke": 21, "scratch": 23, "squeeze": 20}),
    "carpet": (280, 28, {"color": 19, "cut": 17, "hole": 17, "metal_contamination": 17, "thread": 19}),
    "grid": (264, 21, {"bent": 12, "broken": 12, "glue": 11, "metal_contamination": 11, "thread": 11}),
    "hazelnut": (391, 40, {"crack": 18, "cut": 17, "hole": 18, "print": 17}),
    "leather": (245, 32, {"color": 19, "cut": 19, "fold": 17, "glue": 19, "poke": 18}),
    "metal_nut": (220, 22, {"bent": 25, "color": 22, "flip": 23, "scratch": 23}),
    "pill": (
        267,
        26,
        {
            "color": 25,
            "combined": 17,
            "contamination": 21,
            "crack": 26,
            "faulty_imprint": 19,
            "pill_type": 9,
            "scratch": 24,
        },
    ),
    "screw": (
        320,
        41,
        {
            "manipulated_front": 24,
            "scratch_head": 24,
            "scratch_neck": 25,
            "thread_side": 23,
            "thread_top": 23,
        },
    ),
    "tile": (230, 33, {"crack": 17, "glue_strip": 18, "gray_stroke": 16, "oil": 18, "rough": 15}),
    "toothbrush": (60, 12, {"defective": 30}),
    "transistor": (213, 60, {"bent_lead": 10, "cut_lead": 10, "damaged_case": 10, "misplaced": 10}),
    "wood": (247, 19, {"color": 8, "combined": 11, "hole": 10, "liquid": 10, "scratch": 21}),
    "zipper": (
        240,
        32,
        {
            "broken_teeth": 19,
            "combined": 16,
            "fabric_border": 17,
            "fabric_interior": 16,
            "rough": 17,
            "split_teeth": 18,
            "squeezed_teeth": 16,
        },
    ),
}
"""MVTec AD: good images for training, for testing, and bad ones by defect."""

GREY = ("grid", "screw", "zipper")
"""Categories of MVTec AD whose images have one channel."""


def vad_tree(
    root: Path,
    *,
    counts: Counts | None = None,
    scale: float = 1,
    side: int = 16,
    low_shot: Literal["json", "folders", "both", "none"] = "json",
    low_shot_size: int | None = None,
    masks: bool = False,
    train_bad: bool = True,
) -> Path:
    """VAD in `root/vad`, which is returned; `masks` and no `train_bad` make it as it is hosted anew.

    Every folder counts its names from 0000. Each low-shot choice has 100 names, or that share of them.
    """
    home = root / "vad"
    numbers = _scaled(VAD, counts, scale)
    folders = {
        "train/good": numbers["train good"],
        "train/bad": numbers["train bad"] if train_bad else 0,
        "test/good": numbers["test good"],
        "test/bad": numbers["test bad"],
        "test/bad_unseen_defects": numbers["test bad, unseen"],
    }
    for folder, count in folders.items():
        drawn = _images(home, folder, _names(count, 4), side, bad=folder.split("/")[1] != "good")
        if masks and folder.startswith("test/bad"):
            _masks(home, folder.replace("test", "ground_truth"), drawn, side, "{}_mask.png", ids=(255,))
    size = _share(100, scale) if low_shot_size is None else low_shot_size
    if train_bad and low_shot != "none":
        _low_shot(home, low_shot, folders["train/bad"], min(size, folders["train/bad"]))
    return home


def _low_shot(home: Path, form: str, count: int, size: int) -> None:
    rng = np.random.default_rng(1)
    chosen = {key: [f"{i:04}.png" for i in rng.permutation(count)[:size]] for key in VAD_KEYS}
    if form in ("json", "both"):
        (home / "low_shot_train.json").write_text(json.dumps(chosen), encoding="utf-8")
    if form in ("folders", "both"):
        for key, names in chosen.items():
            target = home / "low_shot_train" / key / "bad"
            target.mkdir(parents=True)
            for name in names:
                (target / name).write_bytes((home / "train" / "bad" / name).read_bytes())


def visa_tree(
    root: Path,
    classes: Iterable[str] = tuple(VISA),
    *,
    counts: Counts | None = None,
    scale: float = 1,
    side: int = 16,
    annotations: bool = True,
) -> Path:
    """VisA's raw release in `root`, which is returned.

    CSV files end their lines with CRLF; names end in .JPG; good ones have four digits in the categories
    that hold a thousand, else three. Masks hold ids of types of defect, so they look black. Every fifth
    bad image has two types, written as a quoted list.
    """
    rows: dict[str, list[tuple[str, ...]]] = {"1cls": [], "2cls_highshot": [], "2cls_fewshot": []}
    for name in classes:
        numbers = _visa_counts(name, counts, scale)
        good = numbers["train good"] + numbers["test good"]
        goods = _names(good, 4 if sum(VISA[name]) >= 1000 else 3)
        bads = _names(numbers["test bad"], 3)
        _images(root / name, "Data/Images/Normal", goods, side, suffix=".JPG")
        drawn = _images(root / name, "Data/Images/Anomaly", bads, side, bad=True, suffix=".JPG")
        types = visa_types(name)
        ids = [types.index(found[0]) + 1 for found in visa_defects(name, len(bads))]
        _masks(root / name, "Data/Masks/Anomaly", drawn, side, "{}.png", ids)
        for split, part in rows.items():
            part += _visa_rows(split, name, goods, bads, numbers["train good"])
        if annotations:
            _write_csv(root / name / "image_anno.csv", ("image", "label", "mask"), _anno(name, goods, bads))
    for split, part in rows.items():
        _write_csv(root / "split_csv" / f"{split}.csv", ("object", "split", "label", "image", "mask"), part)
    return root


def visa_types(name: str) -> tuple[str, ...]:
    """The types of defect of a category of `visa_tree`."""
    pcb = ("bent", "melt", "scratch", "missing")
    return pcb if name.startswith("pcb") else ("burnt", "different colour spot", "small scratches", "other")


def visa_defects(name: str, count: int) -> list[list[str]]:
    """The types of each bad image of a category of `visa_tree`: those of 000.JPG, of 001.JPG and so on."""
    types = visa_types(name)
    return [[types[i % 4], types[(i + 1) % 4]] if i % 5 == 4 else [types[i % 4]] for i in range(count)]


def _visa_counts(name: str, counts: Counts | None, scale: float) -> dict[str, int]:
    train, test = VISA[name]
    return _scaled({"train good": train, "test good": test, "test bad": 100}, counts, scale)


def _visa_rows(
    split: str, name: str, goods: Sequence[str], bads: Sequence[str], train: int
) -> Iterator[tuple[str, ...]]:
    """Rows of a split's CSV: train before test, good before bad, good ones (and bad for training) mixed."""
    rng = np.random.default_rng(2)
    train_bads: list[str] = []
    if split != "1cls":
        share = {"2cls_highshot": 0.6, "2cls_fewshot": 0.2}[split]
        train, few = round(share * len(goods)), round(share * len(bads))
        train_bads = [bads[i] for i in rng.permutation(len(bads))[:few]]
    mixed = [goods[i] for i in rng.permutation(len(goods))]
    rest = [bad for bad in bads if bad not in train_bads]
    parts = (("train", mixed[:train], train_bads), ("test", mixed[train:], rest))
    for part, normals, anomalies in parts:
        for stem in normals:
            yield (name, part, "normal", f"{name}/Data/Images/Normal/{stem}.JPG", "")
        for stem in anomalies:
            mask = f"{name}/Data/Masks/Anomaly/{stem}.png"
            yield (name, part, "anomaly", f"{name}/Data/Images/Anomaly/{stem}.JPG", mask)


def _anno(name: str, goods: Sequence[str], bads: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for stem, types in zip(bads, visa_defects(name, len(bads)), strict=True):
        mask = f"{name}/Data/Masks/Anomaly/{stem}.png"
        yield (f"{name}/Data/Images/Anomaly/{stem}.JPG", ", ".join(types), mask)
    for stem in goods:
        yield (f"{name}/Data/Images/Normal/{stem}.JPG", "normal", "")


def visa_prepared_tree(
    root: Path,
    layout: str = "1cls",
    classes: Iterable[str] = tuple(VISA),
    *,
    counts: Counts | None = None,
    scale: float = 1,
    side: int = 16,
) -> Path:
    """VisA as its prepare script or another tool leaves it in `root/layout`; returns `root`.

    Layouts: `1cls`, `VisA_pytorch/1cls`, `visa_pytorch` (masks of three channels), `.`, and the folders
    that end in `2cls_highshot` and `2cls_fewshot`, which have bad images for training. Masks are 0 and 255.
    """
    split = Path(layout).name if Path(layout).name.startswith("2cls") else "1cls"
    for name in classes:
        numbers = _visa_counts(name, counts, scale)
        goods = _names(numbers["train good"] + numbers["test good"], 4 if sum(VISA[name]) >= 1000 else 3)
        bads = _names(numbers["test bad"], 3)
        chosen: dict[tuple[str, str], list[str]] = {}
        for _, part, label, image, _ in _visa_rows(split, name, goods, bads, numbers["train good"]):
            word = "good" if label == "normal" else "bad"
            chosen.setdefault((part, word), []).append(Path(image).stem)
        for (part, word), stems in chosen.items():
            home = root / layout / name
            drawn = _images(home, f"{part}/{word}", stems, side, bad=word == "bad", suffix=".JPG")
            if word == "bad":
                target = "ground_truth/bad" if split == "1cls" else f"ground_truth/{part}/bad"
                _masks(home, target, drawn, side, "{}.png", (255,), channels=3 if "visa_" in layout else 1)
    return root


def mvtec_tree(
    root: Path,
    categories: Iterable[str] = tuple(MVTEC),
    *,
    counts: Counts | None = None,
    scale: float = 1,
    side: int = 16,
) -> Path:
    """MVTec AD in `root`, which is returned; every folder counts its names from 000."""
    for name in categories:
        train, test, defects = MVTEC[name]
        published = {"train good": train, "test good": test, "test bad": sum(defects.values())}
        numbers = _scaled(published, counts, scale)
        home, channels = root / name, 1 if name in GREY else 3
        _images(home, "train/good", _names(numbers["train good"], 3), side, channels=channels)
        _images(home, "test/good", _names(numbers["test good"], 3), side, channels=channels)
        for defect, count in _spread(numbers["test bad"], defects).items():
            stems = _names(count, 3)
            drawn = _images(home, f"test/{defect}", stems, side, bad=True, channels=channels)
            _masks(home, f"ground_truth/{defect}", drawn, side, "{}_mask.png", (255,))
    return root


def _spread(total: int, shares: Mapping[str, int]) -> dict[str, int]:
    """A total over names, as the shares are; the published total gives the published counts."""
    ends = np.rint(np.cumsum([0, *shares.values()]) * total / sum(shares.values())).astype(int)
    return {name: int(n) for name, n in zip(shares, np.diff(ends), strict=True) if n}


def _share(count: int, scale: float) -> int:
    return count if scale == 1 else min(count, max(2, ceil(count * scale)))


def _scaled(published: Counts, counts: Counts | None, scale: float) -> dict[str, int]:
    unknown = set(counts or {}) - set(published)
    assert not unknown, f"no part is called {sorted(unknown)}; there are {list(published)}"
    return {part: _share(count, scale) for part, count in published.items()} | dict(counts or {})


def _names(count: int, digits: int) -> list[str]:
    return [f"{i:0{digits}}" for i in range(count)]


def _images(
    home: Path,
    folder: str,
    stems: Sequence[str],
    side: int,
    *,
    bad: bool = False,
    suffix: str = ".png",
    channels: int = 3,
) -> dict[str, tuple[int, int]]:
    """Writes images that all differ, bad ones with a bright spot; returns where the spots are.

    What they show depends on the names of the category's folder and of the one in it.
    """
    rng = np.random.default_rng(zlib.crc32(f"{home.name}/{folder}".encode()))
    if stems:
        (home / folder).mkdir(parents=True, exist_ok=True)
    ramp = np.linspace(60, 160, side, dtype=np.uint8)[:, None, None]
    pixels = rng.integers(0, 40, (len(stems), side, side, channels), dtype=np.uint8) + ramp
    spots = rng.integers(0, side - _spot(side) + 1, (len(stems), 2))
    for stem, picture, (y, x) in zip(stems, pixels, spots, strict=True):
        if bad:
            picture[y : y + _spot(side), x : x + _spot(side)] = 250
        data = _jpeg(picture) if suffix.lower() == ".jpg" else _png(picture)
        (home / folder / f"{stem}{suffix}").write_bytes(data)
    return {stem: (int(y), int(x)) for stem, (y, x) in zip(stems, spots, strict=True)}


def _masks(
    home: Path,
    folder: str,
    spots: Mapping[str, tuple[int, int]],
    side: int,
    name: str,
    ids: Sequence[int],
    channels: int = 1,
) -> None:
    if spots:
        (home / folder).mkdir(parents=True, exist_ok=True)
    for i, (stem, (y, x)) in enumerate(spots.items()):
        mask = np.zeros((side, side, channels), np.uint8)
        mask[y : y + _spot(side), x : x + _spot(side)] = ids[i % len(ids)]
        (home / folder / name.format(stem)).write_bytes(_png(mask))


def _spot(side: int) -> int:
    return max(2, side // 4)


def _png(pixels: Pixels) -> bytes:
    """A grey or RGB picture as a PNG, written by hand: a tree holds thousands."""
    height, width, channels = pixels.shape
    lines = np.zeros((height, 1 + width * channels), np.uint8)  # each line begins with its filter: none
    lines[:, 1:] = pixels.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2 if channels == 3 else 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), 1)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def _jpeg(pixels: Pixels) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=95)
    return file.getvalue()


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow(header)
        writer.writerows(rows)
