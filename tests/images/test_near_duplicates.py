"""Near-identical images: changed copies and bursts are found; different parts that look alike are not."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter, shift

from segad_core.base.decoding import Decoding
from segad_core.contracts import Sample
from segad_core.images import Pair, near_duplicates, take_inventory
from segad_core.images.alignment import compare
from segad_core.images.thumbnail import standardised, thumbnail
from segad_core.store.store import Store

SIDE = 120
Pixels = NDArray[np.uint8]


def eight_bit(values: NDArray[np.float64]) -> Pixels:
    return np.repeat(np.clip(np.rint(values), 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def surface(seed: int) -> NDArray[np.float64]:
    """A part of its own: a texture of several scales on a smooth ground."""
    rng = np.random.default_rng(seed)
    fine, coarse = (gaussian_filter(rng.normal(size=(SIDE, SIDE)), scale) * scale for scale in (1.5, 8))
    return 120 + 30 * fine + 60 * coarse


def part(seed: int, noise: float, move: float = 1.5, grain: float = 0.0) -> NDArray[np.float64]:
    """One of a series: the same part each time, but for its place, the light, its grain and noise."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    disc = 60 + 100 * (rows**2 + columns**2 < 42**2) - 80 * (rows**2 + (columns - 20) ** 2 < 8**2)
    disc = gaussian_filter(disc.astype(float), 0.8) + 3 * grain * gaussian_filter(
        rng.normal(size=disc.shape), 2
    )
    moved = shift(disc, rng.normal(0, move, 2), order=1, mode="nearest") * (1 + 0.08 * rng.normal())
    return moved + np.random.default_rng([seed, 7]).normal(0, noise, disc.shape)


def found(
    home: Path, images: dict[str, Pixels], matters: Callable[[str, str], bool] | None = None
) -> list[Pair]:
    home.mkdir(exist_ok=True)
    samples = []
    for name, pixels in images.items():
        Image.fromarray(pixels).save(home / f"{name}.png", compress_level=1)
        samples.append(Sample(name, home / f"{name}.png", 0))
    store = Store(home / "store")
    inventory = take_inventory(samples, Decoding(), store)
    return near_duplicates(inventory, Decoding(), store, matters or (lambda *_: True))


def names(pairs: Sequence[Pair]) -> list[tuple[str, str]]:
    return [(pair.first, pair.second) for pair in pairs]


SURFACES = {f"{i:03}": eight_bit(surface(i)) for i in range(30)}


def jpeg(pixels: Pixels, quality: int) -> Pixels:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


