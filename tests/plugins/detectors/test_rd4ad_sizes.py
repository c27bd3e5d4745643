"""RD4AD's defaults, and its sizes against hand counts; layers and images that do not fit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from trainings import SHAPES, WIDE_RESNET, FeatureImages, feature_batch, random_features, seed_run

from segad_core.errors import PluginError
from segad_plugins.detectors.rd4ad import RD4AD
from segad_plugins.detectors.reversed_bottleneck import Student
from segad_plugins.estimate_tools import count_parameters, macs


def test_defaults_are_the_papers() -> None:
    assert RD4AD().params.model_dump() == {
        "layers": ("layer1", "layer2", "layer3"),
        "bottleneck_width": 64,
        "epochs": 200,
        "batch": 16,
        "learning_rate": 5e-3,
        "betas": (0.5, 0.999),
        "loss": "flattened",
        "combine": "add",
        "blur_sigma": 4.0,
        "blur_border": "reflect",
        "precision": "float32",
        "exact_maps": False,
    }


def convolution_macs(student: Student, layers: Sequence[Tensor]) -> dict[str, int]:
    """Multiply-adds of each part: each weight once a pixel that is put out or, where it doubles, taken in."""
    found = {"descents": 0, "bottleneck": 0, "stages": 0}

    def count(name: str):
        def hook(module: nn.Module, given: tuple[Tensor], result: Tensor) -> None:
            pixels = given[0] if isinstance(module, nn.ConvTranspose2d) else result
            found[name.split(".")[0]] += module.weight.numel() * pixels.shape[2] * pixels.shape[3]

        return hook

    for name, module in student.named_modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.register_forward_hook(count(name))
    student(layers)
    return found


@pytest.mark.parametrize(
    ("width", "embedding", "work", "total"), [(64, 30.8, 5.2, 55.7), (128, 58.9, 7.3, 83.8)]
)
def test_sizes_with_wide_resnet(width: int, embedding: float, work: float, total: float) -> None:
    """The decoder has 24.9 M parameters and 11.1 GMAC at both widths; the code is 2048 x 8 x 8."""
    codes = []
    with torch.device("meta"):
        student = Student((256, 512, 1024), width)
        student.bottleneck.register_forward_hook(
            lambda _module, _given, result: codes.append(tuple(result.shape))
        )
        layers = [torch.empty(1, *shape) for shape in WIDE_RESNET.values()]
        counted = macs(student, layers)
        by_hand = convolution_macs(student, layers)
    embedded = count_parameters(student.descents) + count_parameters(student.bottleneck)
    decoder = count_parameters(student.stages)
    assert (round(embedded / 1e6, 1), round(decoder / 1e6, 1)) == (embedding, 24.9)
    assert round((embedded + decoder) / 1e6, 1) == total
    assert round((by_hand["descents"] + by_hand["bottleneck"]) / 1e9, 1) == work
    assert round(by_hand["stages"] / 1e9, 1) == 11.1
    assert counted == sum(by_hand.values())
    assert set(codes) == {(1, 2048, 8, 8)}
    words = RD4AD(RD4AD.Params(bottleneck_width=width)).estimate(1000, (256, 256), WIDE_RESNET).work  # type: ignore[arg-type]
    size, work_each = f"{(embedded + decoder) / 1e6:.2f} M parameters", f"{3 * counted / 1e9:.2f} GMAC each"
    assert words == f"{size}, 200,000 image-steps, {work_each}"


def test_inner_widths_with_wide_resnet() -> None:
    """Of the decoder 512, 256, 128; of the bottleneck 512, or 1024 as in the authors' code."""
    with torch.device("meta"):
        for width, inner in ((64, 512), (128, 1024)):
            student = Student((256, 512, 1024), width)
            assert {block.enter[0].out_channels for block in student.bottleneck} == {inner}
            decoder = [{block.enter[0].out_channels for block in stage} for stage in student.stages]
            assert decoder == [{512}, {256}, {128}]
            assert [len(stage) for stage in student.stages] == [3, 4, 6]


