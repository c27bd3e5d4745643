"""Makes what the tests need: exported bundles, images, and what all of segad says of them.

python prepare.py FOLDER    with segad itself installed
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = (80, 96)
RECIPE = """\
segad: 1
title: runtime
dataset: {use: folder, params: {root: data}}
image: {size: [64, 64], fit: pad}
batch_size: 4
encoder: efficientnet_lite0
split:
  seeds: [0]
  test: {good: 12, bad: 6}
  detectors: {good: 8}
  classifiers: {good: rest, bad: rest}
detectors:
  patchcore: {use: patchcore, params: {coreset_ratio: 0.1, blur_sigma: 1}}
classifiers:
  probe: {use: linear_probe, out_of_fold: 3}
segmenter: {use: static_mask, params: {mask: mask.png, segments: [left, right]}}
features: [q995, skew, kurtosis, mean]
image_features: [max]
final: blend
rows:
  - {name: SegAD, detectors: [patchcore], classifier: probe}
"""

SMALL = """\
segad: 1
title: examples
dataset: {use: folder, params: {root: small}}
image: {size: [64, 64]}
batch_size: 4
encoder: efficientnet_lite0
split:
  seeds: [0]
  test: {good: 6, bad: 6}
  detectors: {good: 8}
  final: {good: rest, bad: {from: train, amount: rest}}
detectors:
  patchcore: {use: patchcore, params: {coreset_ratio: 0.1, blur_sigma: 1}}
segmenter: {use: static_mask, params: {mask: fine.png, segments: [left, right, dot, none]}}
features: [q995, skew, kurtosis, mean, std]
image_features: [max]
final: {use: brf, params: {num_parallel_tree: 20}}
rows:
  - {name: SegAD, detectors: [patchcore]}
"""


def draw(folder: Path, count: int, bad: bool, rng: np.random.Generator, size: tuple[int, int] = SIZE) -> None:
    """Draws grey plates, bad ones with a scratch, also as PPM in a folder `ppm` beside that of all."""
    plain = folder.parents[1] / "ppm" / folder.name
    for new in (folder, plain):
        new.mkdir(parents=True)
    for number in range(count):
        plate = rng.normal(120, 12, (*size, 3))
        if bad:
            row, column = rng.integers(8, min(size) - 20, 2)
            plate[row : row + 5, column : column + 24] += 90
        image = Image.fromarray(plate.clip(0, 255).astype(np.uint8))
        image.save(folder / f"{number:02}.png")
        image.save(plain / f"{number:02}.ppm")


def main(place: Path) -> None:
    """Fills a new folder."""
    place.mkdir()
    rng = np.random.default_rng(0)
    draw(place / "data" / "plate" / "good", 40, False, rng)
    draw(place / "data" / "plate" / "bad", 20, True, rng)
    draw(place / "lot" / "parts" / "even", 5, False, rng)
    draw(place / "lot" / "parts" / "scratched", 5, True, rng)
    (place / "lot" / "parts" / "torn.png").write_bytes(b"torn")
    mask = np.zeros((80, 96), np.uint8)
    mask[:, 48:] = 1
    Image.fromarray(mask).save(place / "mask.png")
    (place / "recipe.yaml").write_text(RECIPE)
    draw(place / "small" / "plate" / "good", 34, False, rng, (64, 64))
    draw(place / "small" / "plate" / "bad", 20, True, rng, (64, 64))
    fine = np.zeros((128, 128), np.uint8)  # every other pixel is left out at the size of the images
    fine[:, 64:] = 1
    fine[33, 33], fine[0, 0] = 2, 3
    Image.fromarray(fine).save(place / "fine.png")
    (place / "small.yaml").write_text(SMALL)

    def segad(*words: str | Path, codes: tuple[int, ...] = (0,)) -> None:
        command = ["-P", "-m", "segad_core.cli", *map(str, words)]
        code = subprocess.run([sys.executable, *command], cwd=place).returncode
        if code not in codes:
            raise SystemExit(f"{' '.join(command)}: exit code {code}")

    segad("fit", "recipe.yaml", "--category", "plate", "--row", "SegAD", "-o", "whole.segad")
    for engine in ("onnx", "openvino"):
        segad("export", "whole.segad", "-o", f"{engine}.segad", "--to", engine)
    segad("fit", "small.yaml", "--category", "plate", "--row", "SegAD", "-o", "small.segad")
    segad("export", "small.segad", "-o", "examples.segad", "--to", "onnx")
    segad("predict", "whole.segad", "lot/parts", "-o", "whole.jsonl", codes=(3,))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
