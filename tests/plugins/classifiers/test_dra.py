"""DRA: scores, steps, schedule and references against plain references; what it refuses; its size."""

from __future__ import annotations

from typing import Any

import numpy as np
import plain_supervised as plain
import pytest
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from trainings import Kept, ToldSteps, same_bits, seed_run

from segad_core.contracts import Arrays
from segad_core.errors import DataError, PluginError
from segad_core.evaluate import auroc
from segad_core.testing import ArrayImageSet, bad_images, good_images, image_batch
from segad_plugins.backbones import empty_trunk
from segad_plugins.classifiers import dra
from segad_plugins.classifiers.cutmix import CutMix
from segad_plugins.classifiers.dra import DRA
from segad_plugins.classifiers.dra_batches import Mixing, drawn_references
from segad_plugins.estimate_tools import count_parameters, macs


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    backbone = plain.small_backbone(tmp_path_factory.mktemp("weights"))
    return {**backbone, "epochs": 1, "steps_per_epoch": 3, "batch_good": 4, "batch_bad": 3}


def made(small: dict[str, Any], **params: Any) -> DRA:
    return DRA(DRA.Params.model_validate({**small, **params}))


def fitted(small: dict[str, Any], seed: int = 1, **params: Any) -> DRA:
    classifier = made(small, **params)
    plain.fit_to(classifier, seed_run(seed))
    return classifier


@pytest.fixture(scope="module")
def trained(small: dict[str, Any]) -> dict[str, DRA]:
    """By the kind of references; for tests that change nothing of them."""
    return {kind: fitted(small, references=kind) for kind in ("fixed", "upstream")}


PIXELS = np.concatenate([good_images(2, *plain.SIZE, 8), bad_images(2, *plain.SIZE, 9)])


def responses(
    classifier: DRA, state: Arrays, pixels: NDArray[np.uint8], references: NDArray[np.uint8], training: bool
) -> NDArray[np.float64]:
    """(4, N), by the reference; the largest of 4 responses counts at full size, and one at half."""
    weights, together = plain.part("network.", state), np.concatenate([references, pixels])
    scales = []
    for scaled in (together, plain.halved(together)):
        features = plain.trunk_features(classifier.params, state, scaled, training)
        count = len(references)
        scales.append(plain.four_heads(features[count:], features[:count], weights, 1, training))
    return np.mean(scales, axis=0)


# ---- scores ----


