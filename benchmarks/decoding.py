"""How fast images are decoded and inventories taken.

python benchmarks/decoding.py [--images 64] [--tiny 5000]
"""

from __future__ import annotations

import argparse
import io
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from segad_core.base.decoding import Decoding
from segad_core.contracts import Sample
from segad_core.images import FileImageSet, take_inventory
from segad_core.images.image_set import Preprocessing
from segad_core.store.store import Store


def pictures(folder: Path, count: int, side: int, suffix: str) -> list[Sample]:
    """Different images of smooth noise, which compress as photographs do."""
    rng, samples = np.random.default_rng(0), []
    coarse = rng.integers(0, 256, (side // 8 + 1, side // 8 + 1, 3), dtype=np.uint8)
    base = np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))
    for i in range(count):
        data = io.BytesIO()
        pixels = np.roll(base, i + 1, axis=1).copy()
        pixels[0, 0] = (i % 256, i // 256, 0)
        Image.fromarray(pixels).save(data, "png" if suffix == ".png" else "jpeg")
        path = folder / f"{i:05d}{suffix}"
        path.write_bytes(data.getvalue())
        samples.append(Sample(path.name, path, 0))
    return samples


def timed(what: str, count: int, work: Callable[[], object]) -> None:
    start = time.perf_counter()
    work()
    seconds = time.perf_counter() - start
    print(f"{what:45} {seconds:7.2f} s  {count / seconds:8.0f} images/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=64, help="JPEGs of 2000 x 2000")
    parser.add_argument("--tiny", type=int, default=5000, help="PNGs of 32 x 32")
    given = parser.parse_args()
    print(f"{len(os.sched_getaffinity(0))} cores")
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        (folder / "large").mkdir()
        (folder / "tiny").mkdir()
        large = pictures(folder / "large", given.images, 2000, ".jpg")
        images = FileImageSet(large, Preprocessing((256, 256)))
        timed("decode and resize, 2000 x 2000", given.images, lambda: [len(b) for b in images.batches()])
        store = Store(folder / "store")
        timed("inventory, 2000 x 2000", given.images, lambda: take_inventory(large, Decoding(), store))
        tiny = pictures(folder / "tiny", given.tiny + 1, 32, ".png")
        most = tiny[: given.tiny]
        timed("inventory, tiny, cold", given.tiny, lambda: take_inventory(most, Decoding(), store))
        timed("inventory, tiny, warm", given.tiny, lambda: take_inventory(most, Decoding(), store))
        timed("inventory, tiny, one image more", given.tiny, lambda: take_inventory(tiny, Decoding(), store))


if __name__ == "__main__":
    main()
