"""SAM asked at a grid of points: the package's generator, and what of its masks is background."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_sam
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError
from segment_anything import SamAutomaticMaskGenerator, automatic_mask_generator
from segment_anything.modeling import ImageEncoderViT

from segad_plugins.segmenters.sam import Sam
from segad_plugins.segmenters.sam_masks import Automatic, union_of_objects

LOOSE = {  # what a random network gives passes
    "points_per_side": 4,
    "pred_iou_thresh": 0,
    "stability_score_thresh": 0.6,
    "stability_score_offset": 0.1,
    "box_nms_thresh": 0.95,
}
SETTINGS = {
    "loose": LOOSE,
    "fewer points": {**LOOSE, "points_per_side": 2},
    "surer": {**LOOSE, "pred_iou_thresh": 1},
    "more stable": {**LOOSE, "stability_score_thresh": 0.85},
    "shifted": {**LOOSE, "stability_score_offset": 0.3},
    "fewer alike": {**LOOSE, "box_nms_thresh": 0.2},
    "crops": {**LOOSE, "crop_n_layers": 1, "crop_n_points_downscale_factor": 2},
    "crops overlap": {**LOOSE, "crop_n_layers": 1, "crop_overlap_ratio": 0.1, "crop_nms_thresh": 1},
}


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_sam.register(monkeypatch)
    # the package drops what comes within 20 pixels of a crop's edge, which in crops so small is all
    near = partial(automatic_mask_generator.is_box_near_crop_edge, atol=0)
    monkeypatch.setattr(automatic_mask_generator, "is_box_near_crop_edge", near)


def _mask(tmp_path: Path, image: NDArray[np.uint8], automatic: dict[str, Any] | None) -> NDArray[np.bool_]:
    sam = tiny_sam.segmenter(tiny_sam.checkpoint(tmp_path), automatic=automatic)
    return sam.object_mask(tiny_sam.batch(tmp_path, [image]), 0)


def _by_hand(
    image: NDArray[np.uint8], settings: dict[str, Any], border_share: float = 0.5
) -> NDArray[np.bool_]:
    records = SamAutomaticMaskGenerator(tiny_sam.random_sam(), **settings).generate(image)
    union = np.zeros(image.shape[:2], np.bool_)
    edge = np.pad(np.zeros(np.array(union.shape) - 2, np.bool_), 1, constant_values=True)
    for record in records:
        if record["segmentation"][edge].mean() < 0.5:
            union |= record["segmentation"]
    return union


@pytest.mark.parametrize("which", SETTINGS)
def test_the_object_is_what_the_generator_finds_and_is_not_background(which: str, tmp_path: Path) -> None:
    images = [tiny_sam.picture(n) for n in range(4)]
    expected = [_by_hand(image, SETTINGS[which]) for image in images]
    assert any(mask.any() for mask in expected)
    for image, mask in zip(images, expected, strict=True):
        np.testing.assert_array_equal(_mask(tmp_path, image, SETTINGS[which]), mask)


def test_each_setting_changes_something() -> None:
    """Else the test above would not tell whether it reaches the generator."""
    images = [tiny_sam.picture(n) for n in range(4)]
    loose = [_by_hand(image, LOOSE) for image in images]
    for which in list(SETTINGS)[1:]:
        other = [_by_hand(image, SETTINGS[which]) for image in images]
        assert any((a != b).any() for a, b in zip(loose, other, strict=True)), which


def test_points_asked_at_once_change_nothing(tmp_path: Path) -> None:
    image = tiny_sam.picture(1)
    masks = [_mask(tmp_path, image, {**LOOSE, "points_per_batch": n}) for n in (1, 5, 64)]
    assert masks[0].any()
    for mask in masks[1:]:
        np.testing.assert_array_equal(mask, masks[0])


def test_every_parameter_reaches_the_generator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = tiny_sam.Calls(monkeypatch, SamAutomaticMaskGenerator, "__init__")
    given = {
        "points_per_side": 6,
        "points_per_batch": 7,
        "pred_iou_thresh": 0.11,
        "stability_score_thresh": 0.12,
        "stability_score_offset": 0.13,
        "box_nms_thresh": 0.14,
        "crop_n_layers": 1,
        "crop_nms_thresh": 0.15,
        "crop_overlap_ratio": 0.16,
        "crop_n_points_downscale_factor": 3,
    }
    _mask(tmp_path, tiny_sam.picture(), {**given, "border_share": 0.4})
    assert calls.given[0][1] == given and set(Automatic.model_fields) == {*given, "border_share"}


def test_the_defaults_are_the_packages_and_the_published_ones() -> None:
    own = Automatic().model_dump(exclude={"border_share"})
    generator = SamAutomaticMaskGenerator(tiny_sam.random_sam())
    assert own.pop("points_per_side") == 32 == len(generator.point_grids[0]) ** 0.5
    own.pop("crop_n_points_downscale_factor")  # the package does not keep it; 1 there too
    assert own == {name: getattr(generator, name) for name in own}
    assert (own["pred_iou_thresh"], own["stability_score_thresh"], own["box_nms_thresh"]) == (0.88, 0.95, 0.7)


@pytest.mark.parametrize("params", [{}, {"automatic": None}, {"automatic": {}}])
def test_without_prompts_it_is_automatic(
    params: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mask = np.zeros((48, 80), np.bool_)
    mask[10:20, 10:20] = True
    seen = []

    def generate(own: SamAutomaticMaskGenerator, image: NDArray[np.uint8]) -> list[dict[str, Any]]:
        seen.append((own.pred_iou_thresh, len(own.point_grids[0])))
        return [{"segmentation": mask}]

    monkeypatch.setattr(SamAutomaticMaskGenerator, "generate", generate)
    sam = tiny_sam.segmenter(tiny_sam.checkpoint(tmp_path), **params)
    np.testing.assert_array_equal(sam.object_mask(tiny_sam.batch(tmp_path, [tiny_sam.picture()]), 0), mask)
    assert seen == [(0.88, 1024)]


@pytest.mark.parametrize("layers", [0, 1, 2])
def test_where_nothing_is_found_there_is_no_object(
    layers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where crops are looked at, with which the package itself fails."""
    monkeypatch.setattr(
        "segment_anything.automatic_mask_generator.calculate_stability_score",
        lambda m, *_: m.mean((1, 2)) * 0 - 1,
    )
    calls = tiny_sam.Calls(monkeypatch, ImageEncoderViT, "forward")
    mask = _mask(tmp_path, tiny_sam.picture(), {**LOOSE, "crop_n_layers": layers})
    assert mask.shape == (48, 80) and not mask.any()
    assert len(calls) == sum(4**layer for layer in range(layers + 1))


