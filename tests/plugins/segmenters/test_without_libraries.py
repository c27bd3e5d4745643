"""Segmenters that exported bundles keep run where only NumPy is installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from trainings import seed_run

from segad_core.testing import ArrayImageSet, TinyEncoder, good_images, image_batch
from segad_plugins.segmenters.clusters import Clusters
from segad_plugins.segmenters.foreground import Foreground

LAYERS = ("layer1", "layer2")
PIXELS = good_images(4, 64, 48) // 8
for number, image in enumerate(PIXELS):
    image[10 + number : 42 + number, 14:38] += 150  # an object

ELSEWHERE = """
import sys

class Blocked:
    missing = {"torch", "scipy", "sklearn", "numba", "pandas", "xgboost", "threadpoolctl"}

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.missing:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Blocked())
from pathlib import Path
import numpy as np
from segad_core.api import ImageBatch, Sample
from segad_plugins.detectors.precomputed import Precomputed as Maps
from segad_plugins.segmenters.clusters import Clusters
from segad_plugins.segmenters.foreground import Foreground
from segad_plugins.segmenters.precomputed import Precomputed
from segad_plugins.segmenters.static_mask import StaticMask
from segad_plugins.segmenters.whole_image import WholeImage

folder = Path(sys.argv[1])
given = np.load(folder / "given.npz")
layers = {name: given[name] for name in ("layer1", "layer2")}
state = {name: given[name] for name in given.files if name not in {"pixels", *layers}}
samples = [Sample(str(i), Path(str(i)), 0) for i in range(len(given["pixels"]))]
load = lambda sample: given["pixels"][int(sample.id)].repeat(2, axis=0).repeat(2, axis=1)
batch = ImageBatch(samples, given["pixels"], lambda _: layers, load)
clusters = Clusters(Clusters.Params(layers=("layer1", "layer2"), k=3))
clusters.restore(state)
drawn = {"components": folder / "drawn.npy", "segments": ["background", "object", "part"], "least_fit": 0}
foreground = Foreground(Foreground.Params.model_validate(drawn))
mask = StaticMask(StaticMask.Params(mask=folder / "drawn.npy", segments=["a", "b", "c"]))
np.savez(
    folder / "found.npz",
    clusters=clusters.segment(batch),
    foreground=foreground.segment(batch),
    mask=mask.segment(batch),
    whole=WholeImage().segment(batch),
)
"""


def test_the_same_segments(tmp_path: Path) -> None:
    images = ArrayImageSet(PIXELS, TinyEncoder(), LAYERS)
    clusters = Clusters(Clusters.Params(layers=LAYERS, k=3))
    clusters.fit(images, seed_run())
    drawn = np.zeros((64, 48), np.uint8)
    drawn[16:48, 12:36], drawn[20:30, 16:26] = 1, 2
    np.save(tmp_path / "drawn.npy", drawn)
    np.savez(tmp_path / "given.npz", pixels=PIXELS, **images.features(), **clusters.state())
    subprocess.run([sys.executable, "-c", ELSEWHERE, str(tmp_path)], check=True, timeout=120)

    found = np.load(tmp_path / "found.npz")
    batch = image_batch(PIXELS, TinyEncoder(), LAYERS)
    named = ["background", "object", "part"]
    params = {"components": tmp_path / "drawn.npy", "segments": named, "least_fit": 0}
    foreground = Foreground(Foreground.Params.model_validate(params))
    np.testing.assert_array_equal(found["clusters"], clusters.segment(batch))
    np.testing.assert_array_equal(found["foreground"], foreground.segment(batch))
    np.testing.assert_array_equal(found["mask"][0], drawn)
    assert all(set(labels.flat) == {0, 1, 2} for labels in found["foreground"])
    assert len(np.unique(found["clusters"])) == 3 and not found["whole"].any()
