"""Files with EfficientAD's teacher: those that are published, and those that are none; loss of colour."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pickles import MakesFolder
from safetensors.torch import save_file
from torch import nn
from trainings import published_teacher

from segad_core.errors import PluginError
from segad_plugins.detectors.efficientad import EfficientAD
from segad_plugins.detectors.pdn import Size, pdn
from segad_plugins.detectors.teacher import in_grey, read_teacher


def _numbered(size: str) -> nn.Module:
    """A teacher as nelson1425/EfficientAD writes it down: `0.weight`, `3.weight`, ..."""
    conv, relu, pool = nn.Conv2d, nn.ReLU, lambda: nn.AvgPool2d(kernel_size=2, stride=2, padding=1)
    if size == "small":
        first = [conv(3, 128, 4, padding=3), relu(), pool(), conv(128, 256, 4, padding=3), relu(), pool()]
        return nn.Sequential(*first, conv(256, 256, 3, padding=1), relu(), conv(256, 384, 4))
    first = [conv(3, 256, 4, padding=3), relu(), pool(), conv(256, 512, 4, padding=3), relu(), pool()]
    then = [conv(512, 512, 1), relu(), conv(512, 512, 3, padding=1), relu()]
    return nn.Sequential(*first, *then, conv(512, 384, 4), relu(), conv(384, 384, 1))


@pytest.mark.parametrize("size", ["small", "medium"])
@pytest.mark.parametrize("project", ["nelson1425", "anomalib"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_published_files_give_the_published_network(
    size: Size, project: str, suffix: str, tmp_path: Path
) -> None:
    published, path = _numbered(size), tmp_path / f"teacher{suffix}"
    published.load_state_dict(published_teacher(size, "nelson1425"))
    state = published_teacher(size, project)
    torch.save(state, path) if suffix == ".pth" else save_file(state, path)
    own = pdn(size, 384, padding=True)
    own.load_state_dict(read_teacher(path, size))
    image = torch.rand(1, 3, 12, 20)
    with torch.inference_mode():
        assert torch.equal(own(image), published(image))


def test_a_teacher_wrapped_in_a_checkpoint_is_found(tmp_path: Path) -> None:
    state = published_teacher("small", "nelson1425")
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "teacher.ckpt")
    found = read_teacher(tmp_path / "teacher.ckpt", "small")
    assert found.keys() == state.keys() and all(torch.equal(found[key], state[key]) for key in state)


def _refused(state: object, path: Path, size: str = "small") -> str:
    torch.save(state, path)
    detector = EfficientAD(EfficientAD.Params.model_validate({"size": size, "teacher": path}))
    with pytest.raises(PluginError) as caught:
        detector.check((64, 64), {})
    return str(caught.value)


def _without(key: str) -> dict[str, torch.Tensor]:
    return {k: v for k, v in published_teacher("small", "nelson1425").items() if k != key}


@pytest.mark.parametrize(
    ("state", "name", "expected", "found"),
    [
        (_without("6.bias"), "6.bias", "(256,)", "no such entry"),
        ({**_without("6.bias"), "6.gain": torch.ones(256)}, "6.", "", ""),
        ({**_without(""), "9.weight": torch.ones(7, 2)}, "9.weight", "no such entry", "(7, 2)"),
        ({**_without(""), "conv5.bias": torch.ones(7)}, "conv5.bias", "no such entry", "(7,)"),
        ({**_without(""), "8.bias": torch.ones(768)}, "8.bias", "(384,)", "(768,)"),
        ({**_without(""), "3.weight": torch.ones(256, 128, 3, 3)}, "3.weight", "(256, 128, 4, 4)", "3, 3)"),
        ({f"model.{k}": v for k, v in _without("").items()}, "weight", "", "model.0.weight, model.0.bias"),
        ({}, "", ")", "no such entry"),
    ],
)
def test_a_file_that_is_no_teacher_is_refused_before_anything_trains(
    state: object, name: str, expected: str, found: str, tmp_path: Path
) -> None:
    message = _refused(state, tmp_path / "teacher.pth")
    assert message.startswith(
        f"efficientad: the file {tmp_path / 'teacher.pth'} is not a teacher of size small"
    )
    assert name in message and f"{expected}, found" in message and found in message.partition(", found")[2]
    assert "nelson1425" in message and "anomalib" in message


@pytest.mark.parametrize(("given_size", "wanted"), [("small", "medium"), ("medium", "small")])
@pytest.mark.parametrize("project", ["nelson1425", "anomalib"])
def test_a_teacher_of_the_other_size_is_refused(
    given_size: str, wanted: str, project: str, tmp_path: Path
) -> None:
    path = tmp_path / "teacher.pth"
    message = _refused(published_teacher(given_size, project), path, wanted)
    assert message.startswith(f"efficientad: the file {path} is not a teacher of size {wanted}: expected '")
    assert "found" in message and "'size'" in message


def test_code_in_a_file_is_refused_and_does_not_run(tmp_path: Path) -> None:
    made, path = tmp_path / "made", tmp_path / "teacher.pth"
    message = _refused({**_without(""), "more": MakesFolder(made)}, path)
    assert str(path) in message and "cannot be read" in message and not made.exists()
    torch.load(path, weights_only=False)  # the file is what it should be
    assert made.exists()


def test_a_pickled_network_is_refused(tmp_path: Path) -> None:
    """As nelson1425's own training leaves it."""
    assert str(tmp_path / "teacher.pth") in _refused(_numbered("small"), tmp_path / "teacher.pth")


@pytest.mark.parametrize("content", [b"", b"no weights", b"PK\x03\x04"])
@pytest.mark.parametrize("name", ["teacher.pth", "teacher.safetensors"])
def test_a_file_of_something_else_is_refused(content: bytes, name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(PluginError, match=name):
        EfficientAD(EfficientAD.Params(size="small", teacher=path)).check((64, 64), {})


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=r"gone\.pth"):
        EfficientAD(EfficientAD.Params(teacher=tmp_path / "gone.pth")).check((64, 64), {})


# ---- grey ----


def test_grey_by_hand() -> None:
    """0.2989 R + 0.587 G + 0.114 B, rounded."""
    colours = [(0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255), (255,) * 3, (10, 20, 30), (200, 100, 50)]
    greys = [0, 76, 150, 29, 255, 18, 124]
    found = in_grey(np.array(colours, np.uint8).reshape(1, 7, 1, 3))
    assert found.dtype == np.uint8 and found.shape == (1, 7, 1, 3)
    np.testing.assert_array_equal(found[0, :, 0], [[grey] * 3 for grey in greys])


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(*[st.integers(0, 255)] * 3), min_size=1, max_size=40))
def test_grey_is_between_the_darkest_and_the_brightest_colour(colours: list[tuple[int, int, int]]) -> None:
    grey = in_grey(np.array(colours, np.uint8))
    assert (grey == grey[:, :1]).all()
    for (r, g, b), value in zip(colours, grey[:, 0].tolist(), strict=True):
        assert abs(value - (0.2989 * r + 0.587 * g + 0.114 * b)) <= 0.5 + 1e-9
        assert min(r, g, b) - 1 < value <= max(r, g, b)
