"""EfficientAD's teacher: the embedding that it imitates, how it is distilled, and when."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import plain
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import nn
from trainings import FolderRun, optimiser_steps, published_teacher, seed_run, which, without_colour

from segad_core.contracts import Arrays, Run
from segad_core.testing import ArrayImageSet, TinyEncoder, good_images
from segad_core.testing.trial_run import Told
from segad_plugins.detectors import efficientad, teacher
from segad_plugins.detectors.efficientad import EfficientAD
from segad_plugins.detectors.teacher import Distillation, distil, patch_embedding

_CPU = torch.device("cpu")


# ---- the embedding of the original PatchCore, one patch at a time ----


def _embedding(layers: list[NDArray[Any]], grid: tuple[int, int]) -> plain.Values:
    """(384, h, w) of one image, from its layers (C, h, w)."""
    parts = []
    for layer in layers:
        channels, height, width = layer.shape
        padded = plain.padded(layer.astype(np.float64), 1)
        patches = np.empty((channels * 9, height, width))
        for y, x in np.ndindex(height, width):  # channel by channel, each with its nine values
            patches[:, y, x] = padded[:, y : y + 3, x : x + 3].reshape(-1)
        parts.append(plain.binned(np.moveaxis(plain.resized(patches, grid), 0, -1), 1024))
    return plain.binned(np.concatenate(parts, axis=-1), 384).transpose(2, 0, 1)


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


def _embeddings(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(N, 384, 8, 10) of images at twice the teacher's size."""
    features = TinyEncoder().encode(pixels, _HOW.layers)
    return np.stack([_embedding([features[n][i] for n in _HOW.layers], _GRID) for i in range(len(pixels))])


def _normalised(embedded: plain.Values, by: plain.Values) -> plain.Values:
    """By each channel's mean and spread."""
    return (embedded - by.mean(axis=(0, 2, 3))[:, None, None]) / by.std(axis=(0, 2, 3))[:, None, None]


@pytest.mark.parametrize("grey", [0.0, 1.0])
def test_the_target_is_the_normalised_embedding_at_twice_the_size(
    grey: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mean and spread per channel over all images as they are; the teacher sees what the target is of.

    At its own size, and without colour where the target is.
    """
    monkeypatch.setattr(teacher, "_GREY", grey)
    seen, images = _Seen(monkeypatch), _Images(good_images(6, 64, 80))
    distil(_HOW, images, seed_run(0), _CPU)
    assert sorted(set(images.sizes)) == [(32, 40), (64, 80)]
    given = without_colour(images.array) if grey else images.array
    order = which(seen.inputs[0], given[:, ::2, ::2])
    assert sorted(order) == list(range(6))
    expected = _normalised(_embeddings(given), by=_embeddings(images.array))
    np.testing.assert_allclose(seen.targets[0], expected[order], rtol=1e-3, atol=1e-3)
    if not grey:
        np.testing.assert_allclose(seen.targets[0].mean(axis=(0, 2, 3)), 0, atol=1e-3)
        np.testing.assert_allclose(seen.targets[0].std(axis=(0, 2, 3)), 1, atol=1e-3)


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
    distil(replace(_HOW, image_size=(8, 8)), _Images(good_images(6, 16, 16)), seed_run(0), _CPU)
    small, large = np.reshape(chosen, (400, 2, 6)).transpose(1, 0, 2)
    np.testing.assert_array_equal(small, large)
    assert 0.08 < small.mean() < 0.12 and small.any(axis=0).all() and len(set(small.sum(axis=1))) > 1


def test_the_statistics_use_the_first_ten_thousand_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exactly, so that they do not depend on the batch size."""
    assert teacher._STATISTICS_IMAGES == 10_000
    monkeypatch.setattr(teacher, "_STATISTICS_IMAGES", 7)  # batches of 4: one, and most of another
    monkeypatch.setattr(teacher, "_GREY", 0.0)
    seen, images = _Seen(monkeypatch), _Images(good_images(20, 64, 80))
    told = Told()
    distil(replace(_HOW, batch=20), images, seed_run(0, told), _CPU)
    described = [call[1:3] for call in told.calls if call[0] == "images described for the teacher"]
    assert described == [(4, 7), (7, 7)]
    first = _embeddings(images.array)[:7]
    order = which(seen.inputs[0], images.array[:, ::2, ::2])
    target = seen.targets[0][np.argsort(order)][:7]
    np.testing.assert_allclose(target, _normalised(first, by=first), rtol=1e-3, atol=1e-3)


def test_the_teacher_learns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teacher, "_GREY", 0.0)  # whose losses are larger
    seen, told = _Seen(monkeypatch), Told()
    distil(replace(_HOW, iterations=12, batch=2), _Images(good_images(6, 64, 80)), seed_run(1, told), _CPU)
    for loss, found, wanted in zip(seen.losses, seen.outputs, seen.targets, strict=True):
        assert loss == pytest.approx(np.mean((found.astype(np.float64) - wanted) ** 2), rel=1e-5)
    steps = [call[1:] for call in told.calls if call[0] == "teacher's training steps"]
    assert steps == [(i, 12, f"loss {loss:.4g}") for i, loss in enumerate(seen.losses, start=1)]
    assert np.mean(seen.losses[-3:]) < 0.8 * np.mean(seen.losses[:3])


