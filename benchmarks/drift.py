"""What `segad predict` says of images that look otherwise, and of images that do not; and what looking costs.

python benchmarks/drift.py elpv             # monocrystalline cells, the first 500 of the list to learn from
python benchmarks/drift.py ROOT             # a folder data set (good/, bad/): copies darkened, blurred, moved
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from segad_core import Bundle
from segad_core.bundle.format.appearance import read_appearance
from segad_core.bundle.runtime.drift import WINDOW, Drift, DriftWatch
from segad_core.images import decode
from segad_core.operate.drift import moved
from segad_core.plugins.registry import Registry

RECIPE = """\
segad: 1
title: drift
dataset: {{use: folder, params: {{root: data}}}}
image: {{size: [256, 256]}}
batch_size: 8
encoder: efficientnet_lite0
split:
  seeds: [0]
  test: {{good: 0.4, bad: 0.5}}
  detectors: {{good: 0.667}}
detectors: {{patchcore: {{use: patchcore, params: {{coreset_ratio: 0.01}}}}}}
segmenter: {segmenter}
features: [q995, skew, kurtosis, mean]
image_features: [max]
final: brf
rows: [{{name: SegAD, detectors: [patchcore]}}]
"""
MASK = (
    "{{use: static_mask, params: {{mask: {mask}, "
    "segments: [corners, border, busbars, contacts, inner_areas, outer_areas]}}}}"
)


def fitted(home: Path, good: Iterable[Path], bad: Iterable[Path], segmenter: str) -> Path:
    """A bundle that learnt from these images."""
    for name, paths in (("good", good), ("bad", bad)):
        (home / "data" / "parts" / name).mkdir(parents=True)
        for path in paths:
            shutil.copy(path, home / "data" / "parts" / name / f"{path.parent.name}-{path.name}")
    (home / "recipe.yaml").write_text(RECIPE.format(segmenter=segmenter))
    words = ["--category", "parts", "--row", "SegAD", "--device", "cpu", "--store", str(home / "store")]
    command = [sys.executable, "-m", "segad_core.cli", "fit", str(home / "recipe.yaml"), *words]
    subprocess.run([*command, "-o", str(home / "bundle")], check=True, stdout=subprocess.DEVNULL)
    return home / "bundle"


def watched(bundle: Bundle, name: str, images: Sequence[Path | np.ndarray]) -> None:
    """Inspects images and prints what is said of them."""
    watch, rejected = DriftWatch(bundle), 0
    spent = looked = 0.0
    said: list[Drift | None] = []
    begun = time.process_time()
    for found in bundle.inspect(images, explain=False):
        rejected += found.prediction.verdict == "NG"
        before = time.process_time()
        said.append(watch.add(found))
        looked += time.process_time() - before
    said += watch.end()
    spent = time.process_time() - begun
    first = next((drift for drift in said if drift), None)
    print(
        f"{name}: {len(images)} images, {rejected} NG, {watch.drifts} of {watch.compared} comparisons; "
        f"{1000 * spent / len(images):.1f} ms of processor time an image, of "
        f"which {1000 * looked / len(images):.2f} for looking"
    )
    if first:
        print(f"    {first}")
    sys.stdout.flush()


def divided(bundle: Bundle, times: int = 5000) -> None:
    """How often 32 of the good calibration images, at random, are told from the others."""
    table, kept = bundle.calibration(), read_appearance(bundle.container)
    assert kept is not None
    rows = kept.rows
    values = np.column_stack([table.features[rows], table.scores[rows], kept.values])
    rng, names, alarms = np.random.default_rng(0), [""] * values.shape[1], 0
    for _ in range(times):
        order = rng.permutation(len(values))
        alarms += bool(moved(names, values[order[WINDOW:]], values[order[:WINDOW]], len(names)))
    print(f"{len(values)} good calibration images, {WINDOW} of them at random: {alarms} of {times} reported")


def elpv(home: Path) -> None:
    """Cells in the order of the list; a random sixth of the first 500 good ones is kept apart."""
    registry = Registry()
    data = registry.component(registry.find("datasets", "elpv"))(None, "cpu")
    cells = data.samples("mono")
    first, later = cells[:500], cells[500:]
    good = [one.path for one in first if one.label == 0]
    apart = set(random.Random(0).sample(good, len(good) // 6))
    mask = Path(__file__).parents[1] / "recipes" / "masks" / "elpv_mono.png"
    bad = [one.path for one in first if one.label == 1]
    with Bundle.load(
        fitted(home, [p for p in good if p not in apart], bad, MASK.format(mask=mask))
    ) as bundle:
        divided(bundle)
        watched(bundle, "good cells of the first 500, kept apart", sorted(apart))
        watched(bundle, "good cells from further down", [one.path for one in later if one.label == 0])


def folder(home: Path, root: Path) -> None:
    """Two fifths of the good images are kept apart, and changed in several ways."""
    good, bad = (sorted((root / name).rglob("*.jpg")) for name in ("good", "bad"))
    apart = set(random.Random(0).sample(good, 2 * len(good) // 5))
    with Bundle.load(fitted(home, [p for p in good if p not in apart], bad, "whole_image")) as bundle:
        paths = random.Random(1).sample(sorted(apart), len(apart))
        images = [Image.fromarray(decode(path).pixels) for path in paths]

        def changed(name: str, change: Callable[[Image.Image], Image.Image]) -> None:
            watched(bundle, name, [np.asarray(change(image)) for image in images[:64]])

        divided(bundle)
        watched(bundle, "as they are", [np.asarray(image) for image in images])
        for percent in (97, 95, 90):
            changed(f"{percent} % of the brightness", lambda i, p=percent: i.point(lambda v: v * p / 100))
        for radius in (0.5, 1.0, 2.0):
            changed(f"blurred by {radius} pixels", lambda i, r=radius: i.filter(ImageFilter.GaussianBlur(r)))
        for share in (0.01, 0.02, 0.05):
            changed(f"moved right by {share:.0%} of the width", lambda i, s=share: shifted(i, s))
        half = [np.asarray(image) for image in images[:48]]
        dark = [np.asarray(image.point(lambda v: v * 0.9)) for image in images[48:96]]
        watched(bundle, "90 % of the brightness from the 49th image on", half + dark)


def shifted(image: Image.Image, share: float) -> Image.Image:
    """The image moved to the right; what leaves it comes in on the left, where the ground is even, too."""
    pixels = np.asarray(image)
    return Image.fromarray(np.roll(pixels, round(share * pixels.shape[1]), axis=1))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        if sys.argv[1] == "elpv":
            elpv(Path(place))
        else:
            folder(Path(place), Path(sys.argv[1]))
