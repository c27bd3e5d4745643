"""SAM asked by points and boxes: the package itself, asked by hand, says the same."""

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_sam
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError
from segment_anything import SamPredictor
from segment_anything.modeling import ImageEncoderViT

from segad_core.errors import DataError
from segad_plugins.segmenters.sam import Sam
from segad_plugins.segmenters.sam_masks import mask_of_prompts, unpacked

POINT = {"points": [[50, 20]]}
POINTS = {"points": [[50, 20], [12.5, 40]]}
BOTH = {"points": [[50, 20]], "exclude": [[5, 5], [70, 40]]}
BOX = {"box": [30, 5, 70, 40]}
ALL = {"points": [[50, 20]], "exclude": [[5, 5]], "box": [30, 5, 70, 40]}
PROMPTS = {"point": POINT, "points": POINTS, "points and not": BOTH, "box": BOX, "all": ALL}


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_sam.register(monkeypatch)


def _mask(
    tmp_path: Path, image: NDArray[np.uint8], *prompts: dict[str, Any], **more: Any
) -> NDArray[np.bool_]:
    sam = tiny_sam.segmenter(tiny_sam.checkpoint(tmp_path), prompts=list(prompts), **more)
    return sam.object_mask(tiny_sam.batch(tmp_path, [image]), 0)


def _by_hand(image: NDArray[np.uint8], prompt: dict[str, Any]) -> NDArray[np.bool_]:
    predictor = SamPredictor(tiny_sam.random_sam())
    predictor.set_image(image)
    places = np.array(prompt.get("points", []) + prompt.get("exclude", []), float).reshape(-1, 2)
    labels = np.array([1] * len(prompt.get("points", [])) + [0] * len(prompt.get("exclude", [])))
    masks, scores, _ = predictor.predict(
        places if len(places) else None,
        labels if len(places) else None,
        np.array(prompt["box"]) if "box" in prompt else None,
        multimask_output=prompt is POINT,
    )
    assert len(masks) == (3 if prompt is POINT else 1)
    return masks[sorted(range(len(masks)), key=lambda i: scores[i])[-1]]


@pytest.mark.parametrize("which", PROMPTS)
def test_a_prompt_gives_the_predictors_mask(which: str, tmp_path: Path) -> None:
    image = tiny_sam.picture(1)
    mask = _mask(tmp_path, image, PROMPTS[which])
    assert mask.dtype == np.bool_ and mask.shape == (48, 80) and 0 < mask.sum() < mask.size
    np.testing.assert_array_equal(mask, _by_hand(image, PROMPTS[which]))


def test_prompts_of_different_kinds_give_different_masks() -> None:
    """Else the test above could not fail."""
    masks = [_by_hand(tiny_sam.picture(1), prompt) for prompt in PROMPTS.values()]
    assert all((a != b).any() for a, b in combinations(masks, 2))


def test_of_three_masks_the_one_of_the_highest_predicted_iou_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    masks = np.random.default_rng(0).random((3, 48, 80)) < 0.5
    scores = np.array([0.3, 0.9, 0.8], np.float32)
    monkeypatch.setattr(SamPredictor, "predict", lambda *_, **__: (masks, scores, None))
    np.testing.assert_array_equal(_mask(tmp_path, tiny_sam.picture(), POINT), masks[1])


def test_the_object_is_the_union_over_prompts(tmp_path: Path) -> None:
    image, prompts = tiny_sam.picture(2), [POINT, BOX, BOTH]
    union = _by_hand(image, POINT) | _by_hand(image, BOX) | _by_hand(image, BOTH)
    np.testing.assert_array_equal(_mask(tmp_path, image, *prompts), union)
    np.testing.assert_array_equal(_mask(tmp_path, image, *prompts[::-1]), union)
    assert all((_by_hand(image, prompt) != union).any() for prompt in prompts)


def test_an_image_is_embedded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = tiny_sam.Calls(monkeypatch, ImageEncoderViT, "forward")
    _mask(tmp_path, tiny_sam.picture(), POINT, BOX, BOTH, ALL)
    assert len(calls) == 1


def test_sam_gets_the_image_and_the_places_in_pixels_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = tiny_sam.picture(3)
    asked = tiny_sam.Calls(monkeypatch, SamPredictor, "predict")
    shown = tiny_sam.Calls(monkeypatch, SamPredictor, "set_image")
    _mask(tmp_path, image, ALL, BOX)
    np.testing.assert_array_equal(shown.given[0][0][0], image)
    (_, first), (_, second) = asked.given
    np.testing.assert_array_equal(first["point_coords"], [[50, 20], [5, 5]])
    np.testing.assert_array_equal(first["point_labels"], [1, 0])
    np.testing.assert_array_equal(first["box"], [30, 5, 70, 40])
    assert second["point_coords"] is None and second["point_labels"] is None


def test_the_places_reach_the_network_at_its_scale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An image of 40 x 80 is seen at 64 / 80 of its size, its longer side filling the network's 64."""
    calls = tiny_sam.Calls(monkeypatch, SamPredictor, "predict_torch")
    _mask(tmp_path, tiny_sam.picture(0, 40, 80), ALL)
    coords, labels, boxes = calls.given[0][0][:3]
    torch.testing.assert_close(coords, torch.tensor([[[40.0, 16.0], [4.0, 4.0]]]))
    torch.testing.assert_close(boxes.reshape(1, 4), torch.tensor([[24.0, 4.0, 56.0, 32.0]]))
    assert labels.tolist() == [[1, 0]]


