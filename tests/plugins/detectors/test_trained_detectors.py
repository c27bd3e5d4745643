"""What the detectors that train have in common: the same bits again, what fails, bfloat16, and ranking."""

import re
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from trainings import (
    ELSEWHERE,
    FOLDER,
    OF_FEATURES,
    SIDE,
    FolderRun,
    Kept,
    Recorded,
    ToldSteps,
    Trial,
    fitted,
    random_features,
    ranked,
    same_bits,
    seed_run,
)

from segad_core.contracts import Detector, Encoder, ImageBatch, Sample
from segad_core.errors import NonFiniteError
from segad_core.images import FileImageSet
from segad_core.images.image_set import Preprocessing
from segad_core.testing import ArrayImageSet, TinyEncoder, bad_images, good_images, image_batch
from segad_core.testing.trial_run import Killed, Told
from segad_plugins.detectors.fastflow import FastFlow
from segad_plugins.detectors.patchcore import PatchCore
from segad_plugins.detectors.rd4ad import RD4AD
from segad_plugins.encoders.efficientnet_lite0 import EfficientNetLite0

# ---- the same bits ----


@pytest.mark.parametrize(
    ("trial", "params"),
    [
        *[(name, {"precision": precision}) for name in OF_FEATURES for precision in ("float32", "bfloat16")],
        ("efficientad", {"learning_rate": 1e-3, "auxiliary_images": FOLDER}),
    ],
    indirect=["trial"],
)
def test_a_killed_training_goes_on_to_the_same_bits(trial: Trial, params: dict[str, Any]) -> None:
    """Order, running statistics, dropout, penalty, Adam's moments and the rate's drop are where they were."""
    checkpoint, told = Kept(), []
    for kill_at in (3, 3, None):
        torch.manual_seed(len(told))  # whatever torch's own state is
        told.append(ToldSteps(kill_at))
        with suppress(Killed):
            resumed = trial.fitted(FolderRun(3, ELSEWHERE, told[-1], checkpoint), **params)
    assert [steps.steps for steps in told] == [[1, 2, 3], [3, 4, 5], [5, 6]]
    assert same_bits(resumed.state(), trial.fitted(**params).state())


DRAWN = {  # what the seed decides, before and after training
    "fastflow": ("(subnet.*weight|permutation)$", "(weight|permutation|norm.bias)$"),
    "rd4ad": ("0.weight$", "(weight|running_mean)$"),
    "efficientad": ("(student|autoencoder).*", "(student|autoencoder).*"),
}


def test_the_seed_decides_every_bit(trial: Trial) -> None:
    torch.manual_seed(1)
    first = trial.fitted(1, 3).state()
    torch.manual_seed(2)
    assert same_bits(first, trial.fitted(1, 3).state())
    begun, trained = DRAWN[trial.name]
    assert_apart(first, trial.fitted(2, 3).state(), trained)
    assert_apart(*(trial.fitted(seed, 3, learning_rate=1e-30).state() for seed in (1, 2)), begun)


def assert_apart(first: Any, second: Any, pattern: str) -> None:
    names = [name for name in first if re.search(pattern, name)]
    assert names and not [name for name in names if np.array_equal(first[name], second[name])]


@pytest.mark.parametrize("make", OF_FEATURES.values())
def test_the_order_of_images_depends_on_the_seed(make: type[Detector]) -> None:
    orders = []
    for seed in range(4):
        layer = Recorded(random_features(9, 0)["layer3"])
        fitted(make, {"layer3": layer}, seed, batch=9)
        orders.append(tuple(layer.asked[0]))
    assert len(set(orders)) == 4


