"""EfficientAD's maps against plain NumPy in float64, its quantiles, its cost, and images too small."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import plain
import pytest
import torch
from numpy.typing import NDArray
from plain import random_efficientad, random_pdn
from trainings import SIDE, seed_run, small_images

from segad_core.errors import PluginError
from segad_core.testing import bad_images, good_images, image_batch
from segad_plugins.detectors.efficientad import EfficientAD
from segad_plugins.detectors.student_teacher import StudentTeacher

# ---- maps ----


@pytest.mark.parametrize(
    ("size", "padding", "image_size", "shape"),
    [
        ("small", True, (64, 72), (64, 72)),
        ("small", True, (45, 70), (45, 70)),
        ("small", False, (64, 44), (64, 44)),
        ("small", True, (32, 40), (50, 96)),  # brought to a smaller size, and back
        ("small", False, (50, 60), (40, 48)),  # to a larger one
        ("medium", True, (32, 40), (32, 40)),
        ("medium", False, (40, 48), (40, 48)),
    ],
)
def test_maps_equal_the_reference(
    size: str, padding: bool, image_size: tuple[int, int], shape: tuple[int, int]
) -> None:
    state = random_efficientad(size, image_size)
    detector = EfficientAD(EfficientAD.Params(size=size, padding=padding))
    detector.restore(state)
    pixels = np.concatenate([good_images(1, *shape), bad_images(1, *shape)])
    maps = detector.anomaly_maps(image_batch(pixels))
    assert maps.shape == (2, *shape) and maps.dtype == np.float32
    for found, image in zip(maps, pixels, strict=True):
        expected = plain.efficientad_map(image, state, size, padding)
        top = np.abs(expected).max()
        assert expected.max() - expected.min() > 0.1 * top > 1e-3  # not all alike
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * top)


def test_without_padding_a_border_of_zeros_surrounds_the_map() -> None:
    """An eighth of each side at 64 pixels: 8 descriptions, and 4 zeros at each end."""
    detector = EfficientAD(EfficientAD.Params(size="small", padding=False))
    detector.restore(random_efficientad("small", (64, 64)))
    (found,) = detector.anomaly_maps(image_batch(good_images(1, 64, 64)))
    inner = np.zeros((64, 64), bool)
    inner[14:50, 14:50] = True  # where interpolation reaches the map's outermost values
    assert (found[~inner] == 0).all() and (found[16:48, 16:48] != 0).all()


def test_size_medium_trains(make: Callable[..., EfficientAD], tmp_path: Path) -> None:
    state = random_pdn("medium", 3)
    torch.save({n: torch.from_numpy(array) for n, array in state.items()}, tmp_path / "medium.pth")
    detector = make(size="medium", teacher=tmp_path / "medium.pth", iterations=1)
    detector.fit(small_images(3), seed_run())
    found, pixels = dict(detector.state()), bad_images(1, SIDE, SIDE)
    expected = plain.efficientad_map(pixels[0], found, "medium", False)
    (own,) = detector.anomaly_maps(image_batch(pixels))
    np.testing.assert_allclose(own, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())
    assert all(np.array_equal(found[f"networks.teacher.{name}"], array) for name, array in state.items())


# ---- quantiles ----


def _prepared(monkeypatch: pytest.MonkeyPatch, maps: Sequence[NDArray[np.float32]]) -> StudentTeacher:
    """Networks that answer with maps (2, N, h, w), one after the other."""
    networks, rest = StudentTeacher("small", True, (32, 32)), iter(maps)
    monkeypatch.setattr(networks, "raw_maps", lambda images: torch.from_numpy(next(rest)))
    return networks


def test_quantiles_of_more_values_than_torch_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exact: the values are those float32 that follow 0.5, so that each one's rank is known."""
    count, columns = 16_778_312, 2_097_289  # eight rows, more than 2**24
    assert count == 8 * columns > 2**24 + 1000
    first = (np.arange(count, dtype=np.int32) + 0x3F000000).view(np.float32).reshape(8, columns).T.ravel()
    networks = _prepared(monkeypatch, [np.stack([first, 2 * first[::-1]]).reshape(2, 8, 1, columns)])
    del first
    networks.calibrate(np.zeros((8, 32, 32, 3), np.uint8))

    def at(share: Fraction) -> float:
        position = share * (count - 1)
        low, high = (
            np.array([0x3F000000 + int(position) + i], np.int32).view(np.float32).astype(float)[0]
            for i in (0, 1)
        )
        return low + float(position - int(position)) * (high - low)

    low, high = at(Fraction(9, 10)), at(Fraction(995, 1000))
    np.testing.assert_array_equal(networks.quantiles.numpy(), np.float32([[low, high], [2 * low, 2 * high]]))


