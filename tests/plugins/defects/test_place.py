"""What both generators owe: one segment, whatever its area, nothing but rng, a visible change."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

from segad_core.contracts import IGNORED, DefectGenerator
from segad_core.errors import DataError, PluginError
from segad_plugins.defects.blur import Blur
from segad_plugins.defects.rectangle import Rectangle

Pixels = NDArray[np.uint8]
both = pytest.mark.parametrize("kind", [Blur, Rectangle])
COLOURED = np.random.default_rng(5).integers(0, 256, (40, 56, 3), dtype=np.uint8)
THREE = np.full((40, 56), IGNORED, np.uint8)  # areas 4, 96 and 1,600
THREE[2:4, 2:4], THREE[10:22, 0:8], THREE[:, 16:] = 7, 0, 3


def _make(kind: type[DefectGenerator], **params: Any) -> DefectGenerator:
    return kind(kind.Params.model_validate(params))


def _changed(generator: DefectGenerator, pixels: Pixels, segments: Pixels, seed: int) -> NDArray[np.bool_]:
    return (generator.apply(pixels, segments, np.random.default_rng(seed)) != pixels).any(axis=2)


def _labels_hit(generator: DefectGenerator, seeds: int) -> list[int]:
    hit = [np.unique(THREE[_changed(generator, COLOURED, THREE, seed)]).tolist() for seed in range(seeds)]
    assert all(len(labels) == 1 for labels in hit)
    return [labels[0] for labels in hit]


@both
@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    size=st.tuples(st.integers(2, 40), st.integers(2, 40)),
    labels=st.lists(st.sampled_from([0, 1, 2, 254, IGNORED]), min_size=1, max_size=8),
    share=st.floats(0.01, 1),
)
def test_only_pixels_of_one_segment_change(
    kind: type[DefectGenerator], seed: int, size: tuple[int, int], labels: list[int], share: float
) -> None:
    """Maps of stripes, blocks and single pixels; sizes up to the whole image."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    blocks = rng.choice(np.array(labels, np.uint8), (8, 8))
    segments = blocks[np.arange(size[0])[:, None] * 8 // size[0], np.arange(size[1]) * 8 // size[1]]
    segments[0, 0] = 1
    sizes = {"part": (share, 1)} if kind is Blur else {"length": (share, 1), "thickness": (share / 2, share)}
    generator = _make(kind, **sizes, **({"sigma": (1, 1), "visible": 1} if kind is Blur else {}))
    before = pixels.copy(), segments.copy()
    image = generator.apply(pixels, segments, np.random.default_rng(seed))
    hit = np.unique(segments[(image != pixels).any(axis=2)])
    assert len(hit) == 1 and hit[0] != IGNORED
    assert image.dtype == np.uint8 and image.shape == pixels.shape
    np.testing.assert_array_equal(pixels, before[0])
    np.testing.assert_array_equal(segments, before[1])


@both
def test_same_seed_same_image(kind: type[DefectGenerator]) -> None:
    images = {
        seed: _make(kind).apply(COLOURED, THREE, np.random.default_rng(seed)).tobytes() for seed in range(20)
    }
    assert len(set(images.values())) > 15
    np.random.seed(99)  # noqa: NPY002 (global randomness must not matter)
    again = _make(kind)
    for seed, image in images.items():
        assert again.apply(COLOURED, THREE, np.random.default_rng(seed)).tobytes() == image


@both
def test_each_segment_is_equally_likely_whatever_its_area(kind: type[DefectGenerator]) -> None:
    hit = _labels_hit(_make(kind), seeds=600)
    counts = [hit.count(label) for label in (0, 3, 7)]
    assert sum(counts) == 600
    assert sum((count - 200) ** 2 / 200 for count in counts) < 9.2, counts  # chi-square, 99 %


@both
def test_labels_restrict_the_segments(kind: type[DefectGenerator]) -> None:
    assert set(_labels_hit(_make(kind, labels=[7]), seeds=20)) == {7}
    assert set(_labels_hit(_make(kind, labels=[0, 3, 12]), seeds=40)) == {0, 3}


@both
def test_maps_without_a_usable_segment_are_refused(kind: type[DefectGenerator]) -> None:
    name, rng = kind.__name__.lower(), np.random.default_rng(0)
    with pytest.raises(DataError, match=f"^defect {name}: the segmentation map .* no pixel of any segment"):
        _make(kind).apply(COLOURED, np.full_like(THREE, IGNORED), rng)
    with pytest.raises(DataError, match=f"^defect {name}: .* of the labels 1, 2; it has 0, 3, 7"):
        _make(kind, labels=[1, 2]).apply(COLOURED, THREE, rng)
    with pytest.raises(
        PluginError, match=rf"^defect {name}: .* map has shape \(56, 40\), the image \(40, 56, 3\)"
    ):
        _make(kind).apply(COLOURED, THREE.T, rng)


@both
def test_each_defect_changes_a_pixel_visibly(kind: type[DefectGenerator]) -> None:
    """Also where few pixels can: all but a speck in one of two segments is even."""
    pixels, segments = np.full((40, 40, 3), 100, np.uint8), np.zeros((40, 40), np.uint8)
    segments[:, 20:] = 1
    pixels[30, 34] = (100, 190, 100)
    given = {"darkest": 70, "brightest": 130, "visible": 50} if kind is Rectangle else {"sigma": (0.02, 0.02)}
    generator = _make(kind, **given)
    for seed in range(20):
        image = generator.apply(pixels, segments, np.random.default_rng(seed)).astype(int)
        off = np.abs(image - pixels).max(axis=2)
        assert off.max() >= generator.params.visible  # type: ignore[attr-defined]
        assert off[30, 34] == off.max() and not off[:, :20].any()


@both
@pytest.mark.parametrize(
    "wrong",
    [{"labels": []}, {"labels": [IGNORED]}, {"labels": [-1]}, {"visible": 0}, {"visible": 256}],
    ids=str,
)
def test_meaningless_places_are_refused(kind: type[DefectGenerator], wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        _make(kind, **wrong)


@pytest.mark.parametrize(
    ("kind", "name"), [(Blur, "sigma"), (Blur, "part"), (Rectangle, "length"), (Rectangle, "thickness")]
)
def test_sizes_are_shares_in_order(kind: type[DefectGenerator], name: str) -> None:
    for wrong in ((0.0, 0.1), (0.1, 1.1)):
        with pytest.raises(ValidationError, match=name):
            _make(kind, **{name: wrong})
    with pytest.raises(ValidationError, match=r"the minimum, 0\.3, is greater than the maximum, 0\.2"):
        _make(kind, **{name: (0.3, 0.2)})
