"""AUROC and FPR@95TPR on clean test images after training on wrong labels.

    python benchmarks/noise.py elpv --category mono
    SEGAD_DATA=... python benchmarks/noise.py benchmarks/noise_folder.yaml --category NAME

Two kinds of noise, for each seed of the recipe, with segad's own splits:

- labels: a share of the labels that the probe and the final classifiers learn from is flipped;
- hidden: bad parts are hidden among the detector's good training images, as a share of these. They are taken
  from those of the final classifier, which lacks as many in every line. The detector leaves out a share of
  `outliers`.

A larger share holds the errors of a smaller one. The images are encoded once.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from segad_core.contracts import ImageBatch, Run, Sample, VectorClassifier
from segad_core.evaluate import auroc
from segad_core.evaluate.metrics import fpr_at_tpr
from segad_core.images.image_set import FileImageSet, Preprocessing
from segad_core.plugins.registry import Registry
from segad_core.recipe import Recipe, load_recipe
from segad_core.run.prepare import prepare
from segad_core.scoring.batch import NamedDetector, ScoringPass
from segad_core.scoring.layout import FeatureLayout
from segad_core.scoring.segmentation import NamedSegmenter
from segad_core.scoring.statistics import MapStatistics
from segad_core.store.store import Store
from segad_plugins.classifiers.linear_probe import LinearProbe
from segad_plugins.detectors.patchcore import PatchCore
from segad_plugins.final_classifiers.blend import Blend
from segad_plugins.logistic_regression import folds_of

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DETECTOR, PROBE = "patchcore", "probe"
SEGAD, BLEND = f"PatchCore + {PROBE} + SegAD", f"PatchCore + {PROBE} + SegAD (blend)"


@dataclass
class Kept:
    """Images that were decoded and encoded before, as a set to train on."""

    samples: Sequence[Sample]
    pixels_: NDArray[np.uint8]
    layers: Mapping[str, NDArray[np.float32]]

    def __len__(self) -> int:
        return len(self.samples)

    def of(self, indices: Sequence[int] | Ints) -> Kept:
        layers = {name: layer[indices] for name, layer in self.layers.items()}
        return Kept([self.samples[i] for i in indices], self.pixels_[indices], layers)

    def features(self) -> Mapping[str, NDArray[np.float32]]:
        return self.layers

    def batches(self, size: int = 8) -> Iterator[ImageBatch]:
        for start in range(0, len(self), size):
            layers = {name: layer[start : start + size] for name, layer in self.layers.items()}
            end = start + size
            yield ImageBatch(self.samples[start:end], self.pixels_[start:end], lambda _, found=layers: found)


def encoded(recipe: Recipe, samples: Sequence[Sample]) -> tuple[Kept, dict[str, NDArray[np.float32]]]:
    """The images with the detector's layers, and the vectors of the probe."""
    encoder, image = recipe.encoder.build(), recipe.skeleton.image
    names = PatchCore().layers()
    preprocessing = Preprocessing(image.size, image.decoding(), recipe.skeleton.batch_size)
    images = FileImageSet(samples, preprocessing, encoder, tuple(encoder.layers()))
    probe, pixels, layers, vectors = LinearProbe(), [], {n: [] for n in names}, {}
    for batch in images.batches():
        pixels.append(batch.pixels)
        for name in names:
            layers[name].append(np.asarray(batch.features()[name], np.float32))
        for name, block in probe.vectors(batch).items():
            vectors.setdefault(name, []).append(block)
    joined = {name: np.concatenate(blocks) for name, blocks in vectors.items()}
    return Kept(samples, np.concatenate(pixels), {n: np.concatenate(b) for n, b in layers.items()}), joined


@dataclass
class Setting:
    """What all measurements of a category and a seed share; images are named by their index."""

    recipe: Recipe
    category: str
    seed: int
    images: Kept
    vectors: Mapping[str, NDArray[np.float32]]
    labels: Ints
    scored: Ints

    def run(self) -> Run:
        return Run(np.random.SeedSequence(self.seed))

    def described(self, trained_on: Ints, outliers: float) -> tuple[Floats, Floats, list[str]]:
        """The detector's scores, the feature vectors without the probe, and their names.

        Those of images that are not to be scored are missing.
        """
        choice = self.recipe.detectors[DETECTOR]
        params = choice.params_for(self.category).model_copy(update={"outliers": outliers})
        detector = PatchCore(params)
        detector.fit(self.images.of(trained_on), self.run())
        segmenter = NamedSegmenter(self.recipe.segmenter.build(self.category), "segmenter")
        row = next(row for row in self.recipe.rows if not row.score)
        inside, whole = ([one.build() for one in some] for some in (row.features, row.image_features))
        statistics = [
            MapStatistics(DETECTOR, DETECTOR, segmenter, inside),
            MapStatistics(DETECTOR, DETECTOR, None, whole),
            MapStatistics(DETECTOR, DETECTOR, None, ()),
        ]
        scoring = ScoringPass({DETECTOR: NamedDetector(DETECTOR, detector)}, statistics)
        found = [scoring.score(batch).values for batch in self.images.of(self.scored).batches()]
        segments, images, scores = (self._all(np.concatenate(b)) for b in zip(*found, strict=True))
        layout = FeatureLayout(
            segmenter.segments, [DETECTOR], statistics[0].statistics(), statistics[1].statistics()
        )
        return scores[:, 0], layout.vectors([segments], [images]), layout.names()

    def _all(self, values: Floats) -> Floats:
        """Values of the scored images in the places of all."""
        table = np.full((len(self.labels), values.shape[1]), np.nan)
        table[self.scored] = values
        return table

    def probed(self, train: Ints, labels: Ints) -> Floats:
        """The probe's scores: out of fold where it learns."""
        scores = self._judged(train, labels)
        for rest, out in folds_of(labels, 5, self.seed, None):
            scores[train[out]] = self._judged(train[rest], labels[rest])[train[out]]
        return scores

    def _judged(self, train: Ints, labels: Ints) -> Floats:
        probe: VectorClassifier = LinearProbe()
        probe.learn({name: block[train] for name, block in self.vectors.items()}, labels, self.run())
        return probe.judge(self.vectors).reshape(len(self.labels), -1)[:, 0]

    def rows(
        self, described: tuple[Floats, Floats, list[str]], train: Ints, labels: Ints
    ) -> dict[str, Floats]:
        """The scores of all images by each row of the table."""
        own, features, names = described
        probe = self.probed(train, labels)
        both, more = np.column_stack([features, probe]), [*names, f"image.{PROBE}.score"]
        final = next(row for row in self.recipe.rows if not row.score).final
        found = {"PatchCore": own, PROBE: probe}
        for name, classifier, table, columns in (
            ("PatchCore + SegAD", final.build(self.category), features, names),
            (SEGAD, final.build(self.category), both, more),
            (BLEND, Blend(), both, more),
        ):
            classifier.fit(table[train], columns, labels, self.run())
            found[name] = self._all(classifier.margins(table[self.scored])[:, None])[:, 0]
        return found


