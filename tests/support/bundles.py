"""A small sound bundle, taken apart and put together again, with right digests of whatever is in it."""

from __future__ import annotations

import copy
import hashlib
import json
import pickle
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from builders import segad, workshop, write_recipe
from pickles import MakesFolder
from PIL import Image

from segad_core.bundle.format.appearance import read_appearance
from segad_core.bundle.format.container import MANIFEST, SEAL, seal_of
from segad_core.bundle.format.tables import read_golden, read_table
from segad_core.bundle.runtime.bundle import Bundle
from segad_core.images import decode

DETECTOR = "detectors/patchcore.safetensors"
FOREST = "final/model.json"
MASK = "files/segmenter-mask-0.png"
TABLES = ("calibration.json", "calibration.safetensors", "training.json", "training.safetensors")


@dataclass
class Parts:
    """A bundle as plain data: a test may change anything before it is put together."""

    manifest: dict[str, Any]
    files: dict[str, bytes]

    def copy(self) -> Parts:
        """The same, to be changed."""
        return Parts(copy.deepcopy(self.manifest), dict(self.files))

    def signed(self) -> dict[str, bytes]:
        """All files, with a manifest that has the sizes and digests of the others."""
        facts = {n: {"sha256": hashlib.sha256(d).hexdigest(), "size": len(d)} for n, d in self.files.items()}
        return sealed(self.files, json.dumps({**self.manifest, "files": facts}).encode())

    def write(self, home: Path, form: str) -> Path:
        """As a folder or a zip below `home`."""
        return write(home, form, self.signed())


def sealed(files: Mapping[str, bytes], manifest: bytes) -> dict[str, bytes]:
    """Files, the manifest as it is, and its digest."""
    return {**files, MANIFEST: manifest, SEAL: seal_of(manifest)}


def write(home: Path, form: str, files: Mapping[str, bytes]) -> Path:
    """These files as a folder or a zip."""
    if form == "zip":
        path = home / "bundle.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in files.items():
                archive.writestr(name, data)
        return path
    path = home / "bundle"
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def sound_parts() -> Parts:
    """A bundle with a detector, a drawn mask and a forest, as `segad fit` makes it: once in a process."""
    return _sound_parts().copy()


@cache
def _sound_parts() -> Parts:
    with tempfile.TemporaryDirectory(prefix="segad-test-") as folder:
        return _fitted_parts(Path(folder))


def _fitted_parts(home: Path) -> Parts:
    workshop(home)
    labels = np.zeros((48, 48), np.uint8)
    labels[:, 24:] = 1
    Image.fromarray(labels).save(home / "mask.png")
    mask = "{use: static_mask, params: {mask: mask.png, segments: [left, right]}}"
    recipe = write_recipe(home, ("segmenter: whole_image", f"segmenter: {mask}"))
    words = ("--category", "a", "--row", "SegAD", "--device", "cpu", "--store", home / "store")
    result = segad("fit", recipe, *words, "-o", home / "sound")
    assert result.exit_code == 0, result.output
    files = {
        path.relative_to(home / "sound").as_posix(): path.read_bytes()
        for path in sorted((home / "sound").rglob("*"))
        if path.is_file()
    }
    manifest = json.loads(files.pop(MANIFEST))
    return Parts(manifest, {name: data for name, data in files.items() if name != SEAL})


def take_up(path: Path) -> list[float | None]:
    """Loads a bundle and reads everything in it; the scores of its golden images."""
    with Bundle.load(path, "cpu") as bundle:
        container = bundle.container
        for name in ("calibration", "training"):
            read_table(container, name)
        read_appearance(container)
        container.text("recipe.yaml")
        container.json("splits.json")
        places = [container.file(golden.file) for golden in read_golden(container)]
        for place in places:
            decode(place)
        return [found.score for found in bundle.predict(places)]


def weapon(canary: Path) -> bytes:
    """A pickle that makes a folder when it is loaded."""
    return pickle.dumps(MakesFolder(canary))
