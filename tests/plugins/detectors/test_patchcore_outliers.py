"""Training images that look least like the others: found as by brute force, and left out altogether."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
from trainings import FeatureImages, seed_run

from segad_core.contracts import Sample
from segad_core.testing.trial_run import Told
from segad_plugins.detectors.outliers import least_alike, number_of, to_other_images
from segad_plugins.detectors.patchcore import PatchCore

SHAPE = (6, 8, 8)
ODD = [3, 8]


def layer(images: int = 12, seed: int = 0, odd: Any = ODD) -> np.ndarray:
    """Images of nearly equal patches; in the odd ones, some patches are like no other's."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(1, *SHAPE)) + 0.3 * rng.normal(size=(images, *SHAPE))
    for i in odd:
        values[i, :, 2:5, 2:5] += 6 * rng.normal(size=(SHAPE[0], 1, 1))
    return values.astype(np.float32)


class Images(FeatureImages):
    """Features of images with names."""

    def __init__(self, values: np.ndarray) -> None:
        super().__init__({"layer2": values})
        self.samples = [Sample(f"good/{i}.png", None, 0) for i in range(len(values))]  # type: ignore[arg-type]


def fitted(values: np.ndarray, progress: Any = None, **params: Any) -> PatchCore:
    given = {"layers": ["layer2"], "coreset_ratio": 0.25, **params}
    detector = PatchCore(PatchCore.Params.model_validate(given))
    detector.fit(Images(values), seed_run(5, progress or Told()))  # type: ignore[arg-type]
    return detector


def bank(values: np.ndarray, **params: Any) -> np.ndarray:
    return np.asarray(fitted(values, **params).state()["bank"])


# ---- the distances ----


@pytest.mark.parametrize(("images", "patches", "width"), [(2, 1, 3), (3, 50, 7), (5, 20, 200)])
def test_distances_are_those_of_brute_force(images: int, patches: int, width: int) -> None:
    rng = np.random.default_rng([images, patches])
    points = rng.normal(size=(images * patches, width)).astype(np.float32)
    points[-1] = points[0]  # a copy in another image
    picks = rng.permutation(len(points))[: len(points) // 2 + 1]
    owners = np.arange(len(points)) // patches
    wide = points.astype(np.float64)
    expected = [np.linalg.norm(wide[owners != owners[p]] - wide[p], axis=1).min() for p in picks]
    np.testing.assert_allclose(to_other_images(points, picks, images), expected, rtol=1e-5)
    copies = to_other_images(points, np.array([0, len(points) - 1]), images)
    assert copies.tolist() == [0, 0]


def test_images_are_ordered_by_the_sum_of_their_ten_most_unusual_picks() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(8 * 30, 4)).astype(np.float32)
    picks = rng.permutation(240)[:150]
    distances, owners = to_other_images(points, picks, 8).astype(np.float64), picks // 30
    sums = [np.sort(distances[owners == i])[::-1][:10].sum() for i in range(8)]
    for count in range(1, 8):
        found = least_alike(points, picks, 8, count)
        assert found.tolist() == sorted(np.argsort(sums)[::-1][:count].tolist())


def test_an_image_without_picks_is_usual_and_the_first_of_equals_is_found() -> None:
    points = np.repeat(np.arange(4, dtype=np.float32), 3)[:, None]  # every image at its own place
    assert least_alike(points, np.array([3, 4, 5]), 4, 1).tolist() == [1]
    assert least_alike(points, np.array([0, 11]), 4, 1).tolist() == [0]
    assert least_alike(points, np.array([0, 11]), 4, 2).tolist() == [0, 3]


def test_images_of_one_group_do_not_support_each_other() -> None:
    """Two photographs of one bad part are alike, and unlike all others."""
    rng = np.random.default_rng(2)
    points = rng.normal(size=(6 * 20, 3)).astype(np.float32)
    points[40:60] = points[100:120] = 30 + points[:20]
    groups, picks = np.array([0, 1, 2, 0, 1, 2]), np.arange(120)
    owners, wide = np.repeat(groups, 20), points.astype(np.float64)
    expected = [np.linalg.norm(wide[owners != owners[p]] - wide[p], axis=1).min() for p in picks]
    np.testing.assert_allclose(to_other_images(points, picks, 6, None, groups), expected, rtol=1e-5)
    assert least_alike(points, picks, 6, 2, None, groups).tolist() == [2, 5]
    assert least_alike(points, picks, 6, 2).tolist() != [2, 5]
    alone = to_other_images(points, picks, 6)
    np.testing.assert_array_equal(to_other_images(points, picks, 6, None, np.zeros(6, np.int64)), alone)