def test_adam_at_a_constant_rate_with_little_weight_decay() -> None:
    with optimiser_steps() as steps:
        distil(replace(_HOW, iterations=4, batch=1), _Images(good_images(2, 64, 80)), seed_run(0), _CPU)
    assert steps == [("Adam", 1e-3, 1e-5, (0.9, 0.999))] * 4


def test_what_is_distilled_has_the_names_and_shapes_of_a_published_teacher() -> None:
    arrays = distil(replace(_HOW, batch=1), _Images(good_images(2, 64, 80)), seed_run(0), _CPU)
    published = published_teacher("small")
    assert {k: (v.shape, v.dtype) for k, v in arrays.items()} == {
        k: (tuple(v.shape), np.float32) for k, v in published.items()
    }


def test_the_image_sets_encoder_layers_are_the_target() -> None:
    """Other layers, another teacher."""
    images = _Images(good_images(2, 64, 80), ("layer1", "layer2", "layer3"))
    one, other = (
        distil(replace(_HOW, batch=1, layers=layers), images, seed_run(0), _CPU)
        for layers in (("layer2", "layer3"), ("layer1",))
    )
    assert any(not np.array_equal(one[name], other[name]) for name in one)


# ---- in a fit ----


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
    own = good_images(4, 40, 40) if images is None else images.array
    detector.fit(ArrayImageSet(own, TinyEncoder(), detector.layers()), run)
    return detector


def _teacher_of(detector: EfficientAD) -> dict[str, NDArray[Any]]:
    begin = "networks.teacher."
    return {n.removeprefix(begin): a for n, a in detector.state().items() if n.startswith(begin)}


def test_one_teacher_whatever_the_runs_seed() -> None:
    """Also that it is what the detector describes with, unchanged by training."""
    first, second = FolderRun(1), FolderRun(2)
    detectors = [_fit(first, iterations=2), _fit(second, iterations=2)]
    assert first.wanted == second.wanted and [name for name, _ in first.wanted] == ["teacher"]
    (arrays,), (again,) = first.artifacts, second.artifacts
    for key, array in arrays.items():
        np.testing.assert_array_equal(array, again[key])
        for detector in detectors:
            np.testing.assert_array_equal(_teacher_of(detector)[key], array)


def test_a_kept_teacher_is_not_distilled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    run = FolderRun(1)
    first = _fit(run)
    monkeypatch.setattr(efficientad, "distil", None)
    second = _fit(run, learning_rate=1e-3, holdout=0.3)  # which change the detector, not its teacher
    assert len(run.artifacts) == 1 and len(run.wanted) == 2
    for name, array in _teacher_of(first).items():
        np.testing.assert_array_equal(_teacher_of(second)[name], array)


def test_the_artifact_depends_on_what_decides_the_teacher(monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = {
        size: {k: v.numpy() for k, v in published_teacher(size).items()} for size in ("small", "medium")
    }
    monkeypatch.setattr(efficientad, "distil", lambda how, *_: arrays[how.size])
    monkeypatch.setattr(efficientad, "train", lambda *_, **__: None)
    run = FolderRun(1)
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
        assert len(run.artifacts) == number, f"{change} makes no other teacher"
    _fit(run, iterations=2)
    assert len(run.artifacts) == len(changes)


def test_the_teachers_own_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`run.images` is asked for the folder at the networks' size, with the encoder's layers."""
    used: list[ArrayImageSet] = []

    def noted(how: Distillation, images: ArrayImageSet, run: Run, device: torch.device) -> Arrays:
        used.append(images)
        return distil(how, images, run, device)

    monkeypatch.setattr(efficientad, "distil", noted)
    others = ArrayImageSet(good_images(3, 50, 60, seed=5), TinyEncoder(), ("layer2", "layer3"))
    run = FolderRun(1, {tmp_path: others})
    _fit(run, teacher_images=tmp_path)
    assert run.asked == [(tmp_path, (40, 40), ("layer2", "layer3"))]
    np.testing.assert_array_equal(used[0].array, others.resized((40, 40)).array)
    assert run.wanted[0][1]["images"] == used[0].digest()
    without = FolderRun(1)
    _fit(without)
    assert without.wanted[0][1]["images"] != run.wanted[0][1]["images"]


def test_a_teacher_from_a_file_needs_no_encoder(tmp_path: Path) -> None:
    save_file(published_teacher("small", "anomalib"), tmp_path / "teacher.safetensors")
    run = FolderRun(1)
    detector = _fit(run, teacher=tmp_path / "teacher.safetensors")
    assert detector.layers() == () and EfficientAD().layers() == ("layer2", "layer3") and run.wanted == []
    taken, published = _teacher_of(detector), published_teacher("small")
    assert taken.keys() == published.keys()
    assert all(np.array_equal(taken[name], value.numpy()) for name, value in published.items())
