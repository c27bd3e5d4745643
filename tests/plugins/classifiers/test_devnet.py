"""DevNet: scores, steps, order and schedule against plain references; what it refuses; its size."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import plain_supervised as plain
import pytest
import torch
from torch import Tensor
from trainings import Kept, ToldSteps, same_bits, seed_run

from segad_core.errors import DataError, PluginError, UsageError
from segad_core.evaluate import auroc
from segad_core.testing import ArrayImageSet, bad_images, good_images, image_batch
from segad_plugins.backbones import empty_trunk
from segad_plugins.classifiers import devnet
from segad_plugins.classifiers.devnet import DevNet
from segad_plugins.classifiers.heads import pyramid, top_mean
from segad_plugins.estimate_tools import count_parameters, macs
from segad_plugins.torch_tools import torch_device


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    backbone = plain.small_backbone(tmp_path_factory.mktemp("weights"))
    return {**backbone, "epochs": 1, "steps_per_epoch": 3, "batch_good": 4, "batch_bad": 3}


def made(small: dict[str, Any], **params: Any) -> DevNet:
    return DevNet(DevNet.Params.model_validate({**small, **params}))


def fitted(small: dict[str, Any], seed: int = 1, **params: Any) -> DevNet:
    classifier = made(small, **params)
    plain.fit_to(classifier, seed_run(seed))
    return classifier


# ---- scores ----


@pytest.mark.parametrize(
    ("positions", "share", "count"), [(64, 0.1, 6), (16, 0.1, 1), (3, 0.1, 1), (8, 1, 8)]
)
def test_the_largest_absolute_responses_count(positions: int, share: float, count: int) -> None:
    responses = np.random.default_rng(positions).normal(0, 1, (5, 1, positions, 1))
    found = top_mean(torch.from_numpy(responses), share)
    np.testing.assert_allclose(found, plain.strongest(responses, count), rtol=1e-6)


def test_at_256_6_of_64_and_1_of_16_responses_count(monkeypatch: pytest.MonkeyPatch) -> None:
    counted, topk = [], Tensor.topk

    def noting(values: Tensor, k: int) -> Any:
        counted.append((values.shape[1], k))
        return topk(values, k)

    monkeypatch.setattr(Tensor, "topk", noting)
    classifier = DevNet()
    with torch.device("meta"):
        network = classifier.add_heads(empty_trunk(classifier.params))
    assert network(torch.empty(2, 3, 256, 256, device="meta")).shape == (2,)
    assert counted == [(64, 6), (16, 1)]


def test_scales_are_halves_by_nearest_pixels() -> None:
    images = torch.arange(2 * 3 * 10 * 8, dtype=torch.float32).reshape(2, 3, 10, 8)
    full, half, quarter = pyramid(images, 3)
    assert full is images
    assert (half == images[:, :, ::2, ::2]).all()
    assert (quarter == images[:, :, ::5, ::4]).all() and quarter.shape == (2, 3, 2, 2)


@pytest.mark.parametrize(("share", "counts"), [(0.1, (1, 1)), (0.7, (2, 1))])
def test_scores_equal_the_reference(small: dict[str, Any], share: float, counts: tuple[int, int]) -> None:
    """At both scales, with norms that have learnt."""
    classifier = fitted(small, top_share=share)
    state = classifier.state()
    pixels = np.concatenate([good_images(2, *plain.SIZE, 8), bad_images(2, *plain.SIZE, 9)])
    features = [plain.trunk_features(classifier.params, state, p) for p in (pixels, plain.halved(pixels))]
    assert [x.shape[2:] for x in features] == [(2, 2), (1, 1)]
    head = plain.part("network.head.", state)
    expected = [plain.top(x, head, count) for x, count in zip(features, counts, strict=True)]
    found = classifier.scores(image_batch(pixels))
    assert found.dtype == np.float64 and len(set(found)) == 4
    np.testing.assert_allclose(found, np.mean(expected, axis=0), rtol=1e-4)


def test_one_scale_alone_is_the_full_size(small: dict[str, Any]) -> None:
    classifier, pixels = fitted(small, scales=1), bad_images(3, *plain.SIZE)
    features = plain.trunk_features(classifier.params, classifier.state(), pixels)
    expected = plain.top(features, plain.part("network.head.", classifier.state()), 1)
    np.testing.assert_allclose(classifier.scores(image_batch(pixels)), expected, rtol=1e-4)


# ---- steps ----


def test_a_steps_loss_equals_the_reference(small: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """With norms in training mode: on the batch's own statistics."""
    shown, told = plain.Shown(monkeypatch, devnet), ToldSteps()
    classifier = made(small, steps_per_epoch=2, learning_rate=1e-30, margin=3, draws=700)
    pixels, labels = plain.fit_to(classifier, seed_run(1, told))
    state = classifier.state()
    for step in range(2):
        images, draws = shown.pixels[step], shown.draws[step]
        chosen = labels[plain.places(images, pixels)]
        assert chosen.tolist() == [0, 0, 0, 0, 1, 1, 1]
        assert draws.shape == (1, 700)
        scores = [
            plain.top(
                plain.trunk_features(classifier.params, state, scaled, training=True),
                plain.part("network.head.", state),
                1,
            )
            for scaled in (images, plain.halved(images))
        ]
        expected = plain.deviation(np.mean(scores, axis=0), chosen == 1, draws[0], 3)
        assert told.losses[step] == pytest.approx(expected, rel=2e-3)
    assert (shown.draws[0] != shown.draws[1]).any()