def test_a_share_is_counted_as_written() -> None:
    for hundredths in range(31):
        assert number_of(hundredths / 100, 100) == hundredths
    assert [number_of(0.1, n) for n in (9, 10, 19, 20)] == [0, 1, 1, 2]


def test_progress_counts_the_picks() -> None:
    told: list[tuple[int, int]] = []
    points = np.random.default_rng(0).normal(size=(600, 3)).astype(np.float32)
    to_other_images(points, np.arange(250), 6, lambda done, total: told.append((done, total)))
    assert (
        told[-1] == (250, 250) and len(told) == 84 and [done for done, _ in told] == [*range(3, 250, 3), 250]
    )


# ---- the memory bank ----


def test_the_bank_is_that_of_a_training_without_them() -> None:
    values = layer()
    found = bank(values, outliers=0.17)
    np.testing.assert_array_equal(found, bank(np.delete(values, ODD, axis=0)))
    assert len(found) == int(0.25 * 10 * 64) and len(bank(values)) == int(0.25 * 12 * 64)


def test_also_where_patches_are_projected() -> None:
    values = np.random.default_rng(1).normal(size=(12, 300, 4, 4)).astype(np.float32)
    values[5] += 8
    projected = {"projection_eps": 0.99, "outliers": 0.1}
    np.testing.assert_array_equal(
        bank(values, **projected), bank(np.delete(values, 5, axis=0), projection_eps=0.99)
    )


def test_off_it_changes_nothing_and_looks_at_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    values, told = layer(), Told()
    monkeypatch.setattr("segad_plugins.detectors.outliers.least_alike", lambda *_: pytest.fail("it looks"))
    assert PatchCore.Params().outliers == 0
    fitted(values, told)
    assert {call[0] for call in told.calls} == {"coreset picks"}
    np.testing.assert_array_equal(bank(values, outliers=0.08), bank(values))  # less than one of 12 images


def test_two_images_of_a_bad_part_are_left_out_together() -> None:
    values = layer(odd=[3])
    values[8] = values[3] + 0.3 * np.random.default_rng(6).normal(size=SHAPE)
    groups = np.array([0, 1, 2, 3, 4, 5, 6, 7, 3, 9, 10, 11])
    detector = PatchCore(PatchCore.Params(layers=["layer2"], coreset_ratio=0.25, outliers=0.17))  # type: ignore[arg-type]
    detector.fit(Images(values), seed_run(5, groups=groups))  # type: ignore[arg-type]
    expected = bank(np.delete(values, ODD, axis=0))
    np.testing.assert_array_equal(np.asarray(detector.state()["bank"]), expected)


def test_the_log_names_the_images(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "segad.plugins"):
        fitted(layer(), outliers=0.17)
    assert "2 of 12" in caplog.text and "good/3.png, good/8.png" in caplog.text


def test_a_defect_hidden_in_the_training_set_is_found_again() -> None:
    """The same stain on a training image hides it on a test image, unless the training image is left out."""
    stain = 4 * np.random.default_rng(9).normal(size=(SHAPE[0], 1, 1)).astype(np.float32)
    values, tested = layer(odd=[]), layer(seed=0, odd=[])[:1].copy()
    values[4, :, 1:4, 1:4] += stain
    tested[0, :, 4:7, 4:7] += stain
    scores = []
    for share in (0.0, 0.1):
        distances = np.linalg.norm(
            tested[0].reshape(SHAPE[0], -1).T[:, None]
            - bank(values, outliers=share, coreset_ratio=1.0)[None],
            axis=2,
        ).min(axis=1)
        scores.append(distances.max())
    assert scores[1] > 2 * scores[0]


def test_its_cost_is_estimated() -> None:
    shapes = {"layer2": (512, 32, 32), "layer3": (1024, 16, 16)}
    plain, more = (
        PatchCore(PatchCore.Params(outliers=share)).estimate(1000, (256, 256), shapes)
        for share in (0.0, 0.05)
    )
    assert plain is not None and more is not None
    assert "at most 1.1e+10" in plain.work and "at most 3.2e+10" in more.work and "twice" in more.work
    assert more.state == plain.state and more.memory == plain.memory


@pytest.mark.parametrize("share", [-0.1, 0.31, 1])
def test_shares_out_of_range_are_refused(share: float) -> None:
    with pytest.raises(ValueError, match="outliers"):
        PatchCore.Params(outliers=share)
