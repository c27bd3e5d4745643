"""SAM runs once per image, ever: masks are kept under what decides them, and under nothing else."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_sam
import torch
from numpy.typing import NDArray
from PIL import Image
from segment_anything import sam_model_registry
from segment_anything.modeling import ImageEncoderViT

from segad_core.base import code_digest
from segad_core.base.decoding import Decoding
from segad_core.contracts import Arrays, Sample
from segad_core.contracts.images import Keep
from segad_core.errors import DataError
from segad_core.images.artifacts import keeper
from segad_core.store.store import Store
from segad_plugins.segmenters import sam as module

PROMPTS = [{"points": [[50, 20]]}, {"box": [30, 5, 70, 40]}]
QUICK = {"points_per_side": 2, "pred_iou_thresh": 0, "stability_score_thresh": 0}
WAYS: dict[str, dict[str, Any]] = {"prompts": {"prompts": PROMPTS}, "automatic": {"automatic": QUICK}}


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_sam.register(monkeypatch)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> tiny_sam.Calls:
    return tiny_sam.Calls(monkeypatch, ImageEncoderViT, "forward")


@pytest.fixture
def keep(tmp_path: Path) -> Keep:
    return keeper(Store(tmp_path / "store"), Decoding())


def _segment(folder: Path, keep: Keep, size: tuple[int, int] = (24, 40), **params: Any) -> NDArray[np.uint8]:
    """Three images, segmented by a fresh instance."""
    path = params.pop("checkpoint", None) or tiny_sam.checkpoint(folder)
    images = [tiny_sam.picture(n) for n in range(3)]
    return tiny_sam.segmenter(path, **params).segment(tiny_sam.batch(folder, images, size, keep))


@pytest.mark.parametrize("way", WAYS)
def test_a_second_instance_finds_the_masks(
    way: str, tmp_path: Path, keep: Keep, runs: tiny_sam.Calls
) -> None:
    first = _segment(tmp_path, keep, **WAYS[way])
    assert len(runs) == 3
    np.testing.assert_array_equal(_segment(tmp_path, keep, **WAYS[way]), first)
    assert len(runs) == 3
    assert way == "automatic" or len({labels.tobytes() for labels in first}) == 3


def test_what_is_kept_is_what_sam_says(tmp_path: Path, keep: Keep) -> None:
    path, images = tiny_sam.checkpoint(tmp_path), [tiny_sam.picture(4)]
    sam = tiny_sam.segmenter(path, prompts=PROMPTS)
    fresh = sam.object_mask(tiny_sam.batch(tmp_path, images), 0)
    for _ in range(2):
        kept = sam.object_mask(tiny_sam.batch(tmp_path, images, keep=keep), 0)
        assert kept.dtype == np.bool_
        np.testing.assert_array_equal(kept, fresh)


def _components(folder: Path) -> dict[str, Any]:
    drawn = np.zeros((48, 80), np.uint8)
    drawn[10:40, 20:60], drawn[15:20, 25:35] = 1, 2
    Image.fromarray(drawn).save(folder / "components.png")
    return {"components": folder / "components.png", "segments": ["background", "object", "part"]}


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: {"size": (48, 80)},
        lambda folder: {"size": (7, 11)},
        lambda folder: {"segments": ["ground", "thing"]},
        lambda folder: {"smallest_part": 0.1},
        lambda folder: {"sha256": module.file_digest(tiny_sam.checkpoint(folder))},
        lambda folder: {"checkpoint": tiny_sam.checkpoint(folder).rename(folder / "elsewhere.pth")},
        _components,
    ],
)
@pytest.mark.parametrize("way", WAYS)
def test_what_decides_no_mask_does_not_make_sam_run_again(
    change: Callable[[Path], dict[str, Any]], way: str, tmp_path: Path, keep: Keep, runs: tiny_sam.Calls
) -> None:
    _segment(tmp_path, keep, **WAYS[way])
    _segment(tmp_path, keep, **WAYS[way], **change(tmp_path))
    assert len(runs) == 3


def test_nor_does_how_many_points_are_asked_at_once(tmp_path: Path, keep: Keep, runs: tiny_sam.Calls) -> None:
    for points in (64, 3):
        _segment(tmp_path, keep, automatic={**QUICK, "points_per_batch": points})
    assert len(runs) == 3


@pytest.mark.parametrize(
    "change",
    [
        {"prompts": PROMPTS[:1]},
        {"prompts": [{"points": [[50, 20.5]]}, PROMPTS[1]]},
        {"prompts": [{"points": [[50, 20]], "exclude": [[1, 1]]}, PROMPTS[1]]},
        {"prompts": [PROMPTS[0], {"box": [30, 5, 70, 41]}]},
        {"automatic": QUICK},
        {"automatic": {**QUICK, "points_per_side": 3}},
        {"automatic": {**QUICK, "border_share": 0.4}},
    ],
)
def test_other_questions_make_sam_run_again(
    change: dict[str, Any], tmp_path: Path, keep: Keep, runs: tiny_sam.Calls
) -> None:
    for way in WAYS.values():
        _segment(tmp_path, keep, **way)
    _segment(tmp_path, keep, **change)
    assert len(runs) == (6 if change in WAYS.values() else 9)


def test_another_checkpoint_makes_sam_run_again(tmp_path: Path, keep: Keep, runs: tiny_sam.Calls) -> None:
    """Also one of the same name."""
    path = tiny_sam.checkpoint(tmp_path)
    first = _segment(tmp_path, keep, prompts=PROMPTS, checkpoint=path)
    tiny_sam.checkpoint(tmp_path, seed=9).replace(path)
    second = _segment(tmp_path, keep, prompts=PROMPTS, checkpoint=path)
    assert len(runs) == 6 and (first != second).any()


def test_another_version_of_the_package_makes_sam_run_again(
    tmp_path: Path, keep: Keep, runs: tiny_sam.Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    _segment(tmp_path, keep, prompts=PROMPTS)
    monkeypatch.setattr(module, "version", {"segment-anything": "1.1"}.__getitem__)
    _segment(tmp_path, keep, prompts=PROMPTS)
    assert len(runs) == 6


def test_only_new_images_are_segmented(tmp_path: Path, keep: Keep, runs: tiny_sam.Calls) -> None:
    """By their bytes, whatever they are called."""
    sam = tiny_sam.segmenter(tiny_sam.checkpoint(tmp_path), prompts=PROMPTS)
    sam.segment(tiny_sam.batch(tmp_path, [tiny_sam.picture(n) for n in (0, 1)], keep=keep))
    sam.segment(tiny_sam.batch(tmp_path, [tiny_sam.picture(n) for n in (5, 1, 0, 6)], keep=keep))
    assert len(runs) == 4


def test_the_network_is_loaded_when_a_mask_is_missing_and_once(
    tmp_path: Path, keep: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = []
    monkeypatch.setitem(sam_model_registry, "tiny", lambda: built.append(1) or tiny_sam.tiny_sam())
    module._loaded.cache_clear()
    sam = tiny_sam.segmenter(tiny_sam.checkpoint(tmp_path), prompts=PROMPTS)
    assert not built
    for params in ({"prompts": PROMPTS}, {"prompts": PROMPTS[:1]}, {"automatic": QUICK}):
        _segment(tmp_path, keep, **params)
    assert len(built) == 1
    module._loaded.cache_clear()  # as in a later run
    sam.segment(tiny_sam.batch(tmp_path, [tiny_sam.picture(n) for n in range(3)], keep=keep))
    assert len(built) == 1


def test_masks_are_kept_under_the_code_that_makes_them_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not under that of the registration, or of what loads the network."""
    makers = set()

    def keep(sample: Sample, inputs: Mapping[str, Any], make: Callable[..., Arrays]) -> Arrays:
        makers.add(getattr(make, "func", make).__module__)
        return make(tiny_sam.picture())

    for way in WAYS.values():
        _segment(tmp_path, keep, **way)
    read, real = set(), code_digest._source

    def source(name: str) -> bytes | None:
        found = real(name)
        read.update([name] if found is not None else [])
        return found

    monkeypatch.setattr(code_digest, "_source", source)
    code_digest.modules_digest(makers)
    assert makers == read == {"segad_plugins.segmenters.sam_masks"}


def test_nothing_is_kept_of_an_image_that_cannot_be_segmented(
    tmp_path: Path, keep: Keep, runs: tiny_sam.Calls
) -> None:
    for _ in range(2):
        with pytest.raises(DataError, match=r"image 'good/0\.png'"):
            _segment(tmp_path, keep, prompts=[{"points": [[500, 20]]}])
    assert len(runs) == 0


@pytest.mark.parametrize("way", WAYS)
def test_no_global_state_is_touched(way: str, tmp_path: Path) -> None:
    module._loaded.cache_clear()
    before, flags = torch.random.get_rng_state(), torch.backends.cudnn.deterministic
    sam = tiny_sam.segmenter(tiny_sam.checkpoint(tmp_path), **WAYS[way])
    sam.segments()
    sam.segment(tiny_sam.batch(tmp_path, [tiny_sam.picture()]))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.backends.cudnn.deterministic == flags and torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()