def test_quantiles_pool_the_pixels_of_all_held_out_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also over several batches; normalised, the quantile .9 is 0 and .995 is a tenth."""
    rng = np.random.default_rng(4)
    maps = (rng.gamma(2, 1, (2, 19, 8, 8)) * np.arange(1, 20)[:, None, None]).astype(np.float32)
    networks = _prepared(monkeypatch, [maps[:, :8], maps[:, 8:16], maps[:, 16:]])
    networks.calibrate(np.zeros((19, 32, 32, 3), np.uint8))
    pooled = np.sort(maps.reshape(2, -1).astype(np.float64), axis=1)
    for own, found in zip(pooled, networks.quantiles.numpy(), strict=True):
        assert found == pytest.approx([own[1093] + 0.5 * (own[1094] - own[1093]), _between(own)], rel=1e-6)
    quantiles = networks.quantiles.clone()
    for which in (0, 1):
        same = torch.from_numpy(np.stack([maps[which]] * 2))
        monkeypatch.setattr(networks, "raw_maps", lambda images, same=same: same)
        networks.quantiles.copy_(quantiles[which].expand(2, 2))
        normalised = networks.maps(torch.zeros(1)).numpy()
        assert np.quantile(normalised, [0.9, 0.995]) == pytest.approx([0, 0.1], abs=1e-6)


def _between(ordered: plain.Values) -> float:
    """Quantile .995 of 1,216 values: position 1208.925."""
    assert len(ordered) == 1216
    return float(ordered[1208] + 0.925 * (ordered[1209] - ordered[1208]))


def test_constant_maps_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    maps = np.stack([np.random.default_rng(0).random((3, 8, 8)), np.full((3, 8, 8), 0.25)])
    networks = _prepared(monkeypatch, [maps.astype(np.float32)])
    with pytest.raises(PluginError, match=r"efficientad: the maps of the 3 held-out images") as caught:
        networks.calibrate(np.zeros((3, 32, 32, 3), np.uint8))
    assert "[0.25, 0.25]" in str(caught.value) and "holdout" in str(caught.value)


def test_a_channel_that_never_changes_stays_zero() -> None:
    state = random_efficientad("small", (32, 32))
    networks = StudentTeacher("small", True, (32, 32))
    state["networks.teacher.8.weight"][7] = 0
    teacher = {k.removeprefix("networks.teacher."): v for k, v in state.items() if "teacher" in k}
    networks.load_teacher({name: torch.from_numpy(array) for name, array in teacher.items()})
    every = networks.describe_all(good_images(3, 32, 32), seed_run())
    assert (every[:, 7] == 0).all() and every[:, 8].std() == pytest.approx(1, abs=0.2)
    np.testing.assert_allclose(np.delete(every, 7, axis=1).mean(axis=(0, 2, 3)), 0, atol=1e-4)
    np.testing.assert_allclose(np.delete(every, 7, axis=1).std(axis=(0, 2, 3)), 1, atol=1e-4)


# ---- sizes ----


def _macs(*convolutions: tuple[int, int, int, int]) -> float:
    """GMAC of convolutions (side of what is put out, kernel, channels in and out)."""
    return sum(side**2 * k**2 * a * b for side, k, a, b in convolutions) / 1e9


def test_cost_in_words() -> None:
    """A training step takes three passes forward; the teacher runs none."""
    common = [(259, 4, 3, 256), (133, 4, 256, 512), (67, 1, 512, 512), (67, 3, 512, 512)]
    teacher = _macs(*common, (64, 4, 512, 384), (64, 1, 384, 384))
    student = _macs(*common, (64, 4, 512, 768), (64, 1, 768, 768))
    down = [
        (128, 4, 3, 32),
        (64, 4, 32, 32),
        (32, 4, 32, 64),
        (16, 4, 64, 64),
        (8, 4, 64, 64),
        (1, 8, 64, 64),
    ]
    up = [(side, 4, 64, 64) for side in (4, 9, 16, 33, 64, 128)]
    autoencoder = _macs(*down, *up, (64, 3, 64, 64), (64, 3, 64, 384))
    own = f"12.71 M parameters, 70,000 iterations, {3 * (student + autoencoder):.1f} GMAC each"
    shapes = {"layer2": (512, 32, 32), "layer3": (1024, 16, 16)}
    plain = EfficientAD().estimate(1000, (256, 256), shapes).work
    assert plain == (
        f"{own}; before them a teacher of 8.03 M parameters, 60,000 iterations, "
        f"{3 * 16 * teacher:.1f} GMAC each"
    )
    params = EfficientAD.Params(teacher=Path("t.pth"), auxiliary_images=Path("images"))
    assert EfficientAD(params).estimate(1000, (256, 256), {}).work == (
        f"12.71 M parameters, 70,000 iterations, {3 * (2 * student + autoencoder):.1f} GMAC each"
    )
    assert (
        EfficientAD(EfficientAD.Params(input_size=(256, 256))).estimate(9, (512, 512), shapes).work == plain
    )


@pytest.mark.parametrize(
    ("size", "padding", "given", "least"),
    [
        ("small", True, (31, 400), 32),
        ("medium", True, (400, 31), 32),
        ("small", False, (32, 400), 37),
        ("medium", False, (400, 32), 37),
    ],
)
@pytest.mark.parametrize("own", [False, True])
def test_images_that_are_too_small_are_refused(
    size: str, padding: bool, given: tuple[int, int], least: int, own: bool
) -> None:
    params: dict[str, Any] = {"size": size, "padding": padding, "input_size": given if own else None}
    detector = EfficientAD(EfficientAD.Params.model_validate(params))
    message = f"efficientad: images of {given[0]} x {given[1]} pixels .* at least {least}\n"
    with pytest.raises(PluginError, match=message):
        detector.check((256, 256) if own else given, {})
    larger = params | {"input_size": (least, least)}
    EfficientAD(EfficientAD.Params.model_validate(larger)).check((8, 8), {})