CHANGES: dict[str, Callable[[Pixels], Pixels]] = {
    "recompressed": lambda pixels: jpeg(pixels, 50),
    "brighter": lambda pixels: np.clip(pixels.astype(int) + 30, 0, 255).astype(np.uint8),
    "contrast": lambda pixels: (40 + 0.7 * pixels).astype(np.uint8),
    "one pixel": lambda pixels: np.roll(pixels, (1, 1), (0, 1)),
    "smaller": lambda pixels: np.asarray(Image.fromarray(pixels).resize((80, 80))),
    "cropped": lambda pixels: pixels[1:-1, 1:-1],
    "noisy": lambda pixels: eight_bit(
        pixels[..., 0] + np.random.default_rng(0).normal(0, 4, pixels.shape[:2])
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_found(tmp_path: Path, change: str) -> None:
    (pair,) = found(tmp_path / "images", {**SURFACES, "x": CHANGES[change](SURFACES["004"])})
    assert (pair.first, pair.second) == ("004", "x")
    assert pair.difference < 0.4 * pair.usual


def test_surfaces_of_their_own_and_exact_copies_are_not_reported(tmp_path: Path) -> None:
    assert found(tmp_path / "images", {**SURFACES, "x": SURFACES["004"]}) == []


@pytest.mark.parametrize("noise", [0.7, 3.0])
@pytest.mark.parametrize("move", [0.0, 1.5, 6.0])
def test_different_parts_that_look_alike_are_not(tmp_path: Path, noise: float, move: float) -> None:
    images = {f"{i:03}": eight_bit(part(i, noise, move)) for i in range(60)}
    assert found(tmp_path / "images", images) == []


def test_the_few_parts_of_a_variant_are_not(tmp_path: Path) -> None:
    images = {f"{i:03}": eight_bit(part(i, 1.0)) for i in range(40)}
    print_on_it = surface(1000) - 120
    images |= {f"9{i:02}": eight_bit(part(i + 100, 1.0) + print_on_it) for i in range(5)}
    assert found(tmp_path / "images", images) == []


@pytest.mark.parametrize("all_are", [True, False])
def test_bursts_are_found(tmp_path: Path, all_are: bool) -> None:
    """Four images of each part, or of one part only: the grain is the part's, the noise is new."""
    images, expected = {}, set()
    for i in range(48):
        seed = i // 4 if all_are or i < 4 else i
        noise = np.random.default_rng([i, 1]).normal(0, 1.5, (SIDE, SIDE))
        images[f"{i:03}"] = eight_bit(part(seed, 0.0, grain=12.0) + noise)
    for i in range(0, 48 if all_are else 4, 4):
        expected |= {*combinations((f"{i + k:03}" for k in range(4)), 2)}
    assert {*names(found(tmp_path / "images", images))} == expected


def test_only_what_matters_is_reported_and_compared_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = {**SURFACES, "x": jpeg(SURFACES["004"], 60), "y": jpeg(SURFACES["009"], 60)}
    home = tmp_path / "images"
    assert names(found(home, images, lambda *pair: "y" in pair)) == [("009", "y")]
    both = found(home, images)
    assert {*names(both)} == {("004", "x"), ("009", "y")}

    def fail(*_: object) -> None:
        raise AssertionError("compared again")

    monkeypatch.setattr("segad_core.images.alike.compare", fail)
    assert found(home, images) == both
    assert found(home, images, lambda *_: False) == []


def test_few_images_and_images_that_show_nothing_are_not_compared(tmp_path: Path) -> None:
    few = {name: SURFACES[name] for name in [*SURFACES][:14]}
    assert found(tmp_path / "few", {**few, "x": jpeg(few["004"], 60)}) == []
    assert thumbnail(eight_bit(3 + np.random.default_rng(0).normal(0, 1, (SIDE, SIDE)))) == ""
    black = {f"b{i}": eight_bit(3 + np.random.default_rng(i).normal(0, 1, (SIDE, SIDE))) for i in range(20)}
    assert found(tmp_path / "black", {**SURFACES, **black}) == []


def test_thumbnails_ignore_light_and_survive_the_store(tmp_path: Path) -> None:
    plain, brighter = SURFACES["001"], CHANGES["contrast"](SURFACES["001"])
    close, other = (
        standardised([thumbnail(p) for p in (plain, brighter, SURFACES["002"])])[1:]
        @ standardised([thumbnail(plain)])[0]
    )
    assert close > 0.999 > 0.6 > other
    assert thumbnail(np.full((30, 40, 3), 7, np.uint8)) == ""
    assert thumbnail(np.zeros((1, 1, 3), np.uint8)) == ""
    Image.fromarray(plain).save(tmp_path / "a.png")
    samples = [Sample("a", tmp_path / "a.png", 0)]
    first, again = (
        take_inventory(samples, Decoding(), Store(tmp_path / "store")).facts["a"] for _ in range(2)
    )
    assert first == again and first.thumbnail == thumbnail(plain)


def test_what_alignment_explains() -> None:
    """Shift, light, and a little turn are removed; what differs is measured in grey levels."""
    image = gaussian_filter(surface(3), 1.0).astype(np.float32)
    for moved in (
        np.roll(image, (3, -2), (0, 1)),
        0.5 * image + 40,
        shift(image, (0.4, -0.3), order=3, mode="nearest"),
    ):
        difference, unexplained = compare(image, moved.astype(np.float32))
        assert difference < 0.25 * compare(image, surface(4).astype(np.float32))[0]
        assert unexplained < 0.05
        assert compare(moved.astype(np.float32), image) == (difference, unexplained)
    noise = np.random.default_rng(0).normal(0, 3, image.shape).astype(np.float32)
    assert compare(image, image + noise)[0] == pytest.approx(3 * np.sqrt(2 / np.pi), rel=0.1)
    assert compare(image, image) == pytest.approx((0, 0), abs=1e-3)
    flat = np.full_like(image, 9)
    assert compare(flat, flat)[0] == pytest.approx(0, abs=1e-4)
