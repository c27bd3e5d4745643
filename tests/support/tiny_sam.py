"""A real SAM of some thousand weights, random but always the same, under a model name of its own."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from segment_anything import sam_model_registry
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from torch import nn

from segad_core.contracts import ImageBatch, Sample
from segad_core.contracts.images import Keep
from segad_core.images import decode
from segad_plugins.segmenters.sam import Sam as SamSegmenter

NAME = "tiny"
SIDE = 64  # of the image that it sees; the published ones see 1024
_PATCH, _WIDTH = 8, 32


def tiny_sam(depth: int = 2) -> Sam:
    """The network as the package builds its own, small; the weights come from torch's global generator."""
    grid = SIDE // _PATCH
    return Sam(
        image_encoder=ImageEncoderViT(
            depth=depth,
            embed_dim=_WIDTH,
            img_size=SIDE,
            mlp_ratio=2,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            num_heads=2,
            patch_size=_PATCH,
            qkv_bias=True,
            use_rel_pos=True,
            global_attn_indexes=[depth - 1],
            window_size=4,
            out_chans=_WIDTH,
        ),
        prompt_encoder=PromptEncoder(
            embed_dim=_WIDTH,
            image_embedding_size=(grid, grid),
            input_image_size=(SIDE, SIDE),
            mask_in_chans=8,
        ),
        mask_decoder=MaskDecoder(
            num_multimask_outputs=3,
            transformer=TwoWayTransformer(depth=2, embedding_dim=_WIDTH, mlp_dim=64, num_heads=2),
            transformer_dim=_WIDTH,
            iou_head_depth=2,
            iou_head_hidden_dim=32,
        ),
        pixel_mean=[123.675, 116.28, 103.53],
        pixel_std=[58.395, 57.12, 57.375],
    ).eval()


def random_sam(seed: int = 8, depth: int = 2) -> Sam:
    """One with random weights, large enough that masks differ by image and by prompt."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = tiny_sam(depth)
        with torch.no_grad():
            for weight in network.parameters():
                if weight.ndim > 1:
                    weight.normal_(0, 2 * weight[0].numel() ** -0.5)
    return network


def checkpoint(folder: Path, seed: int = 8, depth: int = 2) -> Path:
    """A checkpoint as SAM's are published: a state dict saved by torch."""
    path = folder / f"sam_tiny_{seed}_{depth}.pth"
    torch.save(random_sam(seed, depth).state_dict(), path)
    return path


def register(monkeypatch: pytest.MonkeyPatch) -> None:
    """Adds the tiny network to the package's registry, for one test."""
    monkeypatch.setitem(sam_model_registry, NAME, tiny_sam)


def segmenter(path: Path, **params: Any) -> SamSegmenter:
    """The plugin on a tiny checkpoint."""
    return SamSegmenter(SamSegmenter.Params.model_validate({"model": NAME, "checkpoint": path, **params}))


def picture(number: int = 0, height: int = 48, width: int = 80) -> NDArray[np.uint8]:
    """A bright disc on a dark, speckled ground, elsewhere for each number."""
    rng = np.random.default_rng(number)
    rows, columns = np.mgrid[:height, :width]
    inside = np.hypot(rows - rng.uniform(16, 32), columns - rng.uniform(20, 60)) < 12
    grey = np.where(inside, 210, 50) + rng.integers(-20, 20, (height, width))
    return np.stack([grey, grey * 0.8, grey * 0.6], axis=-1).astype(np.uint8)


def batch(
    folder: Path,
    images: Sequence[NDArray[np.uint8]],
    size: tuple[int, int] = (24, 40),
    keep: Keep | None = None,
) -> ImageBatch:
    """A batch of images that are files, brought to a size."""
    samples = []
    for i, image in enumerate(images):
        samples.append(Sample(f"good/{i}.png", folder / f"{i}.png", 0))
        Image.fromarray(image).save(samples[-1].path)
    pixels = [np.asarray(Image.fromarray(image).resize(size[::-1])) for image in images]
    return ImageBatch(samples, np.stack(pixels), load=lambda sample: decode(sample.path).pixels, keep=keep)


class Calls:
    """Counts the calls of a method, and keeps what it was called with, for one test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, cls: type, method: str) -> None:
        self.given: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
        real = getattr(cls, method)

        def spy(own: Any, *args: Any, **kwargs: Any) -> Any:
            self.given.append((args, kwargs))
            return real(own, *args, **kwargs)

        monkeypatch.setattr(cls, method, spy)

    def __len__(self) -> int:
        return len(self.given)
