"""segad's detectors beside anomalib's models: from pixels to anomaly maps and image scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from segad_core.api import Detector, Encoder
from segad_core.testing import bad_images, good_images, image_batch
from segad_plugins.detectors.efficientad import EfficientAD

from . import peers
from .cases import Case, Options, Subject
from .interleaved import Contestant, Results

TOLERANCE = 1e-4


def by_anomalib(models: Mapping[str, nn.Module], pixels: peers.Pixels) -> Results:
    """Maps and scores of anomalib's models, of which each encodes the images for itself."""
    found: dict[str, NDArray[np.generic]] = {}
    with torch.inference_mode():
        for name, model in models.items():
            given = peers.floats(pixels) if name == "efficientad" else peers.normalised(pixels)
            predicted = model(given)
            found[f"maps of {name}"] = predicted.anomaly_map[:, 0].numpy()
            found[f"scores of {name}"] = predicted.pred_score.flatten().numpy()
    return found


def by_segad(detectors: Mapping[str, Detector], encoder: Encoder, pixels: peers.Pixels) -> Results:
    """Maps and scores of segad's detectors, which share one pass of the encoder."""
    layers = dict.fromkeys(layer for detector in detectors.values() for layer in read(detector))
    batch = image_batch(pixels, encoder, tuple(layers))
    found: dict[str, NDArray[np.generic]] = {}
    for name, detector in detectors.items():
        found[f"maps of {name}"] = maps = detector.anomaly_maps(batch)
        found[f"scores of {name}"] = detector.image_scores(batch, maps)
    return found


def read(detector: Detector) -> Sequence[str]:
    """The layers that it reads for maps; EfficientAD's are for the training of its teacher."""
    return () if isinstance(detector, EfficientAD) else detector.layers()


def known(size: int) -> peers.Pixels:
    """Images by which random networks are calibrated, good and bad: on others, values could explode."""
    return np.concatenate([good_images(2, size, size, seed=2), bad_images(4, size, size, seed=2)])


@cache
def _backbone(name: str, size: int) -> nn.Module:
    return peers.backbone(name, known(size))


def encoder(name: str, size: int) -> Encoder:
    """segad's, with the weights that anomalib's models have."""
    return peers.encoder(name, _backbone(name, size))


@cache
def pair(name: str, network: str, size: int, bank: int) -> peers.Pair:
    """anomalib's model and segad's detector: of a name, an encoder, a size of images and of the bank."""
    images, weights = known(size), partial(_backbone, network, size)
    make: dict[str, Callable[[], peers.Pair]] = {
        "patchcore": lambda: peers.patchcore(network, weights(), images, bank),
        "fastflow": lambda: peers.fastflow(network, weights(), images),
        "rd4ad": lambda: peers.rd4ad(network, weights(), images),
        "efficientad": lambda: peers.efficientad(images[:3]),
    }
    return make[name]()


def contestants(
    names: Sequence[str], network: str, size: int, bank: int, pixels: peers.Pixels
) -> list[Contestant]:
    """anomalib and segad, with the same weights, on the same images."""
    pairs = {name: pair(name, network, size, bank) for name in names}
    models = {name: model for name, (model, _) in pairs.items()}
    detectors = {name: detector for name, (_, detector) in pairs.items()}
    given = encoder(network, size)
    return [
        Contestant("anomalib", partial(by_anomalib, models, pixels)),
        Contestant("segad", partial(by_segad, detectors, given, pixels)),
    ]


def cases(names: Sequence[str], options: Options) -> Iterator[Case]:
    """Detectors that are asked one after the other, with batches of each size."""
    network, size = options.backbone, options.size
    for batch in options.batch:
        pixels = bad_images(batch, size, size, seed=1)
        settings: dict[str, Any] = {"batch": batch, "size": size}
        settings |= {} if names == ("efficientad",) else {"network": network}
        settings |= {"bank": options.bank} if "patchcore" in names else {}
        both = contestants(names, network, size, options.bank, pixels)
        yield Case(settings, both, batch, "image", TOLERANCE)


NAMES = ("patchcore", "fastflow", "rd4ad", "efficientad")
SUBJECTS: dict[str, Subject] = {
    **{name: partial(cases, (name,)) for name in NAMES},
    "all_four": partial(cases, NAMES),
}
