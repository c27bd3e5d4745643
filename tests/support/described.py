"""A data set that is whatever a JSON file beside its images says, for faults that no folder can hold."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import picture
from PIL import Image

from segad_core.contracts import Dataset, InputFolder, Parameters, Sample
from segad_core.errors import DataError
from segad_core.plugins.registry import Provider, Registry

Facts = dict[str, Any]
"""What a category is: `samples` by id, `published` counts, `subsets`, `contradictions`; or its `error`."""


class Described(Dataset):
    """What described.json says."""

    licence = "Made up, free"
    source = "https://example.org/" + "described-" * 12 + "data.tar, 12 GB, " + "and many more words " * 9

    class Params(Parameters):
        """Where it is."""

        root: InputFolder
        extra: int = 0

    params: Params

    def categories(self) -> Sequence[str]:
        return list(self._said())

    def samples(self, category: str) -> Sequence[Sample]:
        facts = self._said()[category]
        if "error" in facts:
            raise DataError(facts["error"], "Mend it.")
        return [self._sample(entry) for entry in facts["samples"]]

    def published_counts(self, category: str) -> Mapping[str, int]:
        counts: dict[str, int] = self._said()[category]["published"]
        return counts

    def bad_subsets(self, category: str) -> Mapping[str, Sequence[str]]:
        subsets = self._said()[category]["subsets"]
        if isinstance(subsets, str):
            raise DataError(subsets, "Mend it.")
        return dict(subsets)

    def contradictions(self, category: str) -> Sequence[str]:
        told: list[str] = self._said()[category].get("contradictions", [])
        return told

    def unread(self, category: str | None) -> Sequence[str]:
        told: list[str] = self._said()[category].get("unread", []) if category else []
        return told

    def _said(self) -> dict[str, Facts]:
        said: dict[str, Facts] = json.loads((self.params.root / "described.json").read_text())
        return said

    def _sample(self, entry: Facts) -> Sample:
        root = self.params.root
        mask = root / entry["mask"] if entry.get("mask") else None
        return Sample(**{"path": root / entry["id"], **entry, "mask": mask})


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts the data set `described` beside those that are installed."""
    installed = Registry.providers
    own = Provider("datasets", "described", "made-up", "1.0", "described:Described")

    def providers(self: Registry, kind: str | None = None) -> list[Provider]:
        return installed(self, kind) + ([own] if kind in (None, "datasets") else [])

    monkeypatch.setattr(Registry, "providers", providers)


def sound(root: Path, categories: Sequence[str] = ("a",)) -> dict[str, Facts]:
    """Writes a data set without a fault; returns its description, for `describe`.

    Each category: good 0 to 3 (two for training), bad 0 to 3 with masks of four kinds, a subset of both
    training ones, published counts.
    """
    description = {}
    for place, category in enumerate(categories):
        samples: list[Facts] = []
        for label, word in enumerate(("good", "bad")):
            for i in range(4):
                name = f"{category}/{word}/{i}.png"
                save(root / name, Image.fromarray(picture(100 * place + i, bad=label == 1)))
                split = "train" if i < 2 else "test"
                samples.append({"id": name, "label": label, "split": split})
                if label == 1:
                    samples[-1] |= {
                        "mask": f"{category}/masks/{i}.png",
                        "defect": ("dent", "dent, crack")[i % 2],
                    }
                    save(root / samples[-1]["mask"], MASKS[i]())
        published = {f"{split} {word}": 2 for split in ("train", "test") for word in ("good", "bad")}
        subsets = {"first": [f"{category}/bad/1.png", f"{category}/bad/0.png"]}
        description[category] = {"samples": samples, "published": published, "subsets": subsets}
    describe(root, description)
    return description


def describe(root: Path, description: dict[str, Facts]) -> None:
    """Writes the description that the data set goes by."""
    (root / "described.json").write_text(json.dumps(description))


def save(path: Path, image: Image.Image) -> None:
    """Writes an image, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def mask_image(value: int = 255, side: int = 48) -> Image.Image:
    """A grey mask with one pixel that has a value."""
    pixels = np.zeros((side, side), np.uint8)
    pixels[3, 5] = value
    return Image.fromarray(pixels)


def _indexed() -> Image.Image:
    image = Image.fromarray(np.asarray(mask_image(7)), "P")
    image.putpalette([0, 0, 0] * 256)
    return image


MASKS: list[Callable[[], Image.Image]] = [
    mask_image,
    lambda: mask_image(1),
    lambda: mask_image().convert("RGB"),
    _indexed,
]
"""Masks as data sets have them: 0 and 255, classes that look black, equal channels, indexed."""