# ---- background, by hand ----


def _full(*places: tuple[slice, slice]) -> NDArray[np.bool_]:
    mask = np.zeros((6, 10), np.bool_)  # its border has 28 pixels
    for place in places:
        mask[place] = True
    return mask


EVERY = slice(None)
MIDDLE, TOP, LEFT = (
    _full((slice(2, 4), slice(3, 7))),
    _full((slice(0, 1), EVERY)),
    _full((EVERY, slice(0, 2))),
)
RING = ~_full((slice(1, 5), slice(1, 9)))
HALF = _full((slice(0, 3), EVERY))  # 14 of the border's 28 pixels


@pytest.mark.parametrize(
    ("masks", "share", "kept"),
    [
        ([], 0.5, []),
        ([MIDDLE], 0.5, [MIDDLE]),
        ([MIDDLE, RING], 0.5, [MIDDLE]),
        ([RING], 0.5, []),
        ([MIDDLE, TOP, LEFT], 0.5, [MIDDLE, TOP, LEFT]),  # 10 and 8 of 28
        ([MIDDLE, TOP, LEFT], 10 / 28, [MIDDLE, LEFT]),
        ([MIDDLE, TOP, LEFT], 8 / 28, [MIDDLE]),
        ([HALF, MIDDLE], 0.5, [MIDDLE]),
        ([HALF, MIDDLE], 0.51, [HALF, MIDDLE]),
        ([RING, ~RING], 1, [~RING]),
        ([TOP, LEFT], 0.001, []),
    ],
)
def test_a_mask_that_covers_the_border_is_background(
    masks: list[NDArray[np.bool_]], share: float, kept: list[NDArray[np.bool_]]
) -> None:
    expected = np.zeros((6, 10), np.bool_)
    for mask in kept:
        expected = expected | mask
    before = [mask.copy() for mask in masks]
    np.testing.assert_array_equal(union_of_objects(masks, (6, 10), share), expected)
    assert all((a == b).all() for a, b in zip(masks, before, strict=True))


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 9), st.integers(2, 9), st.integers(0, 6), st.floats(0.05, 1), st.integers(0, 2**32 - 1))
def test_the_rule_pixel_by_pixel(height: int, width: int, count: int, share: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    masks = [rng.random((height, width)) < rng.random() for _ in range(count)]
    expected = np.zeros((height, width), np.bool_)
    for mask in masks:
        border = [
            mask[y, x]
            for y in range(height)
            for x in range(width)
            if y in (0, height - 1) or x in (0, width - 1)
        ]
        if sum(border) < share * len(border):
            expected |= mask
    np.testing.assert_array_equal(union_of_objects(masks, (height, width), share), expected)


@pytest.mark.parametrize(
    ("automatic", "said"),
    [
        ({"points_per_side": 0}, "points_per_side"),
        ({"pred_iou_thresh": 1.5}, "pred_iou_thresh"),
        ({"border_share": 0}, "border_share"),
        ({"min_mask_region_area": 10}, "min_mask_region_area"),
        (
            {"points_per_side": 3, "crop_n_layers": 2, "crop_n_points_downscale_factor": 2},
            "last layer of crops without a point",
        ),
    ],
)
def test_parameters_that_cannot_be(automatic: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Sam.Params.model_validate({"checkpoint": "sam.pth", "automatic": automatic})
