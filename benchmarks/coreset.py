"""Greedy coreset selection: a plain loop in torch compared with the pruned kernel, on synthetic features.

    python benchmarks/coreset.py [--n 100000 470000] [--d 152 341] [--spread 0.8]

The data resemble patch features: a mixture of 64 overlapping clusters on 48 latent axes of decreasing size,
passed through a random ReLU layer, plus noise. At the default spread, about as few distances can be pruned as
for features of a pretrained network; a smaller spread separates the clusters, and pruning becomes more
effective.
"""

import argparse
import os
import platform
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numba
import numpy as np
import torch
from numpy.typing import NDArray

from segad_plugins.detectors.coreset import select
from segad_plugins.detectors.estimates import coreset_cost

Floats = NDArray[np.float32]
Distances = Callable[[torch.Tensor], torch.Tensor]


def features(n: int, d: int, spread: float, seed: int = 0) -> Floats:
    rng = np.random.default_rng(seed)
    size = np.arange(1, 49, dtype=np.float32)[:, None] ** -0.5
    centres = rng.standard_normal((64, 48), np.float32)
    inner = rng.standard_normal((48, 256), np.float32) * size
    outer = rng.standard_normal((256, d), np.float32) / 16
    points = np.empty((n, d), np.float32)
    for low in range(0, n, 8192):
        block = points[low : low + 8192]
        latent = centres[rng.integers(64, size=len(block))]
        latent += np.float32(spread) * rng.standard_normal(latent.shape, np.float32)
        block[:] = np.maximum(latent @ inner, 0) @ outer
        block += np.float32(0.3) * rng.standard_normal(block.shape, np.float32)
    return points


def plain(points: torch.Tensor) -> Distances:
    """Squared differences, written in the usual way."""
    return lambda centre: (points - centre).square_().sum(1)


def by_products(points: torch.Tensor) -> Distances:
    """|x|^2 - 2 x.c + |c|^2: one pass over the points, but inexact because of cancellation."""
    norms = points.square().sum(1)
    return lambda centre: (norms - 2 * (points @ centre) + centre @ centre).clamp_(min=0)


def picks_per_second(method: Callable[[torch.Tensor], Distances], points: Floats, seconds: float) -> float:
    """The rate of a plain loop, from its first picks: each pick costs the same."""
    rows = torch.from_numpy(points)
    distances = method(rows)
    nearest = distances(rows[0])  # also warms up
    new = nearest.argmax()
    begin, picks = time.perf_counter(), 0
    while time.perf_counter() - begin < seconds:
        torch.minimum(nearest, distances(rows[new]), out=nearest)
        nearest[new] = 0
        new = nearest.argmax()
        picks += 1
    return picks / (time.perf_counter() - begin)


def compare(n: int, d: int, count: int, spread: float, seconds: float) -> None:
    points = features(n, d, spread)
    cost = coreset_cost(n, d, count)
    print(f"\nn {n:,}  d {d}  picks {count:,}  ({cost.total_bytes / 1e9:.2f} GB)")
    begin = time.perf_counter()
    selection = select(points, count, 0)
    kernel = time.perf_counter() - begin
    for name, method in (("plain", plain), ("by products", by_products)):
        rate = picks_per_second(method, points, seconds)
        total = count / rate
        ratio = total / kernel
        print(f"  {name:12}{rate:8.1f} picks/s {total:8.1f} s (extrapolated)  {ratio:6.1f} x the kernel")
    pruned = 1 - (selection.evaluated + selection.between_picks) / (n * count)
    triangle = 1 - selection.sketched / (n * count)
    print(f"  {'kernel':12}{count / kernel:8.1f} picks/s {kernel:8.1f} s (measured)")
    print(f"  pruned {pruned:.2%} of the distances; the triangle inequality alone {triangle:.2%}", flush=True)


def cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--n", type=int, nargs="+", default=[100_000, 470_000])
    parser.add_argument("--d", type=int, nargs="+", default=[152, 341])
    parser.add_argument("--ratio", type=float, default=0.01)
    parser.add_argument("--spread", type=float, default=0.8, help="width of a cluster")
    parser.add_argument("--seconds", type=float, default=5, help="time spent on each plain loop")
    args = parser.parse_args()

    print(f"CPU {cpu_model()}, load before {os.getloadavg()[0]:.2f}, spread {args.spread}")
    print(", ".join(f"{name} {version(name)}" for name in ("numpy", "torch", "numba")), end=", ")
    print(f"Python {platform.python_version()}")
    print(f"threads: torch {torch.get_num_threads()}, numba {numba.get_num_threads()}")
    print(f"The plain loops are timed over their first {args.seconds:g} s of picks and extrapolated.")
    begin = time.perf_counter()
    select(features(100, args.d[0], args.spread), 2, 0)
    print(f"Compiling the kernel took {time.perf_counter() - begin:.1f} s, not counted below.")
    for n in args.n:
        for d in args.d:
            compare(n, d, int(args.ratio * n), args.spread, args.seconds)


if __name__ == "__main__":
    main()
