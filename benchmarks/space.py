"""Memory and disk space of a run as estimated by `segad check`, compared with measurements, per learner.

    VAD_ROOT=/data/vad python benchmarks/space.py

Networks, batch sizes and image size are those of `vad_highshot`, with few images and steps. Each learner runs
through the engine on the CPU in a separate process, which records its peak memory above the memory before the
first task. Without `VAD_ROOT` the images are noise, and the encoder has random weights: neither matters here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

IMAGES = {"train/good": 80, "train/bad": 20, "test/good": 10, "test/bad": 8, "test/bad_unseen_defects": 2}
LEARNERS = {
    "fastflow": ("epochs: 1",),
    "rd4ad": ("epochs: 1",),
    "patchcore": (),
    "efficientad": ("iterations: 2", "teacher_iterations: 1"),
    "wrn": ("epochs: 1",),
    "devnet": ("epochs: 1", "steps_per_epoch: 2"),
    "dra": ("epochs: 1", "steps_per_epoch: 2"),
}


def main() -> None:
    """Prints a table with a row for each learner."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        weights = _random_weights(home)
        environment = {**os.environ, "TORCH_HOME": str(home)}
        if "VAD_ROOT" not in environment:
            environment["VAD_ROOT"] = str(_noise(home / "vad"))
        print("| learner | memory, estimated | measured | in the store, estimated | measured |")
        print("| --- | ---: | ---: | ---: | ---: |", flush=True)
        for alias in sys.argv[1:] or LEARNERS:
            words = [sys.executable, __file__, "--measure", alias, str(weights), str(home / f"store_{alias}")]
            result = subprocess.run(words, env=environment, check=True, capture_output=True, text=True)
            memory, peak, stored, kept = json.loads(result.stdout.splitlines()[-1])
            sizes = " | ".join(f"{size / 2**20:,.0f} MiB" for size in (memory, peak, stored, kept))
            print(f"| {alias} | {sizes} |", flush=True)


def measure(alias: str, weights: Path, store_folder: Path) -> None:
    """Runs the recipe with one learner; prints the estimates and the measurements."""
    from segad_core.plugins.registry import Registry
    from segad_core.recipe import load_recipe
    from segad_core.recipe.find import locate
    from segad_core.run.cells import RowTask
    from segad_core.run.estimates import needs
    from segad_core.run.prepare import prepare
    from segad_core.run.tasks import execute
    from segad_core.store.store import Store

    kind = "classifiers" if alias in ("wrn", "devnet", "dra") else "detectors"
    row = f"detectors: [{alias}]" if kind == "detectors" else f"score: {alias}"
    settings = [
        "split.seeds=[0]",
        f"encoder.params.file={weights}",
        f"rows=[{{name: one, {row}}}]",
        *(f"{kind}.{alias}.params.{word.replace(': ', '=')}" for word in LEARNERS[alias]),
    ]
    if kind == "classifiers":  # torch's cache has no published weights: use random ones
        name = "wide_resnet50_2" if alias == "wrn" else "resnet18"
        settings.append(f"{kind}.{alias}.params.file={weights.with_name(f'{name}.safetensors')}")
    recipe = load_recipe(str(locate("vad_highshot")), Registry(third_parties=False), settings)
    store = Store(store_folder)
    prepared = prepare(recipe, store)
    estimate = needs(prepared.plans, store)
    before = _disk(store_folder)
    if recipe.encoder:  # the estimate does not include its weights
        recipe.encoder.build().encode(np.zeros((1, 64, 64, 3), np.uint8), ("layer1", "layer2", "layer3"))
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    base = _status("VmRSS")
    for task in prepared.plans[0].tasks:
        execute(task, store, "cpu", lambda *_: None)
        if not isinstance(task, RowTask):
            print(f"{task.name}: {(_status('VmHWM') - base) / 2**20:,.0f} MiB", file=sys.stderr, flush=True)
    kept = _disk(store_folder) - before
    print(json.dumps([estimate.memory, _status("VmHWM") - base, sum(estimate.stored.values()), kept]))


def _status(name: str) -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return 1024 * int(line.split()[1])


def _disk(folder: Path) -> int:
    """The disk space of files and folders, in bytes of whole blocks."""
    return sum(512 * path.lstat().st_blocks for path in folder.rglob("*"))


def _random_weights(home: Path) -> Path:
    import torchvision
    from safetensors.torch import save_file

    for name in ("wide_resnet50_2", "resnet18"):
        save_file(torchvision.models.get_model(name).state_dict(), home / f"{name}.safetensors")
    return home / "wide_resnet50_2.safetensors"


def _noise(root: Path) -> Path:
    rng = np.random.default_rng(0)
    for folder, count in IMAGES.items():
        (root / folder).mkdir(parents=True)
        for number in range(count):
            pixels = rng.integers(0, 256, (512, 512, 3), np.uint8)
            Image.fromarray(pixels).save(root / folder / f"{number:04}.png")
    return root


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
    else:
        main()
