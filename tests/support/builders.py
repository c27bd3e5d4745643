"""Tiny data sets and recipes for tests: real files and real plugins, a second or two a run."""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from click.testing import CliRunner, Result
from numpy.typing import NDArray
from PIL import Image

SIDE = 48

RECIPE = """\
segad: 1
title: tiny
dataset: {use: folder, params: {root: data}}
image: {size: [48, 48]}
batch_size: 4
encoder: efficientnet_lite0
split:
  seeds: [0]
  test: {good: 4, bad: 3}
  detectors: {good: 4}
detectors:
  patchcore: {use: patchcore, params: {coreset_ratio: 0.1, blur_sigma: 1}}
segmenter: whole_image
features: [mean, max]
image_features: [max]
final: {use: brf, params: {n_estimators: 2, num_parallel_tree: 5}}
rows:
  - {name: PatchCore, score: patchcore}
  - {name: SegAD, detectors: [patchcore]}
"""
"""Runs on `data_set`; a test changes a line of it and says what must come of it."""


def picture(number: int, bad: bool = False) -> NDArray[np.uint8]:
    """A grey texture (48, 48, 3) that differs for each number; a bad one has a bright spot."""
    rng = np.random.default_rng([number, bad])
    pixels = rng.integers(90, 130, (SIDE, SIDE), dtype=np.uint8)
    if bad:
        y, x = rng.integers(8, SIDE - 16, 2)
        pixels[y : y + 8, x : x + 8] = 250
    return np.repeat(pixels[:, :, None], 3, axis=2)


def data_set(root: Path, categories: Sequence[str] = ("a",), good: int = 12, bad: int = 7) -> Path:
    """A folder data set, undivided: `root/CATEGORY/good/000.png`, `root/CATEGORY/bad/000.png`."""
    for place, category in enumerate(categories):
        for name, count in (("good", good), ("bad", bad)):
            (root / category / name).mkdir(parents=True, exist_ok=True)
            for i in range(count):
                pixels = picture(1000 * place + i, name == "bad")
                Image.fromarray(pixels).save(root / category / name / f"{i:03}.png")
    return root


def workshop(folder: Path, categories: Sequence[str] = ("a",), good: int = 12, bad: int = 7) -> Path:
    """A data set and the recipe for it in one folder; returns the recipe."""
    data_set(folder / "data", categories, good, bad)
    return write_recipe(folder)


def write_recipe(folder: Path, *changes: tuple[str, str]) -> Path:
    """The tiny recipe as `folder/tiny.yaml`, each change a piece of it and what stands there instead."""
    text = RECIPE
    for old, new in changes:
        assert old in text, f"the tiny recipe has no {old!r}"
        text = text.replace(old, new)
    path = folder / "tiny.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def segad(*words: str | Path, piped: str | None = None) -> Result:
    """The command line in this process, with what a pipe brings."""
    from segad_core.cli import main

    return CliRunner().invoke(main, [str(word) for word in words], input=piped)


def run_command(
    recipe: Path, *words: str | Path, store: Path | None = None, runs: Path | None = None
) -> Result:
    """`segad run`, on the CPU, with store and runs beside the recipe unless told otherwise."""
    return segad("run", recipe, *_places(recipe, store, runs), *words)


def fit_command(recipe: Path, row: str = "SegAD", out: str = "b") -> Result:
    """`segad fit` of a row of category a, on the CPU, with the store and the bundle beside the recipe."""
    home = recipe.parent
    words = ("--category", "a", "--row", row, "--device", "cpu", "--store", home / "store")
    return segad("fit", recipe, *words, "-o", home / out)


def fitted(recipe: Path, row: str = "SegAD", out: str = "b") -> Path:
    """The bundle that `fit_command` makes."""
    result = fit_command(recipe, row, out)
    assert result.exit_code == 0, said(result)
    return recipe.parent / out


def _places(recipe: Path, store: Path | None, runs: Path | None) -> list[str | Path]:
    home = recipe.parent
    return ["--store", store or home / "store", "--runs", runs or home / "runs", "--device", "cpu"]


def said(result: Result) -> str:
    """All that a command said, once it is sure that it ended by choice and without a traceback."""
    assert isinstance(result.exception, SystemExit | None), repr(result.exception)
    assert "Traceback" not in result.output
    assert "defect in segad" not in result.output
    return result.output


def png16(pixels: NDArray[np.uint16]) -> bytes:
    """A PNG of 16 bits: (H, W) grey, or (H, W, 3) RGB, which Pillow can't write."""
    height, width = pixels.shape[:2]
    lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in pixels)
    header = struct.pack(">IIBBBBB", width, height, 16, 2 if pixels.ndim == 3 else 0, 0, 0, 0)
    return png(header, zlib.compress(lines))


def png(header: bytes, data: bytes) -> bytes:
    """A PNG from its header and its compressed data, whatever they say."""
    chunks = ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
    parts = [
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    """An image as the bytes of a file."""
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def kinds(store: Path) -> list[str]:
    """The kinds of the artifacts in a store, sorted."""
    manifests = store.glob("objects/*/*/manifest.json")
    return sorted(json.loads(path.read_text())["kind"] for path in manifests if path.parent.name[0] != ".")