@pytest.mark.parametrize("shape", [(48, 80), (80, 48), (64, 64), (7, 9), (1, 5)])
def test_the_mask_has_the_size_of_the_image_on_disk(shape: tuple[int, int], tmp_path: Path) -> None:
    image = tiny_sam.picture(0, *shape)
    mask = _mask(tmp_path, image, {"box": [0, 0, shape[1], shape[0]]})
    assert mask.shape == shape


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(0, 2**32 - 1))
def test_packing_loses_nothing(height: int, width: int, seed: int) -> None:
    """Whatever the number of pixels, which need not be a multiple of eight."""
    wanted = np.random.default_rng(seed).random((height, width)) < 0.5
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SamPredictor, "__init__", lambda *_: None)
        patch.setattr(SamPredictor, "set_image", lambda *_: None)
        patch.setattr(SamPredictor, "predict", lambda *_, **__: (wanted[None], np.ones(1), None))
        prompts = Sam.Params.model_validate({"checkpoint": "x", "prompts": [{"points": [[0, 0]]}]}).prompts
        packed = mask_of_prompts(np.zeros((height, width, 3), np.uint8), lambda: None, prompts or [], "")
    assert packed["mask"].nbytes == -(-height * width // 8)
    np.testing.assert_array_equal(unpacked(packed), wanted)


# ---- small parts ----


def _parts() -> NDArray[np.bool_]:
    """Parts of 12, 6 and 1 pixels of 100; the first is two that touch at a corner."""
    mask = np.zeros((10, 10), np.bool_)
    mask[0:3, 0:2] = mask[3:5, 2:5] = mask[7:10, 0:2] = mask[0, 9] = True
    return mask


@pytest.mark.parametrize(
    ("share", "left"), [(0, 19), (0.01, 19), (0.02, 18), (0.06, 18), (0.061, 12), (0.12, 12), (0.13, 0)]
)
def test_parts_below_a_share_of_the_image_are_dropped(
    share: float, left: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    masks = _parts()[None]
    monkeypatch.setattr(SamPredictor, "predict", lambda *_, **__: (masks, np.ones(1), None))
    mask = _mask(tmp_path, np.zeros((10, 10, 3), np.uint8), {"points": [[1, 1]]}, smallest_part=share)
    assert mask.sum() == left and not (mask & ~_parts()).any()
    assert mask[4, 4] == (left >= 12) and mask[8, 0] == (left >= 18) and mask[0, 9] == (left == 19)


# ---- what cannot be ----


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ({"points": [[80, 20]]}, r"the prompt's point \[80, 20\] lies outside"),
        ({"points": [[50, 20], [50, 48]]}, r"the prompt's point \[50, 48\] lies outside"),
        ({"points": [[50, 20]], "exclude": [[5, 100.5]]}, r"the prompt's point \[5, 100.5\] lies outside"),
        ({"box": [30, 5, 81, 40]}, r"the prompt's box \[30, 5, 81, 40\] reaches outside"),
        ({"box": [30, 5, 70, 48.5]}, r"the prompt's box \[30, 5, 70, 48.5\] reaches outside"),
    ],
)
def test_a_prompt_outside_an_image(prompt: dict[str, Any], said: str, tmp_path: Path) -> None:
    """Told by the image, and before anything trains by the sizes alone."""
    sizes = r"80 x 48 pixels \(width x height\), but "
    with pytest.raises(DataError, match=rf"image 'good/0\.png': has {sizes}{said}"):
        _mask(tmp_path, tiny_sam.picture(), POINT, prompt)
    sam = tiny_sam.segmenter(tiny_sam.checkpoint(tmp_path), prompts=[POINT, prompt])
    with pytest.raises(DataError, match=rf"images have {sizes}{said}"):
        sam.check_sizes({(200, 200), (48, 80)}, (24, 40))
    sam.check_sizes({(200, 200)}, (24, 24))


def test_the_outermost_pixels_and_the_whole_image_are_inside(tmp_path: Path) -> None:
    corners = {"points": [[0, 0], [79, 47], [79.5, 47.5]], "box": [0, 0, 80, 48]}
    assert _mask(tmp_path, tiny_sam.picture(), corners).shape == (48, 80)
    tiny_sam.segmenter(tiny_sam.checkpoint(tmp_path), prompts=[corners]).check_sizes({(48, 80)}, (24, 40))


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"prompts": [{}]}, "at least one point on the object, or a box"),
        ({"prompts": [{"exclude": [[1, 1]]}]}, "at least one point on the object, or a box"),
        ({"prompts": []}, "at least 1 item"),
        ({"prompts": [{"box": [30, 5, 30, 40]}]}, "is empty"),
        ({"prompts": [{"box": [30, 40, 70, 5]}]}, "is empty"),
        ({"prompts": [{"points": [[-1, 5]]}]}, "greater than or equal to 0"),
        ({"prompts": [{"points": [[1, 5, 3]]}]}, "at most 2 items"),
        ({"prompts": [{"points": [[float("nan"), 5]]}]}, "finite|greater"),
        ({"prompts": [{"point": [[1, 5]]}]}, "Extra inputs"),
        ({"prompts": [POINT], "automatic": {}}, "'prompts' and 'automatic' exclude each other"),
        ({"model": "vit-h"}, "SAM has no model 'vit-h' - did you mean 'vit_h'\\? known: .*vit_l, vit_b"),
        ({"smallest_part": 1}, "less than 1"),
        ({"sha256": "abc"}, "pattern"),
    ],
)
def test_parameters_that_cannot_be(params: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Sam.Params.model_validate({"checkpoint": "sam.pth", **params})
