"""EfficientAD's teacher: published files, the embedding that it imitates, and how it is distilled."""

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from segad_core.contracts import Arrays, Run
from segad_core.errors import PluginError
from segad_core.testing import ArrayImageSet, TinyEncoder, good_images
from segad_plugins.detectors import efficientad, teacher
from segad_plugins.detectors.efficientad import EfficientAD
from segad_plugins.detectors.pdn import Size, pdn
from segad_plugins.detectors.teacher import Distillation, distil, in_grey, patch_embedding, read_teacher

_CPU = torch.device("cpu")
_MEAN, _STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


# ---- published files ----


def _numbered(size: str) -> nn.Module:
    """A teacher as nelson1425/EfficientAD writes it down: `0.weight`, `3.weight`, ..."""
    conv, relu, pool = nn.Conv2d, nn.ReLU, lambda: nn.AvgPool2d(kernel_size=2, stride=2, padding=1)
    if size == "small":
        first = [conv(3, 128, 4, padding=3), relu(), pool(), conv(128, 256, 4, padding=3), relu(), pool()]
        return nn.Sequential(*first, conv(256, 256, 3, padding=1), relu(), conv(256, 384, 4))
    first = [conv(3, 256, 4, padding=3), relu(), pool(), conv(256, 512, 4, padding=3), relu(), pool()]
    then = [conv(512, 512, 1), relu(), conv(512, 512, 3, padding=1), relu()]
    return nn.Sequential(*first, *then, conv(512, 384, 4), relu(), conv(384, 384, 1))


_PLACES = {"small": (0, 3, 6, 8), "medium": (0, 3, 6, 8, 10, 12)}


def _published(size: str, project: str) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    state = {key: value.clone() for key, value in _numbered(size).state_dict().items()}
    assert tuple(sorted({int(key.split(".")[0]) for key in state})) == _PLACES[size]
    if project == "nelson1425":
        return state
    renamed = {}
    for number, place in enumerate(_PLACES[size], start=1):  # anomalib counts convolutions
        for part in ("weight", "bias"):
            renamed[f"conv{number}.{part}"] = state[f"{place}.{part}"]
    return renamed


