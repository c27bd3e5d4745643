"""What training a classifier needs, for `segad check` and the log. Part of no key in the store."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import nn

from segad_core.api import Estimate, Shapes
from segad_plugins.backbones import empty_trunk
from segad_plugins.classifiers.deviation_classifier import DeviationClassifier
from segad_plugins.classifiers.dra import DRA
from segad_plugins.classifiers.linear_probe import LinearProbe
from segad_plugins.classifiers.network import NetworkClassifier
from segad_plugins.classifiers.wide_resnet import WideResNet
from segad_plugins.estimate_tools import count_parameters, macs, training_estimate
from segad_plugins.training import Batches


def wide_resnet(classifier: WideResNet, images: int, size: tuple[int, int], shapes: Shapes) -> Estimate:
    """Epochs of full batches; the last images of an epoch are dropped."""
    p = classifier.params
    steps = p.epochs * len(Batches(0, images, p.batch, drop_last=True))
    network = _network(classifier).eval()
    with torch.device("meta"):
        work = macs(network, torch.empty(1, 3, *size))
    return _with_work(classifier, size, steps * min(images, p.batch), work)


def deviation_classifier(
    classifier: DeviationClassifier, images: int, size: tuple[int, int], shapes: Shapes
) -> Estimate:
    """Steps of one size, however many images there are."""
    p, each = classifier.params, classifier.per_step()
    with torch.device("meta"):
        work = macs(_network(classifier), torch.empty(each, 3, *size)) / each
    return _with_work(classifier, size, each * p.steps_per_epoch * p.epochs, work)


def dra(classifier: DRA, images: int, size: tuple[int, int], shapes: Shapes) -> Estimate:
    """With the references, which are kept as they are."""
    p, found = classifier.params, deviation_classifier(classifier, images, size, shapes)
    kept = p.reference_count if p.references == "fixed" else min(p.reference_pool, images)
    references = 3 * kept * size[0] * size[1]
    return replace(found, state=found.state + references, memory=found.memory + references)


def linear_probe(classifier: LinearProbe, images: int, size: tuple[int, int], shapes: Shapes) -> Estimate:
    """Pooled values of all images, and copies of them while the penalty is chosen; copies of a layer."""
    p = classifier.params
    values = len(p.pooling) * sum(channels for channels, _, _ in shapes.values())
    largest = max((math.prod(shape) for shape in shapes.values()), default=0)
    models = 1 + len(shapes) * p.per_layer
    fits = models * (p.folds * len(p.C) + 1 if len(p.C) > 1 else 1)
    listed = len(p.layers or classifier.optional_layers())
    return Estimate(
        state=8 * (3 * values * (1 + p.per_layer) + 2 * models + 1 + listed),
        memory=5 * 8 * images * values,
        per_image=2 * 4 * largest + 3 * 8 * values,
        vectors=4 * values,
        work=f"{values:,} pooled values of {images:,} images, {fits} regressions",
    )


def _network(classifier: NetworkClassifier) -> nn.Module:
    with torch.device("meta"):
        return classifier.add_heads(empty_trunk(classifier.params, classifier.name))


def _with_work(
    classifier: NetworkClassifier, size: tuple[int, int], image_steps: int, multiply_adds: float
) -> Estimate:
    network, each = _network(classifier), classifier.per_step()
    work = (
        f"{count_parameters(network) / 1e6:.2f} M parameters, {image_steps:,} image-steps, "
        f"{3 * multiply_adds / 1e9:.2f} GMAC each"
    )
    with torch.device("meta"):
        given = torch.empty(each, 3, *size)
        found = training_estimate(network, lambda: network(given), lambda: network.eval()(given))
    return replace(found, per_image=-(-found.per_image // each), work=work)
