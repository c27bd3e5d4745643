"""Steps of trainings: segad beside anomalib, from the same weights, with the same images and optimiser."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from functools import partial
from typing import Any

import numpy as np
import torch
from anomalib.models.image.fastflow.loss import FastflowLoss
from anomalib.models.image.reverse_distillation.loss import ReverseDistillationLoss
from torch import Tensor, nn

from segad_core.api import Encoder, Run
from segad_core.testing import good_images
from segad_plugins.detectors.fastflow import flow_loss
from segad_plugins.detectors.rd4ad import imitation_loss
from segad_plugins.pointwise import pointwise_by_onednn
from segad_plugins.training import train

from . import detectors, peers
from .cases import Case, Options, Subject
from .interleaved import Contestant, Results

TOLERANCE = 1e-4
BATCH = 4
OPTIMISERS: Mapping[str, dict[str, Any]] = {  # those of anomalib
    "fastflow": {"lr": 1e-3, "weight_decay": 1e-5},
    "rd4ad": {"lr": 5e-3, "betas": (0.5, 0.99)},
}


def contestants(name: str, pair: peers.Pair, encoder: Encoder, pixels: peers.Pixels) -> list[Contestant]:
    """A step each on the same images; segad has encoded them before, as in a training it does once."""
    model, detector = deepcopy(pair[0]).train(), type(pair[1])(pair[1].params)
    detector.restore(pair[1].state())  # what it prepared for maps cannot be copied
    network: nn.Module = detector.fitted().train().requires_grad_(True)  # type: ignore[attr-defined]
    known = encoder.encode(pixels, detectors.read(detector))
    features = {layer: torch.from_numpy(np.array(one)) for layer, one in known.items()}
    theirs = [weights for weights in model.parameters() if weights.requires_grad]
    fused = _adam(name, network.parameters(), fused=True)
    return [
        Contestant("anomalib", partial(_by_anomalib, name, model, pixels, _adam(name, theirs))),
        Contestant(
            "segad",
            partial(_by_segad, name, network, features, fused),
        ),
    ]


def _by_anomalib(name: str, model: nn.Module, pixels: peers.Pixels, optimiser: torch.optim.Adam) -> Results:
    criterion = FastflowLoss() if name == "fastflow" else ReverseDistillationLoss()
    loss = criterion(*model(peers.normalised(pixels)))
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()
    return {"loss": loss.detach().reshape(1).numpy()}


def _by_segad(
    name: str, network: nn.Module, features: Mapping[str, Tensor], optimiser: torch.optim.Adam
) -> Results:
    losses: list[Tensor] = []
    given = list(features.values())
    loss_of: dict[str, Callable[[], Tensor]] = {
        "fastflow": lambda: flow_loss(network, features),  # type: ignore[arg-type]
        "rd4ad": lambda: imitation_loss(given, network(given), "flattened"),
    }

    def loss_at(step: int) -> Tensor:
        losses.append(loss_of[name]())
        return losses[-1]

    with pointwise_by_onednn(network):  # as its fit does
        train(name, network, optimiser, loss_at, 1, Run(np.random.SeedSequence(0)))
    return {"loss": losses[0].detach().reshape(1).numpy()}


def _adam(name: str, weights: Any, fused: bool | None = None) -> torch.optim.Adam:
    return torch.optim.Adam(weights, **OPTIMISERS[name], fused=fused)


def cases(name: str, options: Options) -> Iterator[Case]:
    """Steps with a few images. Each changes the weights: it is the losses of the first that are compared."""
    network, size = options.backbone, options.size
    pair, encoder = detectors.pair(name, network, size, options.bank), detectors.encoder(network, size)
    both = contestants(name, pair, encoder, good_images(BATCH, size, size))
    yield Case({"batch": BATCH, "size": size, "network": network}, both, BATCH, "image", TOLERANCE)


SUBJECTS: dict[str, Subject] = {f"training_{name}": partial(cases, name) for name in OPTIMISERS}