@pytest.mark.parametrize(
    ("make", "params", "sizes"),
    [(FastFlow, {}, [3, 3, 1]), (FastFlow, {"drop_last": True}, [3, 3]), (RD4AD, {}, [3, 3, 1])],
)
def test_steps_take_the_same_images_of_every_layer(
    make: type[Detector], params: dict[str, Any], sizes: list[int]
) -> None:
    features = {name: Recorded(values) for name, values in random_features(7, 0).items()}
    fitted(make, features, epochs=4, batch=3, **params)
    asked = features["layer1"].asked
    assert asked == features["layer2"].asked == features["layer3"].asked
    assert [len(places) for places in asked] == 4 * sizes
    epochs = [sum(asked[i : i + len(sizes)], []) for i in range(0, len(asked), len(sizes))]  # noqa: RUF017
    assert all(len(set(epoch)) == sum(sizes) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4


# ---- what fails, and what nearly does ----


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_training_that_diverges_is_named(trial: Trial, precision: str) -> None:
    with pytest.raises(NonFiniteError) as caught:
        trial.fitted(steps=9, learning_rate=1e30, precision=precision)
    assert re.fullmatch(rf"{trial.name}: the loss is (-?inf|nan) at step \d of 9", caught.value.what)
    assert "Lower the learning rate" in caught.value.remedy
    assert ("float32" in caught.value.remedy) == (precision == "bfloat16")


def test_bfloat16_trains_weights_in_float32_to_about_the_same(trial: Trial) -> None:
    rate = 1e-4 if trial.name == "efficientad" else 1e-3
    exact, rough = (trial.fitted(steps=3, learning_rate=rate, precision=p) for p in ("float32", "bfloat16"))
    first, second = exact.state(), rough.state()
    assert {n: v.dtype for n, v in first.items()} == {n: v.dtype for n, v in second.items()}
    assert {v.dtype for v in first.values()} <= {np.dtype(np.float32), np.dtype(np.int64)}
    apart = np.concatenate([np.abs(v - second[n]).ravel() for n, v in first.items() if n.endswith("weight")])
    assert 0 < apart.max() < 10 * rate
    maps, others = (detector.anomaly_maps(trial.batch()) for detector in (exact, rough))
    assert others.dtype == np.float32 and not np.array_equal(maps, others)
    room = 0.05 if trial.name == "efficientad" else 0.1
    np.testing.assert_allclose(others, maps, atol=room * np.abs(maps).max())


# ---- ranking ----


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("trial", "encoder"),
    [
        *[("fastflow", TinyEncoder), ("fastflow", EfficientNetLite0), ("rd4ad", EfficientNetLite0)],
        ("efficientad", TinyEncoder),
    ],
    indirect=["trial"],
)
def test_every_seed_ranks_bad_images_above_good_ones(trial: Trial, encoder: type[Encoder], seed: int) -> None:
    detector = {
        "fastflow": lambda: FastFlow(FastFlow.Params(steps=4, epochs=2, batch=4)),
        "rd4ad": lambda: RD4AD(RD4AD.Params(epochs=5, batch=4)),
        "efficientad": lambda: trial.make(iterations=8, learning_rate=1e-3),
    }[trial.name]()
    if trial.name == "efficientad":
        images, batch = images_to_rank(encoder, detector.layers(), (SIDE, SIDE), seed)
    else:
        images, batch = images_to_rank(encoder, detector.layers(), (64, 96), 0)
    detector.fit(images, seed_run(seed))
    assert ranked(detector, batch) >= 0.95


@cache
def images_to_rank(
    encoder: type[Encoder], layers: tuple[str, ...], size: tuple[int, int], seed: int
) -> tuple[ArrayImageSet, ImageBatch]:
    """Good ones to train on, and a batch of good and bad ones, which the encoder sees once."""
    eyes = encoder()
    pixels = np.concatenate([good_images(20, *size, 10 + seed), bad_images(20, *size, 20 + seed)])
    return ArrayImageSet(good_images(12, *size, seed), eyes, layers), image_batch(pixels, eyes, layers)


# ---- one pass of the encoder ----


class Counting(TinyEncoder):
    """Notes how many images each forward pass had."""

    def __init__(self) -> None:
        super().__init__()
        self.passes: list[int] = []

    def encode(self, pixels, layers):
        self.passes.append(len(pixels))
        return super().encode(pixels, layers)


def test_three_detectors_and_200_epochs_cost_one_encoder_pass(tmp_path: Path) -> None:
    samples = []
    for i, pixels in enumerate(good_images(7, 32, 32)):
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
        samples.append(Sample(f"{i}.png", tmp_path / f"{i}.png", 0))
    layers = ("layer1", "layer2")
    detectors: list[Detector] = [
        PatchCore(PatchCore.Params(layers=layers, coreset_ratio=0.1, blur_sigma=1)),
        FastFlow(FastFlow.Params(layers=layers, steps=1, epochs=200, batch=7)),
        RD4AD(RD4AD.Params(layers=("layer2",), epochs=200, batch=7, blur_sigma=1)),
    ]
    encoder, told = Counting(), Told()
    images = FileImageSet(samples, Preprocessing((32, 32), batch_size=3), encoder, layers)
    for detector in detectors:
        detector.fit(images, seed_run(0, told))
    assert encoder.passes == [3, 3, 1]
    assert sum(call[0] == "training steps" for call in told.calls) == 400
    batch = next(images.batches())
    maps = [detector.anomaly_maps(batch) for detector in detectors]
    for detector, own in zip(detectors, maps, strict=True):
        detector.image_scores(batch, own)
    assert encoder.passes == [3, 3, 1, 3]
