"""Throughput of the segment statistics on one core: a straightforward loop compared with the plugins.

    python benchmarks/segment_statistics.py [--maps 128]

Per map and segment: quantile .995, skewness, kurtosis and mean of 256x256 float32 maps with 7
segments. The loop selects a segment's pixels with a mask and calls numpy and scipy. The plugins are
called as in a run: one map at a time, its values grouped by segment. If one segmentation map
applies to all images ("static"), the grouping is computed once; otherwise ("per image") it is part
of the measured work. Compilation, or reading kept kernels, is timed separately. Times are of the
processor, medians over interleaved repeats. The script fails if a result differs from that of the
loop in float64 by more than 1e-6.
"""

import os

for name in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import argparse
import platform
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numba
import numpy as np
import scipy
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.stats import kurtosis, skew

from segad_core.scoring.segments import SegmentOrder
from segad_plugins.features.moments import Kurtosis, Mean, Skew
from segad_plugins.features.order import Quantile995

Maps = Sequence[NDArray[np.floating]]
LabelMaps = Sequence[NDArray[np.uint8]]
Table = NDArray[np.float64]

SIDE = 256
REPEATS = 5
# A large body on the background, and successively smaller parts on it: (row, column, radius).
PARTS = ((128, 128, 120), (90, 80, 45), (90, 180, 40), (190, 120, 30), (60, 128, 16), (200, 200, 11))
SEGMENTS = len(PARTS) + 1
FEATURES = (Quantile995(), Skew(), Kurtosis(), Mean())


def draw_map(rng: np.random.Generator) -> NDArray[np.float32]:
    """Smooth, positive and heavy-tailed, like an upsampled anomaly map."""
    smooth = gaussian_filter(rng.standard_normal((SIDE, SIDE)), 4)
    return np.exp(10 * smooth).astype(np.float32)


def draw_labels(down: int = 0, right: int = 0) -> NDArray[np.uint8]:
    labels = np.zeros((SIDE, SIDE), np.uint8)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    for label, (row, column, radius) in enumerate(PARTS, 1):
        labels[(rows - row - down) ** 2 + (columns - column - right) ** 2 < radius**2] = label
    return labels


def loop(maps: Maps, label_maps: LabelMaps) -> Table:
    rows = []
    for each, labels in zip(maps, label_maps, strict=True):
        for label in range(SEGMENTS):
            segment = each[labels == label]
            rows.append((np.quantile(segment, 0.995), skew(segment), kurtosis(segment), np.mean(segment)))
    return np.array(rows, np.float64)


def plugins(maps: Maps, orders: Iterable[SegmentOrder]) -> Table:
    rows = []
    for each, order in zip(maps, orders, strict=True):
        values = order.group(each)
        rows.append(np.concatenate([feature.compute(values) for feature in FEATURES], axis=1))
    return np.concatenate(rows)


def order_of(labels: NDArray[np.uint8]) -> SegmentOrder:
    return SegmentOrder.of(labels, SEGMENTS)


def cost(work: Callable[[], Table], maps: int) -> float:
    """Processor time of a map, in microseconds."""
    start = time.process_time()
    work()
    return (time.process_time() - start) / maps * 1e6


def processor() -> str:
    """The processor model according to Linux, or else according to Python."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--maps", type=int, default=128)
    count = parser.parse_args().maps
    rng = np.random.default_rng(0)
    maps = [draw_map(rng) for _ in range(count)]
    same = [draw_labels()] * count
    moving = [draw_labels(*rng.integers(-8, 9, 2)) for _ in range(count)]

    start = time.process_time()
    static = [order_of(same[0])] * count
    plugins(maps[:1], static[:1])
    compilation = time.process_time() - start

    ways: dict[str, tuple[LabelMaps, Callable[[], Table]]] = {
        "loop": (same, lambda: loop(maps, same)),
        "plugins, static": (same, lambda: plugins(maps, static)),
        "plugins, per image": (moving, lambda: plugins(maps, map(order_of, moving))),
    }
    exact = [each.astype(np.float64) for each in maps]
    for name, (label_maps, work) in ways.items():
        if name != "loop":
            np.testing.assert_allclose(work(), loop(exact, label_maps), rtol=1e-6)
    # Every repeat runs all ways, so that a slow moment of the machine does not affect only one.
    costs = np.array([[cost(work, count) for _, work in ways.values()] for _ in range(REPEATS)])

    print(f"{processor()}, one core, python {platform.python_version()}")
    print(f"numpy {np.__version__}, scipy {scipy.__version__}, numba {numba.__version__}")
    print(f"{count} maps, segments of {np.bincount(same[0].ravel()).tolist()} pixels, {REPEATS} repeats")
    print(f"compilation, once per process: {compilation:.1f} s")
    ratios = costs[:, :1] / costs
    print(f"{'':22}{'us a map':>10}{'min':>8}{'max':>8}{'speed-up':>10}{'min':>8}{'max':>8}")
    for place, name in enumerate(ways):
        figures = [(f(costs[:, place]), f(ratios[:, place])) for f in (np.median, np.min, np.max)]
        times, ups = zip(*figures, strict=True)
        print(
            f"{name:22}{times[0]:10.0f}{times[1]:8.0f}{times[2]:8.0f}{ups[0]:10.1f}{ups[1]:8.1f}{ups[2]:8.1f}"
        )


if __name__ == "__main__":
    main()
