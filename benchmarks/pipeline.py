"""What the parts of a prediction take alone, what they take together, and whether memory stays flat.

    python benchmarks/pipeline.py FOLDER                 # good and bad images of one part
    python benchmarks/pipeline.py FOLDER --images 10000 --rounds 1 -o pipeline.json

Makes a bundle of `benchmarks/pipeline.yaml` from some of the images, in a temporary folder. In each round,
the parts work one after the other on the same batches, each timed, then all of them as `Bundle.batches` runs
them: with the next batch decoded ahead, and with the networks ahead, too, as where a core is free. Files are
read once before. Set OMP_NUM_THREADS for another number of threads.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as in segad's command line

PARTS = ("decode and resize", "networks and segments", "statistics", "forest, reasons and regions")
LEARNT_FROM = {"good": 110, "bad": 40}
ORDER, DECODED, OVERLAPPED = "one after the other", "decoded ahead", "networks ahead, too"
WHOLE = (DECODED, OVERLAPPED)
Seconds = dict[str, tuple[float, float]]
"""By the wall and of the processor, by part."""


def main() -> None:
    """Measures and prints a table."""
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    given.add_argument("folder", type=Path, help="with the folders good and bad")
    given.add_argument("--images", type=int, default=320, help="how many are scored in each round")
    given.add_argument("--rounds", type=int, default=3)
    given.add_argument("--explain", action="store_true", help="reasons of all images, not of NG ones alone")
    given.add_argument("-o", "--output", type=Path, help="a file for all figures, as JSON")
    options = given.parse_args()

    from segad_core.bundle.runtime.bundle import Bundle

    with tempfile.TemporaryDirectory() as home, Bundle.load(_bundle(options.folder, Path(home))) as bundle:
        images = [str(path) for path in islice(cycle(_files(options.folder)), options.images)]
        list(bundle.batches(images[:16], options.explain))
        _read_once(set(images))
        rounds = []
        for number in range(options.rounds):
            rounds.append(_alone(bundle, images, options.explain))
            for way in WHOLE if number % 2 else WHOLE[::-1]:
                rounds[-1][way], memory = _together(bundle, images, options.explain, way)
                print(f"round {number + 1}, {way}: {memory[0]:.0f} MiB early, {memory[1]:.0f} MiB late")
    found = {
        **_machine(),
        "images": len(images),
        "batch": bundle.manifest.pipeline.batch_size,
        "explain": options.explain,
        "seconds": rounds,
        "memory_mib": memory,
    }
    print(_table(rounds, len(images)))
    print(", ".join(f"{name} {value}" for name, value in found.items() if name not in ("seconds",)))
    if options.output:
        options.output.write_text(json.dumps(found, indent=1))


def _bundle(folder: Path, home: Path) -> Path:
    from segad_core.cli import main as segad

    for label, count in LEARNT_FROM.items():
        (home / "parts" / label).mkdir(parents=True)
        for number, path in enumerate(_files(folder / label)[:count]):
            (home / "parts" / label / f"{number:03}{path.suffix}").symlink_to(path.resolve())
    os.environ["PARTS"] = str(home / "parts")
    words = ["--category", "parts", "--row", "PatchCore + SegAD", "--device", "cpu"]
    recipe = Path(__file__).with_suffix(".yaml")
    try:
        segad(["fit", str(recipe), *words, "--store", str(home / "store"), "-o", str(home / "it")])
    except SystemExit as end:
        if end.code:
            raise
    return home / "it"


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".png", ".jpg", ".jpeg"))


def _read_once(images: set[str]) -> None:
    for image in images:
        Path(image).read_bytes()


class _Clock:
    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}

    @contextmanager
    def of(self, part: str) -> Iterator[None]:
        wall, processor = time.perf_counter(), time.process_time()
        yield
        own = self.seconds.setdefault(part, [0.0, 0.0])
        own[0] += time.perf_counter() - wall
        own[1] += time.process_time() - processor


def _alone(bundle: Any, images: Sequence[str], explain: bool) -> Seconds:
    """The parts one after the other; decoding by as many threads as in a prediction."""
    from segad_core.base.parallel import threads
    from segad_core.bundle.runtime.stream import reader

    size, clock = bundle.manifest.pipeline.preprocessing().at_once, _Clock()
    read, computed = reader(bundle.manifest.pipeline, bundle.pipeline), bundle.pipeline.scoring.computed
    with ThreadPoolExecutor(threads()) as pool:
        for begin in range(0, len(images), size):
            with clock.of(PARTS[0]):
                opened = list(pool.map(bundle._open, range(size), images[begin : begin + size]))
            with clock.of(PARTS[1]):
                done = read(opened)
            with clock.of(PARTS[2]):
                computed(done.batch)
            with clock.of(PARTS[3]):
                bundle._inspect(opened, explain, read, done)  # statistics again
    total = clock.seconds
    total[PARTS[3]] = [a - b for a, b in zip(total[PARTS[3]], total[PARTS[2]], strict=True)]
    total[ORDER] = [sum(own) for own in zip(*total.values(), strict=True)]
    return {part: (own[0], own[1]) for part, own in total.items()}


def _together(
    bundle: Any, images: Sequence[str], explain: bool, way: str
) -> tuple[tuple[float, float], tuple[float, float]]:
    """All parts as a prediction runs them; and the most memory in the first and in the last tenth."""
    from segad_core.bundle.runtime import bundle as module

    clock, memory = _Clock(), []
    with patch.object(module, "free_core", lambda device: way == OVERLAPPED), clock.of(way):
        for batch in bundle.batches(images, explain):
            assert all(one.prediction.score is not None for one in batch)
            memory.append(_resident())
    tenth = max(1, len(memory) // 10)
    wall, processor = clock.seconds[way]
    return (wall, processor), (max(memory[:tenth]), max(memory[-tenth:]))


def _resident() -> float:
    """The memory of this process, in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _machine() -> dict[str, Any]:
    from segad_core.base.parallel import compute_threads, cores, free_core

    return {
        "cores": cores(),
        "threads": compute_threads(),
        "a core is free": free_core("cpu"),
        "load": round(os.getloadavg()[0], 2),
        "date": time.strftime("%Y-%m-%d"),
    }


def _table(rounds: Sequence[Seconds], count: int) -> str:
    """Medians of the rounds, for an image."""

    def of(part: str, pick: Callable[[tuple[float, float]], float]) -> float:
        return 1000 * median(pick(one[part]) for one in rounds) / count

    wall = {part: of(part, lambda pair: pair[0]) for part in (*PARTS, ORDER, *WHOLE)}
    slowest = max(wall[part] for part in PARTS)
    lines = [
        "| | wall, ms an image | images a second | processor, ms an image | of the slowest part's rate |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for part in (*PARTS, ORDER, *WHOLE):
        share = f"{slowest / wall[part]:.0%}" if part not in PARTS else ""
        processor = of(part, lambda pair: pair[1])
        lines.append(f"| {part} | {wall[part]:.2f} | {1000 / wall[part]:.0f} | {processor:.2f} | {share} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