def flipped(labels: Ints, share: float, seed: int) -> Ints:
    """Labels of which a share is wrong."""
    order = np.random.default_rng([seed, 1]).permutation(len(labels))
    wrong = labels.copy()
    wrong[order[: round(share * len(labels))]] ^= 1
    return wrong


def measured(
    setting: Setting, detectors: Ints, final: Ints, options: argparse.Namespace
) -> Iterator[tuple[str, dict[str, Floats]]]:
    """Each line of the table, and the scores of its rows."""
    shares, truth = [0.0, *options.shares], setting.labels
    if "labels" in options.kinds:
        clean = setting.described(detectors, 0.0)
        for share in shares:
            labels = flipped(truth[final], share, setting.seed)
            yield f"labels flipped: {100 * share:g} %", setting.rows(clean, final, labels)
    if "hidden" in options.kinds:
        counts = {share: round(share / (1 - share) * len(detectors)) for share in shares}
        bad = np.random.default_rng([setting.seed, 2]).permutation(final[truth[final] == 1])
        most = max(counts.values())
        if most > len(bad) - 5:
            raise SystemExit(f"{len(bad)} bad parts are too few to hide {most} of them")
        rest = np.setdiff1d(final, bad[:most])
        for share, count in counts.items():
            for outliers in (0.0, *options.outliers):
                described = setting.described(np.sort([*detectors, *bad[:count]]), outliers)
                line = f"hidden bad parts: {100 * share:g} %" + f", outliers {outliers:g}" * bool(outliers)
                yield line, setting.rows(described, rest, truth[rest])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("--category", required=True)
    parser.add_argument("--kinds", nargs="+", choices=["labels", "hidden"], default=["labels", "hidden"])
    parser.add_argument("--shares", nargs="+", type=float, default=[0.02, 0.05, 0.1])
    parser.add_argument("--outliers", nargs="*", type=float, default=[0.05])
    parser.add_argument("--detector-images", type=int, default=10**9, help="good ones to train on, at most")
    parser.add_argument("--seeds", type=int, default=5, help="how many of the recipe's seeds")
    options = parser.parse_args()
    recipe = load_recipe(options.recipe, Registry(), [f"categories=[{options.category}]"])
    with tempfile.TemporaryDirectory() as folder:
        prepared = prepare(recipe, Store(Path(folder)))
    splits = list(prepared.splits[options.category].values())[: options.seeds]
    known = prepared.samples[options.category]
    used = sorted({i for split in splits for i in (*split.detectors, *split.final, *split.test)})
    places = {image: n for n, image in enumerate(used)}
    images, vectors = encoded(recipe, [known[i] for i in used])
    truth = np.array([known[i].label for i in used], np.int64)
    results: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for fold, split in list(prepared.splits[options.category].items())[: options.seeds]:
        detectors, final, test = (
            np.array([places[i] for i in ids]) for ids in (split.detectors, split.final, split.test)
        )
        scored = np.concatenate([final, test])
        detectors = np.random.default_rng([fold.seed, 3]).permutation(detectors)[: options.detector_images]
        setting = Setting(recipe, options.category, fold.seed, images, vectors, truth, scored)
        for line, rows in measured(setting, detectors, final, options):
            for row, scores in rows.items():
                pair = truth[test], scores[test]
                figures = 100 * auroc(*pair), 100 * fpr_at_tpr(*pair)
                results.setdefault(line, {}).setdefault(row, []).append(figures)
                print(f"# seed {fold.seed}, {line}: {row} {figures[0]:.2f} ({figures[1]:.1f})", flush=True)
        print(
            f"# seed {fold.seed}: detector {len(detectors)} images, final {np.bincount(truth[final])}, "
            f"test {np.bincount(truth[test])} good and bad"
        )
    names = list(next(iter(results.values())))
    print(f"\n| {options.category}, {len(splits)} seeds | {' | '.join(names)} |")
    print("| --- |" + " --- |" * len(names))
    for line, rows in results.items():
        cells = []
        for name in names:
            areas, rates = np.array(rows[name]).T
            spread = f" ± {areas.std(ddof=1):.1f}" if len(areas) > 1 else ""
            cells.append(f"{areas.mean():.1f}{spread} ({rates.mean():.1f})")
        print(f"| {line} | {' | '.join(cells)} |")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