def test_scores_equal_the_reference(trained: dict[str, DRA]) -> None:
    """Minus the holistic head's, plus the others'; references go through norms that have learnt."""
    classifier = trained["fixed"]
    state = classifier.state()
    holistic, seen, pseudo, composite = responses(classifier, state, PIXELS, state["references"], False)
    found = classifier.scores(image_batch(PIXELS))
    assert found.dtype == np.float64 and len(set(found)) == 4
    np.testing.assert_allclose(found, -holistic + seen + pseudo + composite, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", ["fixed", "upstream"])
def test_scores_do_not_depend_on_the_images_beside_them(trained: dict[str, DRA], kind: str) -> None:
    together = trained[kind].scores(image_batch(PIXELS))
    assert (trained[kind].scores(image_batch(PIXELS.copy())) == together).all()
    alone = [float(trained[kind].scores(image_batch(PIXELS[i : i + 1]))[0]) for i in range(4)]
    np.testing.assert_allclose(alone, together, rtol=1e-4, atol=1e-5)
    others = np.concatenate([PIXELS[:1], np.full((5, *plain.SIZE, 3), 255, np.uint8)])
    assert trained[kind].scores(image_batch(others))[0] == pytest.approx(together[0], rel=1e-4, abs=1e-5)


def test_upstream_scores_use_references_drawn_for_each_image(trained: dict[str, DRA]) -> None:
    classifier = trained["upstream"]
    state, p = classifier.state(), classifier.params
    mixing = Mixing(CutMix(p.patch_area, p.patch_aspect, p.patch_jitter), p.pseudo_share)
    for image, score in zip(PIXELS, classifier.scores(image_batch(PIXELS)), strict=True):
        references = drawn_references(image, state["references"], p.reference_count, mixing)
        holistic, seen, pseudo, composite = responses(classifier, state, image[None], references, False)
        expected = -holistic + seen + pseudo + composite
        np.testing.assert_allclose([score], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", ["fixed", "upstream"])
def test_what_is_restored_scores_to_the_same_bits(
    small: dict[str, Any], trained: dict[str, DRA], kind: str
) -> None:
    again = made(small, references=kind)
    again.restore(trained[kind].state())
    again.scores(image_batch(PIXELS[:1]))
    batch = image_batch(PIXELS)
    assert (again.scores(batch) == trained[kind].scores(batch)).all()
    assert same_bits(again.state(), trained[kind].state())


def test_new_weights_bring_new_references(small: dict[str, Any]) -> None:
    """What was computed of references for the weights before is forgotten."""
    classifier, other = fitted(small, 1), fitted(small, 2)
    classifier.scores(image_batch(PIXELS))
    classifier.restore(other.state())
    assert (classifier.scores(image_batch(PIXELS)) == other.scores(image_batch(PIXELS))).all()


def test_fixed_references_are_five_good_training_images(
    small: dict[str, Any], trained: dict[str, DRA]
) -> None:
    pixels, labels = plain.mixed_images(9, 5)
    chosen = {seed: plain.places(fitted(small, seed).state()["references"], pixels) for seed in (1, 2)}
    for places in chosen.values():
        assert len(set(places)) == 5 and min(places) >= 0 and not labels[places].any()
    assert chosen[1] != chosen[2]
    assert plain.places(trained["fixed"].state()["references"], pixels) == chosen[1]


def test_upstreams_pool_is_of_good_training_images(small: dict[str, Any], trained: dict[str, DRA]) -> None:
    pixels, labels = plain.mixed_images(9, 5)
    kept = plain.places(trained["upstream"].state()["references"], pixels)
    assert sorted(kept) == np.flatnonzero(labels == 0).tolist()
    few = fitted(small, references="upstream", reference_pool=3).state()["references"]
    assert len(set(plain.places(few, pixels))) == 3


def test_fewer_good_images_than_references_are_used_again(small: dict[str, Any]) -> None:
    classifier = made(small)
    pixels, _ = plain.fit_to(classifier, seed_run(), good=2, bad=2)
    places = plain.places(classifier.state()["references"], pixels)
    assert len(places) == 5 and len(set(places)) == 2
    assert np.isfinite(classifier.scores(image_batch(PIXELS))).all()


# ---- steps ----


@pytest.mark.parametrize("kind", ["fixed", "upstream"])
def test_a_steps_loss_equals_the_reference(
    small: dict[str, Any], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """References and images share the trunk's batch statistics; the sum of four deviation losses."""
    shown, told = plain.Shown(monkeypatch, dra), ToldSteps()
    choices = {"margin": 3, "draws": 700, "references": kind, "reference_count": 3, "batch_good": 6}
    classifier = made(small, steps_per_epoch=2, learning_rate=1e-30, **choices)
    pixels, labels = plain.fit_to(classifier, seed_run(1, told))
    state, mixed = classifier.state(), 0
    for step in range(2):
        images, draws = shown.pixels[step], shown.draws[step]
        assert draws.shape == (4, 700)
        places = plain.places(images, pixels)
        kinds = [plain.PSEUDO if place < 0 else int(labels[place]) for place in places]
        mixed += kinds[:3].count(plain.PSEUDO)
        assert set(kinds[3:9]) == {plain.GOOD, plain.PSEUDO} and kinds[9:] == [plain.BAD] * 3
        scores = responses(classifier, state, images[3:], images[:3], True)
        expected = sum(plain.dra_deviations(scores, kinds[3:], draws, 3))
        assert told.losses[step] == pytest.approx(expected, rel=2e-3)
    assert (mixed > 0) == (kind == "upstream")


def test_the_rate_falls_as_of_the_tenth_epoch_then_every_ten(small: dict[str, Any]) -> None:
    with plain.steps_noted() as steps:
        fitted(small, epochs=30, steps_per_epoch=1, batch_good=1, batch_bad=1, scales=1)
    expected = [2e-4] * 9 + [2e-5] * 10 + [2e-6] * 10 + [2e-7]
    np.testing.assert_allclose([step["lr"] for step in steps], expected, rtol=1e-9)
    assert {(s["name"], s["weight_decay"], s["betas"], s["eps"]) for s in steps} == {
        ("Adam", 1e-5, (0.9, 0.999), 1e-8)
    }
    assert max(step["norm"] for step in steps) == pytest.approx(1, rel=1e-4)  # cut


def test_every_weight_trains(small: dict[str, Any]) -> None:
    """As of the second step: the small backbone's last norms of a block begin at 0."""
    begin, end = (fitted(small, learning_rate=rate).state() for rate in (1e-30, 0.01))
    assert begin.keys() == end.keys()
    same = {name for name in begin if begin[name].tobytes() == end[name].tobytes()}
    assert same == {"version", "references", *(name for name in begin if "num_batches" in name)}


@pytest.mark.parametrize("kind", ["fixed", "upstream"])
def test_a_killed_training_ends_in_the_same_bits(small: dict[str, Any], kind: str) -> None:
    kept, whole = Kept(), made(small, references=kind)
    plain.fit_to(whole, seed_run(2, checkpoint=kept))
    assert len(kept.saved) == 2
    for begin in kept.saved:
        again = made(small, references=kind)
        plain.fit_to(again, seed_run(2, checkpoint=Kept(begin)))
        assert same_bits(again.state(), whole.state())


def test_the_seed_decides(small: dict[str, Any], trained: dict[str, DRA]) -> None:
    first, other = trained["fixed"].state(), fitted(small, 2).state()
    assert same_bits(first, fitted(small, 1).state())
    name = "network.composite.differences.0.weight"
    assert (first[name] != other[name]).any()


def test_ten_bad_images_fill_16_places(small: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    shown = plain.Shown(monkeypatch, dra)
    classifier = made(small, batch_good=32, batch_bad=16, steps_per_epoch=1)
    pixels, labels = plain.fit_to(classifier, seed_run(), good=40, bad=10)
    places = plain.places(shown.pixels[0][-16:], pixels)
    assert labels[places].all() and len(set(places)) == 10
    assert np.isfinite(classifier.scores(image_batch(PIXELS))).all()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_ranks_visible_defects_after_a_few_steps(seed: int) -> None:
    few = {"epochs": 1, "steps_per_epoch": 4, "batch_good": 4, "batch_bad": 4, "learning_rate": 5e-3}
    classifier = DRA(DRA.Params.model_validate({"source": "efficientnet_lite0", **few}))
    plain.fit_to(classifier, seed_run(seed), good=12, bad=8)
    pixels = np.concatenate([good_images(12, *plain.SIZE, 20), bad_images(12, *plain.SIZE, 21)])
    assert auroc(np.repeat([0, 1], 12), classifier.scores(image_batch(pixels))) > 0.98


# ---- what is refused, and how large it is ----


@pytest.mark.parametrize(("label", "given"), [(0, "7 good and 0 bad"), (1, "0 good and 7 bad")])
def test_labels_of_one_class_are_refused_before_anything_is_read(label: int, given: str) -> None:
    with pytest.raises(DataError) as caught:
        DRA().fit(plain.NoImages(7), np.full(7, label, np.int64), seed_run())  # type: ignore[arg-type]
    assert "DRA" in caught.value.what and given in caught.value.what
    assert "split.classifiers" in caught.value.remedy


def test_images_of_another_size_are_refused(trained: dict[str, DRA]) -> None:
    with pytest.raises(PluginError, match=r"dra: was trained on images of 64 x 48 pixels, .* 48 x 64"):
        trained["fixed"].scores(image_batch(good_images(1, 48, 64)))


def test_use_before_a_fit_and_foreign_states_are_refused(
    small: dict[str, Any], trained: dict[str, DRA]
) -> None:
    with pytest.raises(PluginError, match="dra: is not fitted yet"):
        DRA().scores(image_batch(PIXELS))
    state = trained["fixed"].state()
    with pytest.raises(PluginError, match=r"dra: .* expected version 1, found 99"):
        made(small).restore({**state, "version": np.array(99)})
    with pytest.raises(PluginError, match=r"dra: .* 'references' of shape \(4, None, None, 3\)"):
        made(small, reference_count=4).restore(state)


def test_check_wants_something_left_at_the_coarsest_scale(small: dict[str, Any]) -> None:
    made(small).check((2, 2), {})
    with pytest.raises(PluginError, match="dra: images of 64 x 1 pixels are too small"):
        made(small).check((64, 1), {})


def test_check_wants_weights() -> None:
    with pytest.raises(PluginError, match="dra: resnet18 has no weights 'V9'"):
        DRA(DRA.Params(weights="V9")).check((64, 64), {})


def test_the_smallest_images_that_check_lets_pass_train(small: dict[str, Any]) -> None:
    classifier = made(small, batch_good=2, batch_bad=1, reference_count=1)
    pixels = np.random.default_rng(0).integers(0, 256, (4, 2, 3, 3), np.uint8)
    classifier.fit(ArrayImageSet(pixels), np.array([0, 1, 0, 1]), seed_run())
    assert np.isfinite(classifier.scores(image_batch(pixels))).all()


@pytest.mark.parametrize("area", [(0.0, 0.1), (0.2, 0.1), (0.1, 1.0)])
def test_patch_areas_that_cannot_be_are_refused(area: tuple[float, float]) -> None:
    with pytest.raises(ValidationError, match="shares of the image"):
        DRA.Params(patch_area=area)


def test_size_at_256() -> None:
    """13.7 M parameters; 600 steps with 53 images each."""
    classifier = DRA()
    with torch.device("meta"):
        trunk = empty_trunk(classifier.params)
        network = classifier.add_heads(trunk)
        work = sum(macs(trunk, torch.empty(1, 3, side, side)) for side in (256, 128))
    assert round(count_parameters(network) / 1e6, 1) == 13.7
    composite = sum(512 * (512 * 9 + 1) * positions for positions in (64, 16))
    others = sum(2 * 512 * positions for positions in (64, 16)) + 2 * 256 * 513
    each = 3 * (work + (composite + others) * 48 / 53) / 1e9
    assert classifier.estimate(1000, (256, 256), {}).work == (
        f"13.67 M parameters, 31,800 image-steps, {each:.2f} GMAC each"
    )


def test_defaults_are_the_papers() -> None:
    p = DRA.Params()
    assert (p.source, p.model, p.weights) == ("torchvision", "resnet18", "IMAGENET1K_V1")
    assert (p.epochs, p.steps_per_epoch, p.batch_good, p.batch_bad) == (30, 20, 32, 16)
    assert (p.margin, p.draws, p.top_share, p.scales, p.precision) == (5, 5000, 0.1, 2, "float32")
    assert (p.references, p.reference_count, p.pseudo_share) == ("fixed", 5, 0.5)
    assert (p.patch_area, p.patch_aspect, p.patch_jitter) == ((0.02, 0.15), 0.3, 0.1)
