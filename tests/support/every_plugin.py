"""Every built-in detector, classifier and segmenter, trained for a few steps, as functions of some images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import plain_supervised as plain
import small_graphs
import tiny_sam
import torch
from numpy.typing import NDArray
from plain import random_pdn
from trainings import seed_run

from segad_core.contracts import (
    Classifier,
    Detector,
    ImageBatch,
    Learner,
    LearningSegmenter,
    Sample,
    Segmenter,
)
from segad_core.testing import ArrayImageSet, TinyEncoder, bad_images, good_images, image_batch
from segad_plugins.classifiers.devnet import DevNet
from segad_plugins.classifiers.dra import DRA
from segad_plugins.classifiers.linear_probe import LinearProbe
from segad_plugins.classifiers.wide_resnet import WideResNet
from segad_plugins.detectors import graph
from segad_plugins.detectors.efficientad import EfficientAD
from segad_plugins.detectors.fastflow import FastFlow
from segad_plugins.detectors.patchcore import PatchCore
from segad_plugins.detectors.precomputed import Precomputed as PrecomputedDetector
from segad_plugins.detectors.rd4ad import RD4AD
from segad_plugins.segmenters.clusters import Clusters
from segad_plugins.segmenters.foreground import Foreground
from segad_plugins.segmenters.precomputed import Precomputed as PrecomputedSegmenter
from segad_plugins.segmenters.sam import Sam
from segad_plugins.segmenters.static_mask import StaticMask
from segad_plugins.segmenters.whole_image import WholeImage

SIZE = (48, 64)
PIXELS = np.concatenate([good_images(3, *SIZE, 8), bad_images(3, *SIZE, 9)])
LAYERS = ("layer1", "layer2")

Results = Sequence[NDArray[Any]]
Scorer = Callable[[Sequence[int]], Results]
"""Takes places of PIXELS, and returns arrays whose first axis runs over these images."""


def batch_of(places: Sequence[int], layers: Sequence[str] = ()) -> ImageBatch:
    samples = [Sample(f"good/{i}.png", Path("in memory", f"{i}.png"), 0) for i in places]
    return image_batch(PIXELS[list(places)], TinyEncoder(), layers, samples)


def learners(folder: Path) -> dict[str, Learner]:
    """Fitted detectors and classifiers, by name; a name with a dash is a variant."""
    torch.save(
        {name: torch.from_numpy(array) for name, array in random_pdn("small", 5).items()},
        folder / "teacher.pth",
    )
    backbone, few = plain.small_backbone(folder), {"epochs": 1, "steps_per_epoch": 3}
    deviation = {**backbone, **few, "batch_good": 4, "batch_bad": 3}
    for i in range(len(PIXELS)):
        _save(folder / "maps" / "good" / f"{i}.npy", PIXELS[i, ..., 0].astype(np.float32))
    shown = small_graphs.brightness(folder / "brightness.onnx", size=SIZE)
    made: dict[str, tuple[type[Learner], dict[str, Any]]] = {
        "patchcore": (PatchCore, {"layers": LAYERS, "coreset_ratio": 0.1, "blur_sigma": 2}),
        "fastflow": (FastFlow, {"layers": LAYERS, "steps": 2, "epochs": 2, "batch": 4}),
        "rd4ad": (RD4AD, {"layers": LAYERS, "epochs": 2, "batch": 4, "blur_sigma": 2}),
        "efficientad": (EfficientAD, {"size": "small", "iterations": 3, "teacher": folder / "teacher.pth"}),
        "precomputed": (PrecomputedDetector, {"maps": folder / "maps"}),
        "wide_resnet": (WideResNet, {**backbone, "epochs": 1}),
        "devnet": (DevNet, deviation),
        "dra": (DRA, deviation),
        "dra-upstream": (DRA, {**deviation, "references": "upstream"}),
        "linear_probe": (LinearProbe, {"layers": LAYERS}),
        "onnx": (graph.Onnx, {"graph": (shown,)}),
        "openvino": (graph.OpenVino, {"graph": (shown,)}),
    }
    learners = {name: kind(kind.Params.model_validate(params)) for name, (kind, params) in made.items()}
    good, both = good_images(6, *SIZE), np.concatenate([good_images(6, *SIZE), bad_images(4, *SIZE)])
    for learner in learners.values():
        if isinstance(learner, graph.GraphDetector):
            learner.restore({"dark": np.array([7], np.float32)})
        elif isinstance(learner, Detector):
            learner.fit(ArrayImageSet(good, TinyEncoder(), LAYERS), seed_run())
        elif isinstance(learner, Classifier):
            learner.fit(
                ArrayImageSet(both, TinyEncoder(), learner.layers()), np.repeat([0, 1], [6, 4]), seed_run()
            )
    return learners


def segmenters(folder: Path) -> dict[str, Callable[[], Segmenter]]:
    """How to make each segmenter; the tiny SAM must be registered."""
    halves = np.zeros(SIZE, np.uint8)
    halves[:, SIZE[1] // 2 :] = 1
    np.save(folder / "halves.npy", halves)
    drawn = np.zeros(SIZE, np.uint8)
    drawn[8:40, 8:56], drawn[20:28, 20:30] = 1, 2
    np.save(folder / "drawn.npy", drawn)
    names = ["background", "object", "chip"]
    on_top = {"components": folder / "drawn.npy", "segments": names, "least_fit": 0.1}
    for i in range(len(PIXELS)):
        _save(folder / "labels" / "good" / f"{i}.npy", PIXELS[i, ..., 0] // 64)
    quick = {"points_per_side": 2, "pred_iou_thresh": 0, "stability_score_thresh": 0}
    checkpoint = tiny_sam.checkpoint(folder)
    published = {"segmentations": folder / "labels", "segments": ["dark", "grey"]}
    made: dict[str, tuple[type[Segmenter], dict[str, Any]]] = {
        "clusters": (Clusters, {"layers": LAYERS, "k": 4}),
        "clusters-still": (Clusters, {"layers": LAYERS, "k": 4, "still": True}),
        "foreground": (Foreground, on_top),
        "precomputed": (PrecomputedSegmenter, published),
        "sam": (Sam, {"model": tiny_sam.NAME, "checkpoint": checkpoint, "automatic": quick}),
        "sam-prompts": (
            Sam,
            {"model": tiny_sam.NAME, "checkpoint": checkpoint, "prompts": [{"points": [[60, 40]]}], **on_top},
        ),
        "static_mask": (StaticMask, {"mask": folder / "halves.npy", "segments": ["left", "right"]}),
        "whole_image": (WholeImage, {}),
    }
    return {
        name: lambda kind=kind, params=params: _ready(kind(kind.Params.model_validate(params)))
        for name, (kind, params) in made.items()
    }


def _ready(segmenter: Segmenter) -> Segmenter:
    """The segmenter; fitted, if it learns."""
    if isinstance(segmenter, LearningSegmenter):
        segmenter.fit(ArrayImageSet(good_images(6, *SIZE), TinyEncoder(), segmenter.layers()), seed_run())
    return segmenter


def copy_of(learner: Learner) -> Learner:
    """A fresh instance that has restored the learner's state."""
    fresh = type(learner)(learner.params)
    fresh.restore({name: np.array(array) for name, array in learner.state().items()})
    return fresh


def scorer(plugin: Learner | Segmenter) -> Scorer:
    """Everything that a plugin says of images."""

    def results(places: Sequence[int]) -> Results:
        if isinstance(plugin, Classifier):
            return [plugin.scores(batch_of(places, plugin.layers()))]
        if isinstance(plugin, Detector):
            batch = batch_of(places, plugin.layers())
            maps = plugin.anomaly_maps(batch)
            return [maps, plugin.image_scores(batch, maps)]
        assert isinstance(plugin, Segmenter)
        batch = batch_of(places, LAYERS)
        maps, quality = plugin.segment(batch), plugin.quality(batch)
        fits = [0.0 if q.fit is None else q.fit for q in quality or ()] or [0.0] * len(places)
        doubts = [bool(q.doubt) for q in quality or ()] or [False] * len(places)
        return [np.broadcast_to(maps, (len(places), *SIZE)), np.array(fits), np.array(doubts)]

    return results


def _save(path: Path, array: NDArray[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)


def variants(names: Mapping[str, Any]) -> set[str]:
    """The names of plugins, variants left out."""
    return {name.partition("-")[0] for name in names}
