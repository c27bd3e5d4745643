"""PatchCore against a plain NumPy computation in float64, and the facts about its sizes."""

import numpy as np
import plain
import pytest
import torch
from numpy.typing import NDArray
from plain import Features
from trainings import FeatureImages, feature_batch, random_features, seed_run

from segad_core.contracts import ImageBatch
from segad_core.errors import UsageError
from segad_plugins.detectors.patchcore import PatchCore, gaussian_blur
from segad_plugins.torch_tools import torch_device

_SIZE = 64


def _features(images: int, seed: int) -> dict[str, NDArray[np.float32]]:
    return random_features(images, seed, {"layer2": (5, 8, 8), "layer3": (7, 4, 4)})


def _batch(features: Features) -> ImageBatch:
    return feature_batch(features, (_SIZE, _SIZE))


def _fitted(**params: object) -> PatchCore:
    detector = PatchCore(PatchCore.Params.model_validate({"coreset_ratio": 0.1, **params}))
    detector.fit(FeatureImages(_features(12, 0)), seed_run(3))  # type: ignore[arg-type]
    return detector


# ---- the reference ----


def _embedding(features: Features, image: int) -> plain.Values:
    fine, coarse = (plain.averaged(v[image].astype(np.float64), 3, padding=1) for v in features.values())
    return np.concatenate([fine, plain.resized(coarse, (8, 8))]).reshape(12, -1).T


def _distances(patches: plain.Values, bank: plain.Values) -> plain.Values:
    return np.sqrt(((patches[:, None] - bank[None]) ** 2).sum(axis=2))


def _reference_map(features: Features, image: int, bank: plain.Values) -> plain.Values:
    nearest = _distances(_embedding(features, image), bank).min(axis=1).reshape(8, 8)
    return plain.blurred(np.kron(nearest, np.ones((8, 8))), 4.0)


def test_maps_equal_the_reference() -> None:
    detector, features = _fitted(), _features(3, 1)
    bank = np.asarray(detector.state()["bank"], np.float64)
    maps = detector.anomaly_maps(_batch(features))
    for image in range(3):
        np.testing.assert_allclose(maps[image], _reference_map(features, image, bank), rtol=1e-4)


def test_reweighted_score_equals_the_reference() -> None:
    detector, features = _fitted(), _features(3, 1)
    bank = np.asarray(detector.state()["bank"], np.float64)
    batch = _batch(features)
    scores = detector.image_scores(batch, detector.anomaly_maps(batch))
    for image in range(3):
        patches = _embedding(features, image)
        distances = _distances(patches, bank)
        worst = distances.min(axis=1).argmax()
        neighbour = distances[worst].argmin()
        around = np.argsort(_distances(bank[neighbour][None], bank)[0])[:9]
        assert around[0] == neighbour
        powers = np.exp(_distances(patches[worst][None], bank[around])[0])
        expected = distances[worst].min() * (1 - powers[0] / powers.sum())
        assert scores[image] == pytest.approx(expected, rel=1e-4)


def test_number_of_neighbours_changes_the_score_and_never_the_map() -> None:
    batch = _batch(_features(4, 1))
    one, nine = _fitted(neighbours=1), _fitted(neighbours=9)
    maps_one, maps_nine = one.anomaly_maps(batch), nine.anomaly_maps(batch)
    np.testing.assert_array_equal(maps_one, maps_nine)
    assert (one.image_scores(batch, maps_one) > nine.image_scores(batch, maps_nine)).all()


def test_the_bank_holds_patches_of_the_training_images_unprojected() -> None:
    bank = np.asarray(_fitted().state()["bank"], np.float64)
    training = _features(12, 0)
    patches = np.concatenate([_embedding(training, image) for image in range(12)])
    assert len(bank) == int(0.1 * 12 * 64)
    np.testing.assert_allclose(_distances(bank, patches).min(axis=1), 0, atol=1e-5)


def test_a_training_image_has_a_smaller_map_than_a_foreign_one() -> None:
    detector = _fitted(coreset_ratio=1.0)
    assert detector.anomaly_maps(_batch(_features(12, 0))).max() < 1e-3
    assert detector.anomaly_maps(_batch(_features(4, 9))).min() > 0.5


def test_squared_distance_and_bilinear_upsampling() -> None:
    features = _features(2, 1)
    once = _fitted(blur_sigma=0).anomaly_maps(_batch(features))
    squared = _fitted(blur_sigma=0, distance="squared").anomaly_maps(_batch(features))
    np.testing.assert_allclose(squared, once**2, rtol=1e-5)
    smooth = _fitted(blur_sigma=0, upsampling="bilinear").anomaly_maps(_batch(features))
    grid = once[:, ::8, ::8].astype(np.float64)
    np.testing.assert_allclose(smooth, plain.resized(grid, (_SIZE, _SIZE)), rtol=1e-5)


def test_image_score_as_the_maps_maximum() -> None:
    detector, batch = _fitted(image_score="maximum"), _batch(_features(3, 1))
    maps = detector.anomaly_maps(batch)
    np.testing.assert_array_equal(detector.image_scores(batch, maps), maps.max(axis=(1, 2)))


def test_sizes_of_the_papers_setting() -> None:
    """1,000 images at 256 x 256 with WRN-50-2: 10,240 picks in 341 projected dimensions."""
    cost = PatchCore().estimate(1000, (256, 256), {"layer2": (512, 32, 32), "layer3": (1024, 16, 16)}).work
    assert cost.startswith("10,240 picks out of 1,024,000 patches of 1536 values")
    assert cost.endswith("distances of 341 values")


def test_blur_keeps_a_constant_and_the_sum_of_an_inner_point() -> None:
    point = torch.zeros(1, 65, 65)
    point[0, 32, 32] = 1
    blurred = gaussian_blur(point, 4.0)[0]
    assert float(blurred.sum()) == pytest.approx(1, abs=1e-5)
    assert int((blurred > 0).sum()) == 33 * 33
    torch.testing.assert_close(gaussian_blur(torch.full((1, 40, 40), 2.5), 4.0), torch.full((1, 40, 40), 2.5))


def test_a_state_restored_gives_the_same_bits() -> None:
    detector, batch = _fitted(), _batch(_features(3, 1))
    again = PatchCore(detector.params)
    again.restore(detector.state())
    np.testing.assert_array_equal(again.anomaly_maps(_batch(_features(3, 1))), detector.anomaly_maps(batch))


def test_cuda_without_a_gpu_is_named() -> None:
    if torch.cuda.is_available():
        assert torch_device("cuda").type == "cuda"
        return
    with pytest.raises(UsageError, match="torch finds no GPU"):
        torch_device("cuda")
    assert torch_device("auto").type == "cpu"