@pytest.mark.parametrize("size", ["small", "medium"])
@pytest.mark.parametrize("project", ["nelson1425", "anomalib"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_published_files_give_the_published_network(
    size: Size, project: str, suffix: str, tmp_path: Path
) -> None:
    torch.manual_seed(1)
    published, path = _numbered(size), tmp_path / f"teacher{suffix}"
    state = _published(size, project)
    torch.save(state, path) if suffix == ".pth" else save_file(state, path)
    own = pdn(size, 384, padding=True)
    own.load_state_dict(read_teacher(path, size))
    image = torch.rand(1, 3, 12, 20)
    with torch.inference_mode():
        assert torch.equal(own(image), published(image))


def test_a_teacher_wrapped_in_a_checkpoint_is_found(tmp_path: Path) -> None:
    state = _published("small", "nelson1425")
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
    return {k: v for k, v in _published("small", "nelson1425").items() if k != key}


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
    message = _refused(_published(given_size, project), path, wanted)
    assert message.startswith(f"efficientad: the file {path} is not a teacher of size {wanted}: expected '")
    assert "found" in message and "'size'" in message


class _Code:
    """Pickled, it is a call that makes a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self._folder),)


def test_code_in_a_file_is_refused_and_does_not_run(tmp_path: Path) -> None:
    made, path = tmp_path / "made", tmp_path / "teacher.pth"
    message = _refused({**_without(""), "more": _Code(made)}, path)
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


# ---- the embedding of the original PatchCore, in float64 and one value at a time ----


def _pooled(values: NDArray[np.float64], outputs: int) -> NDArray[np.float64]:
    """Adaptive mean over the last axis: output i is the mean from floor(i L / n) to ceil((i + 1) L / n)."""
    length = values.shape[-1]
    bounds = [(i * length // outputs, -(-(i + 1) * length // outputs)) for i in range(outputs)]
    return np.stack([values[..., low:high].mean(axis=-1) for low, high in bounds], axis=-1)


def _resized(maps: NDArray[np.float64], grid: tuple[int, int]) -> NDArray[np.float64]:
    """Bilinear interpolation of (h, w, ...) at pixel centres (align_corners False), edges clamped."""
    for axis, new in enumerate(grid):
        old = maps.shape[axis]
        at = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
        low = np.floor(at).astype(int)
        weight = (at - low).reshape([-1 if a == axis else 1 for a in range(maps.ndim)])
        high = np.minimum(low + 1, old - 1)
        maps = np.take(maps, low, axis) * (1 - weight) + np.take(maps, high, axis) * weight
    return maps


def _embedding(layers: list[NDArray[Any]], grid: tuple[int, int]) -> NDArray[np.float64]:
    """(384, h, w) of one image, from its layers (C, h, w)."""
    parts = []
    for layer in layers:
        channels, height, width = layer.shape
        padded = np.pad(layer.astype(np.float64), ((0, 0), (1, 1), (1, 1)))
        patches = np.empty((height, width, channels * 9))
        for y in range(height):
            for x in range(width):  # channel by channel, each with its nine values
                patches[y, x] = padded[:, y : y + 3, x : x + 3].reshape(-1)
        parts.append(_pooled(_resized(patches, grid), 1024))
    return _pooled(np.concatenate(parts, axis=-1), 384).transpose(2, 0, 1)


@pytest.mark.parametrize(
    ("shapes", "grid"),
    [
        ([(6, 8, 8), (6, 4, 4)], (8, 8)),  # more values put out than go in
        ([(130, 8, 8), (200, 4, 4)], (8, 8)),  # bins that straddle channels
        ([(512, 4, 4), (1024, 2, 2)], (4, 4)),  # the widths of WRN-50-2 and WRN-101-2
        ([(5, 7, 9), (7, 3, 5)], (8, 6)),  # a grid that is no layer's
        ([(12, 5, 6)], (5, 6)),
        ([(4, 8, 6), (5, 4, 3), (6, 2, 2)], (8, 6)),
    ],
)
def test_embedding_equals_the_original_patchcores(
    shapes: list[tuple[int, int, int]], grid: tuple[int, int]
) -> None:
    rng = np.random.default_rng(7)
    layers = [rng.normal(1, 2, (2, *shape)).astype(np.float32) for shape in shapes]
    found = patch_embedding([torch.from_numpy(layer) for layer in layers], grid).numpy()
    assert found.shape == (2, 384, *grid)
    for image in range(2):
        expected = _embedding([layer[image] for layer in layers], grid)
        np.testing.assert_allclose(found[image], expected, rtol=1e-5, atol=1e-5)


# ---- distillation ----


class _Images(ArrayImageSet):
    """Notes every size that it is asked for; sets from it share the notes."""

    def __init__(self, pixels: NDArray[np.uint8], layers: tuple[str, ...] = ("layer2", "layer3")) -> None:
        super().__init__(pixels, TinyEncoder(), layers)
        self.sizes: list[tuple[int, int]] = []

    def resized(self, size: tuple[int, int]) -> ArrayImageSet:
        self.sizes.append(size)
        return super().resized(size)


_HOW = Distillation("small", (32, 40), ("layer2", "layer3"), 1, 6, 1e-3, "float32")
_GRID = (8, 10)


def _run(seed: int = 0, progress: Callable[..., None] | None = None) -> Run:
    sequence = np.random.SeedSequence(seed)
    return Run(sequence) if progress is None else Run(sequence, progress)


class _Seen:
    """What one distillation compares at each step: the teacher's input and output, and the target."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.inputs: list[NDArray[np.float32]] = []
        self.outputs: list[NDArray[np.float32]] = []
        self.targets: list[NDArray[np.float32]] = []
        self.losses: list[float] = []
        loss, build = teacher.F.mse_loss, teacher.pdn

        def noted(found: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
            value = loss(found, wanted)
            self.outputs.append(found.detach().numpy().copy())
            self.targets.append(wanted.detach().numpy().copy())
            self.losses.append(float(value.detach()))
            return value

        def built(*given: Any, **named: Any) -> nn.Sequential:
            network = build(*given, **named)
            network.register_forward_pre_hook(lambda _, x: self.inputs.append(x[0].numpy().copy()))
            return network

        monkeypatch.setattr(teacher.F, "mse_loss", noted)
        monkeypatch.setattr(teacher, "pdn", built)


def _normalised(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    return ((pixels / 255 - _MEAN) / _STD).transpose(0, 3, 1, 2)


def _embeddings(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(N, 384, 8, 10) of images at twice the teacher's size."""
    features = TinyEncoder().encode(pixels, _HOW.layers)
    return np.stack([_embedding([features[n][i] for n in _HOW.layers], _GRID) for i in range(len(pixels))])


def _matched(inputs: NDArray[np.float32], images: NDArray[np.uint8]) -> list[int]:
    """Which image each input is."""
    known = _normalised(images)
    order = [int(np.abs(known - one).max(axis=(1, 2, 3)).argmin()) for one in inputs]
    np.testing.assert_allclose(inputs, known[order], atol=1e-5)
    return order


def test_the_target_is_the_normalised_embedding_at_twice_the_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mean and spread per channel over all images; the teacher sees the same images at its own size."""
    monkeypatch.setattr(teacher, "_GREY", 0.0)
    seen, images = _Seen(monkeypatch), _Images(good_images(6, 64, 80))
    distil(_HOW, images, _run(), _CPU)
    assert sorted(set(images.sizes)) == [(32, 40), (64, 80)]
    order = _matched(seen.inputs[0], images.pixels[:, ::2, ::2])
    assert sorted(order) == list(range(6))
    embedded = _embeddings(images.pixels)
    mean = embedded.mean(axis=(2, 3)).mean(axis=0)
    spread = np.sqrt(((embedded - mean[:, None, None]) ** 2).mean(axis=(0, 2, 3)))
    expected = (embedded - mean[:, None, None]) / spread[:, None, None]
    np.testing.assert_allclose(seen.targets[0], expected[order], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(seen.targets[0].mean(axis=(0, 2, 3)), 0, atol=1e-3)
    np.testing.assert_allclose(seen.targets[0].std(axis=(0, 2, 3)), 1, atol=1e-3)


def test_an_image_without_colour_is_so_for_teacher_and_target(monkeypatch: pytest.MonkeyPatch) -> None:
    """While mean and spread come from the images as they are."""
    monkeypatch.setattr(teacher, "_GREY", 1.0)
    seen, images = _Seen(monkeypatch), _Images(good_images(6, 64, 80))
    distil(_HOW, images, _run(), _CPU)
    luma = np.floor(images.pixels @ np.array([0.2989, 0.587, 0.114]) + 0.5).astype(np.uint8)
    grey = np.stack([luma] * 3, axis=-1)
    order = _matched(seen.inputs[0], grey[:, ::2, ::2])
    embedded = _embeddings(images.pixels)
    mean = embedded.mean(axis=(0, 2, 3))[:, None, None]
    spread = embedded.std(axis=(0, 2, 3))[:, None, None]
    expected = (_embeddings(grey) - mean) / spread
    np.testing.assert_allclose(seen.targets[0], expected[order], rtol=1e-3, atol=1e-3)


def test_a_tenth_of_the_images_lose_their_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[bool] = []

    def greyed(batch: Any, which: NDArray[np.bool_]) -> Any:
        chosen.extend(which.tolist())
        return batch

    def steps(*given: Any, **named: Any) -> None:
        for step in range(400):
            given[3](step)

    monkeypatch.setattr(teacher, "_greyed", greyed)
    monkeypatch.setattr(teacher, "train", steps)
    monkeypatch.setattr(
        teacher, "patch_embedding", lambda layers, grid: torch.zeros(len(layers[0]), 384, 1, 1)
    )
    monkeypatch.setattr(teacher, "pdn", lambda *_, **__: nn.Conv2d(3, 1, 1))
    monkeypatch.setattr(teacher.F, "mse_loss", lambda found, wanted: torch.zeros(()))
    distil(replace(_HOW, image_size=(8, 8)), _Images(good_images(6, 16, 16)), _run(), _CPU)
    small, large = np.reshape(chosen, (400, 2, 6)).transpose(1, 0, 2)
    np.testing.assert_array_equal(small, large)
    assert 0.08 < small.mean() < 0.12 and small.any(axis=0).all() and len(set(small.sum(axis=1))) > 1


def test_the_statistics_stop_after_ten_thousand_images(monkeypatch: pytest.MonkeyPatch) -> None:
    assert teacher._STATISTICS_IMAGES == 10_000
    monkeypatch.setattr(teacher, "_STATISTICS_IMAGES", 7)  # batches of 4: two of them
    monkeypatch.setattr(teacher, "_GREY", 0.0)
    seen, images = _Seen(monkeypatch), _Images(good_images(20, 64, 80))
    told: list[tuple[int, int]] = []

    def progress(what: str, done: int, total: int, note: str = "") -> None:
        if what == "images described for the teacher":
            told.append((done, total))

    distil(replace(_HOW, batch=20), images, _run(progress=progress), _CPU)
    assert told == [(4, 7), (7, 7)]
    first = _embeddings(images.pixels)[:8]
    order = _matched(seen.inputs[0], images.pixels[:, ::2, ::2])
    target = seen.targets[0][np.argsort(order)][:8]
    mean, spread = first.mean(axis=(0, 2, 3))[:, None, None], first.std(axis=(0, 2, 3))[:, None, None]
    np.testing.assert_allclose(target, (first - mean) / spread, rtol=1e-3, atol=1e-3)


def test_the_teacher_learns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teacher, "_GREY", 0.0)  # whose losses are larger
    seen = _Seen(monkeypatch)
    notes: list[str] = []

    def progress(what: str, done: int, total: int, note: str = "") -> None:
        if what == "teacher's training steps":
            assert (done, total) == (len(notes) + 1, 12)
            notes.append(note)

    distil(replace(_HOW, iterations=12, batch=2), _Images(good_images(6, 64, 80)), _run(1, progress), _CPU)
    for loss, found, wanted, note in zip(seen.losses, seen.outputs, seen.targets, notes, strict=True):
        assert loss == pytest.approx(np.mean((found.astype(np.float64) - wanted) ** 2), rel=1e-5)
        assert note == f"loss {loss:.4g}"
    assert np.mean(seen.losses[-3:]) < 0.8 * np.mean(seen.losses[:3])


def test_adam_at_a_constant_rate_with_little_weight_decay() -> None:
    groups: list[tuple[str, float, float, tuple[float, float]]] = []
    handle = register_optimizer_step_pre_hook(
        lambda o, *_: groups.append(
            (
                type(o).__name__,
                o.param_groups[0]["lr"],
                o.param_groups[0]["weight_decay"],
                o.defaults["betas"],
            )
        )
    )
    distil(replace(_HOW, iterations=4, batch=1), _Images(good_images(2, 64, 80)), _run(), _CPU)
    handle.remove()
    assert groups == [("Adam", 1e-3, 1e-5, (0.9, 0.999))] * 4


def test_what_is_distilled_has_the_names_and_shapes_of_a_published_teacher() -> None:
    arrays = distil(replace(_HOW, batch=1), _Images(good_images(2, 64, 80)), _run(), _CPU)
    published = _published("small", "nelson1425")
    assert {k: (v.shape, v.dtype) for k, v in arrays.items()} == {
        k: (tuple(v.shape), np.float32) for k, v in published.items()
    }


def test_the_image_sets_encoder_layers_are_the_target() -> None:
    """Other layers, another teacher."""
    images = _Images(good_images(2, 64, 80), ("layer1", "layer2", "layer3"))
    one, other = (
        distil(replace(_HOW, batch=1, layers=layers), images, _run(), _CPU)
        for layers in (("layer2", "layer3"), ("layer1",))
    )
    assert any(not np.array_equal(one[name], other[name]) for name in one)


# ---- in a fit ----


class _Keeping(Run):
    """A run whose artifacts are kept, as in a store; folders hold the images given."""

    def __init__(self, seed: int, folders: Mapping[Path, ArrayImageSet] | None = None) -> None:
        super().__init__(np.random.SeedSequence(seed))
        self.kept: list[tuple[str, Mapping[str, Any], Arrays]] = []
        self.made = 0
        self.asked: list[tuple[Path, tuple[int, int], tuple[str, ...]]] = []
        self._folders = folders or {}

    def artifact(self, name: str, inputs: Mapping[str, Any], make: Callable[[Run], Arrays]) -> Arrays:
        for known, by, arrays in self.kept:
            if (known, by) == (name, inputs):
                return arrays
        self.made += 1
        self.kept.append((name, dict(inputs), super().artifact(name, inputs, make)))
        return self.kept[-1][2]

    def images(self, folder: Path, size: tuple[int, int], layers: Any = ()) -> ArrayImageSet:
        self.asked.append((folder, size, tuple(layers)))
        return self._folders[folder].resized(size)


_PARAMS: dict[str, Any] = {
    "size": "small",
    "padding": False,
    "input_size": (40, 40),
    "iterations": 1,
    "teacher_iterations": 1,
    "teacher_batch": 1,
}


def _fit(run: Run, images: ArrayImageSet | None = None, **params: Any) -> EfficientAD:
    detector = EfficientAD(EfficientAD.Params.model_validate({**_PARAMS, **params}))
    own = good_images(4, 40, 40) if images is None else images.pixels
    detector.fit(ArrayImageSet(own, TinyEncoder(), detector.layers()), run)
    return detector


def _teacher_of(detector: EfficientAD) -> dict[str, NDArray[Any]]:
    begin = "networks.teacher."
    return {n.removeprefix(begin): a for n, a in detector.state().items() if n.startswith(begin)}


def test_one_teacher_whatever_the_runs_seed() -> None:
    """Also that it is what the detector describes with, unchanged by training."""
    first, second = _Keeping(1), _Keeping(2)
    detectors = [_fit(first, iterations=2), _fit(second, iterations=2)]
    (name, inputs, arrays), (_, others, again) = first.kept[0], second.kept[0]
    assert name == "teacher" and inputs == others and first.made == second.made == 1
    for key, array in arrays.items():
        np.testing.assert_array_equal(array, again[key])
        for detector in detectors:
            np.testing.assert_array_equal(_teacher_of(detector)[key], array)


def test_a_kept_teacher_is_not_distilled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    run = _Keeping(1)
    first = _fit(run)
    monkeypatch.setattr(efficientad, "distil", None)
    second = _fit(run, learning_rate=1e-3, holdout=0.3)  # which change the detector, not its teacher
    assert run.made == 1 and len(run.kept) == 1
    for name, array in _teacher_of(first).items():
        np.testing.assert_array_equal(_teacher_of(second)[name], array)


def test_the_artifact_depends_on_what_decides_the_teacher(monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = {
        size: {k: v.numpy() for k, v in _published(size, "nelson1425").items()}
        for size in ("small", "medium")
    }
    monkeypatch.setattr(efficientad, "distil", lambda how, *_: arrays[how.size])
    monkeypatch.setattr(efficientad, "train", lambda *_, **__: None)
    run = _Keeping(1)
    changes: list[dict[str, Any]] = [
        {},
        {"size": "medium"},
        {"input_size": (40, 44)},
        {"teacher_layers": ("layer1", "layer2")},
        {"teacher_iterations": 2},
        {"teacher_batch": 2},
        {"teacher_learning_rate": 1e-3},
        {"precision": "bfloat16"},
        {"images": ArrayImageSet(good_images(4, 40, 40, seed=9))},
    ]
    for number, change in enumerate(changes, start=1):
        _fit(run, **change)
        assert run.made == number, f"{change} makes no other teacher"
    _fit(run, iterations=2)
    assert run.made == len(changes)


def test_the_teachers_own_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`run.images` is asked for the folder at the networks' size, with the encoder's layers."""
    used: list[ArrayImageSet] = []

    def noted(how: Distillation, images: ArrayImageSet, run: Run, device: torch.device) -> Arrays:
        used.append(images)
        return distil(how, images, run, device)

    monkeypatch.setattr(efficientad, "distil", noted)
    others = ArrayImageSet(good_images(3, 50, 60, seed=5), TinyEncoder(), ("layer2", "layer3"))
    run = _Keeping(1, {tmp_path: others})
    _fit(run, teacher_images=tmp_path)
    assert run.asked == [(tmp_path, (40, 40), ("layer2", "layer3"))]
    np.testing.assert_array_equal(used[0].pixels, others.resized((40, 40)).pixels)
    assert run.kept[0][1]["images"] == used[0].digest()
    plain = _Keeping(1)
    _fit(plain)
    assert plain.kept[0][1]["images"] != run.kept[0][1]["images"]


def test_a_teacher_from_a_file_needs_no_encoder(tmp_path: Path) -> None:
    state = _published("small", "anomalib")
    save_file(state, tmp_path / "teacher.safetensors")
    run = _Keeping(1)
    detector = _fit(run, teacher=tmp_path / "teacher.safetensors")
    assert detector.layers() == () and EfficientAD().layers() == ("layer2", "layer3") and run.made == 0
    for number, place in enumerate(_PLACES["small"], start=1):
        for part in ("weight", "bias"):
            taken = _teacher_of(detector)[f"{place}.{part}"]
            np.testing.assert_array_equal(taken, state[f"conv{number}.{part}"].numpy())


# ---- grey ----


def test_grey_by_hand() -> None:
    """0.2989 R + 0.587 G + 0.114 B, rounded."""
    colours = [
        (0, 0, 0),
        (255, 0, 0),
        (0, 255, 0),
        (0, 0, 255),
        (255, 255, 255),
        (10, 20, 30),
        (200, 100, 50),
    ]
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
