"""What DevNet and DRA compute, plainly, in NumPy and float64; and a small backbone for their trainings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from plain import batch_norm, below, convolved
from torch.optim.optimizer import register_optimizer_step_pre_hook

from segad_core.contracts import Arrays, Classifier
from segad_core.testing import ArrayImageSet, bad_images, good_images
from segad_plugins.backbones import Backbone, empty_trunk
from segad_plugins.torch_tools import normalised

Values = NDArray[np.float64]
Pixels = NDArray[np.uint8]
Weights = Mapping[str, Values]

GOOD, BAD, PSEUDO = 0, 1, 2
SIZE = (64, 48)

# ---- losses ----


def deviation(scores: Iterable[float], abnormal: Iterable[bool], draws: Values, margin: float) -> float:
    mean = sum(draws) / len(draws)
    spread = (sum((draw - mean) ** 2 for draw in draws) / (len(draws) - 1)) ** 0.5
    losses = []
    for score, bad in zip(scores, abnormal, strict=True):
        z = (score - mean) / spread
        losses.append(max(0.0, margin - z) if bad else abs(z))
    return sum(losses) / len(losses)


def dra_deviations(scores: Values, kinds: Sequence[int], draws: Values, margin: float) -> list[float]:
    """Of the holistic, seen, pseudo and composite head, with the images and targets that each has."""
    given = [
        [(i, kind == GOOD) for i, kind in enumerate(kinds)],
        [(i, kind == BAD) for i, kind in enumerate(kinds) if kind in (GOOD, BAD)],
        [(i, kind == PSEUDO) for i, kind in enumerate(kinds) if kind in (GOOD, PSEUDO)],
        [(i, kind in (BAD, PSEUDO)) for i, kind in enumerate(kinds)],
    ]
    return [
        deviation([scores[head][i] for i, _ in some], [target for _, target in some], draws[head], margin)
        for head, some in enumerate(given)
    ]


# ---- heads, on features (N, C, h, w) ----


def strongest(responses: Values, count: int) -> Values:
    """Of (N, 1, h, w), the mean (N,) of the `count` largest absolute values."""
    return np.array([np.mean(sorted(np.abs(one).ravel())[-count:]) for one in responses])


def top(features: Values, weights: Weights, count: int) -> Values:
    bias = weights["response.bias"][:, None, None]
    return strongest(convolved(features, weights["response.weight"]) + bias, count)


def holistic(features: Values, weights: Weights) -> Values:
    averages = features.mean(axis=(2, 3))
    hidden = np.maximum(averages @ weights["layers.0.weight"].T + weights["layers.0.bias"], 0)
    return np.abs(hidden @ weights["layers.2.weight"].T + weights["layers.2.bias"])[:, 0]


def composite(
    features: Values, references: Values, weights: Weights, count: int, training: bool = False
) -> Values:
    """Differences of each image's features to the references' (R, C, h, w) average, filtered."""
    x = sum(references) / len(references) - features
    x = convolved(x, weights["differences.0.weight"], 1) + weights["differences.0.bias"][:, None, None]
    mean, variance = weights["differences.1.running_mean"], weights["differences.1.running_var"]
    if training:
        mean, variance = x.mean(axis=(0, 2, 3)), x.var(axis=(0, 2, 3))
    x = batch_norm(x, mean, variance, weights["differences.1.weight"], weights["differences.1.bias"])
    return top(np.maximum(x, 0), part("top.", weights), count)


def four_heads(
    features: Values, references: Values, weights: Weights, count: int, training: bool = False
) -> Values:
    """(4, N) at one scale; `weights` are those of a network."""
    return np.stack(
        [
            holistic(features, part("holistic.", weights)),
            top(features, part("seen.", weights), count),
            top(features, part("pseudo.", weights), count),
            composite(features, references, part("composite.", weights), count, training),
        ]
    )


def part(prefix: str, weights: Mapping[str, NDArray[Any]]) -> dict[str, Values]:
    return below(prefix, weights)


def halved(pixels: Pixels) -> Pixels:
    """Every other pixel, the first one first."""
    return pixels[:, : pixels.shape[1] // 2 * 2 : 2, : pixels.shape[2] // 2 * 2 : 2]


# ---- a backbone, and images ----


def small_backbone(folder: Path) -> dict[str, Any]:
    """Parameters of a network that trains in no time, from a file of random weights."""
    params: dict[str, Any] = {"source": "timm", "model": "test_resnet", "file": folder / "random.pth"}
    network = empty_trunk(Backbone.model_validate(params)).body.network
    torch.save(network.state_dict(), params["file"])
    return params


def trunk_features(params: Backbone, state: Arrays, pixels: Pixels, training: bool = False) -> Values:
    """The features of images that a state's backbone gives."""
    network = empty_trunk(params).train(training)
    prefix = "network.trunk."
    named = {n.removeprefix(prefix): a for n, a in state.items() if n.startswith(prefix)}
    network.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in named.items()})
    with torch.no_grad():
        images = normalised(pixels, network.mean, network.std, torch.device("cpu"))
        return network(images).double().numpy()


def mixed_images(good: int, bad: int, seed: int = 0) -> tuple[Pixels, NDArray[np.int64]]:
    """Good and bad images in a drawn order, and their labels."""
    pixels = np.concatenate([good_images(good, *SIZE, seed), bad_images(bad, *SIZE, seed + 1)])
    order = np.random.default_rng(seed).permutation(good + bad)
    return pixels[order], np.repeat([0, 1], [good, bad])[order].astype(np.int64)


class Shown:
    """Notes the pixels that a plugin's module normalises, call by call, and what it draws for losses."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, module: Any) -> None:
        self.pixels: list[Pixels] = []
        self.draws: list[Values] = []
        normalise, draw = module.normalised, module.normal_draws

        def normalised_and_noted(pixels: Pixels, *rest: Any) -> Any:
            self.pixels.append(pixels.copy())
            return normalise(pixels, *rest)

        def drawn_and_noted(*given: Any) -> Values:
            self.draws.append(draw(*given))
            return self.draws[-1]

        monkeypatch.setattr(module, "normalised", normalised_and_noted)
        monkeypatch.setattr(module, "normal_draws", drawn_and_noted)


class NoImages:
    """An image set of some size that must not be read."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count


def places(images: Pixels, among: Pixels) -> list[int]:
    """Which of some images each is; -1 for none."""
    known = {image.tobytes(): place for place, image in enumerate(among)}
    return [known.get(image.tobytes(), -1) for image in images]


@contextmanager
def steps_noted() -> Iterator[list[dict[str, Any]]]:
    """Fills a list with each step's optimiser, its choices, and the norm of the gradient that it is given."""
    seen: list[dict[str, Any]] = []

    def note(optimiser: Any, *_: Any) -> None:
        (group,) = optimiser.param_groups
        squares = sum(float(p.grad.double().square().sum()) for p in group["params"])
        choices = {name: group[name] for name in ("lr", "weight_decay", "betas", "eps")}
        seen.append({"name": type(optimiser).__name__, "norm": squares**0.5, **choices})

    handle = register_optimizer_step_pre_hook(note)
    try:
        yield seen
    finally:
        handle.remove()


def fit_to(classifier: Classifier, run: Any, good: int = 9, bad: int = 5) -> tuple[Pixels, NDArray[np.int64]]:
    """Fits to images and gives them back with their labels."""
    pixels, labels = mixed_images(good, bad)
    classifier.fit(ArrayImageSet(pixels), labels, run)
    return pixels, labels
