"""Segmenter `clusters`: nearest centres against scikit-learn, parts that move, names, faults."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.metrics import pairwise_distances_argmin
from torch.nn import functional as F
from trainings import seed_run

from segad_core.contracts import Run
from segad_core.errors import DataError, PluginError
from segad_core.testing import ArrayImageSet, TinyEncoder, image_batch
from segad_plugins.segmenters.clustering import _halves, kmeans, nearest, place_name, stable_count, thirds
from segad_plugins.segmenters.clusters import Clusters

LAYERS = ("layer1", "layer2")
TABLE, PART, CHIP = (40, 60, 50), (200, 180, 90), (90, 20, 160)


def parts(x: int, y: int = 16) -> NDArray[np.uint8]:
    """A table of 64 x 96 with a part of 32 x 32, and a chip of 8 x 8 in its middle, all of even colour."""
    pixels = np.empty((64, 96, 3), np.uint8)
    pixels[:] = TABLE
    pixels[y : y + 32, x : x + 32] = PART
    pixels[y + 12 : y + 20, x + 12 : x + 20] = CHIP
    return pixels


def image_set(pixels: list[NDArray[np.uint8]], layers: tuple[str, ...] = LAYERS) -> ArrayImageSet:
    return ArrayImageSet(np.stack(pixels), TinyEncoder(), layers)


def fitted(images: list[NDArray[np.uint8]], run: Run | None = None, **params: Any) -> Clusters:
    segmenter = Clusters(Clusters.Params.model_validate({"layers": LAYERS, **params}))
    segmenter.fit(image_set(images, segmenter.layers()), run or seed_run())
    return segmenter


def segmented(segmenter: Clusters, *images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return segmenter.segment(image_batch(np.stack(images), TinyEncoder(), segmenter.layers()))


MOVING = [parts(x, y) for x in (0, 16, 32, 48, 64) for y in (0, 16, 32)]


def test_segments_follow_the_parts_wherever_they_lie() -> None:
    """One layer, no averaging: table, part and chip, exact but for the interpolation at their borders."""
    segmenter = fitted(MOVING, layers=["layer1"], k=3, pooling=1)
    for image in (parts(4, 20), parts(60, 8)):
        labels = segmented(segmenter, image)[0]
        for label, colour in enumerate((TABLE, PART, CHIP)):
            assert (image[labels == label] == colour).all(axis=-1).mean() > 0.95
            inside = (image == colour).all(axis=-1)
            assert (labels[inside] == label).mean() > 0.8


def test_segments_are_numbered_by_size_and_named_by_place() -> None:
    still = [parts(64, 0)] * 4
    names = fitted(still, layers=["layer1"], k=3, pooling=1).segments()
    assert list(names) == ["cluster_1_throughout", "cluster_2_upper_right", "cluster_3_upper_right"]
    again = fitted(still[::-1], Run(np.random.SeedSequence(99)), layers=["layer1"], k=3, pooling=1)
    assert again.segments() == names


def test_pixels_get_the_nearest_centre_of_the_interpolated_features() -> None:
    """Against a plain computation: standardise, average, interpolate, and compare distances."""
    rng = np.random.default_rng(0)
    images = list(rng.integers(0, 255, (5, 64, 96, 3), dtype=np.uint8))
    segmenter = fitted(images, k=5)
    features = {n: torch.from_numpy(np.array(v)).double() for n, v in image_set(images).features().items()}
    vectors, scales = [], []
    for name in LAYERS:
        pooled = F.avg_pool2d(features[name], 3, stride=1, padding=1, count_include_pad=False)
        mean = pooled.mean(dim=(0, 2, 3), keepdim=True)
        scale = 1 / pooled.std(dim=(0, 2, 3), keepdim=True, correction=0) / pooled.shape[1] ** 0.5
        grid = F.interpolate((pooled - mean) * scale, (16, 24), mode="bilinear", align_corners=False)
        vectors.append(F.interpolate(grid, (64, 96), mode="bilinear", align_corners=False))
        scales.append(scale.flatten().numpy())
    found = torch.cat(vectors, dim=1).permute(0, 2, 3, 1).reshape(-1, 12).numpy()
    centres = np.asarray(segmenter.state()["weights"], np.float64) / (2 * np.concatenate(scales))
    expected = pairwise_distances_argmin(found, centres).reshape(5, 64, 96)
    assert (segmented(segmenter, *images) == expected).mean() > 0.9999


def test_centres_are_scikit_learns() -> None:
    rng = np.random.default_rng(1)
    points = rng.normal(size=(600, 4)).astype(np.float32)
    centres = kmeans(points, 5, 7)
    reference = KMeans(5, n_init=5, max_iter=100, random_state=7).fit(points)
    np.testing.assert_allclose(centres, reference.cluster_centers_, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(nearest(points, centres), pairwise_distances_argmin(points, centres))


def test_every_layer_counts_as_much_and_constant_channels_do_not() -> None:
    """Layers of 6 and 12 channels have the same mean square; two channels are constant."""
    rng = np.random.default_rng(0)
    segmenter = Clusters(Clusters.Params(layers=LAYERS))
    features = {
        "layer1": rng.normal(3, 2, (7, 6, 16, 24)).astype(np.float32),
        "layer2": rng.normal(-1, 5, (7, 12, 8, 12)).astype(np.float32),
    }
    features["layer1"][:, 2:4] = 9.3
    standard = segmenter._standardisation(features, 7)
    points, owners = segmenter._sample(features, 7, *standard, rng)
    assert (standard[1][2:4] == 0).all() and (points[:, 2:4] == 0).all()
    assert (points[:, :6] ** 2).sum(axis=1).mean() == pytest.approx(4 / 6, abs=0.01)
    assert len(points) == len(owners) == 7 * 16 * 24
    coarse = points[:, 6:].reshape(7, 16, 24, 12)
    assert (coarse**2).sum(axis=-1).mean() < 1  # interpolation lies between neighbours
    assert segmenter._standardisation({**features, "layer2": 100 * features["layer2"]}, 7)[1][6:] == (
        pytest.approx(standard[1][6:] / 100, rel=1e-4)
    )


def test_still_parts_get_the_most_frequent_cluster_of_each_pixel() -> None:
    images = [parts(16), parts(16), parts(24), parts(20), parts(16)]
    moving, still = (fitted(images, k=3, still=value) for value in (False, True))
    labels = segmented(moving, *images)
    counts = np.stack([(labels == label).sum(axis=0) for label in range(3)])
    sizes = np.bincount(counts.argmax(axis=0).reshape(-1), minlength=3)
    order = np.argsort(-sizes, kind="stable")
    found = segmented(still, parts(64), parts(0))
    assert found.shape == (1, 64, 96)
    assert (np.array(order)[found[0]] == counts.argmax(axis=0)).all()
    with pytest.raises(PluginError, match="64 x 96"):
        still.segment(image_batch(np.zeros((1, 32, 32, 3), np.uint8), TinyEncoder(), LAYERS))


def test_the_number_of_stable_clusters_is_that_of_the_blobs() -> None:
    rng = np.random.default_rng(5)
    centres = 10 * rng.normal(size=(4, 3))
    points = (centres[rng.integers(4, size=4000)] + rng.normal(size=(4000, 3))).astype(np.float32)
    told: list[tuple[int, int]] = []
    owners = rng.integers(20, size=4000)
    found = stable_count(points, owners, 7, np.random.default_rng(0), lambda *done: told.append(done))
    assert found == 4
    assert told == [(1, 6), (2, 6), (3, 6), (4, 6)]


def test_halves_have_no_image_in_common() -> None:
    owners = np.repeat(np.arange(9), 50)
    first, second, both = _halves(owners, np.random.default_rng(3))
    assert not {*owners[first]} & {*owners[second]}
    assert sorted([*first, *second]) == sorted(both) == list(range(450))
    assert len({*owners[first]}) == 4


def test_without_a_stable_number_the_best_is_taken() -> None:
    """Each image has a blob of its own, so halves have nothing in common."""
    rng = np.random.default_rng(5)
    owners = np.repeat(np.arange(6), 100)
    points = (100 * rng.normal(size=(6, 3))[owners] + rng.normal(size=(600, 3))).astype(np.float32)
    assert 2 <= stable_count(points, owners, 5, np.random.default_rng(0), lambda *_: None) <= 5


@pytest.mark.parametrize(
    ("groups", "halved"),
    [(None, range(6)), ([0, 0, 1, 1, 2, 2], range(3)), ([4] * 6, range(6))],
)
def test_halves_have_no_group_in_common(
    monkeypatch: pytest.MonkeyPatch, groups: list[int] | None, halved: range
) -> None:
    """One group cannot be halved, so its images are."""
    given: list[Any] = []

    def stable(points: Any, owners: Any, *_: Any) -> int:
        given.append(owners)
        return 2

    monkeypatch.setattr("segad_plugins.segmenters.clusters.stable_count", stable)
    run = Run(np.random.SeedSequence(1), groups=None if groups is None else np.array(groups))
    points, owners = np.random.default_rng(0).normal(size=(60, 2)), np.repeat(np.arange(6), 10)
    segmenter = Clusters(Clusters.Params(layers=("layer1",), k="stable"))
    assert segmenter._count(points.astype(np.float32), owners, np.random.default_rng(0), run) == 2
    assert {*given[0].tolist()} == {*halved}


@pytest.mark.parametrize(
    ("rows", "name"),
    [
        ("x.. ... ...", "upper_left"),
        (".x. ... ...", "top"),
        ("xxx ... ...", "top"),
        ("... ..x ...", "right"),
        ("... .x. ...", "centre"),
        ("... xxx ...", "middle_row"),
        ("... x.x ...", "left_and_right"),
        (".x. .x. .x.", "middle_column"),
        ("x.. x.. x..", "left"),
        ("x.x x.x x.x", "left_and_right"),
        ("xxx ... xxx", "top_and_bottom"),
        ("x.x ... x.x", "corners"),
        ("xxx x.x xxx", "border"),
        ("x.x ... ...", "upper_corners"),
        ("xxx x.x ...", "top"),
        (".xx ..x .xx", "right"),
        ("... ... x.x", "lower_corners"),
        ("x.. ... x..", "left_corners"),
        ("..x ... ..x", "right_corners"),
        ("... ... ..x", "lower_right"),
        ("xxx xxx xxx", "throughout"),
    ],
)
def test_places_in_words(rows: str, name: str) -> None:
    cells = np.array([[c == "x" for c in row] for row in rows.split()], np.float64)
    large = cells.repeat(7, axis=0).repeat(5, axis=1)
    assert place_name(thirds(large[None])[0]) == name


def test_what_cannot_be_clustered_is_refused() -> None:
    flat = [np.full((64, 96, 3), 80, np.uint8)] * 3
    for k in (4, "stable"):
        with pytest.raises(DataError, match="1 different patches"):
            fitted(flat, k=k)
    with pytest.raises(DataError, match="one good image"):
        fitted([parts(16)], k="stable")
    assert len(fitted([parts(16)], k=3).segments()) == 3


def test_another_encoder_is_refused() -> None:
    segmenter = fitted(MOVING, k=3)

    def encode(pixels: NDArray[np.uint8]) -> dict[str, Any]:
        return {n: np.ones((1, 5, 8, 8), np.float32) for n in LAYERS}

    batch = image_batch(np.zeros((1, 64, 64, 3), np.uint8))
    batch._encode = encode
    with pytest.raises(PluginError, match="channels"):
        segmenter.segment(batch)


@pytest.mark.parametrize(
    "change",
    [
        {"version": np.array(2)},
        {"channels": np.array([6, 5])},
        {"channels": np.array([6.0, 6.0])},
        {"channels": np.array([13, -1])},
        {"weights": np.zeros((3, 11))},
        {"weights": np.full((3, 12), np.nan)},
        {"weights": np.zeros((3, 12), np.float32)},
        {"bias": np.zeros(300)},
        {"bias": np.array([0, np.inf, 0])},
        {"thirds": np.zeros((3, 9))},
        {"map": np.full((64, 96), 3, np.uint8)},
        {"map": np.zeros((64, 96), np.int64)},
        {"map": np.zeros((0, 0), np.uint8)},
    ],
)
def test_states_that_do_not_fit_are_refused(change: dict[str, NDArray[Any]]) -> None:
    segmenter = fitted(MOVING, k=3, still=True)
    with pytest.raises(PluginError):
        Clusters(segmenter.params).restore({**segmenter.state(), **change})


def test_more_segments_than_the_parameters_allow_are_refused() -> None:
    state = fitted(MOVING, k=3).state()
    with pytest.raises(PluginError, match="1 to 2"):
        Clusters(Clusters.Params(layers=LAYERS, k=2)).restore(state)
