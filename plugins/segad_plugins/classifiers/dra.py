"""DRA: four heads on one backbone, for seen and unseen defect types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import AfterValidator, Field
from torch import Tensor

from segad_core.api import ImageBatch, ImageSet, Parameters, PluginError, Run, estimated_by, graph_by
from segad_plugins.backbones import Trunk
from segad_plugins.classifiers.cutmix import CutMix
from segad_plugins.classifiers.deviation import deviation_loss, normal_draws
from segad_plugins.classifiers.deviation_classifier import DeviationClassifier, DeviationParams
from segad_plugins.classifiers.dra_batches import BAD, GOOD, PSEUDO, Mixing, Pixels, Steps, drawn_references
from segad_plugins.classifiers.heads import DRANetwork
from segad_plugins.classifiers.labels import good_and_bad
from segad_plugins.states import entry
from segad_plugins.torch_tools import normalised, torch_device
from segad_plugins.training import Endless

SIGNS = (-1.0, 1.0, 1.0, 1.0)  # the holistic head responds to good images, the others to bad ones


def _rising(area: tuple[float, float]) -> tuple[float, float]:
    if not 0 < area[0] <= area[1] < 1:
        raise ValueError("must be the minimum and maximum as shares of the image, above 0 and below 1")
    return area


class DRA(DeviationClassifier):
    """DRA (Ding et al., CVPR 2022): heads for seen, pseudo and residual anomalies on a ResNet-18.

    The defaults are the paper's settings (its appendix B: ResNet-18, 30 epochs, no augmentation) in the
    authors' implementation: two scales, 20 steps per epoch with 32 good and 16 bad images. CutMix turns half
    of the good images into pseudo-anomalies, which is part of the method, not an augmentation; the authors'
    rotation is left out. Their scheduler steps at the start of an epoch, so the learning rate of 2e-4 is
    divided by 10 after 9 epochs, then every 10. The score is -holistic + seen + pseudo + composite.

    The composite head compares an image with references. In the authors' code about half of these are
    CutMix images, at test time too, and each batch draws new ones. That is `references: upstream`, except
    that each image draws its own, so that its score does not depend on the images beside it: they come from
    a pool of good images kept with the weights, chosen by a digest of the image's pixels. An image then
    costs `reference_count` more passes of the backbone. By default (`fixed`) references are unmodified good
    images: drawn for each step in training, afterwards the same few for all images.
    """

    class Params(DeviationParams):
        """Parameters of DRA."""

        epochs: int = Field(30, ge=1)
        """each of `steps_per_epoch` training steps"""
        batch_good: int = Field(32, ge=1, description="good or pseudo-anomalous images per training step")
        batch_bad: int = Field(16, ge=1, description="bad images per training step")
        pseudo_share: float = Field(
            0.5, ge=0, le=1, description="share of the good images replaced by CutMix"
        )
        patch_area: Annotated[tuple[float, float], AfterValidator(_rising)] = Field(
            (0.02, 0.15), description="area of a CutMix patch, minimum and maximum, as shares of the image"
        )
        patch_aspect: float = Field(
            0.3, gt=0, le=1, description="smallest aspect ratio of a patch; the largest is its inverse"
        )
        patch_jitter: float = Field(0.1, ge=0, le=0.5, description="strength of a patch's colour jitter")
        references: Literal["fixed", "upstream"] = Field(
            "fixed", description="see the description of the plugin"
        )
        reference_count: int = Field(5, ge=1, description="references per image")
        reference_pool: int = Field(64, ge=1, description="good images from which references: upstream draws")

    name, version = "dra", 1
    params: Params

    def __init__(self, params: Parameters | None = None, device: str = "cpu") -> None:
        super().__init__(params, device)
        self._references: Pixels | None = None
        self._means: list[Tensor] | None = None

    def per_step(self) -> int:
        return self.params.reference_count + self.params.batch_good + self.params.batch_bad

    estimate = estimated_by("segad_plugins.classifiers.estimates:dra")
    graph = graph_by("segad_plugins.graphs.classifiers:dra")

    def add_heads(self, body: Trunk) -> DRANetwork:
        p = self.params
        return DRANetwork(body, body.channels, p.top_share, p.scales, p.reference_count)

    def rate_factor(self, epoch: int) -> float:
        return self.params.rate_decay ** ((epoch + 1) // self.params.rate_epochs)

    def fit(self, images: ImageSet, labels: NDArray[np.int64], run: Run) -> None:
        p, device = self.params, torch_device(self.device)
        good, bad = good_and_bad(self.name, labels)
        build_seed, pool_seed, draw_seed, backbone_seed, *seeds = (int(s) for s in run.seed.generate_state(8))
        network = self.begin(build_seed)
        pixels = images.pixels()
        counts = p.reference_count, p.batch_good, p.batch_bad
        steps = Steps(pixels, good, bad, counts, self._mixing(), p.references == "upstream", tuple(seeds))

        def loss_at(step: int) -> Tensor:
            shown, kinds = steps[step]
            scores = network(normalised(shown, network.trunk.mean, network.trunk.std, device))
            draws = normal_draws(draw_seed, step, p.draws, len(scores))
            return dra_loss(scores, torch.from_numpy(kinds).to(device), draws, p.margin)

        self.end(network, loss_at, backbone_seed, run)
        kept = p.reference_count if p.references == "fixed" else min(p.reference_pool, len(good))
        self._keep_references(pixels[good[Endless(pool_seed, len(good), kept)[0]]])

    def scores(self, batch: ImageBatch) -> NDArray[np.float64]:
        network, kept = self.fitted(), self._references
        if batch.pixels.shape[1:] != kept.shape[1:]:
            raise PluginError(
                f"dra: was trained on images of {kept.shape[1]} x {kept.shape[2]} pixels, but these have "
                f"{batch.pixels.shape[1]} x {batch.pixels.shape[2]}",
                "Use images of the size that it was trained on.",
            )
        with torch.inference_mode():
            means = self._means
            if means is None:  # upstream: each image has references of its own
                count, mixing = self.params.reference_count, self._mixing()
                drawn = (drawn_references(image, kept, count, mixing) for image in batch.pixels)
                each = [self._mean_features(references) for references in drawn]
                means = [torch.cat(scale) for scale in zip(*each, strict=True)]
            responses = network.responses(network.features(self._inputs(batch.pixels)), means).double()
            return (responses.new_tensor(SIGNS) @ responses).cpu().numpy()

    def state(self) -> Mapping[str, NDArray[np.generic]]:
        return {**super().state(), "references": self._references}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        count = self.params.reference_count if self.params.references == "fixed" else None
        references = entry(self.name, state, "references", (count, None, None, 3))
        super().restore({n: array for n, array in state.items() if n != "references"})
        self._keep_references(references)

    def _keep_references(self, references: Pixels) -> None:
        self._references, self._means = references, None
        if self.params.references == "fixed":  # now, not at the first batch: scoring changes no state
            with torch.inference_mode():
                self._means = self._mean_features(references)

    def means(self) -> list[Tensor]:
        """The mean features (1, C, h, w) of the fixed references at each scale."""
        self.fitted()
        assert self._means is not None, "references are fixed"
        return self._means

    def _mean_features(self, references: Pixels) -> list[Tensor]:
        """Mean features of references, one tensor per scale, from the trained network."""
        network = self.fitted()
        return network.means(network.features(self._inputs(references)))

    def _inputs(self, pixels: Pixels) -> Tensor:
        trunk = self.fitted().trunk
        return normalised(pixels, trunk.mean, trunk.std, torch_device(self.device))

    def _mixing(self) -> Mixing:
        p = self.params
        return Mixing(CutMix(p.patch_area, p.patch_aspect, p.patch_jitter), p.pseudo_share)


def dra_loss(scores: Tensor, kinds: Tensor, draws: NDArray[np.float64], margin: float) -> Tensor:
    """The sum of the heads' deviation losses.

    The holistic head is trained on all images to respond to good ones. The others are trained to respond to
    all that are not good: the seen head on all images but pseudo-anomalies, the pseudo head on all but bad
    images, the composite head on all.

    Args:
        scores: (4, N), of the holistic, seen, pseudo and composite head.
        kinds: (N,) of GOOD, BAD and PSEUDO.
        draws: (4, n) from a standard normal, a row for each head.
        margin: see `deviation_loss`.
    """
    good, every = kinds == GOOD, kinds >= GOOD
    used = every, kinds != PSEUDO, kinds != BAD, every
    responding = good, ~good, ~good, ~good
    losses = [
        deviation_loss(scores[head][which], target[which], draws[head], margin)
        for head, (which, target) in enumerate(zip(used, responding, strict=True))
    ]
    return torch.stack(losses).sum()