ODD = {
    "wide resnet": ((256, 512, 1024), (256, 256)),
    "resnet18": ((64, 128, 256), (256, 256)),
    "resnet18, odd": ((64, 128, 256), (225, 290)),
    "efficientnet_lite0": ((24, 40, 112), (100, 36)),
    "one layer": ((7,), (20, 12)),
    "four layers": ((5, 3, 8, 2), (130, 257)),
}


@pytest.mark.parametrize("kind", ODD)
def test_imitations_have_the_teachers_shapes(kind: str) -> None:
    channels, size = ODD[kind]
    shapes = [(c, *(-(-side // (4 << i)) for side in size)) for i, c in enumerate(channels)]
    RD4AD(RD4AD.Params(blur_sigma=1)).check(size, {f"layer{i}": shape for i, shape in enumerate(shapes)})
    with torch.device("meta"):
        found = Student(channels, 64)([torch.empty(2, *shape) for shape in shapes])
    assert [tuple(imitation.shape[1:]) for imitation in found] == shapes


# ---- what does not fit ----


@pytest.mark.parametrize(
    "other",
    [(9, 4, 6), (9, 8, 5), (9, 16, 12), (9, 8, 7), (9, 6, 8)],
    ids=lambda shape: f"{shape[1]}x{shape[2]}",
)
def test_layers_that_do_not_halve_are_refused(other: tuple[int, int, int]) -> None:
    detector = RD4AD()
    detector.check((64, 48), SHAPES)
    with pytest.raises(PluginError) as caught:
        detector.check((64, 48), {"layer1": (6, 16, 12), "layer2": other})
    assert caught.value.what.startswith("rd4ad: needs layers that each have half the size")
    assert f"'layer2' has {other[1]} x {other[2]} after 16 x 12" in caught.value.what
    assert "consecutive" in caught.value.remedy


def test_layers_from_coarse_to_fine_or_with_a_gap_are_refused() -> None:
    for names in (("layer2", "layer1"), ("layer1", "layer3"), ("layer1", "layer2", "layer2")):
        shapes = {name + i * "'": SHAPES[name] for i, name in enumerate(names)}
        with pytest.raises(PluginError, match="rd4ad: needs layers that each"):
            RD4AD().check((64, 48), shapes)


@pytest.mark.parametrize("coarsest", [(1, 3), (3, 1), (1, 1), (2, 2)])
def test_images_too_small_for_the_coarsest_layer_are_refused(coarsest: tuple[int, int]) -> None:
    detector, (height, width) = RD4AD(RD4AD.Params(blur_sigma=1)), coarsest
    with pytest.raises(PluginError) as caught:
        detector.check((20, 24), {"layer1": (4, 2 * height, 2 * width), "layer2": (4, height, width)})
    assert "rd4ad: images of 20 x 24 pixels are too small" in caught.value.what
    assert f"has {height} x {width} positions, fewer than 2 x 3" in caught.value.what
    assert "image.size" in caught.value.remedy
    detector.check((20, 24), {"layer1": (4, 6, 4), "layer2": (4, 3, 2)})


def test_a_blur_wider_than_the_image_is_refused() -> None:
    shapes = {"layer2": (8, 2, 6)}
    RD4AD().check((17, 48), shapes)
    RD4AD(RD4AD.Params(blur_sigma=0)).check((8, 48), shapes)
    with pytest.raises(PluginError, match=r"rd4ad: a blur of sigma 4 .* more than 16 pixels"):
        RD4AD().check((16, 48), shapes)


@pytest.mark.parametrize("coarsest", [(3, 2), (2, 3)])
def test_the_smallest_sizes_train_whatever_the_batches(coarsest: tuple[int, int]) -> None:
    """With 2 x 2 the code would be one pixel, and a batch of one image have one value a channel."""
    height, width = coarsest
    shapes = {"layer1": (6, 2 * height, 2 * width), "layer2": (8, height, width)}
    detector = RD4AD(RD4AD.Params(layers=("layer1", "layer2"), epochs=2, batch=2, blur_sigma=0))
    detector.check((8 * height, 8 * width), shapes)
    features = random_features(3, 0, shapes)
    detector.fit(FeatureImages(features), seed_run(0))  # type: ignore[arg-type]
    assert np.isfinite(detector.anomaly_maps(feature_batch(features, (8 * height, 8 * width)))).all()