def test_norms_learn_in_training_and_rest_in_scoring(small: dict[str, Any]) -> None:
    classifier = fitted(small)
    before = classifier.state()
    counters = [array for name, array in before.items() if name.endswith("num_batches_tracked")]
    assert len(counters) > 5 and all(int(counter) == 2 * 3 for counter in counters)  # 2 scales, 3 steps
    classifier.scores(image_batch(bad_images(3, *plain.SIZE)))
    assert same_bits(classifier.state(), before)


def test_images_come_out_of_endless_permutations(
    small: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nine good images, four a step; five bad ones, three a step."""
    shown = plain.Shown(monkeypatch, devnet)
    pixels, labels = plain.fit_to(made(small, steps_per_epoch=9), seed_run())
    chosen = np.array([plain.places(images, pixels) for images in shown.pixels])
    good, bad = np.flatnonzero(labels == 0).tolist(), np.flatnonzero(labels == 1).tolist()
    assert Counter(chosen[:, :4].ravel().tolist()) == dict.fromkeys(good, 4)
    assert Counter(chosen[:5, 4:].ravel().tolist()) == dict.fromkeys(bad, 3)
    goods, bads = chosen[:, :4].ravel(), chosen[:5, 4:].ravel()
    assert sorted(goods[:9]) == good and sorted(bads[:5]) == bad
    assert goods[:9].tolist() != goods[9:18].tolist()


def test_ten_bad_images_fill_24_places(small: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    shown = plain.Shown(monkeypatch, devnet)
    classifier = made(small, batch_good=24, batch_bad=24, steps_per_epoch=1)
    pixels, labels = plain.fit_to(classifier, seed_run(), good=30, bad=10)
    chosen = labels[plain.places(shown.pixels[0], pixels)]
    assert (chosen == np.repeat([0, 1], 24)).all()
    times = Counter(plain.places(shown.pixels[0][24:], pixels))
    assert len(times) == 10 and set(times.values()) == {2, 3}
    assert np.isfinite(classifier.scores(image_batch(pixels))).all()


def test_steps_are_adams_with_a_rate_that_falls_after_every_ten_epochs(small: dict[str, Any]) -> None:
    with plain.steps_noted() as steps:
        fitted(small, epochs=50, steps_per_epoch=1, batch_good=1, batch_bad=1, scales=1)
    assert len(steps) == 50
    expected = [2e-4 * 0.1**power for power in range(5) for _ in range(10)]
    np.testing.assert_allclose([step["lr"] for step in steps], expected, rtol=1e-9)
    assert {(s["name"], s["weight_decay"], s["betas"], s["eps"]) for s in steps} == {
        ("Adam", 1e-5, (0.9, 0.999), 1e-8)
    }


def test_gradients_are_cut_to_norm_1(small: dict[str, Any]) -> None:
    norms = {}
    for most in (1.0, 0.25, None):
        with plain.steps_noted() as steps:
            fitted(small, most_norm=most, steps_per_epoch=1)
        norms[most] = steps[0]["norm"]
    assert norms[None] > 1.1
    assert norms[1.0] == pytest.approx(1, rel=1e-4) and norms[0.25] == pytest.approx(0.25, rel=1e-4)


def test_a_killed_training_ends_in_the_same_bits(small: dict[str, Any]) -> None:
    kept, whole = Kept(), made(small, steps_per_epoch=4)
    plain.fit_to(whole, seed_run(2, checkpoint=kept))
    assert len(kept.saved) == 3
    for begin in kept.saved:
        again = made(small, steps_per_epoch=4)
        plain.fit_to(again, seed_run(2, checkpoint=Kept(begin)))
        assert same_bits(again.state(), whole.state())


def test_the_seed_decides(small: dict[str, Any]) -> None:
    first, same, other = (fitted(small, seed).state() for seed in (1, 1, 2))
    assert same_bits(first, same)
    assert (first["network.head.response.weight"] != other["network.head.response.weight"]).any()


def test_mixed_precision_trains_to_other_bits_and_scores_in_float32(small: dict[str, Any]) -> None:
    exact, mixed = fitted(small), fitted(small, precision="bfloat16")
    batch = image_batch(bad_images(3, *plain.SIZE))
    assert not same_bits(exact.state(), mixed.state())
    np.testing.assert_allclose(mixed.scores(batch), exact.scores(batch), rtol=0.3)
    restored = made(small)
    restored.restore(mixed.state())
    assert (restored.scores(batch) == mixed.scores(batch)).all()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_ranks_visible_defects_after_a_few_steps(seed: int) -> None:
    classifier = DevNet(
        DevNet.Params(
            source="efficientnet_lite0",
            epochs=1,
            steps_per_epoch=8,
            batch_good=4,
            batch_bad=4,
            learning_rate=5e-3,
        )
    )
    plain.fit_to(classifier, seed_run(seed), good=12, bad=8)
    pixels = np.concatenate([good_images(12, *plain.SIZE, 20), bad_images(12, *plain.SIZE, 21)])
    assert auroc(np.repeat([0, 1], 12), classifier.scores(image_batch(pixels))) > 0.9


def test_the_rate_is_that_of_the_epoch_not_of_the_step(small: dict[str, Any]) -> None:
    with plain.steps_noted() as steps:
        fitted(small, epochs=3, steps_per_epoch=2, rate_epochs=2, rate_decay=0.5, learning_rate=0.01)
    assert [step["lr"] for step in steps] == [0.01, 0.01, 0.01, 0.01, 0.005, 0.005]


# ---- what is refused, and how large it is ----


@pytest.mark.parametrize(("label", "given"), [(0, "7 good and 0 bad"), (1, "0 good and 7 bad")])
def test_labels_of_one_class_are_refused_before_anything_is_read(label: int, given: str) -> None:
    with pytest.raises(DataError) as caught:
        DevNet().fit(plain.NoImages(7), np.full(7, label, np.int64), seed_run())  # type: ignore[arg-type]
    assert "DevNet" in caught.value.what and given in caught.value.what
    assert "split.classifiers" in caught.value.remedy


def test_use_before_a_fit_and_other_versions_are_refused(small: dict[str, Any]) -> None:
    with pytest.raises(PluginError, match="devnet: is not fitted yet"):
        DevNet().scores(image_batch(good_images(1, *plain.SIZE)))
    state = {**fitted(small).state(), "version": np.array(99)}
    with pytest.raises(PluginError, match=r"devnet: .* expected version 1, found 99"):
        made(small).restore(state)


def test_check_wants_something_left_at_the_coarsest_scale(small: dict[str, Any]) -> None:
    made(small).check((2, 2), {})
    made(small, scales=1).check((1, 1), {})
    with pytest.raises(PluginError) as caught:
        made(small, scales=4).check((64, 7), {})
    assert "devnet: images of 64 x 7 pixels are too small" in caught.value.what
    assert "scale 4 of 4" in caught.value.what and "image.size" in caught.value.remedy


def test_check_wants_weights() -> None:
    with pytest.raises(PluginError, match="devnet: resnet18 has no weights 'V9'"):
        DevNet(DevNet.Params(weights="V9")).check((64, 64), {})


def test_the_smallest_images_that_check_lets_pass_train(small: dict[str, Any]) -> None:
    classifier = made(small, batch_good=1, batch_bad=1)
    pixels = np.random.default_rng(0).integers(0, 256, (4, 2, 3, 3), np.uint8)
    classifier.check((2, 3), {})
    classifier.fit(ArrayImageSet(pixels), np.array([0, 1, 0, 1]), seed_run())
    assert np.isfinite(classifier.scores(image_batch(pixels))).all()


def test_check_wants_the_device(monkeypatch: pytest.MonkeyPatch, small: dict[str, Any]) -> None:
    torch_device.cache_clear()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="no GPU"):
        DevNet(made(small).params, "cuda").check((64, 64), {})


def test_size_at_256() -> None:
    """11.2 M parameters; 2.37 GMAC at full size and 0.59 at half."""
    classifier = DevNet()
    with torch.device("meta"):
        trunk = empty_trunk(classifier.params)
        network = classifier.add_heads(trunk)
        work = [macs(trunk, torch.empty(1, 3, side, side)) / 1e9 for side in (256, 128)]
    assert round(count_parameters(network) / 1e6, 1) == 11.2
    assert [round(each, 2) for each in work] == [2.37, 0.59]
    each = 3 * (sum(work) + 512 * (64 + 16) / 1e9)
    assert classifier.estimate(1000, (256, 256), {}).work == (
        f"11.18 M parameters, 48,000 image-steps, {each:.2f} GMAC each"
    )


def test_defaults_are_the_papers() -> None:
    p = DevNet.Params()
    assert (p.source, p.model, p.weights) == ("torchvision", "resnet18", "IMAGENET1K_V1")
    assert (p.epochs, p.steps_per_epoch, p.batch_good, p.batch_bad) == (50, 20, 24, 24)
    assert (p.margin, p.draws, p.top_share, p.scales, p.precision) == (5, 5000, 0.1, 2, "float32")
