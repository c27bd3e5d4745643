"""SAM's weights: files that are absent, broken, harmful or another model's, and where the right one goes."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tiny_sam
import torch
from pickles import MakesFolder
from safetensors.torch import save_file
from segment_anything import sam_model_registry

from segad_core.base.digest import file_digest
from segad_core.errors import PluginError
from segad_plugins.segmenters import sam as module
from segad_plugins.segmenters.sam import Sam

PROMPTS = [{"points": [[50, 20]]}]


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_sam.register(monkeypatch)


def _segment(sam: Sam, tmp_path: Path) -> np.ndarray:
    return sam.object_mask(tiny_sam.batch(tmp_path, [tiny_sam.picture()]), 0)


def _told(sam: Sam, tmp_path: Path) -> str:
    """What is said when the file is used; it has to be said before anything trains, too."""
    messages = []
    for use in (sam.segments, lambda: _segment(sam, tmp_path)):
        with pytest.raises(PluginError) as caught:
            use()
        messages.append(str(caught.value))
    for message in messages:
        assert message.startswith("segmenter sam: ") and str(sam.params.checkpoint) in message
        assert (
            f"checkpoint of {sam.params.model} and set its path in the recipe: segmenter: {{use: sam"
            in message
        )
        for name in ("sam_vit_h_4b8939.pth", "sam_vit_l_0b3195.pth", "sam_vit_b_01ec64.pth"):
            assert name in message
    return messages[0]


def test_an_absent_file(tmp_path: Path) -> None:
    message = _told(tiny_sam.segmenter(tmp_path / "gone.pth"), tmp_path)
    assert f"{tmp_path / 'gone.pth'} does not exist" in message


def test_a_folder(tmp_path: Path) -> None:
    assert "does not exist" in _told(tiny_sam.segmenter(tmp_path), tmp_path)


@pytest.mark.parametrize("share", [0, 0.001, 0.5, 0.999])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_truncated_file(share: float, suffix: str, tmp_path: Path) -> None:
    path, state = tmp_path / f"sam{suffix}", tiny_sam.random_sam().state_dict()
    torch.save(state, path) if suffix == ".pth" else save_file(state, path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert "cannot be read as weights" in _told(tiny_sam.segmenter(path, prompts=PROMPTS), tmp_path)


@pytest.mark.parametrize("content", [b"no weights", b"PK\x03\x04", b"<html>404</html>"])
def test_a_file_of_something_else(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "sam.pth").write_bytes(content)
    assert "cannot be read as weights" in _told(tiny_sam.segmenter(tmp_path / "sam.pth"), tmp_path)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize(("depth", "fault"), [(3, "unexpected"), (1, "missing")])
def test_another_models_file(depth: int, fault: str, suffix: str, tmp_path: Path) -> None:
    """A deeper network's, and a shallower one's, by the first entry that does not fit."""
    path, state = tmp_path / f"sam{suffix}", tiny_sam.random_sam(depth=depth).state_dict()
    torch.save(state, path) if suffix == ".pth" else save_file(state, path)
    message = _told(tiny_sam.segmenter(path, prompts=PROMPTS), tmp_path)
    assert re.search(rf"does not match the network: \d+ entries are {fault}", message)
    assert f"image_encoder.blocks.{max(1, depth - 1)}." in message and "('tiny')" in message


def test_a_file_of_the_published_model_that_the_recipe_does_not_name(tmp_path: Path) -> None:
    """At once, though the network that it should fit has 641 million weights: none is made."""
    path = tiny_sam.checkpoint(tmp_path)
    sam = Sam(Sam.Params(checkpoint=path))
    assert sam.params.model == "vit_h"
    with pytest.raises(PluginError, match=r"does not match the network: .*\('vit_h'\)"):
        sam.segments()


def test_a_file_with_an_entry_of_another_shape(tmp_path: Path) -> None:
    state = tiny_sam.random_sam().state_dict()
    state["mask_decoder.iou_token.weight"] = torch.ones(1, 7)
    torch.save(state, tmp_path / "sam.pth")
    message = _told(tiny_sam.segmenter(tmp_path / "sam.pth"), tmp_path)
    assert "1 entries are of another shape" in message and "mask_decoder.iou_token.weight" in message


@pytest.mark.parametrize("save", [lambda s, p: torch.save(list(s), p), lambda s, p: torch.save({"a": 1}, p)])
def test_a_file_that_holds_no_state_dict(save: Callable[..., None], tmp_path: Path) -> None:
    save(tiny_sam.random_sam().state_dict(), tmp_path / "sam.pth")
    assert "does not contain a state dict" in _told(tiny_sam.segmenter(tmp_path / "sam.pth"), tmp_path)


def test_the_digest_is_checked_before_parsing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tiny_sam.checkpoint(tmp_path)
    right, wrong = file_digest(path), "0" * 64
    parsed = []
    monkeypatch.setattr(torch, "load", lambda *_, **__: parsed.append(1))
    message = _told(tiny_sam.segmenter(path, sha256=wrong, prompts=PROMPTS), tmp_path)
    assert right in message and wrong in message and not parsed


@pytest.mark.parametrize("change", [str.lower, str.upper])
def test_the_right_digest_is_taken(change: Callable[[str], str], tmp_path: Path) -> None:
    path = tiny_sam.checkpoint(tmp_path)
    sam = tiny_sam.segmenter(path, sha256=change(file_digest(path)), prompts=PROMPTS)
    assert list(sam.segments()) == ["background", "object"] and _segment(sam, tmp_path).any()


def test_code_in_a_file_is_refused_and_does_not_run(tmp_path: Path) -> None:
    made, path = tmp_path / "made", tmp_path / "sam.pth"
    torch.save({**tiny_sam.random_sam().state_dict(), "more": MakesFolder(made)}, path)
    assert "cannot be read as weights" in _told(tiny_sam.segmenter(path, prompts=PROMPTS), tmp_path)
    assert not made.exists()
    torch.load(path, weights_only=False)  # the file is what it should be
    assert made.exists()


def test_a_pickled_network_is_refused(tmp_path: Path) -> None:
    torch.save(tiny_sam.random_sam(), tmp_path / "sam.pth")
    assert "cannot be read as weights" in _told(tiny_sam.segmenter(tmp_path / "sam.pth"), tmp_path)


def test_safetensors_and_a_wrapped_state_dict_give_the_same_masks(tmp_path: Path) -> None:
    state = tiny_sam.random_sam().state_dict()
    save_file(state, tmp_path / "sam.safetensors")
    torch.save({"state_dict": state}, tmp_path / "wrapped.pth")
    torch.save(state, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    expected = _segment(tiny_sam.segmenter(tiny_sam.checkpoint(tmp_path), prompts=PROMPTS), tmp_path)
    for name in ("sam.safetensors", "wrapped.pth", "old.pth"):
        sam = tiny_sam.segmenter(tmp_path / name, prompts=PROMPTS)
        assert len(sam.segments()) == 2
        np.testing.assert_array_equal(_segment(sam, tmp_path), expected)


def test_segments_reads_no_numbers_and_makes_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine asks for the segments before anything is trained, for each category and row."""
    devices: list[str] = []

    def build() -> tiny_sam.Sam:
        network = tiny_sam.tiny_sam()
        devices.append(next(network.parameters()).device.type)
        return network

    monkeypatch.setitem(sam_model_registry, "tiny", build)
    read = []
    monkeypatch.setattr(module, "file_digest", lambda path: read.append(path) or file_digest(path))
    sam = tiny_sam.segmenter(tiny_sam.checkpoint(tmp_path), prompts=PROMPTS)
    assert list(sam.segments()) == ["background", "object"]
    assert list(sam.segments()) == ["background", "object"]
    assert devices == ["meta"] and not read


def test_the_file_is_hashed_once_while_it_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    monkeypatch.setattr(module, "file_digest", lambda path: read.append(path) or file_digest(path))
    path = tiny_sam.checkpoint(tmp_path)
    for _ in range(2):
        sam = tiny_sam.segmenter(path, prompts=PROMPTS, sha256=file_digest(path))
        sam.segments()
        _segment(sam, tmp_path)
    assert len(read) == 1


def test_the_published_models_are_the_packages() -> None:
    assert (
        {"vit_h", "vit_l", "vit_b"} == set(module._PUBLISHED) == set(sam_model_registry) - {"default", "tiny"}
    )
